"""Sends a GET at a steady rate and tells how long each took, counted from when it was due: `python -m scripts.benchlib.prober PORT
DIRECTORY PATH RATE SECONDS` prints percentiles as JSON, in ms.

A request that waits does not keep the next one back (it goes over another connection), so a pause of a second is seen by all the
requests that were due in it, not by one: without that, a benchmark leaves out what it should measure ("coordinated omission").
`late` is how late the prober itself came to send at worst: pauses of that length may be its own.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from pathlib import Path

import uvloop

from scripts.benchlib import load
from scripts.benchlib.process import tls_of


async def probe(port: int, directory: Path, path: str, rate: float, seconds: float) -> dict[str, float]:
    tls, message = tls_of(directory), load.message("GET", path)
    free = [await load.Connection.open(port, tls) for _ in range(32)]
    took: list[float] = []
    late: list[float] = []

    async def ask(due: float) -> None:
        late.append(time.monotonic() - due)
        connection = free.pop() if free else await load.Connection.open(port, tls)
        status, answer = await connection.request(message)
        if status != 200:
            raise RuntimeError(answer)
        took.append(time.monotonic() - due)
        free.append(connection)

    gc.freeze()
    gc.disable()
    begin = time.monotonic() + 0.1
    async with asyncio.TaskGroup() as group:
        for number in range(round(rate * seconds)):
            due = begin + number / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            group.create_task(ask(due))
    took.sort()
    marks = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
    found = {name: 1000 * took[min(len(took) - 1, int(part * len(took)))] for name, part in marks.items()}
    return {**found, "max": 1000 * took[-1], "late": 1000 * max(late)}


if __name__ == "__main__":
    port, directory, path, rate, seconds = sys.argv[1:]
    print(json.dumps(uvloop.run(probe(int(port), Path(directory), path, float(rate), float(seconds)))))
