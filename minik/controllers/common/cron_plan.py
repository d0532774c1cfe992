"""What to do about a CronJob now: which Job to start, which to delete, what to report, when to look again. Pure.

kube-controller-manager's `syncCronJob` and `cleanupFinishedJobs` (`pkg/controller/cronjob`). Where upstream warns of a Job that it made
and then forgot (it died before it wrote the status), minik takes it into the list: the Job itself says for when it was made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from minik.api import meta, times
from minik.api.batch_v1 import jobs
from minik.api.batch_v1.schedules import Schedule
from minik.api.meta import Obj, ROObj

SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
MANY = 100
"""More missed runs than that are worth a warning."""
_DELTA = 0.1
"""Seconds after a scheduled time at which it is looked at: never a moment before it."""


@dataclass(slots=True)
class CronPlan:
    """`start`: the time of the run to start now. `replace`: Jobs to delete first. `forget`: finished Jobs beyond the history."""

    status: Obj
    start: datetime | None = None
    replace: list[ROObj] = field(default_factory=list)
    forget: list[ROObj] = field(default_factory=list)
    events: list[tuple[str, str, str]] = field(default_factory=list)
    wait: float | None = None


def job_name(cron_job: ROObj, scheduled: datetime) -> str:
    """`<cronjob>-<minutes since 1970>`: one name a run, whoever makes it."""
    return f"{meta.name(cron_job)}-{int(scheduled.timestamp()) // 60}"


def cron_job_job(cron_job: ROObj, scheduled: datetime) -> Obj:
    """The Job of one run. `scheduled` is in the CronJob's time zone."""
    template = cron_job["spec"]["jobTemplate"]
    given = template.get("metadata") or {}
    stamp = scheduled.isoformat(timespec="seconds")
    metadata: Obj = {
        "name": job_name(cron_job, scheduled),
        "namespace": meta.namespace(cron_job),
        "annotations": {**(given.get("annotations") or {}), SCHEDULED: stamp.replace("+00:00", "Z")},
        "ownerReferences": [meta.controller_ref(cron_job)],
    }
    if given.get("labels"):
        metadata["labels"] = given["labels"]
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template.get("spec") or {}}


def reference(job: ROObj) -> Obj:
    """A Job in `status.active`."""
    metadata = job["metadata"]
    found = {"apiVersion": "batch/v1", "kind": "Job"}
    return found | {k: metadata[k] for k in ("name", "namespace", "resourceVersion", "uid") if metadata.get(k)}


def with_started(status: Mapping[str, Any], job: ROObj, scheduled: datetime) -> Obj:
    """The status after a run was started."""
    active = [ref for ref in status.get("active") or () if ref.get("uid") != meta.uid(job)]
    last = max(status.get("lastScheduleTime") or "", times.format_time(scheduled))
    if jobs.finished(job) is None:
        active.append(reference(job))
    return {
        **{k: v for k, v in status.items() if k != "active"},
        **({"active": active} if active else {}),
        "lastScheduleTime": last,
    }


def plan_cron(cron_job: ROObj, owned: Sequence[ROObj], schedule: Schedule | None, *, now: datetime) -> CronPlan:
    """`owned`: the CronJob's Jobs. `schedule`: None if it cannot be read (then nothing is started)."""
    plan = CronPlan({})
    plan.status = _follow(cron_job, owned, plan.events)
    plan.forget = _history(cron_job, owned)
    if meta.is_deleting(cron_job) or schedule is None or cron_job["spec"].get("suspend"):
        return plan
    _start(cron_job, owned, schedule, plan, now)
    return plan


def _follow(cron_job: ROObj, owned: Sequence[ROObj], events: list[tuple[str, str, str]]) -> Obj:
    """The status as the Jobs say: what runs, and when the last run succeeded."""
    status = dict(cron_job.get("status") or {})
    by_uid = {meta.uid(job): job for job in owned}
    active: list[Obj] = []
    for ref in status.pop("active", None) or ():
        job = by_uid.get(ref.get("uid", ""))
        if job is None:
            events.append(("Normal", "MissingJob", f"Active job went missing: {ref.get('name')}"))
        elif (end := jobs.finished(job)) is not None:
            why = f"Saw completed job: {meta.name(job)}, condition: {end['type']}"
            events.append(("Normal", "SawCompletedJob", why))
        else:
            active.append(dict(ref))
    known = {ref.get("uid") for ref in active}
    for job in sorted(owned, key=meta.name):
        if meta.uid(job) not in known and jobs.finished(job) is None and not meta.is_deleting(job):
            stamp = _stamp(job)
            if stamp is None:
                why = f"Saw a job that the controller did not create or forgot: {meta.name(job)}"
                events.append(("Warning", "UnexpectedJob", why))
                continue
            active.append(reference(job))
            status["lastScheduleTime"] = max(status.get("lastScheduleTime") or "", stamp)
        if jobs.is_true(job, jobs.COMPLETE):
            done = (job.get("status") or {}).get("completionTime") or ""
            if done > (status.get("lastSuccessfulTime") or ""):
                status["lastSuccessfulTime"] = done
    return {**status, "active": active} if active else status


def _stamp(job: ROObj) -> str | None:
    """For when a Job was made, as the wire writes times; None if it does not say."""
    try:
        return times.format_time(times.parse_time(meta.annotations(job)[SCHEDULED]))
    except (KeyError, ValueError):
        return None


def _start(cron_job: ROObj, owned: Sequence[ROObj], schedule: Schedule, plan: CronPlan, now: datetime) -> None:
    spec, status = cron_job["spec"], plan.status
    last = status.get("lastScheduleTime")
    earliest = times.parse_time(last or cron_job["metadata"]["creationTimestamp"])
    upcoming = schedule.upcoming(earliest, now)
    plan.wait = None if upcoming is None else (upcoming - now).total_seconds() + _DELTA
    deadline = spec.get("startingDeadlineSeconds")
    if deadline is not None:
        bound = now - timedelta(seconds=deadline)
        missed = schedule.latest(earliest, now)
        if missed is not None and missed < bound:
            when = missed.astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
            plan.events.append(("Warning", "MissSchedule", f"Missed scheduled time to start a job: {when}"))
        earliest = max(earliest, bound - timedelta(microseconds=1))
    scheduled = schedule.latest(earliest, now)
    if scheduled is None:
        return
    if _missed(schedule, earliest, now) > MANY:
        why = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
        plan.events.append(("Warning", "TooManyMissedTimes", why))
    active = status.get("active") or ()
    name = job_name(cron_job, scheduled)
    if any(ref.get("name") == name for ref in active) or last == times.format_time(scheduled):
        return
    policy = spec.get("concurrencyPolicy", "Allow")
    if policy == "Forbid" and active:
        why = "Not starting job because prior execution is running and concurrency policy is Forbid"
        plan.events.append(("Normal", "JobAlreadyActive", why))
        return
    if policy == "Replace":
        running = {ref.get("uid") for ref in active}
        plan.replace = [job for job in owned if meta.uid(job) in running]
    plan.start = scheduled


def _missed(schedule: Schedule, earliest: datetime, now: datetime) -> int:
    """About how many runs there were after `earliest`: as if all were as far apart as the first two."""
    first = schedule.next(earliest)
    second = schedule.next(first) if first is not None else None
    if first is None or second is None or now < first:
        return 0
    return int((now - first).total_seconds() // max(1.0, (second - first).total_seconds())) + 1


def _history(cron_job: ROObj, owned: Sequence[ROObj]) -> list[ROObj]:
    """Finished Jobs beyond the limits, the oldest."""
    spec = cron_job["spec"]
    surplus: list[ROObj] = []
    for type_, limit in (
        (jobs.COMPLETE, spec.get("successfulJobsHistoryLimit")),
        (jobs.FAILED, spec.get("failedJobsHistoryLimit")),
    ):
        if limit is None:
            continue
        ended = [job for job in owned if jobs.is_true(job, type_) and not meta.is_deleting(job)]
        ended.sort(key=lambda job: ((job.get("status") or {}).get("startTime") or "", meta.name(job)))
        surplus += ended[: max(0, len(ended) - limit)]
    return surplus
