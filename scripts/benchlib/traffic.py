"""Sections of what one server answers: requests a second, and watchers that see everything."""

from __future__ import annotations

import asyncio
import json
import statistics
from collections.abc import Callable

from scripts.benchlib import load
from scripts.benchlib.objects import PODS, pod
from scripts.benchlib.process import server
from scripts.benchlib.run import Run
from scripts.benchlib.watching import fan_out


def create(prefix: str) -> Callable[[int], bytes]:
    """The request that creates pod `prefix`-n."""
    return lambda n: load.message("POST", PODS, json.dumps(pod(f"{prefix}-{n}")).encode())


async def requests(run: Run) -> None:
    """Requests over TLS with client certificates."""
    async with server("--no-agent") as running:
        await running.ready()
        tls, port = running.tls(), running.port
        one = await load.rate(port, tls, create("one"), clients=1, seconds=3, expect=201)
        run.add("durable creates, 1 client", one)
        many = await load.rate(port, tls, create("many"), clients=32, seconds=5, expect=201)
        run.add("durable creates, 32 clients", many)
        get = load.message("GET", f"{PODS}/one-0")
        run.add("GET one object", await load.rate(port, tls, lambda _: get, clients=32, seconds=4, expect=200))
    async with server("--no-agent") as running:
        await running.ready()
        tls, port = running.tls(), running.port
        await load.send(port, tls, map(create("p"), range(500)), clients=4, expect=201)
        listing = load.message("GET", PODS)
        run.add("LIST of 500 pods", await load.rate(port, tls, lambda _: listing, clients=8, seconds=4, expect=200))


async def watchers(run: Run) -> None:
    """1,000 watch streams of ConfigMaps; every event must reach each of them, measured from the create's send to its arrival."""
    count, events = 1000, 20
    async with server("--no-agent") as running:
        await running.ready()
        async with fan_out(running, count) as watching:
            for number in range(events):
                await watching.write(f"event-{number}")
                await asyncio.sleep(0.25)
            await watching.wait(events, timeout=30)
            lost, latencies = count * events - watching.seen, watching.latencies
        run.add("1,000 watchers, events lost", lost)
        run.add("1,000 watchers, p99", 1000 * statistics.quantiles(latencies, n=100)[98], "client on the same cores")
