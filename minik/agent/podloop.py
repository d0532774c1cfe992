"""`PodWorker`: one pod's life on this node, level-triggered.

`agent.py` makes a worker for every pod bound to the node (and for every pod that has containers here and no object any more) and
wakes it when the object, a container, a probe's verdict or a volume's source changes. A worker looks at how things are, plans
(`plan.py`), acts (`act.py`), and plans again until nothing is left to do; then it reports (`status.py`), once if all went fast.
At rest it is an object without a task. This is the only place where a pod's failures are tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from minik.agent import names
from minik.agent.act import Actor
from minik.agent.actions import Action, Attach, CreateSandbox, Finish, Memory, Plan, Prepare, Start, Stop, StopPod
from minik.agent.allotment import Fits, allot, allotted_pod
from minik.agent.containers.base import ContainerInfo, LogOptions, RuntimeFailure, RuntimeUnavailable
from minik.agent.containerstatus import Facts
from minik.agent.context import NodeContext
from minik.agent.observed import ObservedPod, attempt_of, exit_code, has_ended
from minik.agent.plan import all_containers, grace_period, plan_pod
from minik.agent.status import pod_status
from minik.agent.statuspatch import status_patch
from minik.agent.volumes.payload import shown_of
from minik.aio import Tasks
from minik.api import meta
from minik.api.errors import Conflict, NotFound, StatusError
from minik.api.meta import Obj, ROObj
from minik.api.times import format_time

log = logging.getLogger("minik.agent.podloop")

REPORT_SECONDS = 0.5
"""What takes longer than this is reported while it goes on."""
BUSY_SECONDS = 0.02
"""A timer that fires later than this fires in a busy process."""
ROUNDS = 100
"""Plans in a row after which something must be wrong."""
FIRST_RETRY, LONGEST_RETRY = 1.0, 60.0
_FALLBACK_LINES, _FALLBACK_BYTES = 80, 2048


class PodWorker:
    """The life of one pod. `on_done(uid)` when nothing of it is left."""

    def __init__(
        self, ctx: NodeContext, actor: Actor, tasks: Tasks, pod: ROObj, *, on_done: Callable[[str], None], fits: Fits
    ) -> None:
        self._ctx, self._actor, self._tasks, self._on_done, self._fits = ctx, actor, tasks, on_done, fits
        self.pod = pod
        self.uid = meta.uid(pod)
        self.memory = Memory()
        self.is_gone = False
        """The API server has it no more."""
        self._is_done = False
        self._is_dirty = False
        self._has_news = False
        """The object or a source changed since the sync began: a failure of that sync need not be waited off."""
        self._task: asyncio.Task[Any] | None = None
        self._acting: asyncio.Task[Any] | None = None
        self._action: Action | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._report_timer: asyncio.TimerHandle | None = None
        self._failures = 0
        self._waiting: Mapping[str, Any] = {}
        self._messages: dict[str, str] = {}
        self._writing = asyncio.Lock()

    # --- being told ------------------------------------------------------------------------------------------------------

    def update(self, pod: ROObj) -> None:
        """The object changed."""
        if self.is_gone or meta.revision(pod) < meta.revision(self.pod):
            return
        # Our own status coming back changes nothing that is planned from.
        is_news = not (_same_but_status(pod, self.pod) and pod.get("status") == self.pod.get("status"))
        if is_news and shown_of(pod) != shown_of(self.pod):
            self.memory.prepared = False
        self._take(pod, is_news=is_news)

    def _take(self, pod: ROObj, *, is_news: bool) -> None:
        self.pod = pod
        if is_news:
            self._has_news = True
            self._interrupt()
            self.wake()

    def vanish(self, pod: ROObj) -> None:
        """The object is gone; `pod` is how it was last."""
        if self.is_gone:
            return
        self.is_gone = True
        metadata: Obj = {**pod["metadata"]}
        metadata.setdefault("deletionTimestamp", format_time(self._ctx.clock.now()))
        self.pod = {**pod, "metadata": metadata}
        self._has_news = True
        self._interrupt()
        self.wake()

    def reject(self, reason: str, message: str) -> None:
        """This node will not run it: Failed."""
        self.memory.failed = (reason, message)
        self._ctx.event(self.pod, "Warning", reason, message)

    def sources_changed(self) -> None:
        """A ConfigMap or Secret that a volume shows changed."""
        self.memory.prepared = False
        self.memory.delays.pop(names.SANDBOX, None)
        self._has_news = True
        self.wake()

    def wake(self) -> None:
        """Look at the pod again."""
        self._is_dirty = True
        if self._is_done or (self._task is not None and not self._task.done()):
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._task = self._tasks.start(f"pod {meta.namespace(self.pod)}/{meta.name(self.pod)}", self._run())

    def _interrupt(self) -> None:
        """Break off what the news has made pointless: preparing a pod that is to go, waiting longer than is now allowed."""
        acting, action = self._acting, self._action
        if acting is None or acting.done() or not meta.is_deleting(self.pod):
            return
        is_pointless = isinstance(action, (Prepare, CreateSandbox, Attach, Start))
        if is_pointless or (isinstance(action, (Stop, StopPod)) and grace_period(self.pod) < action.grace):
            acting.cancel()

    def close(self) -> None:
        """No more waking up."""
        self._is_done = True
        if self._timer is not None:
            self._timer.cancel()

    # --- the loop --------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while self._is_dirty and not self._is_done:
            self._is_dirty = self._has_news = False
            try:
                await self._sync()
            except RuntimeUnavailable as error:
                self._ctx.observations.failure = str(error)  # the heartbeat looks whether that is so
                self._retry(error)
            except StatusError as error:
                self._retry(error)
            except Exception as error:
                log.exception("pod sync failed", extra={"pod": str(meta.key(self.pod))})
                self._retry(error)
            else:
                self._failures = 0

    def _retry(self, error: Exception) -> None:
        if self._has_news:
            self._failures = 0
            return
        self._is_dirty = False
        seconds = min(FIRST_RETRY * 2.0**self._failures, LONGEST_RETRY)
        self._failures += 1
        log.info("pod sync to be repeated", extra={"pod": str(meta.key(self.pod)), "error": str(error)})
        self._wake_in(seconds)

    def _wake_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._is_done:
            self._timer = asyncio.get_running_loop().call_later(max(seconds, 0.0), self.wake)

    def _wake_at(self, at: datetime | None) -> None:
        if at is not None:
            # A moment late rather than early: a clock that has not got there yet would plan the same wait again.
            self._wake_in((at - self._ctx.clock.now()).total_seconds() + 0.001)

    def _look(self) -> tuple[ObservedPod, Plan]:
        ctx, now = self._ctx, self._ctx.clock.now()
        observed = ctx.observations.pod(self.uid)
        host = ctx.node_ip if self.pod["spec"].get("hostNetwork") else ctx.sandbox_ip(self.pod)
        ctx.prober.sync(self.pod, observed, self.memory.health, host)
        if verdict := allot(self.pod, self.memory, self._fits):
            ctx.event(self.pod, *verdict)
        plan = plan_pod(allotted_pod(self.pod, self.memory), observed, self.memory, now)
        for name, waiting in plan.waiting.items():
            if waiting.reason == "CrashLoopBackOff" and self._waiting.get(name) != waiting:
                text = f"Back-off restarting failed container {name} in pod {meta.name(self.pod)}_{meta.namespace(self.pod)}({self.uid})"
                ctx.event(self.pod, "Warning", "BackOff", text, container=name)
        self._waiting = plan.waiting
        return observed, plan

    async def _sync(self) -> None:
        """Plan and act until nothing is left to do, then report."""
        for _ in range(ROUNDS):
            _, plan = self._look()
            if plan.fail is not None:
                self.memory.failed = plan.fail
                self._ctx.event(self.pod, "Normal", *plan.fail)
            elif not plan.actions:
                await self._report()
                self._wake_at(plan.wake_at)
                return
            elif await self._act_all(plan):
                return
        raise RuntimeError("the plan of a pod does not converge")

    async def _act_all(self, plan: Plan) -> bool:
        """Act, one action after the other, as long as the plan holds. True: the pod is finished."""
        for action in plan.actions:
            if isinstance(action, Finish):
                await self._finish()
                return True
            was_deleting = meta.is_deleting(self.pod)
            if not await self._act(action) or meta.is_deleting(self.pod) != was_deleting:
                return False
        return False

    async def _act(self, action: Action) -> bool:
        """Carry one action out; report in between if it takes long. False if it was broken off."""
        self._action = action
        acting = self._tasks.start(f"{type(action).__name__} {meta.name(self.pod)}", self._guarded(action))
        self._acting = acting
        self._expect_report()
        try:
            await asyncio.wait({acting})
        except asyncio.CancelledError:
            acting.cancel()
            await asyncio.wait({acting})
            raise
        finally:
            self._acting = None
            if self._report_timer is not None:
                self._report_timer.cancel()
        if acting.cancelled():
            return False
        error = acting.result()
        if error is not None:
            raise error
        return True

    async def _guarded(self, action: Action) -> Exception | None:
        try:
            await self._actor.act(allotted_pod(self.pod, self.memory), self.memory, action)
        except Exception as error:
            return error
        return None

    async def _finish(self) -> None:
        """Its last status, then everything of it here, then its object."""
        await self._report()
        await self._actor.act(self.pod, self.memory, Finish())
        if not self.is_gone:
            await self._delete()
        self.close()
        self._on_done(self.uid)

    async def _delete(self) -> None:
        """Its object, if that is still there."""
        client, namespace, name = self._ctx.client, meta.namespace(self.pod), meta.name(self.pod)
        with contextlib.suppress(NotFound):
            try:
                await client.delete("pods", name, namespace, uid=self.uid, grace_seconds=0)
            except Conflict:
                if meta.uid(await client.get("pods", name, namespace)) == self.uid:
                    raise  # not another of that name: somebody was quicker with another write

    # --- reporting -------------------------------------------------------------------------------------------------------

    def _expect_report(self) -> None:
        """Say how far the pod has come if its action is not done in time."""
        loop = asyncio.get_running_loop()
        self._report_timer = loop.call_at(due := loop.time() + REPORT_SECONDS, self._report_slow, due)

    def _report_slow(self, due: float) -> None:
        if self._acting is None or self._acting.done() or self._is_done:
            return
        if asyncio.get_running_loop().time() - due > BUSY_SECONDS:
            self._expect_report()  # not the action is slow, everything is: more writes would not help
        else:
            self._tasks.start(f"report {meta.name(self.pod)}", self._try_report())

    async def _try_report(self) -> None:
        try:
            await self._report()
        except StatusError as error:
            log.info("status not written", extra={"pod": str(meta.key(self.pod)), "error": str(error)})

    async def _report(self) -> None:
        """Bring the API server's status up to date; nothing is written when it is."""
        async with self._writing:
            if self.is_gone:
                return
            ctx, pod = self._ctx, self.pod
            observed = ctx.observations.pod(self.uid)
            await self._read_messages(observed)
            # Without a network yet there is no address to tell.
            is_attached = observed.sandbox is not None and self.memory.attached == observed.sandbox.id
            address = (ctx.sandbox_ip(pod) or ctx.node_ip) if is_attached else ""
            facts = Facts(ctx.node_ip, address, self._waiting, self._messages)
            status = pod_status(pod, observed, self.memory, facts, ctx.clock.now())
            patch = status_patch(pod.get("status") or {}, status)
            if not patch:
                return
            try:
                answer = await ctx.client.patch_status(
                    "pods",
                    meta.name(pod),
                    meta.namespace(pod),
                    {"metadata": {"uid": self.uid}, "status": patch},
                    type="strategic",
                )
            except (NotFound, Conflict):
                return  # it is gone, or another of its name is there: the informer will say so
            if meta.uid(answer) == self.uid and meta.revision(answer) >= meta.revision(self.pod) and not self.is_gone:
                # It may tell what the watch has not told yet, and will then not tell again: of a deletion, or of a status that others
                # changed and that the patch, made from the older one, did not put right.
                is_written = meta.revision(answer) > meta.revision(self.pod)
                is_other = is_written and bool(status_patch(answer.get("status") or {}, status))
                self._take(answer, is_news=is_other or not _same_but_status(answer, self.pod))

    async def _read_messages(self, observed: ObservedPod) -> None:
        """The termination messages of containers that have ended, each read once."""
        policies = {c["name"]: c.get("terminationMessagePolicy") for c in all_containers(self.pod)}
        for attempts in observed.containers.values():
            for info in attempts:
                if has_ended(info) and info.id not in self._messages:
                    name = info.labels.get(names.CONTAINER, "")
                    text = self._ctx.volumes.termination_message(self.uid, name, attempt_of(info))
                    if not text and policies.get(name) == "FallbackToLogsOnError" and exit_code(info) != 0:
                        text = await self._log_tail(info)
                    self._messages[info.id] = text

    async def _log_tail(self, info: ContainerInfo) -> str:
        output = bytearray()
        try:
            async for _, data in self._ctx.runtime.logs(info.id, LogOptions(tail=_FALLBACK_LINES)):
                output += data
        except RuntimeFailure as error:
            return f"Error reading termination log: {error}"
        return output[-_FALLBACK_BYTES:].decode(errors="replace")


def _same_but_status(one: ROObj, other: ROObj) -> bool:
    """Spec and the parts of the metadata that matter to a running pod are the same."""
    a, b = one["metadata"], other["metadata"]
    return (
        all(
            a.get(key) == b.get(key)
            for key in ("deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "generation")
        )
        and one["spec"] == other["spec"]
    )


def orphan(observed: ObservedPod) -> Obj:
    """A stand-in for the object of a pod that has containers here and is unknown to the API server: being deleted."""
    labels = next(iter(observed.everything())).labels
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": labels.get(names.POD_NAME, ""),
            "namespace": labels.get(names.NAMESPACE, ""),
            "uid": labels.get(names.UID, ""),
        },
        "spec": {"containers": [{"name": name} for name in observed.containers]},
    }
