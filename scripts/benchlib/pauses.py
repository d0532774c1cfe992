"""Section `pauses`: how long a request may have to wait for something that holds up the whole server.

Measured from outside, by a process of its own that sends a GET at a steady rate whatever became of the ones before (`prober.py`), while
pods are created and listed at moderate rates: what is slow here is a pause (collection of garbage, a long step of the event loop) and
not a queue. With `--profile`, what the server's loop did for longer than 50 ms at a time is told too.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Callable

from scripts.benchlib import load
from scripts.benchlib.objects import PODS, make_nobody, pod
from scripts.benchlib.process import ROOT, Server, server
from scripts.benchlib.profile import stalls
from scripts.benchlib.run import Run
from scripts.benchlib.watching import Watching

COUNT = 10_000
RATE = 200
SECONDS = 30.0
LONG = 0.05


async def pauses(run: Run) -> None:
    count, seconds = run.options.sized(COUNT), SECONDS * max(0.2, run.options.scale)
    async with server("--no-agent") as running:
        await running.ready()
        await make_nobody(running)
        port, tls = running.port, running.tls()
        await load.send(port, tls, map(_create("old"), range(count)), clients=16, expect=201)
        async with Watching(running, 10).opened(), asyncio.TaskGroup() as group:
            busy = [
                group.create_task(_steadily(running, _create("new"), 300)),
                group.create_task(_steadily(running, lambda _: load.message("GET", f"{PODS}?limit=500"), 10)),
                group.create_task(_steadily(running, lambda _: load.message("GET", PODS), 0.5)),
            ]
            await asyncio.sleep(1)
            found: list[str] = []
            watched = stalls(running.pid, LONG, found) if run.options.profile else contextlib.nullcontext()
            with watched:
                answer = await _probe(running, seconds)
            for task in busy:
                task.cancel()
        note = f"GET at {RATE}/s for {seconds:.0f} s; the prober itself was late by up to {answer['late']:.1f} ms"
        run.add("pauses: p50", answer["p50"], note, unit="ms")
        for name in ("p99", "p99.9", "max"):
            run.add(f"pauses: {name}", answer[name], unit="ms")
        for line in found:
            run.say(f"stall: {line}")


def _create(prefix: str) -> Callable[[int], bytes]:
    return lambda n: load.message("POST", PODS, json.dumps(pod(f"{prefix}-{n}")).encode())


async def _steadily(running: Server, make: Callable[[int], bytes], rate: float) -> None:
    """One request after another, at most `rate` a second, until cancelled."""
    connection = await load.Connection.open(running.port, running.tls())
    begin = time.monotonic()
    for number in range(10**9):
        await asyncio.sleep(max(0.0, begin + number / rate - time.monotonic()))
        status, answer = await connection.request(make(number))
        if status not in (200, 201):
            raise RuntimeError(answer[:500])


async def _probe(running: Server, seconds: float) -> dict[str, float]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "scripts.benchlib.prober", str(running.port), str(running.directory), f"{PODS}/old-0", str(RATE),
        str(seconds), cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await child.communicate()
    if child.returncode:
        raise RuntimeError("the prober failed")
    answer: dict[str, float] = json.loads(out)
    return answer
