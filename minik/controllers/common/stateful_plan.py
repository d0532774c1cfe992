"""What to do about a StatefulSet: which pods to make, to mend and to delete, in which order. Pure (`stateful_set_control.go`).

OrderedReady: one step at a time, upwards when creating, downwards when deleting and updating, and never past a pod that is not ready.
Parallel: everything at once, but an update replaces no more than `maxUnavailable` pods.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.meta import Obj, ROObj
from minik.controllers.common.replicas import seconds_until_available
from minik.controllers.common.rollout_scale import resolve
from minik.controllers.common.stateful_pods import (
    first_ordinal,
    has_identity,
    in_range,
    is_available,
    is_ready_long,
    is_running_and_ready,
    ordinal_of,
    replicas_of,
    revision_of,
    stateful_pod,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stateful:
    """A StatefulSet, its pods by ordinal, and its two revisions: what its pods were made from, and what they are to be."""

    stateful_set: ROObj
    pods: Mapping[int, ROObj]
    current: str
    """Name of the revision; `current_template` is what it holds."""
    current_template: Mapping[str, Any]
    update: str
    now: datetime

    @property
    def ordered(self) -> bool:
        return bool(self.stateful_set["spec"].get("podManagementPolicy", "OrderedReady") == "OrderedReady")

    @property
    def partition(self) -> int:
        rolling = (self.stateful_set["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
        return rolling.get("partition") or 0

    @property
    def rolls(self) -> bool:
        strategy = self.stateful_set["spec"].get("updateStrategy") or {}
        return bool(strategy.get("type", "RollingUpdate") == "RollingUpdate")

    @property
    def ordinals(self) -> range:
        start = first_ordinal(self.stateful_set)
        return range(start, start + replicas_of(self.stateful_set))

    def is_available(self, pod: ROObj | None) -> bool:
        return pod is not None and is_available(self.stateful_set, pod, now=self.now)


@dataclass(slots=True)
class StatefulPlan:
    """Pods to create (with their claims first), to mend (labels, missing claims), and to delete."""

    create: list[tuple[int, Obj]] = field(default_factory=list)
    mend: list[tuple[int, ROObj]] = field(default_factory=list)
    delete: list[ROObj] = field(default_factory=list)
    replaced: int = 0
    """How many of `delete` go because of an update."""
    waits: str = ""
    """What an ordered set waits for, for the log and for people."""


def read_pods(stateful_set: ROObj, owned: Sequence[ROObj]) -> dict[int, ROObj]:
    """The set's pods by ordinal."""
    return {ordinal: pod for pod in owned if (ordinal := ordinal_of(stateful_set, pod)) is not None}


def plan_stateful(state: Stateful) -> StatefulPlan:
    plan = StatefulPlan()
    if meta.is_deleting(state.stateful_set):
        return plan
    for ordinal in state.ordinals:
        if _replica(state, ordinal, plan) and state.ordered:
            return plan
    if _condemned(state, plan) and state.ordered:
        return plan
    if state.rolls:
        _update(state, plan)
    return plan


def _replica(state: Stateful, ordinal: int, plan: StatefulPlan) -> bool:
    """One ordinal that is to exist (processReplica). True if an ordered set must not go on to the next."""
    stateful_set, pod = state.stateful_set, state.pods.get(ordinal)
    if pod is None:
        plan.create.append((ordinal, _new_pod(state, ordinal)))
        plan.waits = f"{meta.name(stateful_set)}-{ordinal} to be created"
        return True
    if pods.is_finished(pod):
        if not meta.is_deleting(pod):
            plan.delete.append(pod)
        plan.waits = f"{meta.name(pod)}, which has ended, to go"
        return True
    if pods.phase(pod) == "Pending" or not has_identity(stateful_set, pod, ordinal):
        plan.mend.append((ordinal, pod))
    seconds = stateful_set["spec"].get("minReadySeconds") or 0
    if meta.is_deleting(pod):
        plan.waits = f"{meta.name(pod)} to terminate"
    elif not is_running_and_ready(pod):
        plan.waits = f"{meta.name(pod)} to be running and ready"
    elif not is_ready_long(pod, seconds, now=state.now):
        plan.waits = f"{meta.name(pod)} to be available"
    else:
        return False
    return True


def _new_pod(state: Stateful, ordinal: int) -> Obj:
    """newVersionedStatefulSetPod: below the partition the current revision, else the new one."""
    stateful_set = state.stateful_set
    if state.rolls and ordinal < first_ordinal(stateful_set) + state.partition:
        return stateful_pod(stateful_set, state.current_template, state.current, ordinal)
    return stateful_pod(stateful_set, stateful_set["spec"]["template"], state.update, ordinal)


def _condemned(state: Stateful, plan: StatefulPlan) -> bool:
    """Ordinals that are to go, the highest first (processCondemned). True if an ordered set must not go on."""
    condemned = sorted((o for o in state.pods if not in_range(state.stateful_set, o)), reverse=True)
    everyone = [*state.ordinals, *sorted(condemned)]
    first_unavailable = next((o for o in everyone if not state.is_available(state.pods.get(o))), None)
    for ordinal in condemned:
        pod = state.pods[ordinal]
        if meta.is_deleting(pod):
            plan.waits = f"{meta.name(pod)} to terminate"
        elif state.ordered and not state.is_available(pod) and ordinal != first_unavailable:
            plan.waits = f"ordinal {first_unavailable} to be available before the set shrinks"
        else:
            plan.delete.append(pod)
        if state.ordered:
            return True
    return False


def _update(state: Stateful, plan: StatefulPlan) -> None:
    """Delete pods of other revisions, from the highest ordinal down to the partition.

    A pod that does not serve anyway is replaced before one that does: that is how a Parallel set gets out of a broken update. (An
    ordered one does not: it never comes here while a pod is not ready, and somebody must delete that pod. So it is in Kubernetes.)"""
    stateful_set = state.stateful_set
    rolling = (stateful_set["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
    bound = rolling.get("maxUnavailable")
    limit = 1 if bound is None else max(1, resolve(bound, replicas_of(stateful_set), up=True))
    doomed = {meta.name(pod) for pod in plan.delete}
    going = unavailable = 0  # pods on their way, and pods that do not serve for whatever reason
    for ordinal in state.ordinals:
        pod = state.pods.get(ordinal)
        if state.is_available(pod):
            continue
        unavailable += 1
        old = pod is not None and revision_of(pod) != state.update
        going += pod is None or not old or meta.is_deleting(pod) or meta.name(pod) in doomed
    start = first_ordinal(stateful_set)
    for ordinal in reversed(state.ordinals):
        if ordinal - start < state.partition or going >= limit:
            return
        pod = state.pods.get(ordinal)
        if pod is None or revision_of(pod) == state.update or meta.is_deleting(pod) or meta.name(pod) in doomed:
            continue
        if state.is_available(pod):
            if unavailable >= limit:
                continue
            unavailable += 1
        going += 1
        plan.delete.append(pod)
        plan.replaced += revision_of(pod) == state.current


# --- status ---------------------------------------------------------------------------------------------------------


def plan_stateful_status(state: Stateful, plan: StatefulPlan, *, collisions: int) -> Obj:
    """The status: what is, less the pods that this pass replaces."""
    stateful_set = state.stateful_set
    counts = dict.fromkeys(("replicas", "ready", "available", "current", "updated"), 0)
    seconds = stateful_set["spec"].get("minReadySeconds") or 0
    for pod in state.pods.values():
        counts["replicas"] += 1
        counts["ready"] += is_running_and_ready(pod)
        counts["available"] += is_ready_long(pod, seconds, now=state.now)
        if not meta.is_deleting(pod):
            counts["current"] += revision_of(pod) == state.current
            counts["updated"] += revision_of(pod) == state.update
    current, count = state.current, max(0, counts["current"] - plan.replaced)
    everyone = replicas_of(stateful_set)
    if state.rolls and counts["updated"] == counts["ready"] == counts["replicas"] == everyone:
        current, count = state.update, counts["updated"]  # completeRollingUpdate
    status = {
        **{k: v for k, v in (stateful_set.get("status") or {}).items() if k == "conditions"},
        "replicas": counts["replicas"],
        "availableReplicas": counts["available"],
        "collisionCount": collisions,
    }
    optional = {
        "observedGeneration": meta.generation(stateful_set),
        "readyReplicas": counts["ready"],
        "currentReplicas": count,
        "updatedReplicas": counts["updated"],
        "currentRevision": current,
        "updateRevision": state.update,
    }
    return status | {k: v for k, v in optional.items() if v}


def seconds_to_availability(state: Stateful) -> float | None:
    """Until the next ready pod has been ready for long enough; None if none is waiting."""
    seconds = state.stateful_set["spec"].get("minReadySeconds") or 0
    if not seconds:
        return None
    ready = [pod for pod in state.pods.values() if is_running_and_ready(pod)]
    waits = [seconds_until_available(pod, seconds, now=state.now) for pod in ready]
    return min((wait for wait in waits if wait > 0), default=None)
