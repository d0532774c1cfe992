"""Section `growth`: what an object costs as the work grows. CPU of the server's process, and the time that passed.

Creates, lists and scheduling at 100 to 10,000 pods, scheduling and running on 10 to 5,000 nodes, events for 1 to 1,000 watchers. Sizes
of one series are measured in one server, one after the other, where that is possible: a size's figures are those of what was added.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

from minik.client.client import Client
from scripts.benchlib import load
from scripts.benchlib.objects import (
    PODS,
    client_of,
    count_ready,
    deployment,
    heartbeats,
    make_nobody,
    make_nodes,
    pod,
    small_pod,
)
from scripts.benchlib.process import Server, server
from scripts.benchlib.profile import Profile, profiled
from scripts.benchlib.run import Run
from scripts.benchlib.series import Point, Series
from scripts.benchlib.waiting import until
from scripts.benchlib.watching import Counted, Watching, counted

PODS_SIZES = (100, 1_000, 10_000)
NODE_SIZES = (10, 100, 1_000, 5_000)
WATCHER_SIZES = (1, 10, 100, 1_000)
BOUND = "/api/v1/namespaces/default/pods?watch=true&fieldSelector=spec.nodeName!%3D"
_CLIENTS = 16
_REST = 10
"""Seconds, in which a node renews its lease once."""
_PLENTY = 2_000
"""Pods a node takes that is there for being scheduled to."""


@dataclass(slots=True)
class _Meter:
    """Collects the points of one series from one server or several."""

    run: Run
    name: str
    by: str
    per: str
    fixed: bool = False
    points: list[Point] = field(default_factory=list)

    @contextlib.contextmanager
    def measure(self, running: Server, size: int, count: int) -> Iterator[None]:
        """What the block does with `count` objects."""
        with profiled(running.pid) if self.run.options.profile else contextlib.nullcontext(Profile()) as profile:
            cpu, begin = running.cpu, time.monotonic()
            yield
            cpu, wall = running.cpu - cpu, time.monotonic() - begin
        self.points.append(Point(size, count, cpu, wall, tuple(profile.top)))

    def tell(self) -> None:
        self.run.plot(Series(self.name, self.by, self.per, self.points, self.fixed))


async def growth(run: Run) -> None:
    await _create_and_list(run)
    await _watch(run)
    await _schedule_pods(run)
    await _schedule_nodes(run)
    await _simulated(run)


async def _create_and_list(run: Run) -> None:
    create, listing = _Meter(run, "create", "pods", "pod"), _Meter(run, "list", "pods", "pod")
    async with server("--no-agent") as running:
        await running.ready()
        await make_nobody(running)
        await _create(running, "warm", 0, 20)
        there = 0
        for size in _sizes(run, PODS_SIZES):
            with create.measure(running, size, size - there):
                await _create(running, "pod", there, size)
            there = size
            times = max(3, 30_000 // size)
            connection = await load.Connection.open(running.port, running.tls())
            with listing.measure(running, size, size * times):
                for _ in range(times):
                    status, body = await connection.request(load.message("GET", PODS))
                    if status != 200:
                        raise RuntimeError(body[:500])
            connection.close()
    create.tell()
    listing.tell()


async def _create(running: Server, prefix: str, first: int, end: int) -> None:
    messages = (load.message("POST", PODS, json.dumps(pod(f"{prefix}-{n}")).encode()) for n in range(first, end))
    await load.send(running.port, running.tls(), messages, clients=_CLIENTS, expect=201)


async def _watch(run: Run) -> None:
    meter = _Meter(run, "watch fan-out", "watchers", "event", fixed=True)
    async with server("--no-agent") as running:
        await running.ready()
        for size in _sizes(run, WATCHER_SIZES):
            events = min(400, max(20, 20_000 // size))
            async with Watching(running, size).opened() as watching:
                await watching.write(f"warm-{size}")
                await watching.wait(1, timeout=10)
                with meter.measure(running, size, events):
                    for number in range(events):
                        await watching.write(f"event-{size}-{number}")
                    await watching.wait(1 + events, timeout=60)
                if watching.seen < size * (1 + events):
                    raise RuntimeError(f"{size * (1 + events) - watching.seen} events were lost")
    meter.tell()


async def _schedule_pods(run: Run) -> None:
    meter = _Meter(run, "create and schedule on 100 nodes", "pods", "pod")
    async with server("--no-agent") as running:
        await running.ready()
        async with client_of(running) as client, counted(running, BOUND) as bound:
            await make_nodes(running, client, 100, pods=_PLENTY)
            await _schedule(running, bound, "warm", 0, 20)
            there = 0
            async with heartbeats(client):
                for size in _sizes(run, PODS_SIZES):
                    with meter.measure(running, size, size - there):
                        await _schedule(running, bound, "pod", there, size)
                    there = size
    meter.tell()


async def _schedule_nodes(run: Run) -> None:
    meter = _Meter(run, "create and schedule 1,000 pods", "nodes", "pod", fixed=True)
    count = run.options.sized(1000)
    for size in _sizes(run, NODE_SIZES):
        async with server("--no-agent") as running:
            await running.ready()
            async with client_of(running) as client, counted(running, BOUND) as bound:
                await make_nodes(running, client, size, pods=_PLENTY)
                await _schedule(running, bound, "warm", 0, 20)
                with meter.measure(running, size, count):
                    await _schedule(running, bound, "pod", 0, count)
                if lost := size - await count_ready(client):
                    run.say(
                        f"{meter.name}: {lost} of {size} nodes were no longer Ready at the end: this machine is too slow"
                    )
    meter.tell()


async def _schedule(running: Server, bound: Counted, prefix: str, first: int, end: int) -> None:
    """Create pods and wait until all have a node."""
    wanted = bound.seen + end - first
    bodies = (json.dumps(small_pod(f"{prefix}-{n}", node="")).encode() for n in range(first, end))
    messages = (load.message("POST", PODS, body) for body in bodies)
    await load.send(running.port, running.tls(), messages, clients=_CLIENTS, expect=201)

    async def all_bound() -> bool:
        return bound.seen >= wanted

    await until(all_bound, f"{end - first} pods have a node", timeout=120, every=0.002)


async def _simulated(run: Run) -> None:
    ready = _Meter(run, "simulated nodes Ready, with the server's start", "nodes", "node")
    runs = _Meter(run, "1,000 pods Running on simulated nodes", "nodes", "pod", fixed=True)
    count = run.options.sized(1000)
    rest = _Meter(run, "simulated nodes at rest for a second", "nodes", "node")
    for size in _sizes(run, NODE_SIZES):
        async with _simulated_nodes(run, size, ready) as (running, client):
            with rest.measure(running, size, size * _REST):
                await asyncio.sleep(_REST)
            with runs.measure(running, size, count):
                await _run_pods(client, "web", count)
    ready.tell()
    rest.tell()
    runs.tell()
    grown = _Meter(run, "pods Running on 100 simulated nodes", "pods", "pod")
    async with _simulated_nodes(run, 100, None) as (running, client):
        there = 0
        for size in _sizes(run, PODS_SIZES):
            with grown.measure(running, size, size - there):
                await _run_pods(client, f"web-{size}", size - there)
            there = size
    grown.tell()


@contextlib.asynccontextmanager
async def _simulated_nodes(run: Run, size: int, meter: _Meter | None) -> AsyncIterator[tuple[Server, Client]]:
    """A server with as many simulated nodes, all Ready; `meter` is told what that took."""
    begin = time.monotonic()
    async with server("--containers", "fake", "--nodes", str(size)) as running:
        await running.ready(timeout=120)
        async with client_of(running) as client:

            async def nodes_ready() -> bool:
                return await count_ready(client) >= size

            await until(nodes_ready, f"{size} nodes are Ready", timeout=180, every=max(0.05, size / 5000))
            if meter is not None:
                meter.points.append(Point(size, size, running.cpu, time.monotonic() - begin))
            yield running, client


async def _run_pods(client: Client, name: str, count: int) -> None:
    await client.create("deployments.apps", deployment(name, count))

    async def all_ready() -> bool:
        found = await client.get("deployments.apps", name, "default")
        return bool((found.get("status") or {}).get("readyReplicas", 0) >= count)

    await until(all_ready, f"{count} pods are Running", timeout=180, every=0.05)


def _sizes(run: Run, sizes: tuple[int, ...]) -> list[int]:
    """In a trial run without the greatest ones."""
    return [size for size in sizes if size <= max(sizes) * run.options.scale or size == sizes[0] or size == sizes[1]]
