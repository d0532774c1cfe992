"""Jobs that finished more than `ttlSecondsAfterFinished` ago are deleted, with their pods (KEP-592)."""

from __future__ import annotations

from datetime import timedelta

from minik.api import meta, times
from minik.api.batch_v1 import jobs
from minik.api.errors import NotFound
from minik.api.meta import Key, ROObj
from minik.client.controller import DONE, Context, Controller, Result, can, requeue_after

JOBS = "jobs.batch"


def expires_at(job: ROObj) -> float | None:
    """The Unix time from which on the Job may be deleted; None if it has no TTL, is not finished, or is being deleted."""
    ttl, end = job["spec"].get("ttlSecondsAfterFinished"), jobs.finished(job)
    if ttl is None or end is None or not end.get("lastTransitionTime") or meta.is_deleting(job):
        return None
    return (times.parse_time(end["lastTransitionTime"]) + timedelta(seconds=ttl)).timestamp()


async def reconcile(ctx: Context, key: Key) -> Result:
    job = ctx.cache(JOBS).get(key)
    expiry = expires_at(job) if job is not None else None
    if expiry is None:
        return DONE
    left = expiry - ctx.clock.now().timestamp()
    if left > 0:
        return requeue_after(left)
    try:
        fresh = await ctx.client.get(JOBS, key.name, key.namespace)  # its TTL may have been raised at the last moment
        if expires_at(fresh) != expiry:
            return DONE
        await ctx.client.delete(
            JOBS, key.name, key.namespace, uid=meta.uid(fresh), propagation="Foreground",
            resource_version=fresh["metadata"]["resourceVersion"],
        )  # fmt: skip
    except NotFound:
        return DONE
    return DONE


CONTROLLER = Controller(
    "ttl-after-finished",
    primary=JOBS,
    reconcile=reconcile,
    rbac=[can("get,list,watch,delete", JOBS)],
    component="ttl-after-finished-controller",
)
