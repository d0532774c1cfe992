"""What a Job's pods amount to: `read_state` counts them once for a pass. Pure; the rules are in `job_plan.py`.

The invariant that makes counting exact: every pod is born with the tracking finalizer, and a finished pod is in exactly one of these
states, each reached from the one before by one write:

1. tracked (it has the finalizer), uncounted in the status;
2. tracked, and recorded: its uid is in status.uncountedTerminatedPods, or its index in status.completedIndexes;
3. no longer tracked, still recorded by uid; it counts towards the totals when the uid is taken out;
4. counted.

A controller that dies between any two writes finds the state again from pods and status alone (KEP-2307).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from minik.api import meta
from minik.api.batch_v1 import jobs
from minik.api.batch_v1.indexes import Indexes, parse_indexes
from minik.api.core_v1 import pods
from minik.api.meta import ROObj
from minik.controllers.common.job_pods import (
    failures_of_index,
    finished_at,
    ignored_failures_of_index,
    index_of,
    is_failed,
    is_terminating,
    is_tracked,
    judge_failure,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """A Job and its pods, counted."""

    job: ROObj
    pods: Sequence[ROObj]
    """Those that matter still: without the ones that have ended and are counted."""
    known: Sequence[ROObj]
    """All of them."""
    active: Sequence[ROObj]
    terminating: int
    new_succeeded: Sequence[ROObj]
    """Finished, and not yet recorded in the status."""
    new_failed: Sequence[ROObj]
    succeeded: int
    """All there are: counted, recorded and new."""
    failed: int
    """The same; pods that the failure policy ignores are not among them."""
    recorded_indexes: Indexes = field(default_factory=Indexes)
    """As in status.completedIndexes."""
    succeeded_indexes: Indexes = field(default_factory=Indexes)
    failed_indexes: Indexes | None = None
    """None unless the Job has backoffLimitPerIndex."""
    last_failed: Mapping[int, ROObj] = field(default_factory=dict)
    """index → the failed pod that is kept until its replacement has taken over its count of failures."""

    @property
    def completions(self) -> int | None:
        return self.job["spec"].get("completions")  # type: ignore[no-any-return]  # JSON

    @property
    def indexed(self) -> bool:
        return jobs.is_indexed(self.job)


def read_state(job: ROObj, owned: Sequence[ROObj]) -> JobState:
    """Count `owned`, the Job's pods."""
    status = job.get("status") or {}
    indexed, completions = jobs.is_indexed(job), job["spec"].get("completions") or 0
    known, owned = owned, [pod for pod in owned if is_tracked(pod) or not pods.is_finished(pod)]
    uncounted = status.get("uncountedTerminatedPods") or {}
    recorded = {*(uncounted.get("succeeded") or ()), *(uncounted.get("failed") or ())}
    tracked = [pod for pod in owned if is_tracked(pod) and (not indexed or _valid(pod, completions))]
    new = [pod for pod in tracked if meta.uid(pod) not in recorded]
    new_succeeded = [pod for pod in new if pods.phase(pod) == "Succeeded"]
    new_failed = [pod for pod in new if is_failed(job, pod)]
    counted = [pod for pod in new_failed if judge_failure(job, pod).counts]
    state: dict[str, Any] = {
        "job": job,
        "pods": owned,
        "known": known,
        "active": [pod for pod in owned if pods.is_active(pod)],
        "terminating": sum(is_terminating(pod) for pod in owned),
        "new_succeeded": new_succeeded,
        "new_failed": new_failed,
        "failed": (status.get("failed") or 0) + len(counted) + len(uncounted.get("failed") or ()),
    }
    if not indexed:
        total = (status.get("succeeded") or 0) + len(new_succeeded) + len(uncounted.get("succeeded") or ())
        return JobState(**state, succeeded=total)
    before = parse_indexes(status.get("completedIndexes") or "", completions)
    given_up = parse_indexes(status.get("failedIndexes") or "", completions)
    finished = (index_of(pod) or 0 for pod in tracked if pods.phase(pod) == "Succeeded")
    succeeded = before | Indexes.of(index for index in finished if index not in given_up)
    state |= {"succeeded": len(succeeded), "recorded_indexes": before, "succeeded_indexes": succeeded}
    if job["spec"].get("backoffLimitPerIndex") is None:
        return JobState(**state)
    failed = given_up | Indexes.of(index for index in _failed_indexes(job, tracked) if index not in succeeded)
    last = _last_failed(job, tracked, succeeded, failed, state["active"])
    return JobState(**state, failed_indexes=failed, last_failed=last)


def _valid(pod: ROObj, completions: int) -> bool:
    index = index_of(pod)
    return index is not None and index < completions


def _failed_indexes(job: ROObj, tracked: Sequence[ROObj]) -> Iterator[int]:
    """Those of which a pod has failed for the last time, or by the rule FailIndex."""
    limit = job["spec"]["backoffLimitPerIndex"]
    for pod in tracked:
        if not is_failed(job, pod):
            continue
        verdict = judge_failure(job, pod)
        if verdict.action == "FailIndex" or (verdict.counts and failures_of_index(pod) >= limit):
            yield index_of(pod) or 0


def _last_failed(
    job: ROObj, tracked: Sequence[ROObj], succeeded: Indexes, failed: Indexes, active: Sequence[ROObj]
) -> dict[int, ROObj]:
    running = {index_of(pod) for pod in active}
    last: dict[int, ROObj] = {}

    def order(pod: ROObj) -> tuple[object, ...]:
        return failures_of_index(pod) + ignored_failures_of_index(pod), finished_at(pod)

    for pod in tracked:
        index = index_of(pod) or 0
        if not is_failed(job, pod) or index in succeeded or index in failed or index in running:
            continue
        if index not in last or order(pod) >= order(last[index]):
            last[index] = pod
    return last
