"""The link of a node whose pods use as much cpu as a test says: what `metrics.k8s.io` is measured from, without an agent.

async with metered(c.server, c.client) as meter:
    meter.use(lambda pod: 150)             # thousandths of a core, of every pod from now on
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import datetime

from minik.aio import running
from minik.api import meta, times
from minik.api.core_v1 import pods
from minik.api.meta import ROObj
from minik.client.client import Client
from minik.clock import Clock
from minik.link.mux import Mux, Stream
from minik.link.pipe import memory_pipe
from minik.link.requests import STDOUT, StatsRequest, parse_request
from minik.link.samples import ContainerSample, NodeSample, Usage, encode_sample
from tests.support.apiserver import Running

MEMORY = 32 << 20


class Meter:
    def __init__(self, client: Client, clock: Clock, node: str) -> None:
        self.node = node
        self.asked = 0
        self._client, self._clock = client, clock
        self._load: Callable[[ROObj], int] = lambda _pod: 1
        self._used: dict[str, float] = {}
        self._counted: dict[str, datetime] = {}

    async def use(self, load: Callable[[ROObj], int]) -> None:
        """From now on each pod uses `load(pod)` thousandths of a core."""
        await self._count()
        self._load = load

    async def _count(self) -> list[ROObj]:
        now = self._clock.now()
        here = (await self._client.list("pods", field_selector=f"spec.nodeName={self.node}")).items
        alive = [pod for pod in here if pods.phase(pod) == "Running"]
        for pod in alive:
            uid = meta.uid(pod)
            since = self._counted.get(uid, times.parse_time(pod["status"]["startTime"]))
            nanos = (now - since).total_seconds() * self._load(pod) * 1e6
            self._used[uid] = self._used.get(uid, 0.0) + nanos
            self._counted[uid] = now
        return alive

    async def serve(self, payload: bytes, stream: Stream) -> None:
        assert isinstance(parse_request(payload), StatsRequest)
        self.asked += 1
        alive = await self._count()
        containers = tuple(
            ContainerSample(
                meta.uid(pod), pod["spec"]["containers"][0]["name"], times.parse_time(pod["status"]["startTime"]),
                Usage(int(self._used[meta.uid(pod)]), MEMORY),
            )
            for pod in alive
        )  # fmt: skip
        sample = NodeSample(self._clock.now(), Usage(int(sum(self._used.values())), 1 << 30), containers)
        await stream.send(STDOUT, encode_sample(sample))


@contextlib.asynccontextmanager
async def metered(server: Running, client: Client, node: str = "n1") -> AsyncIterator[Meter]:
    """A link of `node` while the block runs."""
    meter = Meter(client, server.clock, node)
    ours, theirs = memory_pipe()
    async with running("meter") as tasks:
        tasks.start("server", server.links.serve(node, ours, keepalive=False))
        tasks.start("agent", Mux(theirs, is_server=False, handler=meter.serve, keepalive=False).run())
        await asyncio.sleep(0)
        yield meter
