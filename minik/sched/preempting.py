"""Carrying out preemptions: nominating the pod, and removing the victims that `preemption.py` chose.

Victims go through the eviction subresource, so that a disruption budget that has no room any more by then is not violated: the server
refuses, the preemption ends there, and the pod is tried again. The server says on the victim for whom it went (DisruptionTarget,
PreemptionByScheduler), as the annotation of the Eviction asks: nobody but the scheduler may.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

from minik.aio import Tasks
from minik.api.core_v1.pods import PREEMPTED_BY
from minik.api.errors import Conflict, NotFound, StatusError
from minik.client.client import Client
from minik.client.recorder import Recorder
from minik.sched.preemption import Budgets, Victims
from minik.sched.queue import Waiting
from minik.sched.snapshot import Cluster, PodInfo

log = logging.getLogger("minik.sched")

AT_ONCE = 16
"""Evictions under way at a time."""


class Outcome(Protocol):
    """What the loop is told of each preemption."""

    def not_preempted(self, waiting: Waiting, node: str) -> None:
        """A victim could not be removed."""
        ...


class Preempting:
    """Preemptions under way, and whom they cost."""

    def __init__(self, client: Client, cluster: Cluster, outcome: Outcome) -> None:
        self._client = client
        self._cluster = cluster
        self._outcome = outcome
        self._tasks = Tasks("sched.preemption")
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._victims: dict[str, frozenset[str]] = {}

    def going(self, uid: str) -> frozenset[str]:
        """The uids of the pods that go, or have gone, for the pod with that uid."""
        return self._victims.get(uid, frozenset())

    def forget(self, uid: str) -> None:
        """The pod has a node, is gone, or has given up its nomination."""
        self._victims.pop(uid, None)

    def start(self, waiting: Waiting, victims: Victims, scheduler: str, recorder: Recorder) -> None:
        """Remove `victims` for `waiting`; `recorder` tells of it under the name of `scheduler`."""
        self._victims[waiting.pod.uid] = frozenset(pod.uid for pod in victims.pods)
        self._tasks.start(f"preempt for {waiting.pod.key}", self._preempt(waiting, victims, scheduler, recorder))

    async def _preempt(self, waiting: Waiting, victims: Victims, scheduler: str, recorder: Recorder) -> None:
        budgets = self._cluster.part(Budgets)
        protected = [pod for pod in victims.pods if budgets.of(pod)]
        others = [pod for pod in victims.pods if not budgets.of(pod)]
        annotations = {PREEMPTED_BY: scheduler}
        try:
            for victim in protected:  # one by one: if a budget refuses, the rest need not go in vain
                await self._evict(victim, waiting.pod, victims.node, annotations, recorder)
            await self._evict_all(others, waiting.pod, victims.node, annotations, recorder)
        except StatusError as error:
            log.info("preemption refused", extra={"pod": str(waiting.pod.key), "error": error.message})
            self.forget(waiting.pod.uid)
            self._outcome.not_preempted(waiting, victims.node)

    async def _evict_all(
        self, victims: Sequence[PodInfo], pod: PodInfo, node: str, annotations: Mapping[str, str], recorder: Recorder
    ) -> None:
        evictions = [self._evict(victim, pod, node, annotations, recorder) for victim in victims]
        for outcome in await asyncio.gather(*evictions, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def _evict(
        self, victim: PodInfo, pod: PodInfo, node: str, annotations: Mapping[str, str], recorder: Recorder
    ) -> None:
        """Raises StatusError if the pod stays."""
        if pod.uid not in self._victims:
            return  # nobody needs the room any more
        try:
            async with self._slots:
                await self._client.evict(victim.key, uid=victim.uid, annotations=annotations)
        except (NotFound, Conflict):
            return  # it is gone, or another has its name
        message = f"Preempted by pod {pod.uid} on node {node}"
        recorder.event(victim.obj, "Normal", "Preempted", message, action="Preempting", related=_reference(pod))

    async def close(self) -> None:
        """Cancel what is under way."""
        await self._tasks.close()


def _reference(pod: PodInfo) -> Mapping[str, str]:
    return {
        "apiVersion": "v1", "kind": "Pod", "namespace": pod.key.namespace, "name": pod.key.name, "uid": pod.uid,
    }  # fmt: skip
