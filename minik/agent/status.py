"""`status` of a pod as the node reports it. Pure. (`statuspatch.py` makes the patch that is sent.)

Rules: kubelet's `convertToAPIContainerStatuses`, `getPhase` and `pkg/kubelet/status/generate.go`. Conditions that others own
(readiness gates, DisruptionTarget) are kept as they are, and so is which claims for devices were made for the pod.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from minik.agent import allotment
from minik.agent.actions import Memory, Waiting
from minik.agent.containerstatus import Facts, container_status, never_ready
from minik.agent.observed import ObservedPod
from minik.agent.plan import (
    app_containers,
    ephemeral_containers,
    init_containers,
    is_sidecar,
    restart_policy,
)
from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.meta import Obj, ROObj
from minik.api.times import format_time

_OWNED = (
    "PodReadyToStartContainers",
    "Initialized",
    "Ready",
    "ContainersReady",
    "PodScheduled",
    allotment.PENDING,
    allotment.IN_PROGRESS,
)
_OF_CONTAINERS = ("Ready", "ContainersReady")
_OF_OTHERS = ("resourceClaimStatuses", "extendedResourceClaimStatus")


def pod_status(pod: ROObj, observed: ObservedPod, memory: Memory, facts: Facts, now: datetime) -> Obj:
    """The whole status of `pod`."""
    old: Mapping[str, Any] = pod.get("status") or {}
    inits, apps = init_containers(pod), app_containers(pod)
    default = Waiting("PodInitializing" if inits else "ContainerCreating")
    init_default = Waiting("PodInitializing")
    init_statuses = [
        container_status(pod, c, observed, memory, facts, init_default, now, is_init=not is_sidecar(c)) for c in inits
    ]
    statuses = [container_status(pod, c, observed, memory, facts, default, now, is_init=False) for c in apps]
    phase = _phase(pod, inits, init_statuses, statuses, memory, observed)
    if phase in ("Succeeded", "Failed") and observed.running():  # not over before its last container is
        phase = old.get("phase") or "Running"
    status: Obj = {"phase": phase}
    if "generation" in pod["metadata"]:
        status["observedGeneration"] = pod["metadata"]["generation"]
    failure = memory.failed if phase == "Failed" else None
    reason, message = failure or (old.get("reason"), old.get("message"))
    if reason:
        status["reason"] = reason
    if message:
        status["message"] = message
    status["conditions"] = _conditions(pod, phase, observed, memory, facts, inits, init_statuses, statuses, now)
    status["startTime"] = old.get("startTime") or format_time(now)
    status["hostIP"] = facts.node_ip
    status["hostIPs"] = [{"ip": facts.node_ip}]
    pod_ip = facts.pod_ip or old.get("podIP", "")
    if pod_ip:
        status["podIP"] = pod_ip
        status["podIPs"] = [{"ip": pod_ip}]
    status["qosClass"] = old.get("qosClass") or pods.qos_class(pod)
    if inits:
        status["initContainerStatuses"] = init_statuses
    status["containerStatuses"] = statuses
    if ephemeral := ephemeral_containers(pod):
        status["ephemeralContainerStatuses"] = [
            never_ready(container_status(pod, c, observed, memory, facts, default, now, is_init=False))
            for c in ephemeral
        ]
    if memory.failed is not None and observed.is_empty and not old.get("containerStatuses"):
        for field in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"):
            status.pop(field, None)  # rejected: nothing of it ever was on this node
    return status | {each: old[each] for each in _OF_OTHERS if each in old}


# --- phase and conditions -----------------------------------------------------------------------------------------


def _ended_with(status: Mapping[str, Any]) -> int | None:
    """The exit code of a container that is not running and has run, or None."""
    state = status["state"]
    terminated = state.get("terminated")
    if terminated is None and state.get("waiting"):
        terminated = (status.get("lastState") or {}).get("terminated")
    return None if terminated is None else int(terminated.get("exitCode", 0))


def _phase(
    pod: ROObj,
    inits: Sequence[Mapping[str, Any]],
    init_statuses: Sequence[Obj],
    statuses: Sequence[Obj],
    memory: Memory,
    observed: ObservedPod,
) -> str:
    """kubelet's getPhase. A pod that has ended stays as it ended."""
    old = (pod.get("status") or {}).get("phase") or "Pending"
    if old in ("Succeeded", "Failed"):
        return str(old)
    if memory.failed is not None:
        return "Failed"
    policy = restart_policy(pod)
    is_over = meta.is_deleting(pod) and not observed.running()
    pending_init = 0
    for container, status in zip(inits, init_statuses, strict=True):
        if is_sidecar(container):
            pending_init += not (status["started"] or _ended_with(status) is not None)
            continue
        code = _ended_with(status)
        if code is None or "running" in status["state"]:
            pending_init += 1
        elif code != 0:
            if policy == "Never":
                return "Failed"
            pending_init += 1
    running = sum("running" in s["state"] for s in statuses)
    ended = [s for s in statuses if "running" not in s["state"] and s["name"] not in memory.again]
    codes = [code for s in ended if (code := _ended_with(s)) is not None]
    waiting = len(statuses) - running - len(codes)
    if is_over:  # also before anything ran: who waits for its end (a Job) sees one (KEP-3329)
        return "Succeeded" if codes and not waiting and not any(codes) else "Failed"
    if pending_init and not (running or codes):
        return "Pending"
    if waiting:
        return "Pending" if old != "Running" else "Running"
    if running:
        return "Running"
    if codes:
        if policy == "Always":
            return "Running"
        if not any(codes):
            return "Succeeded"
        return "Failed" if policy == "Never" else "Running"
    return "Pending"


def _conditions(
    pod: ROObj,
    phase: str,
    observed: ObservedPod,
    memory: Memory,
    facts: Facts,
    inits: Sequence[Mapping[str, Any]],
    init_statuses: Sequence[Obj],
    statuses: Sequence[Obj],
    now: datetime,
) -> list[Obj]:
    old = {c.get("type"): c for c in (pod.get("status") or {}).get("conditions") or ()}
    is_reachable = observed.sandbox is not None and bool(facts.pod_ip)
    pending = [
        s["name"]
        for c, s in zip(inits, init_statuses, strict=True)
        if not (s["started"] if is_sidecar(c) else s["ready"]) and phase not in ("Succeeded", "Failed")
    ]
    has_apps = any("waiting" not in s["state"] or s["lastState"] for s in statuses)
    if pending and has_apps:  # it got through them once; a restarting sidecar does not take that back
        pending = []
    unready = [s["name"] for s in [*_sidecar_statuses(inits, init_statuses), *statuses] if not s["ready"]]
    wanted = {
        "PodReadyToStartContainers": (is_reachable, "", ""),
        "Initialized": _initialized(phase, pending, init_statuses, inits),
        "ContainersReady": _containers_ready(phase, unready),
        "Ready": _ready(phase, unready, pod, old),
        "PodScheduled": (True, "", ""),
    }
    started = max((s["state"]["running"]["startedAt"] for s in statuses if "running" in s["state"]), default="")
    conditions = [
        _condition(old.get(kind), kind, verdict, pod["metadata"].get("generation"), now, since=started)
        for kind, verdict in wanted.items()
    ]
    running = {name: attempts[0] for name, attempts in observed.containers.items() if attempts[0].state == "running"}
    conditions += [
        _condition(old.get(kind), kind, (True, *why), pod["metadata"].get("generation"), now, since="")
        for kind, why in allotment.conditions(pod, memory, running).items()
    ]
    return [*conditions, *(meta.draft(c) for kind, c in old.items() if kind not in _OWNED)]


_Verdict = tuple[bool, str, str]


def _sidecar_statuses(inits: Sequence[Mapping[str, Any]], statuses: Sequence[Obj]) -> list[Obj]:
    return [s for c, s in zip(inits, statuses, strict=True) if is_sidecar(c)]


def _initialized(
    phase: str, pending: Sequence[str], statuses: Sequence[Obj], inits: Sequence[Mapping[str, Any]]
) -> _Verdict:
    if phase == "Succeeded":
        return True, "PodCompleted", ""
    if phase == "Failed":
        pending = [
            s["name"]
            for c, s in zip(inits, statuses, strict=True)
            if not is_sidecar(c) and not (s["ready"] or _ended_with(s) == 0)
        ]
    if pending:
        return False, "ContainersNotInitialized", f"containers with incomplete status: [{' '.join(pending)}]"
    return True, "", ""


def _containers_ready(phase: str, unready: Sequence[str]) -> _Verdict:
    if phase == "Succeeded":
        return False, "PodCompleted", ""
    if phase == "Failed":
        return False, "PodFailed", ""
    if unready:
        return False, "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"
    return True, "", ""


def _ready(phase: str, unready: Sequence[str], pod: ROObj, old: Mapping[Any, Mapping[str, Any]]) -> _Verdict:
    verdict = _containers_ready(phase, unready)
    if not verdict[0]:
        return verdict
    missing = []
    for gate in pod["spec"].get("readinessGates") or ():
        kind = gate["conditionType"]
        condition = old.get(kind)
        if condition is None:
            missing.append(f'corresponding condition of pod readiness gate "{kind}" does not exist.')
        elif condition.get("status") != "True":
            missing.append(
                f'the status of pod readiness gate "{kind}" is not "True", but {condition.get("status", "")}'
            )
    return (False, "ReadinessGatesNotReady", ", ".join(missing)) if missing else verdict


def _condition(
    old: Mapping[str, Any] | None, kind: str, verdict: _Verdict, generation: int | None, now: datetime, *, since: str
) -> Obj:
    """`since`: when the youngest container was started; a pod that was ready before that was not in between."""
    is_true, reason, message = verdict
    value = "True" if is_true else "False"
    condition: Obj = {"type": kind}
    if generation is not None:
        condition["observedGeneration"] = generation
    condition["status"] = value
    condition["lastProbeTime"] = None
    before = old["lastTransitionTime"] if old is not None and old.get("status") == value else None
    if before and is_true and kind in _OF_CONTAINERS and since > before:
        before = None
    condition["lastTransitionTime"] = before or format_time(now)
    if reason:
        condition["reason"] = reason
    if message:
        condition["message"] = message
    return condition
