"""Finished pods into a Job's status, in two writes around the removal of their finalizers (trackJobStatusAndRemoveFinalizers). Pure.

    first, release = plan_record(...)     write `first`; take the finalizer from the pods in `release`
    last = plan_settled(...)              write `last`: released pods are counted, and the Job is finished if nothing is left

Why this cannot miscount stands in `job_state.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from minik.api import meta
from minik.api.batch_v1 import jobs
from minik.api.batch_v1.indexes import Indexes
from minik.api.core_v1 import pods
from minik.api.meta import Obj, ROObj
from minik.controllers.common.job_plan import Verdict, condition
from minik.controllers.common.job_pods import index_of, is_failed, is_tracked, judge_failure
from minik.controllers.common.job_state import JobState

MAX_UNCOUNTED = 500
"""So many pods are recorded in one pass: the status stays small, and other Jobs get their turn."""


@dataclass(frozen=True, slots=True)
class RecordPlan:
    """`status` is to be written before the pods of `release` lose their finalizer. `cut`: more pods wait for the next pass."""

    status: Obj
    release: Sequence[ROObj]
    cut: bool = False


def tracked_uids(owned: Sequence[ROObj]) -> set[str]:
    return {meta.uid(pod) for pod in owned if is_tracked(pod)}


def plan_record(state: JobState, status: Obj, verdict: Verdict | None, *, now: datetime) -> RecordPlan:
    """Record newly finished pods in `status` (the Job's next status, whose counts and lists are still the old ones)."""
    status = _counted(status, tracked_uids(state.pods))
    uncounted = status["uncountedTerminatedPods"]
    lists: dict[str, list[str]] = {name: list(uncounted.get(name) or ()) for name in ("succeeded", "failed")}
    recorded = {*lists["succeeded"], *lists["failed"]}
    new_indexes: list[int] = []
    release: list[ROObj] = []
    cut = False
    for pod in _in_order(state):
        if not is_tracked(pod) or not _may_go(state, pod, verdict):
            continue
        release.append(pod)
        fate = _fate(state, pod, verdict)
        index = index_of(pod)
        if state.indexed and fate == "succeeded":
            if index is not None and index in state.succeeded_indexes and index not in state.recorded_indexes:
                new_indexes.append(index)
        elif fate and meta.uid(pod) not in recorded and (not state.indexed or _is_valid(state, index)):
            lists[fate].append(meta.uid(pod))
        if len(new_indexes) + len(lists["succeeded"]) + len(lists["failed"]) >= MAX_UNCOUNTED:
            cut = True
            break
    status["uncountedTerminatedPods"] = {name: uids for name, uids in lists.items() if uids}
    if state.indexed:
        _write_indexes(state, status, state.recorded_indexes | Indexes.of(new_indexes))
    if verdict is not None and meta.condition({"status": status}, verdict.type) is None:
        entry = condition(verdict.type, "True", verdict.reason, verdict.message, now=now)
        status["conditions"] = [*(status.get("conditions") or ()), entry]
    return RecordPlan(_without_zeros(status), release, cut)


def _in_order(state: JobState) -> Sequence[ROObj]:
    """By index, so that completedIndexes grows from below."""
    if not state.indexed:
        return state.pods
    return sorted(state.pods, key=lambda pod: (index := index_of(pod)) is None or index)


def _is_valid(state: JobState, index: int | None) -> bool:
    return index is not None and index < (state.completions or 0)


def _may_go(state: JobState, pod: ROObj, verdict: Verdict | None) -> bool:
    """Whether the pod can be recorded and let go now (canRemoveFinalizer)."""
    if meta.is_deleting(state.job) or verdict is not None or pods.phase(pod) == "Succeeded":
        return True
    if not is_failed(state.job, pod):
        return False
    index = index_of(pod)
    kept = state.last_failed.get(index) if index is not None else None
    return kept is None or meta.uid(kept) != meta.uid(pod)


def _fate(state: JobState, pod: ROObj, verdict: Verdict | None) -> str:
    """As what it counts: `succeeded`, `failed`, or not at all. When a Job fails, what has not ended counts as failed."""
    if pods.phase(pod) == "Succeeded":
        return "succeeded"
    if is_failed(state.job, pod) or (verdict is not None and verdict.failed):
        return "failed" if judge_failure(state.job, pod).counts else ""
    return ""


def _write_indexes(state: JobState, status: Obj, succeeded: Indexes) -> None:
    status["succeeded"] = len(succeeded)
    status["completedIndexes"] = str(succeeded)
    if state.failed_indexes is not None:
        status["failedIndexes"] = str(state.failed_indexes)


def _counted(status: Obj, tracked: Collection[str]) -> Obj:
    """`status` in which the recorded pods that are no longer tracked have gone into the totals (cleanUncountedPodsWithoutFinalizers)."""
    status = dict(status)
    lists: dict[str, Any] = {}
    for name in ("succeeded", "failed"):
        before = (status.get("uncountedTerminatedPods") or {}).get(name) or []
        left = [uid for uid in before if uid in tracked]
        if len(left) < len(before):
            status[name] = (status.get(name) or 0) + len(before) - len(left)
        if left:
            lists[name] = left
    status["uncountedTerminatedPods"] = lists
    return status


def plan_settled(status: Obj, *, tracked: Collection[str], verdict: Verdict | None, cut: bool, now: datetime) -> Obj:
    """The status once finalizers are gone: everything recorded is counted, and the Job is Complete or Failed if that was all.

    `tracked`: uids of the pods that still have the finalizer."""
    status = _counted(status, tracked)
    if verdict is None or cut or status["uncountedTerminatedPods"] or status.get("terminating"):
        return _without_zeros(status)
    type_ = jobs.FAILED if verdict.failed else jobs.COMPLETE
    if meta.condition({"status": status}, type_) is None:
        entry = condition(type_, "True", verdict.reason, verdict.message, now=now)
        status["conditions"] = [*(status.get("conditions") or ()), entry]
        if not verdict.failed:
            status["completionTime"] = entry["lastTransitionTime"]
    return _without_zeros(status)


def _without_zeros(status: Obj) -> Obj:
    """As the wire has it: `ready`, `terminating` and `failedIndexes` are said even when nothing, other numbers and texts are not."""
    said = ("ready", "terminating", "failedIndexes", "uncountedTerminatedPods")
    return {k: v for k, v in status.items() if v or k in said}
