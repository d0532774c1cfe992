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

from scripts.benchlib.process import ROOT, cpu_of, disk_of, free_port, memory_of, server
from scripts.benchlib.run import Run
from scripts.benchlib.waiting import Skip, until

SIZES = {"1 KB": 1024, "5.4 KB": 5438}
ROUNDS = 3
SECONDS = 1.5
EVENTS = 400
KEYS = 20_000


@dataclass(slots=True)
class Side:
    """One of the three with its figures: name of a measurement → value."""

    name: str
    spec: dict[str, Any]
    directory: Path
    pid: int | None = None
    rounds: dict[str, dict[int, list[float]]] = field(default_factory=dict)
    """Measurement → number of client processes → a figure for each round."""

    def add(self, name: str, value: float, workers: int = 1) -> None:
        self.rounds.setdefault(name, {}).setdefault(workers, []).append(value)

    def best(self, name: str) -> float:
        """The better median of one client process and of two: more writes, less of anything else."""
        medians = [statistics.median(each) for each in self.rounds[name].values()]
        return max(medians) if name.startswith("writes") else min(medians)


async def peer(run: Run) -> None:
    if shutil.which("etcd") is None:
        raise Skip("etcd is not installed (apt-get install etcd-server)")
    if importlib.util.find_spec("aetcd") is None:
        raise Skip("aetcd is not installed (pip install aetcd, or minik's extra bench)")
    async with _etcd() as etcd, _store() as store, _server() as whole:
        await _measure(run, [etcd, store, whole])
        _compare(run, etcd, store, whole)
    async with _etcd() as etcd, _store() as store, _server() as whole:  # fresh ones, that all hold the same
        for side in (etcd, store, whole):
            await _fill(run, side)
        _compare(run, etcd, store, whole)


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


async def _measure(run: Run, sides: list[Side]) -> None:
    """Everything in turns, so that what else the machine does falls on all of them; medians of the rounds."""
    seconds = SECONDS * max(0.3, run.options.scale)
    for label, size in SIZES.items():
        for clients in (1, 64):
            for workers in (1, 2) if clients > 1 else (1,):
                for number in range(ROUNDS):
                    for side in sides:
                        if workers == 1 or side.pid:
                            mark = f"w{size}-{clients}-{workers}-{number}"
                            await _writes(
                                side, label, mark, workers=workers, clients=clients, seconds=seconds, size=size
                            )
        for number in range(ROUNDS):
            phase = {"do": "watch", "count": run.options.sized(EVENTS, 50), "every": 0.01, "size": size}
            for side in sides:
                answer = await _worker(side.spec, {**phase, "mark": f"{size}-{number}"})
                latencies = [1000 * each for each in answer[0]["latencies"]]
                side.add(f"watch p50, {label}", statistics.median(latencies))
                side.add(f"watch p99, {label}", statistics.quantiles(latencies, n=100)[98])


async def _writes(side: Side, label: str, mark: str, *, workers: int, clients: int, seconds: float, size: int) -> None:
    """Writes a second, and the CPU of one."""
    before = cpu_of(side.pid) if side.pid else 0.0
    phase = {"do": "writes", "clients": clients // workers, "seconds": seconds, "size": size}
    answers = await asyncio.gather(*(_worker(side.spec, {**phase, "mark": f"{mark}-{n}"}) for n in range(workers)))
    found = [answer[0] for answer in answers]
    done = sum(each["writes"] for each in found)
    spent = cpu_of(side.pid) - before if side.pid else sum(each["cpu"] for each in found)
    key = f"{label}, {clients} client{'s' if clients > 1 else ''}"
    side.add(f"writes/s, {key}", sum(each["writes"] / each["seconds"] for each in found), workers)
    side.add(f"CPU µs, {key}", 1e6 * spent / done, workers)


async def _fill(run: Run, side: Side) -> None:
    """Memory and disk after many keys, and after each of them was overwritten twice. Nothing is compacted meanwhile on any side."""
    keys = run.options.sized(KEYS)
    make = {"do": "fill", "keys": keys, "overwrites": 0, "size": 1024, "mark": "fill"}
    phases = {"keys": make, "overwrites": {**make, "overwrites": 2 * keys}}
    if side.pid is None:  # the store lives in its worker, which must be one for all phases
        answers = await _worker(side.spec, *phases.values())
        found = {label: (answer["memory"], answer["disk"]) for label, answer in zip(phases, answers, strict=True)}
    else:
        found = {}
        for label, phase in phases.items():
            await _worker(side.spec, phase)
            found[label] = memory_of(side.pid), disk_of(side.directory)
    for label, (memory, disk) in found.items():
        side.add(f"memory, {label}", memory)
        side.add(f"disk, {label}", disk)


# --- telling --------------------------------------------------------------------------------------------------------------


def _compare(run: Run, etcd: Side, store: Side, whole: Side) -> None:
    for name in etcd.rounds:
        for side in (store, whole):
            run.add(
                f"peer: {side.name}, {name}",
                *_ratio(name, side.best(name), etcd.best(name), side.name),
                unit="× etcd",
            )


def _ratio(name: str, ours: float, theirs: float, who: str) -> tuple[float, str]:
    """minik's cost by etcd's, and the two figures."""
    if name.startswith("writes/s"):
        return theirs / ours, f"{who} {ours:,.0f}/s, etcd {theirs:,.0f}/s"
    unit = "µs" if name.startswith("CPU") else "ms" if name.startswith("watch") else "MB"
    return ours / theirs, f"{who} {ours:,.2f} {unit}, etcd {theirs:,.2f} {unit}"
