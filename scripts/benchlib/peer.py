"""Section `peer`: Debian's etcd against minik, the same keys and values in one run, durable both.

Of minik it is the store (in its process) and a whole server (through HTTPS, with all that an API server does to an object). Where a
Python process could be the limit of a client, two share the work as well and the better result counts. The CPU that the server's
process spent on a write is given too: that is not clouded by what the clients cost. All ratios say minik's cost by etcd's: below 1,
minik is cheaper.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.benchlib.process import ROOT, cpu_of, free_port, memory_of, server
from scripts.benchlib.run import Run
from scripts.benchlib.waiting import Skip, until

SIZES = {"1 KB": 1024, "5.4 KB": 5438}
SECONDS = 4.0
EVENTS = 400
KEYS = 20_000


@dataclass(slots=True)
class Side:
    """One of the three with its figures: name of a measurement → value."""

    name: str
    spec: dict[str, Any]
    directory: Path
    pid: int | None = None
    found: dict[str, float] = field(default_factory=dict)


async def peer(run: Run) -> None:
    if shutil.which("etcd") is None:
        raise Skip("etcd is not installed (apt-get install etcd-server)")
    if importlib.util.find_spec("aetcd") is None:
        raise Skip("aetcd is not installed (pip install aetcd, or minik's extra bench)")
    sides = []
    for opened in (_etcd, _store, _server):  # one after the other, so that nobody shares the machine
        async with opened() as side:
            await _measure(run, side)
            sides.append(side)
    _compare(run, *sides)


# --- the sides ------------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _etcd() -> AsyncIterator[Side]:
    with tempfile.TemporaryDirectory(prefix="minik-bench-etcd-") as directory:
        port, root = free_port(), Path(directory)
        url, peers = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{free_port()}"
        with (root / "log").open("wb") as log:
            child = subprocess.Popen(  # noqa: ASYNC220  # takes a millisecond, before anything is measured
                ["etcd", "--name", "bench", "--data-dir", str(root / "data"),
                 "--listen-client-urls", url, "--advertise-client-urls", url,
                 "--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", f"bench={peers}",
                 "--quota-backend-bytes", str(8 << 30), "--log-level", "error"],
                stdout=log, stderr=log,
            )  # fmt: skip
        try:
            await until(lambda: _is_healthy(port), "etcd answers", timeout=30, every=0.1)
            yield Side("etcd", {"kind": "etcd", "port": port}, root / "data", child.pid)
        finally:
            child.terminate()
            child.wait()


async def _is_healthy(port: int) -> bool:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return b'"true"' in answer
    return False


@contextlib.asynccontextmanager
async def _store() -> AsyncIterator[Side]:
    with tempfile.TemporaryDirectory(prefix="minik-bench-") as directory:
        yield Side("store", {"kind": "store", "directory": directory}, Path(directory))


@contextlib.asynccontextmanager
async def _server() -> AsyncIterator[Side]:
    async with server("--no-agent") as running:
        await running.ready()
        spec = {"kind": "server", "port": running.port, "directory": str(running.directory)}
        yield Side("server", spec, running.directory, running.pid)


# --- measuring ------------------------------------------------------------------------------------------------------------


async def _worker(spec: dict[str, Any], *phases: dict[str, Any]) -> list[dict[str, Any]]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "scripts.benchlib.peer_worker", json.dumps(spec), json.dumps(phases),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await child.communicate()
    if child.returncode:
        raise RuntimeError(f"a client of {spec['kind']} failed")
    found: list[dict[str, Any]] = json.loads(out)
    return found


async def _measure(run: Run, side: Side) -> None:
    seconds = SECONDS * run.options.scale
    for label, size in SIZES.items():
        for clients in (1, 64):
            key = f"{label}, {clients} client{'s' if clients > 1 else ''}"
            for workers in (1, 2) if clients > 1 and side.pid else (1,):
                await _writes(side, key, workers=workers, clients=clients, seconds=seconds, size=size)
        phase = {"do": "watch", "count": run.options.sized(EVENTS, 50), "every": 0.01, "size": size, "mark": f"{size}"}
        latencies = (await _worker(side.spec, phase))[0]["latencies"]
        side.found[f"watch p50, {label}"] = 1000 * statistics.median(latencies)
        side.found[f"watch p99, {label}"] = 1000 * statistics.quantiles(latencies, n=100)[98]
    await _fill(run, side)


async def _writes(side: Side, key: str, *, workers: int, clients: int, seconds: float, size: int) -> None:
    """Writes a second, the better of what was measured with fewer workers; CPU of a write."""
    before = cpu_of(side.pid) if side.pid else 0.0
    phase = {"do": "writes", "clients": clients // workers, "seconds": seconds, "size": size}
    answers = await asyncio.gather(
        *(_worker(side.spec, {**phase, "mark": f"w{size}-{clients}-{workers}-{n}"}) for n in range(workers))
    )
    found = [answer[0] for answer in answers]
    rate = sum(each["writes"] / each["seconds"] for each in found)
    spent = cpu_of(side.pid) - before if side.pid else sum(each["cpu"] for each in found)
    if rate > side.found.get(f"writes/s, {key}", 0.0):
        side.found[f"writes/s, {key}"] = rate
        side.found[f"CPU µs, {key}"] = 1e6 * spent / sum(each["writes"] for each in found)


async def _fill(run: Run, side: Side) -> None:
    """Memory and disk after many keys, and after each of them was overwritten twice. Nothing is compacted meanwhile on any side."""
    keys = run.options.sized(KEYS)
    make = {"do": "fill", "keys": keys, "overwrites": 0, "size": 1024, "mark": "fill"}
    for label, phase in {"keys": make, "overwrites": {**make, "overwrites": 2 * keys}}.items():
        answer = await _worker(side.spec, phase)
        side.found[f"memory, {label}"] = memory_of(side.pid) if side.pid else answer[0]["memory"]
        side.found[f"disk, {label}"] = _used(side.directory)


def _used(directory: Path) -> float:
    """What a directory takes on disk, MB."""
    return sum(file.stat().st_blocks for file in directory.rglob("*") if file.is_file()) * 512 / 1e6


# --- telling --------------------------------------------------------------------------------------------------------------


def _compare(run: Run, etcd: Side, store: Side, whole: Side) -> None:
    for name in etcd.found:
        for side in (store, whole):
            run.add(
                f"peer: {side.name}, {name}",
                *_ratio(name, side.found[name], etcd.found[name], side.name),
                unit="× etcd",
            )


def _ratio(name: str, ours: float, theirs: float, who: str) -> tuple[float, str]:
    """minik's cost by etcd's, and the two figures."""
    if name.startswith("writes/s"):
        return theirs / ours, f"{who} {ours:,.0f}/s, etcd {theirs:,.0f}/s"
    unit = "µs" if name.startswith("CPU") else "ms" if name.startswith("watch") else "MB"
    return ours / theirs, f"{who} {ours:,.2f} {unit}, etcd {theirs:,.2f} {unit}"
