"""The running scheduler: follows pods and nodes, and gives every pod without a node one.

Read `Scheduler._run` first. Everything it knows is in `snapshot.Cluster` and `queue.SchedulingQueue`; what it decides is
`cycle.schedule`'s; what it tells the server goes through `binder.Binder`. A pod is counted on its node from the decision on
(assumed), and taken back if the server refuses the binding. Nothing here polls: an idle cluster costs nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass

from minik.aio import Tasks
from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.errors import NotFound, StatusError
from minik.api.meta import Key, ROObj
from minik.client.client import Client
from minik.client.informer import Informer, Informers
from minik.client.recorder import Recorder
from minik.clock import Clock, Entropy
from minik.metrics import Metrics
from minik.sched.binder import Binder
from minik.sched.cycle import schedule
from minik.sched.hooks import BindStep, Follower
from minik.sched.plugins import Plugins, default_plugins
from minik.sched.queue import SchedulingQueue, Waiting
from minik.sched.snapshot import Cluster, PodInfo

log = logging.getLogger("minik.sched")

SCHEDULER_NAME = "default-scheduler"

_POD_LEFT = frozenset({"NodeResourcesFit", "NodePorts"})
_NODE_CHANGED = frozenset({
    "NodeUnschedulable", "NodeName", "TaintToleration", "NodeAffinity", "NodeResourcesFit", "NodePorts",
})  # fmt: skip
_TURN = 0.005
"""Seconds of deciding before other tasks of the process get their turn."""


@dataclass(frozen=True, slots=True)
class Assumed:
    """A pod that counts on its node already, while its binding is under way."""

    pod: PodInfo
    node: str
    steps: Sequence[BindStep]


class Scheduler:
    """Schedules the pods whose `spec.schedulerName` is `name`."""

    def __init__(
        self,
        client: Client,
        informers: Informers,
        recorder: Recorder,
        *,
        clock: Clock,
        entropy: Entropy,
        metrics: Metrics,
        name: str = SCHEDULER_NAME,
        plugins: Plugins | None = None,
    ) -> None:
        self.name = name
        self.cluster = Cluster()
        self._queue = SchedulingQueue()
        self._assumed: dict[Key, Assumed] = {}
        self._informers = informers
        self._clock = clock
        self._plugins = plugins or default_plugins()
        self._rng = random.Random(entropy.rng.getrandbits(64))
        self._binder = Binder(client, recorder, clock, self)
        self._tasks = Tasks("sched")
        self._wake = asyncio.Event()
        self._start_at = 0
        attempts = metrics.counter("scheduler_schedule_attempts_total", "Scheduling attempts by result.", ["result"])
        self._scheduled = attempts.labels("scheduled")
        self._unschedulable = attempts.labels("unschedulable")
        self._failed = attempts.labels("error")
        pending = metrics.gauge("scheduler_pending_pods", "Pods that wait for a node.")
        metrics.on_collect(lambda: pending.labels().set(len(self._queue)))

    async def start(self) -> None:
        """Follow pods and nodes, and schedule until `close`."""
        nodes = self._informers.of("nodes")
        all_pods = self._informers.of("pods")
        nodes.add_handler(added=self._node_set, updated=self._node_updated, deleted=self._node_deleted)
        all_pods.add_handler(added=self._pod_set, updated=self._pod_updated, deleted=self._pod_deleted)
        followed = [self._follow(follower) for follower in dict.fromkeys(self._plugins.followers)]
        for informer in (nodes, all_pods, *followed):
            await informer.wait_synced()
        self._tasks.start("loop", self._run())

    async def close(self) -> None:
        await self._tasks.close()
        await self._binder.close()

    def _follow(self, follower: Follower) -> Informer:
        def added(obj: ROObj) -> None:
            self._moved(follower.added(self.cluster, obj))

        def updated(old: ROObj, new: ROObj) -> None:
            self._moved(follower.updated(self.cluster, old, new))

        def deleted(obj: ROObj) -> None:
            self._moved(follower.deleted(self.cluster, obj))

        informer = self._informers.of(follower.resource)
        informer.add_handler(added=added, updated=updated, deleted=deleted)
        return informer

    # --- what happens in the cluster ---------------------------------------------------------------------------------

    def _node_set(self, obj: ROObj) -> None:
        self.cluster.set_node(obj)
        self._moved(_NODE_CHANGED)

    def _node_updated(self, old: ROObj, new: ROObj) -> None:
        self.cluster.set_node(new)
        if (
            old.get("spec") != new.get("spec")
            or meta.labels(old) != meta.labels(new)
            or (old.get("status") or {}).get("allocatable") != (new.get("status") or {}).get("allocatable")
        ):
            self._moved(_NODE_CHANGED)

    def _node_deleted(self, obj: ROObj) -> None:
        self.cluster.remove_node(meta.name(obj))

    def _pod_set(self, obj: ROObj) -> None:
        key = meta.key(obj)
        if obj["spec"].get("nodeName"):
            self._queue.discard(key)
            self._settle(key, node=obj["spec"]["nodeName"])
            if pods.is_finished(obj):
                self._release(obj)
            else:
                pod = PodInfo(obj)
                self.cluster.set_pod(pod, pod.node)
        elif key in self._assumed:
            if meta.is_deleting(obj) and self._binder.cancel(meta.uid(obj)):
                self._pod_deleted(obj)
        elif meta.is_deleting(obj) or pods.is_finished(obj):
            self._queue.discard(key)
        elif (obj["spec"].get("schedulerName") or SCHEDULER_NAME) == self.name and not obj["spec"].get(
            "schedulingGates"
        ):
            self._queue.add(PodInfo(obj), now=self._clock.monotonic())
            self._wake.set()

    def _pod_updated(self, old: ROObj, new: ROObj) -> None:
        if meta.uid(old) != meta.uid(new):
            self._pod_deleted(old)
        elif new["spec"] is old["spec"] or (
            new["spec"].get("nodeName")
            and new["spec"] == old["spec"]
            and meta.labels(old) == meta.labels(new)
            and pods.is_finished(old) == pods.is_finished(new)
        ):
            return  # a status update of a placed pod changes nothing for the scheduler
        self._pod_set(new)

    def _pod_deleted(self, obj: ROObj) -> None:
        key = meta.key(obj)
        self._queue.discard(key)
        self._settle(key, node="")
        self._release(obj)

    def _settle(self, key: Key, *, node: str) -> None:
        """It is known where the pod is ("": gone): what was assumed is true, or has to be taken back."""
        assumed = self._assumed.pop(key, None)
        if assumed is not None and assumed.node != node:
            self._binder.cancel(assumed.pod.uid)
            self._unreserve(assumed)

    def _unreserve(self, assumed: Assumed) -> None:
        for step in reversed(assumed.steps):
            step.unreserve(assumed.pod, assumed.node, self.cluster)

    def _release(self, obj: ROObj) -> None:
        if self.cluster.node_of(meta.uid(obj)):
            self.cluster.remove_pod(meta.uid(obj))
            self._moved(_POD_LEFT)

    def _moved(self, helps: frozenset[str]) -> None:
        if helps and self._queue.moved(helps=helps, now=self._clock.monotonic()):
            self._wake.set()

    # --- deciding --------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            turn_ends = self._clock.monotonic() + _TURN
            while not self._binder.busy:
                waiting = self._queue.pop(now=self._clock.monotonic())
                if waiting is None:
                    break
                self._schedule(waiting)
                if self._clock.monotonic() >= turn_ends:
                    await asyncio.sleep(0)
                    turn_ends = self._clock.monotonic() + _TURN
            await self._wait()

    async def _wait(self) -> None:
        now = self._clock.monotonic()
        when = None if self._binder.busy else self._queue.next_wake(now=now)
        if when is None:
            await self._wake.wait()
            return
        with contextlib.suppress(TimeoutError):  # not wait_for: in Python 3.11 it can swallow a cancellation
            async with asyncio.timeout(max(0.0, when - now)):
                await self._wake.wait()

    def _schedule(self, waiting: Waiting) -> None:
        pod = waiting.pod
        decision = schedule(pod, self.cluster, self._plugins, self._rng, start=self._start_at)
        if len(self.cluster):
            self._start_at = (self._start_at + decision.considered) % len(self.cluster)
        if not decision.node:
            self._unschedulable.inc()
            reasons = frozenset(refusal.filter for refusal in decision.refusals.values())
            self._queue.failed(waiting, reasons=reasons, now=self._clock.monotonic())
            self._binder.explain_nowait(waiting, decision.summary())
            return
        steps = [step for step in self._plugins.steps if step.wants(pod, self.cluster)]
        self.cluster.set_pod(pod, decision.node)
        self._assumed[pod.key] = Assumed(pod, decision.node, steps)
        for step in steps:
            step.reserve(pod, decision.node, self.cluster)
        self._binder.bind_nowait(waiting, decision.node, steps, self.cluster)

    def bound(self, waiting: Waiting, node: str) -> None:
        """The server took the binding; the informer will show it."""
        del node
        self._scheduled.inc()
        self._queue.discard(waiting.pod.key)
        self._wake.set()

    def refused(self, waiting: Waiting, node: str, error: StatusError) -> None:
        """The server did not take it: forget the assumption and try again later, unless the pod is gone."""
        self._failed.inc()
        pod = waiting.pod
        assumed = self._assumed.get(pod.key)
        if assumed is not None and assumed.pod.uid == pod.uid:
            del self._assumed[pod.key]
            self._unreserve(assumed)
            if self.cluster.node_of(pod.uid) == node:
                self.cluster.remove_pod(pod.uid)
        if isinstance(error, NotFound):
            self._queue.discard(pod.key)
        else:
            log.info("binding refused", extra={"pod": str(pod.key), "node": node, "error": error.message})
            self._queue.retry(waiting, now=self._clock.monotonic())
        self._wake.set()
