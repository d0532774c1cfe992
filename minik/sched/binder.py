"""Telling the API server what was decided: bindings, nominations, and why a pod could not be placed.

Bindings run concurrently, at most `MAX_IN_FLIGHT`; the loop has already counted the pod on its node and takes it back if the
server refuses. What plugins have to do before a binding (`hooks.BindStep.pre_bind`) may take long: such pods wait beside those.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Protocol

from minik.aio import Tasks
from minik.api import meta, times
from minik.api.errors import StatusError
from minik.api.meta import Obj, ROObj
from minik.client.client import Client
from minik.client.recorder import Recorder
from minik.clock import Clock
from minik.sched.extender import Extender
from minik.sched.hooks import BindStep
from minik.sched.queue import Waiting
from minik.sched.snapshot import Cluster, PodInfo

log = logging.getLogger("minik.sched")

MAX_IN_FLIGHT = 64
MAX_PREPARING = 2048
"""Pods whose steps are under way; with more of them, nothing more is decided until one is done."""

UNSCHEDULABLE = "Unschedulable"
FAILED = "SchedulerError"
"""Reasons of a PodScheduled condition that is False: the pod fits nowhere; an attempt ended with an error."""
_SAYING = ("status", "reason", "message", "observedGeneration")
"""The fields of it that matter; the others are times."""


class Outcome(Protocol):
    """What the loop is told of each binding."""

    def bound(self, waiting: Waiting, node: str) -> None: ...
    def refused(self, waiting: Waiting, node: str, error: StatusError) -> None: ...


class Binder:
    """Carries out the scheduler's decisions."""

    def __init__(self, client: Client, clock: Clock, outcome: Outcome) -> None:
        self._client = client
        self._clock = clock
        self._outcome = outcome
        self._tasks = Tasks("sched.binder")
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._preparing: dict[str, asyncio.Task[Any]] = {}
        self._binding = 0

    @property
    def busy(self) -> bool:
        """Whether so much is under way that deciding more would only make a longer queue."""
        return self._binding >= 2 * MAX_IN_FLIGHT or len(self._preparing) >= MAX_PREPARING

    # --- binding -----------------------------------------------------------------------------------------------------

    def bind_nowait(
        self,
        waiting: Waiting,
        node: str,
        steps: Sequence[BindStep],
        cluster: Cluster,
        *,
        recorder: Recorder,
        extender: Extender | None = None,
    ) -> None:
        """Start binding the pod to `node`, after `steps`, by `extender` if it does that; `outcome` hears how it went, unless it is
        cancelled."""
        name = f"bind {waiting.pod.key}"
        if steps:
            task = self._tasks.start(name, self._prepare(waiting, node, steps, cluster, recorder, extender))
            self._preparing[waiting.pod.uid] = task
        else:
            self._binding += 1
            self._tasks.start(name, self._bind(waiting, node, recorder, extender))

    def cancel(self, uid: str) -> bool:
        """The pod is gone: its steps need not be finished. A binding that has been sent runs on (False), and is refused."""
        task = self._preparing.pop(uid, None)
        return task is not None and task.cancel()

    async def _prepare(
        self,
        waiting: Waiting,
        node: str,
        steps: Sequence[BindStep],
        cluster: Cluster,
        recorder: Recorder,
        extender: Extender | None,
    ) -> None:
        try:
            for step in steps:
                await step.pre_bind(waiting.pod, node, cluster, self._client)
        except StatusError as error:
            recorder.event(waiting.pod.obj, "Warning", "FailedScheduling", error.message, action="Scheduling")
            self._outcome.refused(waiting, node, error)
            return
        finally:
            if self._preparing.get(waiting.pod.uid) is asyncio.current_task():
                del self._preparing[waiting.pod.uid]
        self._binding += 1
        await self._bind(waiting, node, recorder, extender)

    async def _bind(self, waiting: Waiting, node: str, recorder: Recorder, extender: Extender | None) -> None:
        pod = waiting.pod
        try:
            async with self._slots:
                if extender is None or not await extender.bind(pod, node):
                    await self._client.bind(pod.key, node, uid=pod.uid)
        except StatusError as error:
            self._outcome.refused(waiting, node, error)
            return
        finally:
            self._binding -= 1
        self._outcome.bound(waiting, node)
        recorder.event(pod.obj, "Normal", "Scheduled", f"Successfully assigned {pod.key} to {node}", action="Binding")

    # --- saying why not ----------------------------------------------------------------------------------------------

    def explain_nowait(
        self,
        pod: ROObj,
        message: str,
        *,
        recorder: Recorder,
        reason: str = UNSCHEDULABLE,
        nominated: str | None = None,
        quietly: bool = False,
    ) -> None:
        """Record why the pod has no node: an Event, and its PodScheduled condition with that `reason`. `pod` as it is now. `nominated`: the
        node where preemption makes room for it, "" for none any more, None for no change. `quietly`: without an Event if the condition
        says so already."""
        condition = meta.condition(pod, "PodScheduled") or {}
        made = self._condition(pod, condition, reason, message)
        said = all(condition.get(field) == made[field] for field in _SAYING)
        if not (said and quietly):
            recorder.event(pod, "Warning", "FailedScheduling", message, action="Scheduling")
        status: Obj = {} if said else {"conditions": [made]}
        if nominated is not None and nominated != (pod.get("status") or {}).get("nominatedNodeName", ""):
            status["nominatedNodeName"] = nominated or None
        if status:
            self._tasks.start(f"explain {meta.key(pod)}", self._patch(pod, status))

    def nominate_nowait(self, pod: PodInfo, node: str) -> None:
        """Write down where preemption makes room for the pod; "" for nowhere any more."""
        self._tasks.start(f"nominate {pod.key}", self._patch(pod.obj, {"nominatedNodeName": node or None}))

    def _condition(self, pod: ROObj, before: ROObj, reason: str, message: str) -> Obj:
        since = before.get("lastTransitionTime") if before.get("status") == "False" else None
        return {
            "type": "PodScheduled",
            "observedGeneration": meta.generation(pod),
            "status": "False",
            "reason": reason,
            "message": message,
            "lastProbeTime": None,
            "lastTransitionTime": since or times.format_time(self._clock.now()),
        }

    async def _patch(self, pod: ROObj, status: Obj) -> None:
        patch = {"metadata": {"uid": meta.uid(pod)}, "status": status}
        try:
            await self._client.patch(
                "pods", meta.name(pod), meta.namespace(pod), patch, type="strategic", subresource="status"
            )
        except StatusError as error:
            log.debug("pod status not written", extra={"pod": str(meta.key(pod)), "error": error.message})

    async def close(self) -> None:
        """Cancel what is under way."""
        await self._tasks.close()
