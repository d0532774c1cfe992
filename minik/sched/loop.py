"""The running scheduler: gives every pod without a node one.

Read `Scheduler._run` first. What it knows of the cluster is in `snapshot.Cluster` (kept by `follow.py`) and `queue.SchedulingQueue`; what
it decides is `cycle.schedule`'s and `preemption.plan_preemption`'s; what it tells the server goes through `binder.Binder` and
`preempting.Preempting`. A pod is counted on its node from the decision on (assumed), and taken back if the server refuses the binding.
Every decision is remembered for a while (`explain.py`). Nothing here polls: an idle cluster costs nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Mapping

from minik.aio import Tasks
from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.errors import NotFound, StatusError
from minik.api.meta import Key, Obj, ROObj
from minik.client.client import Client
from minik.client.informer import Informers
from minik.client.recorder import Recorder
from minik.clock import Clock, Entropy
from minik.metrics import Metrics
from minik.sched.binder import FAILED, Binder
from minik.sched.cycle import schedule
from minik.sched.decision import Decision
from minik.sched.explain import Explanations, explain, message_of
from minik.sched.extender import ExtenderError, agree, consult
from minik.sched.failures import Failure, Failures, is_like_others
from minik.sched.figures import Figures
from minik.sched.follow import Following
from minik.sched.hints import Change, is_helped
from minik.sched.hooks import Assumed
from minik.sched.nominations import Nominations
from minik.sched.plugins import Plugins
from minik.sched.preempting import Preempting
from minik.sched.preemption import BUDGETS, Preemption, lower_nominated, plan_preemption
from minik.sched.profiles import DEFAULT_NAME, Configuration, Profile
from minik.sched.queue import SchedulingQueue, Waiting
from minik.sched.snapshot import Cluster, PodInfo

log = logging.getLogger("minik.sched")

_TICK = 0.001
"""Seconds that it waits at least if it waits: clocks are coarser than sums of numbers."""
_TURN = 0.005
"""Seconds of deciding before other tasks of the process get their turn."""


class Scheduler:
    """Schedules the pods whose `spec.schedulerName` is one of its profiles'."""

    def __init__(
        self,
        client: Client,
        informers: Informers,
        recorders: Mapping[str, Recorder],
        *,
        clock: Clock,
        entropy: Entropy,
        metrics: Metrics,
        configuration: Configuration,
    ) -> None:
        """`recorders`: of each profile's name."""
        self.profiles = {profile.name: profile for profile in configuration.profiles}
        self.cluster = Cluster()
        self.queue = SchedulingQueue(self._helped, backoff=configuration.backoff)
        self.explanations = Explanations(clock)
        self.assumed: dict[Key, Assumed] = {}
        self._recorders = recorders
        self._clock = clock
        self._client = client
        self._rng = random.Random(entropy.rng.getrandbits(64))
        self._following = Following(informers, self.cluster, self)
        self._binder = Binder(client, clock, self)
        self._preempting = Preempting(client, self.cluster, self)
        self._nominations = Nominations(self.cluster, self._preempting, self.moved)
        self._tasks = Tasks("sched")
        self._wake = asyncio.Event()
        self._start_at = 0
        self._started = False
        self._failures = Failures()
        self._figures = Figures(metrics, self.queue)

    async def start(self) -> None:
        """Follow the cluster, and schedule until `close`."""
        registry = self._client.registry
        followers = [follower for profile in self.profiles.values() for follower in profile.plugins.followers]
        if registry.get(BUDGETS.resource) is not None:
            followers.append(BUDGETS)
        await self._following.start(followers)
        self._started = True
        self._tasks.start("loop", self._run())

    async def close(self) -> None:
        await self._tasks.close()
        await self._preempting.close()
        await self._binder.close()
        for extender in {each for profile in self.profiles.values() for each in profile.extenders}:
            await extender.close()

    def why(self, pod: ROObj) -> Obj:
        """Why the pod is where it is, or nowhere: see `explain.explain`."""
        return explain(self, pod)

    def monotonic(self) -> float:
        """The time that the queue goes by."""
        return self._clock.monotonic()

    def victims(self, uid: str) -> frozenset[str]:
        """The uids of the pods that go for the pod with that uid."""
        return self._preempting.going(uid)

    # --- what happens in the cluster (`follow.Listener`) ---------------------------------------------------------------

    def moved(self, change: Change) -> None:
        self._failures.changed()
        woken = self.queue.moved(change, now=self._clock.monotonic())
        if woken:
            self._figures.woken(change, woken)
            self._wake.set()

    def _helped(self, filter_name: str, pod: PodInfo, change: Change) -> bool:
        profile = self.profile_of(pod.obj)
        return profile is None or is_helped(filter_name, pod, change, self.cluster, profile.plugins)

    def profile_of(self, obj: ROObj) -> Profile | None:
        """The profile that schedules the pod; None if another scheduler does."""
        return self.profiles.get(obj["spec"].get("schedulerName") or DEFAULT_NAME)

    def waits(self, obj: ROObj, before: ROObj | None) -> None:
        key = meta.key(obj)
        deleting = meta.is_deleting(obj)
        if key in self.assumed:
            if deleting and self._binder.cancel(meta.uid(obj)):
                self.gone(obj)
        elif deleting or pods.is_finished(obj):
            self._forget(key, meta.uid(obj))
        elif self.profile_of(obj) is not None:
            pod = PodInfo(obj)
            self._nominations.follow(pod, before)
            self.queue.add(pod, now=self._clock.monotonic())
            self._wake.set()

    def has_node(self, obj: ROObj, before: ROObj | None) -> None:
        key, uid = meta.key(obj), meta.uid(obj)
        assumed = self.assumed.get(key)
        if assumed is None or assumed.node != obj["spec"]["nodeName"]:
            if self.queue.get(key) is not None:
                self.explanations.from_elsewhere(uid, "binding")
            elif before is None and self._started:
                self.explanations.from_elsewhere(uid, "creation")
        self._forget(key, uid)
        self._settle(key, node=obj["spec"]["nodeName"])

    def gone(self, obj: ROObj) -> None:
        key = meta.key(obj)
        self._forget(key, meta.uid(obj))
        self._settle(key, node="")
        self.explanations.forget(meta.uid(obj))

    def _forget(self, key: Key, uid: str) -> None:
        waiting = self.queue.get(key)
        if waiting is not None and waiting.pod.uid == uid:
            self.queue.discard(key)
        self._nominations.give_up(uid)

    def _settle(self, key: Key, *, node: str) -> None:
        """It is known where the pod is ("": gone): what was assumed is true, or has to be taken back."""
        assumed = self.assumed.pop(key, None)
        if assumed is not None and assumed.node != node:
            self._binder.cancel(assumed.pod.uid)
            self._unreserve(assumed)

    def _unreserve(self, assumed: Assumed) -> None:
        for step in reversed(assumed.steps):
            step.unreserve(assumed.pod, assumed.node, self.cluster)
        if self.cluster.node_of(assumed.pod.uid) == assumed.node:
            self._following.release(assumed.pod.uid)

    # --- deciding --------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            turn_ends = self._clock.monotonic() + _TURN
            while not self._binder.busy:
                waiting = self.queue.pop(now=self._clock.monotonic())
                if waiting is None:
                    break
                try:
                    await self._try(waiting)
                except Exception as error:  # of a plugin: this pod is its victim, the others are not to be
                    log.exception("scheduling failed", extra={"pod": str(waiting.pod.key)})
                    self._retry(waiting, f"the scheduler failed: {error!r}")
                if self._clock.monotonic() >= turn_ends:
                    await asyncio.sleep(0)
                    turn_ends = self._clock.monotonic() + _TURN
            await self._wait()

    async def _wait(self) -> None:
        now = self._clock.monotonic()
        when = None if self._binder.busy else self.queue.next_wake(now=now)
        if when is None:
            await self._wake.wait()
            return
        with contextlib.suppress(TimeoutError):  # not wait_for: in Python 3.11 it can swallow a cancellation
            async with asyncio.timeout(max(_TICK, when - now)):
                await self._wake.wait()

    async def _try(self, waiting: Waiting) -> None:
        profile = self.profile_of(waiting.pod.obj)
        if profile is None:  # it was added because there is one
            return
        known = self._failures.get(self.queue.group_of(waiting)) if self._failures else None
        if known is not None and is_like_others(waiting.pod, self.cluster):
            self._park(waiting, profile, known)
            return
        extenders = [extender for extender in profile.extenders if extender.is_interested(waiting.pod)]
        if not extenders:
            self._decide(waiting, profile, profile.plugins)
            return
        first = self._look(waiting.pod, profile.plugins)
        plugins = profile.plugins
        if first.feasible:
            try:
                plugins = await consult(extenders, waiting.pod, first.feasible, profile.plugins)
            except ExtenderError as error:
                self._retry(waiting, str(error))
                return
        if not self._is_tried(waiting):
            return
        decision = self._look(waiting.pod, plugins)
        if decision.node:
            self._assume(waiting, decision, profile)
            return
        plan = self._plan(waiting.pod, profile, plugins, decision)
        asked = [extender for extender in extenders if extender.preempt_verb]
        if plan.victims is not None and asked:
            try:
                plan.settle(await agree(asked, waiting.pod, plan.candidates, self.cluster))
            except ExtenderError as error:
                self._retry(waiting, str(error))
                return
        if self._is_tried(waiting):
            self._fits_nowhere(waiting, profile, decision, plan)

    def _is_tried(self, waiting: Waiting) -> bool:
        """Whether the pod is still what is being decided about, after something was waited for."""
        return self.queue.get(waiting.pod.key) is waiting and waiting.state == "trying"

    def _look(self, pod: PodInfo, plugins: Plugins) -> Decision:
        return schedule(pod, self.cluster, plugins, self._rng, start=self._start_at)

    def _decide(self, waiting: Waiting, profile: Profile, plugins: Plugins) -> None:
        decision = self._look(waiting.pod, plugins)
        if decision.node:
            self._assume(waiting, decision, profile)
        else:
            self._fits_nowhere(waiting, profile, decision, self._plan(waiting.pod, profile, plugins, decision))

    def _plan(self, pod: PodInfo, profile: Profile, plugins: Plugins, decision: Decision) -> Preemption:
        if profile.preemption is None or not decision.total:
            return Preemption()
        going, start = self._preempting.going(pod.uid), self._rng.randrange(decision.total)
        return plan_preemption(
            pod, self.cluster, plugins, decision, start=start, going=going, enough=profile.preemption
        )

    def _assume(self, waiting: Waiting, decision: Decision, profile: Profile) -> None:
        pod, node = waiting.pod, decision.node
        self._start_at = (self._start_at + decision.considered) % max(1, len(self.cluster))
        self.queue.decided(waiting)
        self._failures.changed()
        self.explanations.placed(pod, decision, nominated=self.cluster.nomination(pod.uid), attempts=waiting.attempts)
        self._nominations.give_up(pod.uid, taken=node)
        steps = [step for step in profile.plugins.steps if step.wants(pod, self.cluster)]
        self.cluster.set_pod(pod, node)
        self.assumed[pod.key] = Assumed(pod, node, steps)
        try:
            for step in steps:
                step.reserve(pod, node, self.cluster)
        except Exception:
            self._unreserve(self.assumed.pop(pod.key))
            raise
        binding = next((e for e in profile.extenders if e.binds and e.is_interested(pod)), None)
        self._binder.bind_nowait(
            waiting, node, steps, self.cluster, recorder=self._recorders[profile.name], extender=binding
        )

    def _fits_nowhere(self, waiting: Waiting, profile: Profile, decision: Decision, plan: Preemption) -> None:
        pod = waiting.pod
        reasons = decision.filters | plan.filters
        failure = Failure(
            self._failures.epoch, decision, reasons or frozenset({"NodeName"}), message_of(decision, plan)
        )
        nominated: str | None = None
        if plan.victims is not None:
            nominated = plan.victims.node
            self._nominate(waiting, plan, profile)
        elif not plan.ineligible and self.cluster.nomination(pod.uid):
            nominated = ""
            self._nominations.give_up(pod.uid)
        if plan.victims is None and is_like_others(pod, self.cluster):
            self._failures.put(self.queue.group_of(waiting), failure)
        self._park(waiting, profile, failure, nominated=nominated, quietly=False)

    def _park(
        self,
        waiting: Waiting,
        profile: Profile,
        failure: Failure,
        *,
        nominated: str | None = None,
        quietly: bool = True,
    ) -> None:
        """`nominated`, `quietly`: see `Binder.explain_nowait`; quietly if an equal pod has just been told the same."""
        pod = waiting.pod
        self._figures.unschedulable.inc()
        self.explanations.refused(pod, failure.decision, failure.message)
        self.queue.failed(waiting, reasons=failure.reasons, now=self._clock.monotonic())
        recorder = self._recorders[profile.name]
        self._binder.explain_nowait(
            self._current(pod), failure.message, nominated=nominated, recorder=recorder, quietly=quietly
        )

    def _current(self, pod: PodInfo) -> ROObj:
        found = self._following.pods.get(pod.key)
        return found if found is not None and meta.uid(found) == pod.uid else pod.obj

    def _nominate(self, waiting: Waiting, plan: Preemption, profile: Profile) -> None:
        victims = plan.victims
        if victims is None:
            return
        self._failures.changed()
        self._figures.preemptions.inc()
        self._figures.victims.inc(len(victims.pods))
        for other in lower_nominated(waiting.pod, victims.node, self.cluster.nominated):
            self.cluster.unnominate(other.uid)
            self._preempting.forget(other.uid)
            self._binder.nominate_nowait(other, "")
            self.queue.wake(other.key, now=self._clock.monotonic())
        self.cluster.nominate(waiting.pod, victims.node)
        self._preempting.start(waiting, victims, profile.name, self._recorders[profile.name])

    # --- how it went (`binder.Outcome`, `preempting.Outcome`) -----------------------------------------------------------

    def bound(self, waiting: Waiting, node: str) -> None:
        """The server took the binding; the informer will show it."""
        del node
        self._figures.scheduled.inc()
        if self.queue.get(waiting.pod.key) is waiting:
            self.queue.discard(waiting.pod.key)
        self._wake.set()

    def refused(self, waiting: Waiting, node: str, error: StatusError) -> None:
        """The server did not take it: forget the assumption and try again later, unless the pod is gone."""
        del node
        self._figures.failed.inc()
        pod = waiting.pod
        assumed = self.assumed.get(pod.key)
        if assumed is not None and assumed.pod.uid == pod.uid:
            del self.assumed[pod.key]
            self._unreserve(assumed)
        if isinstance(error, NotFound):
            self._forget(pod.key, pod.uid)
        else:
            log.info("binding refused", extra={"pod": str(pod.key), "error": error.message})
            self.explanations.failed(pod, error.message)
            self.queue.retry(waiting, now=self._clock.monotonic())
        self._wake.set()

    def not_preempted(self, waiting: Waiting, node: str) -> None:
        """A victim stays: give the nomination up, and look again after the back-off."""
        pod = waiting.pod
        self._failures.changed()
        if self.cluster.nomination(pod.uid) == node:
            self._nominations.give_up(pod.uid)
            self._binder.nominate_nowait(pod, "")
        self.queue.wake(pod.key, now=self._clock.monotonic())
        self._wake.set()

    def _retry(self, waiting: Waiting, message: str) -> None:
        self._figures.failed.inc()
        self.explanations.failed(waiting.pod, message)
        self.queue.retry(waiting, now=self._clock.monotonic())
        recorder = self._recorders[waiting.pod.spec.get("schedulerName") or DEFAULT_NAME]
        self._binder.explain_nowait(self._current(waiting.pod), message, reason=FAILED, recorder=recorder)
