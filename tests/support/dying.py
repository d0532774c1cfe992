"""Controllers that die in the middle: at their n-th write, before the server got it, after it did it, or while it is on its way.

    fatal = 1
    while await crash(fatal): fatal += 1          # crash runs everything once, and says whether the controller got to write `fatal`

`Dying` is the transport, `run_until_death` runs a controller on it until it dies or time is up.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from minik.api.errors import StatusError
from minik.api.meta import ROObj
from minik.client.controller import Controller
from minik.client.manager import Manager
from minik.client.transport import ListResult, Transport, WatchEvent
from minik.metrics import Metrics
from tests.support.cluster import ControlPlane


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


async def run_until_death(c: ControlPlane, controller: Controller, dying: Dying, *, seconds: float = 300) -> bool:
    """A controller until its transport dies, or `seconds` have passed. Whether it died."""
    registry = c.server.server.registry
    manager = Manager([controller], dying, registry, clock=c.clock, entropy=c.server.entropy, metrics=Metrics())
    await manager.start()
    try:
        async with asyncio.timeout(seconds):
            await dying.dead.wait()
        return True
    except TimeoutError:
        return False
    finally:
        await manager.close()
