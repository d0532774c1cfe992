"""How `kubectl get pods` shows a Pod (kubernetes `pkg/printers/internalversion/printers.go`, printPod)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from minik.api import columns, meta, times
from minik.api.columns import NONE, column
from minik.api.core_v1 import pods
from minik.api.kind import Column
from minik.api.meta import ROObj


@dataclass(slots=True)
class Summary:
    """What the row says about the pod's containers. `last_restart` is a wire time or ""."""

    ready: int
    total: int
    reason: str
    restarts: int = 0
    last_restart: str = ""

    def count_restarts(self, status: Mapping[str, Any]) -> None:
        self.restarts += status.get("restartCount") or 0
        finished = ((status.get("lastState") or {}).get("terminated") or {}).get("finishedAt") or ""
        self.last_restart = max(self.last_restart, finished)


def summarise(pod: ROObj) -> Summary:
    """Everything that the columns Ready, Status and Restarts need."""
    status = pod.get("status") or {}
    sidecars = {c["name"] for c in pods.init_containers(pod) if pods.is_sidecar(c)}
    reason = status.get("reason") or status.get("phase") or ""
    scheduled = meta.condition(pod, "PodScheduled")
    if scheduled is not None and scheduled.get("reason") == "SchedulingGated":
        reason = "SchedulingGated"
    total = Summary(0, len(pods.containers(pod)) + len(sidecars), reason)
    from_sidecars = Summary(0, 0, "")
    initializing = False
    for number, container in enumerate(status.get("initContainerStatuses") or ()):
        total.count_restarts(container)
        is_sidecar = container.get("name") in sidecars
        if is_sidecar:
            from_sidecars.count_restarts(container)
        state = container.get("state") or {}
        terminated, waiting = state.get("terminated"), state.get("waiting")
        if terminated is not None and not terminated.get("exitCode"):
            continue
        if is_sidecar and container.get("started"):
            total.ready += bool(container.get("ready"))
            continue
        waiting_for = (waiting or {}).get("reason") or ""
        if terminated is not None:
            total.reason = "Init:" + _end_of(terminated)
        elif waiting_for and waiting_for != "PodInitializing":
            total.reason = "Init:" + waiting_for
        else:
            total.reason = f"Init:{number}/{len(pods.init_containers(pod))}"
        initializing = True
        break
    if not initializing or pods.has_condition(pod, "Initialized"):
        total.restarts, total.last_restart = from_sidecars.restarts, from_sidecars.last_restart
        _add_containers(total, pod, status)
    if meta.is_deleting(pod):
        if status.get("reason") == "NodeLost":
            total.reason = "Unknown"
        elif status.get("phase") not in pods.TERMINAL:
            total.reason = "Terminating"
    return total


def _add_containers(total: Summary, pod: ROObj, status: Mapping[str, Any]) -> None:
    has_running = False
    for container in reversed(status.get("containerStatuses") or ()):
        total.count_restarts(container)
        state = container.get("state") or {}
        terminated, waiting = state.get("terminated"), state.get("waiting")
        if waiting is not None and waiting.get("reason"):
            total.reason = waiting["reason"]
        elif terminated is not None:
            total.reason = _end_of(terminated)
        elif container.get("ready") and state.get("running") is not None:
            has_running = True
            total.ready += 1
    if total.reason == "Completed" and has_running:
        total.reason = "Running" if pods.is_ready(pod) else "NotReady"


def _end_of(terminated: Mapping[str, Any]) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _ready(pod: ROObj) -> str:
    summary = summarise(pod)
    return f"{summary.ready}/{summary.total}"


def _restarts(pod: ROObj, now: datetime) -> str:
    summary = summarise(pod)
    if summary.restarts and summary.last_restart:
        return f"{summary.restarts} ({times.since(summary.last_restart, now)} ago)"
    return str(summary.restarts)


def _pod_ip(pod: ROObj) -> str:
    status = pod.get("status") or {}
    addresses = status.get("podIPs") or ()
    return (addresses[0].get("ip") if addresses else status.get("podIP")) or NONE


def _readiness_gates(pod: ROObj) -> str:
    gates = (pod.get("spec") or {}).get("readinessGates") or ()
    if not gates:
        return NONE
    return f"{sum(pods.has_condition(pod, gate['conditionType']) for gate in gates)}/{len(gates)}"


COLUMNS: tuple[Column, ...] = (
    column("Ready", _ready),
    column("Status", lambda pod: summarise(pod).reason),
    Column(name="Restarts", value=_restarts),
    columns.AGE,
    column("IP", _pod_ip, wide=True),
    column("Node", lambda pod: pods.node_name(pod) or NONE, wide=True),
    column("Nominated Node", lambda pod: (pod.get("status") or {}).get("nominatedNodeName") or NONE, wide=True),
    column("Readiness Gates", _readiness_gates, wide=True),
)
