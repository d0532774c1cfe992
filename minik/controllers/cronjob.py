"""CronJob (batch/v1): Jobs at times of the day. What to do is decided in `common/cron_plan.py`; between two runs nothing happens here."""

from __future__ import annotations

from zoneinfo import ZoneInfoNotFoundError

from minik.api import meta
from minik.api.batch_v1.schedules import Schedule, ScheduleError, parse_schedule
from minik.api.errors import AlreadyExists, NotFound, StatusError, is_namespace_terminating
from minik.api.meta import Key, Obj, ROObj
from minik.client.controller import DONE, Context, Controller, Result, can, owned_by, requeue_after
from minik.controllers.common.cron_plan import CronPlan, cron_job_job, plan_cron, with_started

CRON_JOBS, JOBS = "cronjobs.batch", "jobs.batch"


async def reconcile(ctx: Context, key: Key) -> Result:
    cron_job = ctx.cache(CRON_JOBS).get(key)
    if cron_job is None:
        return DONE
    owned = ctx.cache(JOBS).owned_by(cron_job)
    plan = plan_cron(cron_job, owned, _schedule(ctx, cron_job), now=ctx.clock.now())
    for type_, reason, message in plan.events:
        ctx.recorder.event(cron_job, type_, reason, message)
    failure: StatusError | None = None
    status = plan.status
    try:
        status = await _start(ctx, cron_job, plan)
    except StatusError as error:
        failure = error
    if status != (cron_job.get("status") or {}):
        cron_job = await ctx.client.update_status(CRON_JOBS, {**cron_job, "status": status})
    for job in plan.forget:
        await _delete(ctx, cron_job, job)
    if failure is not None:
        raise failure
    return DONE if plan.wait is None else requeue_after(plan.wait)


def _schedule(ctx: Context, cron_job: ROObj) -> Schedule | None:
    """The schedule; None if it cannot be read, which an Event says."""
    text, zone = cron_job["spec"].get("schedule") or "", cron_job["spec"].get("timeZone") or ""
    try:
        return parse_schedule(text, zone)
    except ScheduleError as error:
        ctx.recorder.event(cron_job, "Warning", "UnparseableSchedule", f'unparseable schedule: "{text}" : {error}')
    except (ZoneInfoNotFoundError, ValueError, OSError):
        ctx.recorder.event(
            cron_job, "Warning", "UnknownTimeZone", f'invalid timeZone: "{zone}": unknown time zone {zone}'
        )
    return None


async def _start(ctx: Context, cron_job: ROObj, plan: CronPlan) -> Obj:
    """Start the plan's run, if there is one; the status afterwards. Raises StatusError."""
    status = plan.status
    for job in plan.replace:
        await _delete(ctx, cron_job, job)
    gone = {meta.uid(job) for job in plan.replace}
    if gone:
        active = [ref for ref in status.get("active") or () if ref.get("uid") not in gone]
        status = {**{k: v for k, v in status.items() if k != "active"}, **({"active": active} if active else {})}
    if plan.start is None:
        return status
    job = cron_job_job(cron_job, plan.start)
    try:
        made = await ctx.client.create(JOBS, job)
    except AlreadyExists:
        made = await ctx.client.get(JOBS, meta.name(job), meta.namespace(job))
        if not meta.is_controlled_by(made, cron_job):
            return status  # somebody else's
    except StatusError as error:
        if is_namespace_terminating(error):
            return status
        ctx.recorder.event(cron_job, "Warning", "FailedCreate", f"Error creating job: {error.message}")
        raise
    else:
        ctx.recorder.event(cron_job, "Normal", "SuccessfulCreate", f"Created job {meta.name(made)}")
    return with_started(status, made, plan.start)


async def _delete(ctx: Context, cron_job: ROObj, job: ROObj) -> None:
    """Delete a Job and, through the garbage collector, its pods."""
    try:
        await ctx.client.delete(JOBS, meta.name(job), meta.namespace(job), uid=meta.uid(job), propagation="Background")
    except NotFound:
        return
    except StatusError as error:
        ctx.recorder.event(cron_job, "Warning", "FailedDelete", f"Deleted job: {error.message}")
        raise
    ctx.recorder.event(cron_job, "Normal", "SuccessfulDelete", f"Deleted job {meta.name(job)}")


CONTROLLER = Controller(
    "cronjob",
    primary=CRON_JOBS,
    triggers=[owned_by(JOBS)],
    reconcile=reconcile,
    rbac=[
        can("create,delete,get,list,watch", JOBS),
        can("get,list,watch", CRON_JOBS),
        can("update", f"{CRON_JOBS}/status"),
    ],
)
