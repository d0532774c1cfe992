"""A client process of the `peer` section: `python -m scripts.benchlib.peer_worker SPEC PHASES`, both JSON; prints what it found as JSON.

Several of them share the work where one Python process would be the limit. A phase is
{"do": "writes", "clients", "seconds", "size", "mark"}, {"do": "watch", "count", "every", "size", "mark"} or
{"do": "fill", "keys", "overwrites", "size", "mark"}; `mark` keeps the keys of phases and workers apart.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import uvloop

from scripts.benchlib.peers import Peer, peer_of
from scripts.benchlib.process import disk_of, memory_of

_FILLERS = 64


async def writes(peer: Peer, *, clients: int, seconds: float, size: int, mark: str) -> dict[str, Any]:
    """New keys as fast as they are acknowledged; how many, and in which time."""
    value, numbers = b"x" * size, count()
    begin = time.monotonic()

    async def work(client: int) -> int:
        done = 0
        while time.monotonic() - begin < seconds:
            await peer.put(client, f"{mark}-{next(numbers)}", value, new=True)
            done += 1
        return done

    done = sum(await asyncio.gather(*map(work, range(clients))))
    return {"writes": done, "seconds": time.monotonic() - begin}


async def watch(peer: Peer, *, count: int, every: float, size: int, mark: str) -> dict[str, Any]:
    """One write every `every` seconds: seconds from its send until a watch shows it."""
    value = b"x" * size
    sent: dict[str, float] = {}
    seen: list[float] = []
    ready = asyncio.Event()

    async def follow() -> None:
        async for key in peer.events(ready):
            if key in sent:
                seen.append(time.monotonic() - sent[key])
                if len(seen) == count:
                    return

    following = asyncio.ensure_future(follow())
    await ready.wait()
    await asyncio.sleep(0.2)
    begin = time.monotonic()

    async def write(number: int) -> None:
        key = f"watched-{mark}-{number}"
        sent[key] = time.monotonic()
        await peer.put(number % _FILLERS, key, value, new=True)

    writing = []
    for number in range(count):
        await asyncio.sleep(max(0.0, begin + number * every - time.monotonic()))
        writing.append(asyncio.ensure_future(write(number)))
    await asyncio.gather(*writing)
    await asyncio.wait_for(following, 20)
    return {"latencies": seen}


async def fill(peer: Peer, *, keys: int, overwrites: int, size: int, mark: str) -> dict[str, Any]:
    """`keys` new keys, or that many overwrites of keys that were made with this mark."""
    value = b"y" * size if overwrites else b"x" * size
    numbers = iter(range(overwrites or keys))

    async def work(client: int) -> None:
        for number in numbers:
            await peer.put(client, f"{mark}-{number % keys}", value, new=not overwrites)

    await asyncio.gather(*map(work, range(_FILLERS)))
    return {}


PHASES: Mapping[str, Callable[..., Awaitable[dict[str, Any]]]] = {"writes": writes, "watch": watch, "fill": fill}


async def run(spec: dict[str, Any], phases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    peer = peer_of(spec)
    await peer.open(_FILLERS)
    found = []
    try:
        for phase in phases:
            arguments = {key: value for key, value in phase.items() if key != "do"}
            cpu = time.process_time()
            result = await PHASES[phase["do"]](peer, **arguments)
            gc.collect()
            disk = disk_of(Path(spec["directory"])) if "directory" in spec else 0.0
            found.append({**result, "cpu": time.process_time() - cpu, "memory": memory_of("self"), "disk": disk})
    finally:
        await peer.close()
    return found


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(json.loads(sys.argv[1]), json.loads(sys.argv[2])))))
