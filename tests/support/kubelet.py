"""A kubelet for simulated time: a controller that binds pods to a node and plays their lives as a test tells it.

    kubelet = Kubelet(lambda pod: Run())                       # or Exit(0), Exit(3, after=10), Hang()
    async with control_plane(job.CONTROLLER, kubelet.controller) as c: ...
    kubelet.plays = lambda pod: Exit(0)                        # later pods, and those that still run, go this way
    await kubelet.again(c)                                     # looks at every pod again

A pod that is deleted stops at once (or after `stops_after` seconds) and goes, with phase Failed unless it had ended before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from minik.api import meta, times
from minik.api.core_v1 import pods
from minik.api.errors import NotFound
from minik.api.meta import Key, Obj, ROObj
from minik.client.client import Client
from minik.client.controller import DONE, Context, Controller, Result, requeue_after
from tests.support.cluster import ControlPlane


@dataclass(frozen=True)
class Run:
    """Running, and ready after `ready_after` seconds (None: never)."""

    ready_after: float | None = 0.0


@dataclass(frozen=True)
class Exit:
    """Ends with `code`, `after` seconds from its start."""

    code: int = 0
    after: float = 0.0


@dataclass(frozen=True)
class Hang:
    """Bound, and Pending for ever."""


Outcome = Run | Exit | Hang


class Kubelet:
    def __init__(
        self, plays: Callable[[ROObj], Outcome] = lambda _pod: Run(), *, node: str = "n1", stops_after: float = 0.0
    ) -> None:
        self.plays = plays
        self.node = node
        self.stops_after = stops_after
        self.created: dict[str, ROObj] = {}
        """Every pod ever seen, by uid."""
        self.controller = Controller("kubelet", primary="pods", reconcile=self._reconcile, workers=4)

    async def again(self, c: ControlPlane) -> None:
        """Have every pod looked at again."""
        for pod in (await c.client.list("pods")).items:
            c.manager._runners["kubelet"].enqueue(meta.key(pod))
        await c.settle()

    async def _reconcile(self, ctx: Context, key: Key) -> Result:
        pod = ctx.cache("pods").get(key)
        if pod is None:
            return DONE
        self.created[meta.uid(pod)] = pod
        if meta.is_deleting(pod):
            return await self._stop(ctx, pod)
        if not pods.is_scheduled(pod):
            if (pod["spec"].get("schedulingGates")) or isinstance(self.plays(pod), Hang):
                return DONE
            await ctx.client.bind(key, self.node, uid=meta.uid(pod))
            return requeue_after(0)
        if pods.is_finished(pod):
            return DONE
        return await self._play(ctx, pod, self.plays(pod))

    async def _stop(self, ctx: Context, pod: ROObj) -> Result:
        grace = timedelta(seconds=pod["metadata"].get("deletionGracePeriodSeconds") or 0)
        asked = times.parse_time(pod["metadata"]["deletionTimestamp"]) - grace
        left = self.stops_after - (ctx.clock.now() - asked).total_seconds()
        if left > 0:
            return requeue_after(left)
        if not pods.is_finished(pod):
            await set_phase(ctx.client, pod, "Failed", code=137, now=times.format_time(ctx.clock.now()))
        if pod["metadata"].get("deletionGracePeriodSeconds"):
            try:
                await ctx.client.delete("pods", meta.name(pod), meta.namespace(pod), uid=meta.uid(pod), grace_seconds=0)
            except NotFound:
                return DONE
        return DONE

    async def _play(self, ctx: Context, pod: ROObj, outcome: Outcome) -> Result:
        now = ctx.clock.now()
        start = (pod.get("status") or {}).get("startTime")
        if isinstance(outcome, Hang):
            return DONE
        if start is None:
            await set_phase(ctx.client, pod, "Running", ready=outcome == Run(), now=times.format_time(now))
            return requeue_after(0)
        elapsed = (now - times.parse_time(start)).total_seconds()
        if isinstance(outcome, Run):
            if outcome.ready_after is None:
                return DONE
            if elapsed < outcome.ready_after:
                return requeue_after(outcome.ready_after - elapsed)
            await set_phase(ctx.client, pod, "Running", ready=True, now=times.format_time(now))
            return DONE
        if elapsed < outcome.after:
            return requeue_after(outcome.after - elapsed)
        phase = "Failed" if outcome.code else "Succeeded"
        await set_phase(ctx.client, pod, phase, code=outcome.code, now=times.format_time(now))
        return DONE


async def set_phase(
    client: Client, pod: ROObj, phase: str, *, now: str, ready: bool = False, code: int = 0, **more: object
) -> None:
    """Report a pod's phase, as its node would."""
    ended = phase in ("Succeeded", "Failed")
    name = pod["spec"]["containers"][0]["name"]
    state: Obj = {"terminated": {"exitCode": code, "finishedAt": now, "startedAt": now}} if ended else {"running": {}}
    before = meta.condition(pod, "Ready") or {}
    wanted = "True" if ready else "False"
    since = before.get("lastTransitionTime") if before.get("status") == wanted else now
    status: Obj = {
        "phase": phase,
        "conditions": [{"type": "Ready", "status": wanted, "lastTransitionTime": since}],
        "containerStatuses": [
            {"name": name, "ready": ready, "restartCount": 0, "image": "x", "imageID": "x", "state": state}
        ],
        **more,
    }
    if not (pod.get("status") or {}).get("startTime"):
        status["startTime"] = now
    patch = {"metadata": {"uid": meta.uid(pod)}, "status": status}
    try:
        await client.patch_status("pods", meta.name(pod), meta.namespace(pod), patch, type="strategic")
    except NotFound:
        return
