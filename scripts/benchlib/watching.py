"""Many watch streams of one server, with everything they see counted and timed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator

from scripts.benchlib import load
from scripts.benchlib.objects import CONFIGMAPS
from scripts.benchlib.process import Server
from scripts.benchlib.waiting import until

_WATCH = load.message("GET", f"{CONFIGMAPS}?watch=true&fieldSelector=metadata.name!%3Dkube-root-ca.crt")
_ADDED = b'"type":"ADDED"'
_NAME = b'"name":"'


class Watching:
    """`count` open watches of ConfigMaps. `seen`: events that arrived, over all; `latencies`: seconds each took from the create's send."""

    def __init__(self, running: Server, count: int) -> None:
        self.count, self.seen = count, 0
        self.latencies: list[float] = []
        self._running = running
        self._sent: dict[bytes, float] = {}

    async def write(self, name: str) -> None:
        """Create a ConfigMap that all watchers are to see."""
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "x" * 500}}
        message = load.message("POST", CONFIGMAPS, json.dumps(body).encode())
        self._sent[name.encode()] = time.monotonic()
        status, answer = await self._writer.request(message)
        if status != 201:
            raise RuntimeError(answer)

    async def wait(self, events: int, *, timeout: float) -> None:
        """Until each watcher saw `events` events; after `timeout` the rest counts as lost."""

        async def all_seen() -> bool:
            return self.seen >= self.count * events

        with contextlib.suppress(TimeoutError):
            await until(all_seen, "every watcher saw every event", timeout=timeout, every=0.002)

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Watching]:
        tls = self._running.tls()
        self._writer = await load.Connection.open(self._running.port, tls)
        streams = []
        for _ in range(self.count):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._running.port, ssl=tls, limit=1 << 20)
            writer.write(_WATCH)
            streams.append((reader, writer))
        for reader, _ in streams:
            await reader.readuntil(b"\r\n\r\n")
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._follow(reader)) for reader, _ in streams]
            try:
                yield self
            finally:
                for task in tasks:
                    task.cancel()
                self._writer.close()
                for _, writer in streams:
                    writer.transport.abort()

    async def _follow(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            if _ADDED in line:
                at = line.index(_NAME) + len(_NAME)
                sent = self._sent.get(line[at : line.index(b'"', at)])
                if sent is not None:  # else it was there before
                    self.latencies.append(time.monotonic() - sent)
                    self.seen += 1


class Counted:
    """A watch of which only the ADDED events are counted, in `seen`."""

    def __init__(self) -> None:
        self.seen = 0

    async def follow(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            self.seen += _ADDED in line


@contextlib.asynccontextmanager
async def counted(running: Server, path: str) -> AsyncIterator[Counted]:
    """An open watch of `path` (with its query) for the block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port, ssl=running.tls(), limit=1 << 20)
    writer.write(load.message("GET", path))
    await reader.readuntil(b"\r\n\r\n")
    found = Counted()
    following = asyncio.ensure_future(found.follow(reader))
    try:
        yield found
    finally:
        following.cancel()
        writer.transport.abort()


def fan_out(running: Server, count: int) -> contextlib.AbstractAsyncContextManager[Watching]:
    """`count` open watches for the block."""
    return Watching(running, count).opened()
