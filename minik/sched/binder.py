"""Telling the API server what was decided: bindings, and why a pod could not be placed.

Bindings run concurrently, at most `MAX_IN_FLIGHT`; the loop has already counted the pod on its node and takes it back if the
server refuses.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from minik.aio import Tasks
from minik.api import meta, times
from minik.api.errors import StatusError
from minik.api.meta import Obj, ROObj
from minik.client.client import Client
from minik.client.recorder import Recorder
from minik.clock import Clock
from minik.sched.queue import Waiting

log = logging.getLogger("minik.sched")

MAX_IN_FLIGHT = 64


class Outcome(Protocol):
    """What the loop is told of each binding."""

    def bound(self, waiting: Waiting, node: str) -> None: ...
    def refused(self, waiting: Waiting, node: str, error: StatusError) -> None: ...


class Binder:
    """Carries out the scheduler's decisions."""

    def __init__(self, client: Client, recorder: Recorder, clock: Clock, outcome: Outcome) -> None:
        self._client = client
        self._recorder = recorder
        self._clock = clock
        self._outcome = outcome
        self._tasks = Tasks("sched.binder")
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)

    def bind_nowait(self, waiting: Waiting, node: str) -> None:
        """Start binding the pod to `node`; `outcome` hears how it went."""
        self._tasks.start(f"bind {waiting.pod.key}", self._bind(waiting, node))

    async def _bind(self, waiting: Waiting, node: str) -> None:
        pod = waiting.pod
        async with self._slots:
            try:
                await self._client.bind(pod.key, node, uid=pod.uid)
            except StatusError as error:
                self._outcome.refused(waiting, node, error)
                return
        self._outcome.bound(waiting, node)
        self._recorder.event(
            pod.obj, "Normal", "Scheduled", f"Successfully assigned {pod.key} to {node}", action="Binding"
        )

    def explain_nowait(self, waiting: Waiting, message: str) -> None:
        """Record that the pod fits nowhere: an Event, and its PodScheduled condition."""
        pod = waiting.pod
        self._recorder.event(pod.obj, "Warning", "FailedScheduling", message, action="Scheduling")
        condition = meta.condition(pod.obj, "PodScheduled")
        if condition and condition.get("status") == "False" and condition.get("message") == message:
            return
        self._tasks.start(f"explain {pod.key}", self._explain(pod.obj, message))

    async def _explain(self, pod: ROObj, message: str) -> None:
        before = meta.condition(pod, "PodScheduled") or {}
        since = before.get("lastTransitionTime") if before.get("status") == "False" else None
        condition: Obj = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
            "lastProbeTime": None,
            "lastTransitionTime": since or times.format_time(self._clock.now()),
        }
        patch = {"metadata": {"uid": meta.uid(pod)}, "status": {"conditions": [condition]}}
        try:
            await self._client.patch(
                "pods", meta.name(pod), meta.namespace(pod), patch, type="strategic", subresource="status"
            )
        except StatusError as error:
            log.debug("pod condition not written", extra={"pod": str(meta.key(pod)), "error": error.message})

    async def close(self) -> None:
        """Cancel what is under way."""
        await self._tasks.close()
