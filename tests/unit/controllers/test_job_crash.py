"""A Job's counting survives every crash: the controller dies at its n-th request, for every n, before or after the server did it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from minik.api import meta
from minik.api.batch_v1 import jobs
from minik.api.errors import StatusError
from minik.api.meta import ROObj
from minik.client.manager import Manager
from minik.client.transport import ListResult, Transport, WatchEvent
from minik.controllers import job
from minik.controllers.common.job_pods import index_of
from minik.metrics import Metrics
from tests.support.cluster import ControlPlane, control_plane
from tests.support.kubelet import Exit, Kubelet
from tests.unit.controllers.test_job import COMPLETE, a_job

pytestmark = pytest.mark.looptime


class Dying:
    """A transport whose user dies at its n-th write: the request is never sent (`before`), or it is and nobody hears the answer."""

    def __init__(self, inner: Transport, fatal: int, *, before: bool, late: float = 0.0) -> None:
        self.inner = inner
        self.fatal = fatal
        self.before = before
        self.late = late
        self.writes = 0
        self.dead = asyncio.Event()
        self.posthumous: set[asyncio.Task[Any]] = set()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "",
    ) -> ROObj:
        more: dict[str, Any] = {"query": query, "body": body}
        if content_type:
            more["content_type"] = content_type
        if method == "GET" or path.endswith("/events"):
            return await self.inner.request(method, path, **more)
        if self.dead.is_set():
            await asyncio.get_running_loop().create_future()
        self.writes += 1
        if self.writes == self.fatal:
            if not self.before:
                await self._send_anyway(method, path, more)
            self.dead.set()
            await asyncio.get_running_loop().create_future()
        return await self.inner.request(method, path, **more)

    async def _send_anyway(self, method: str, path: str, more: dict[str, Any]) -> None:
        async def send() -> None:
            await asyncio.sleep(self.late)
            with contextlib.suppress(StatusError):  # refused, and nobody hears of it
                await self.inner.request(method, path, **more)

        task = asyncio.get_running_loop().create_task(send())
        self.posthumous.add(task)
        if not self.late:
            await asyncio.wait([task])

    async def list(self, path: str, *, query: Mapping[str, str] | None = None) -> ListResult:
        return await self.inner.list(path, query=query)

    def watch(self, path: str, *, query: Mapping[str, str] | None = None) -> AsyncIterator[WatchEvent]:
        return self.inner.watch(path, query=query)

    async def close(self) -> None:
        await self.inner.close()


async def _run_until_death(c: ControlPlane, transport: Any) -> bool:
    """A job controller until its transport dies, or all is done. Whether it died."""
    manager = Manager(
        [job.CONTROLLER],
        transport,
        c.server.server.registry,
        clock=c.clock,
        entropy=c.server.entropy,
        metrics=Metrics(),
    )
    await manager.start()
    try:
        async with asyncio.timeout(300):
            await transport.dead.wait()
        return True
    except TimeoutError:
        return False
    finally:
        await manager.close()


async def _crash_at(fatal: int, *, before: bool, late: float, indexed: bool) -> bool:
    """Run a Job whose controller dies at its `fatal`-th write; whether it got so far. Then another controller ends the Job."""
    seen: set[str] = set()
    doomed: set[str] = set()

    def plays(pod: ROObj) -> Exit:
        if meta.uid(pod) not in seen:
            seen.add(meta.uid(pod))
            if len(doomed) < 2 and len(seen) in (2, 3):
                doomed.add(meta.uid(pod))
        return Exit(1 if meta.uid(pod) in doomed else 0, after=2)

    kubelet = Kubelet(plays)
    async with control_plane(kubelet.controller) as c:
        mode = {"completionMode": "Indexed", "backoffLimitPerIndex": 2} if indexed else {"backoffLimit": 10}
        await c.create("jobs.batch", a_job(completions=4, parallelism=3, **mode))
        dying = Dying(c.server.local(), fatal, before=before, late=late)
        died = await _run_until_death(c, dying)
        await _run_until_death(c, Dying(c.server.local(), 0, before=True))
        done = await c.client.get("jobs.batch", "j", "default")
        status = done["status"]
        assert [(x["type"], x["reason"]) for x in status["conditions"] if x["status"] == "True"] == COMPLETE, status
        pods = (await c.client.list("pods", "default")).items
        ended = Counter(pod["status"]["phase"] for pod in pods)
        assert status["succeeded"] == 4 and status.get("failed", 0) == ended["Failed"] == len(doomed), (status, ended)
        assert status["uncountedTerminatedPods"] == {} and not status.get("active")
        assert not any(map(meta.finalizers, pods))
        if indexed:
            assert status["completedIndexes"] == "0-3"
            made = Counter(
                (index_of(pod), meta.annotations(pod)[jobs.INDEX_FAILURES]) for pod in kubelet.created.values()
            )
            assert set(made.values()) == {1}, made  # no index has two pods for one try
            assert len(kubelet.created) == 4 + len(doomed)
        return died


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize(("before", "late"), [(True, 0.0), (False, 0.0), (False, 0.5)])
async def test_counts_are_exact_wherever_the_controller_dies(before: bool, late: float, indexed: bool) -> None:
    fatal = 1
    while await _crash_at(fatal, before=before, late=late, indexed=indexed):
        fatal += 1
    assert fatal > 15
