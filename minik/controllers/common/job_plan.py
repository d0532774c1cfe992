"""What to do about a Job: has it succeeded or failed (`plan_verdict`), and which pods come and go (`plan_pods`). Pure.

kube-controller-manager's `syncJob` and `manageJob`. What finished pods do to the status is in `job_record.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from minik.api import meta, times
from minik.api.batch_v1 import jobs
from minik.api.batch_v1.indexes import Indexes, parse_indexes
from minik.api.core_v1 import pods
from minik.api.meta import Obj, ROObj
from minik.controllers.common.job_backoff import Streak, seconds_left, seconds_left_of_index
from minik.controllers.common.job_pods import index_of, is_failed, is_terminating, judge_failure
from minik.controllers.common.job_state import JobState
from minik.controllers.common.replicas import rank_for_deletion

BURST = 500
"""At most so many pods are created or deleted in one pass."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """That the Job ends: FailureTarget or SuccessCriteriaMet, with a reason and a sentence."""

    type: str
    reason: str
    message: str

    @property
    def failed(self) -> bool:
        return self.type == jobs.FAILURE_TARGET


def plan_verdict(state: JobState, *, now: datetime) -> Verdict | None:
    """Whether the Job is to end because of a policy, a limit or its deadline. That all work is done is `plan_completion`'s."""
    job = state.job
    for type_ in (jobs.SUCCESS_CRITERIA_MET, jobs.FAILURE_TARGET):  # decided before: it stays
        condition = meta.condition(job, type_)
        if condition is not None and condition.get("status") == "True":
            return Verdict(type_, condition.get("reason") or "", condition.get("message") or "")
    for pod in state.pods:
        if is_failed(job, pod) and (verdict := judge_failure(job, pod)).message:
            return _failure("PodFailurePolicy", verdict.message)
    if state.failed > job["spec"].get("backoffLimit", 6) or _restarted_too_often(state):
        return _failure("BackoffLimitExceeded", "Job has reached the specified backoff limit")
    left = seconds_to_deadline(job, now=now)
    if left is not None and left <= 0:
        return _failure("DeadlineExceeded", "Job was active longer than specified deadline")
    return _verdict_of_indexes(state) if state.indexed else None


def _failure(reason: str, message: str) -> Verdict:
    return Verdict(jobs.FAILURE_TARGET, reason, message)


def _verdict_of_indexes(state: JobState) -> Verdict | None:
    spec = state.job["spec"]
    failed = len(state.failed_indexes) if state.failed_indexes is not None else 0
    most = spec.get("maxFailedIndexes")
    if failed and most is not None and failed > most:
        return _failure("MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes")
    if failed and failed + len(state.succeeded_indexes) >= (state.completions or 0):
        return _failure("FailedIndexes", "Job has failed indexes")
    rules = (spec.get("successPolicy") or {}).get("rules") or ()
    for number, rule in enumerate(rules):
        if _rule_is_met(rule, state.succeeded_indexes, state.completions or 0):
            return Verdict(jobs.SUCCESS_CRITERIA_MET, "SuccessPolicy", f"Matched rules at index {number}")
    return None


def _rule_is_met(rule: Mapping[str, Any], succeeded: Indexes, completions: int) -> bool:
    """One rule of spec.successPolicy (KEP-3998)."""
    count = rule.get("succeededCount")
    if rule.get("succeededIndexes") is None:
        return count is not None and len(succeeded) >= count
    wanted = parse_indexes(rule["succeededIndexes"], completions)
    have = sum(index in succeeded for index in wanted)
    return have >= (len(wanted) if count is None else count)


def _restarted_too_often(state: JobState) -> bool:
    """With restartPolicy OnFailure the kubelet restarts containers: their restarts count (pastBackoffLimitOnFailure)."""
    spec = state.job["spec"]
    if (spec["template"].get("spec") or {}).get("restartPolicy") != "OnFailure":
        return False
    restarts = 0
    for pod in state.pods:
        if pods.phase(pod) in ("Running", "Pending"):
            restarts += sum(container.get("restartCount") or 0 for container in pods.statuses(pod))
    limit = spec.get("backoffLimit", 6)
    return bool(restarts > 0 if limit == 0 else restarts >= limit)


def started_at(job: ROObj, *, now: datetime) -> str | None:
    """status.startTime as it is to be: now for a Job that starts or is resumed, unchanged while it is suspended."""
    was = (job.get("status") or {}).get("startTime")
    if jobs.is_suspended(job):
        return was
    return was if was and not jobs.is_true(job, jobs.SUSPENDED) else times.format_time(now)


def seconds_to_deadline(job: ROObj, *, now: datetime) -> float | None:
    """Until spec.activeDeadlineSeconds are over; None if there is no deadline, or the Job is suspended."""
    seconds, start = job["spec"].get("activeDeadlineSeconds"), started_at(job, now=now)
    if seconds is None or start is None or jobs.is_suspended(job):
        return None
    return (times.parse_time(start) + timedelta(seconds=seconds) - now).total_seconds()


def plan_completion(state: JobState, *, active: int) -> Verdict | None:
    """Whether all work is done, with `active` pods left."""
    wanted = state.completions
    if active or state.succeeded < (1 if wanted is None else wanted):
        return None
    return Verdict(jobs.SUCCESS_CRITERIA_MET, "CompletionsReached", "Reached expected number of succeeded pods")


# --- pods -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PodsPlan:
    """Active pods to take away uncounted, or pods to create; never both in one pass. `wait`: seconds until more may be created."""

    delete: Sequence[ROObj] = ()
    create: Sequence[int | None] = ()
    """The completion index of each new pod; None if the Job is not indexed."""
    wait: float | None = None


def plan_pods(state: JobState, streak: Streak, *, now: datetime) -> PodsPlan:
    """Bring the number of active pods to what the Job wants now (manageJob)."""
    job, active = state.job, len(state.active)
    if jobs.is_suspended(job):
        return PodsPlan(_surplus(state, active))
    parallelism = job["spec"].get("parallelism", 1)
    if state.completions is None:
        wanted = active if state.succeeded else parallelism
    else:
        wanted = max(0, min(parallelism, state.completions - state.succeeded))
    surplus = _surplus(state, max(0, active - wanted))
    if surplus:
        return PodsPlan(surplus[:BURST])
    missing = wanted - active - (state.terminating if jobs.replaces_failed_only(job) else 0)
    if missing <= 0:
        return PodsPlan()
    return _creations(state, streak, min(missing, BURST), now=now)


def _creations(state: JobState, streak: Streak, missing: int, *, now: datetime) -> PodsPlan:
    if state.failed_indexes is None:
        wait = seconds_left(streak.failures, streak.last, now=now)
        if wait > 0:
            return PodsPlan(wait=wait)
    if not state.indexed:
        return PodsPlan(create=[None] * missing)
    pending = _pending_indexes(state, missing)
    if state.failed_indexes is None:
        return PodsPlan(create=pending)
    waits = {index: seconds_left_of_index(state.last_failed.get(index), now=now) for index in pending}
    return PodsPlan(
        create=[index for index in pending if waits[index] <= 0],
        wait=min((wait for wait in waits.values() if wait > 0), default=None),
    )


def _pending_indexes(state: JobState, limit: int) -> list[int]:
    """The first indexes that nobody works on and that are not done with (firstPendingIndexes)."""
    busy = list(state.active)
    if jobs.replaces_failed_only(state.job):
        busy += [pod for pod in state.pods if is_terminating(pod)]
    taken = state.succeeded_indexes | Indexes.of(i for pod in busy if (i := index_of(pod)) is not None)
    if state.failed_indexes is not None:
        taken |= state.failed_indexes
    return taken.missing(limit, state.completions or 0)


def _surplus(state: JobState, at_least: int) -> list[ROObj]:
    """Active pods to remove: those without a valid index and all but one of an index, then the ones that are missed least."""
    if not state.indexed:
        return rank_for_deletion(state.active)[:at_least] if at_least else []
    by_index: dict[int | None, list[ROObj]] = {}
    for pod in state.active:
        index = index_of(pod)
        by_index.setdefault(index if index is not None and index < (state.completions or 0) else None, []).append(pod)
    gone: list[ROObj] = by_index.pop(None, [])
    left: list[ROObj] = []
    for same in by_index.values():
        *doubles, best = rank_for_deletion(same) if len(same) > 1 else same
        gone += doubles
        left.append(best)
    if len(gone) < at_least:
        gone += rank_for_deletion(left)[: at_least - len(gone)]
    return gone


# --- conditions -----------------------------------------------------------------------------------------------------


def condition(type_: str, status: str, reason: str, message: str, *, now: datetime) -> Obj:
    """A JobCondition."""
    moment = times.format_time(now)
    found = {"type": type_, "status": status, "lastProbeTime": moment, "lastTransitionTime": moment,
             "reason": reason, "message": message}  # fmt: skip
    return {k: v for k, v in found.items() if v}


def plan_suspension(job: ROObj, *, now: datetime) -> Obj | None:
    """The new Suspended condition, if it changes."""
    current = meta.condition(job, jobs.SUSPENDED)
    is_true = current is not None and current.get("status") == "True"
    if jobs.is_suspended(job):
        return None if is_true else condition(jobs.SUSPENDED, "True", "JobSuspended", "Job suspended", now=now)
    return condition(jobs.SUSPENDED, "False", "JobResumed", "Job resumed", now=now) if is_true else None
