"""Sections of what costs when nothing happens: starting, resting, and the short commands."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scripts.benchlib import load
from scripts.benchlib.objects import CONFIGMAPS, PODS, client_of, config_map, count_ready, small_pod
from scripts.benchlib.process import ROOT, Process, output, server
from scripts.benchlib.run import Run
from scripts.benchlib.waiting import until

TIMES = 10


async def start(run: Run) -> None:
    """Cold starts: no data, certificates made on the way."""
    readies, nodes = [], []
    for _ in range(3):
        async with server("--containers", "fake") as running:
            readies.append(await running.ready())
            async with client_of(running) as client:

                async def is_ready() -> bool:
                    return await count_ready(client) > 0

                await until(is_ready, "the node is Ready", timeout=30, every=0.01)
                nodes.append(time.monotonic() - running.started)
    run.add("cold start to /readyz", min(readies), f"median {statistics.median(readies):.2f} of 3")
    run.add("cold start to node Ready", min(nodes), f"median {statistics.median(nodes):.2f} of 3")


async def idle(run: Run) -> None:
    """A server with all controllers and nobody talking to it."""
    async with server("--no-agent") as running:
        await running.ready()
        await asyncio.sleep(5)
        cpu, writes, begin = running.cpu, running.writes, time.monotonic()
        await asyncio.sleep(20)
        elapsed = time.monotonic() - begin
        run.add("idle memory, server with controllers", running.memory)
        run.add("idle CPU, server", 100 * (running.cpu - cpu) / elapsed)
        run.add("idle disk writes", (running.writes - writes) / 4096 / elapsed, "pages of 4 KB")


async def agent(run: Run) -> None:
    """An agent process of its own (simulated containers) with nothing to run."""
    async with server("--no-agent") as running:
        await running.ready()
        token = (await output("token", "create", "--data-dir", str(running.directory))).strip()
        with tempfile.TemporaryDirectory(prefix="minik-bench-") as directory:
            joined = Process(
                ["agent", "--join", running.url, "--token", token, "--name", "bench", "--data-dir", directory,
                 "--containers", "fake", "--log-level", "warning"],
                Path(directory) / "log",
            )  # fmt: skip
            try:
                await asyncio.sleep(8)
                joined.check()
                cpu, begin = joined.cpu, time.monotonic()
                await asyncio.sleep(25)
                joined.check()
                run.add("idle memory, agent", joined.memory)
                run.add("idle CPU, agent", 100 * (joined.cpu - cpu) / (time.monotonic() - begin))
            finally:
                joined.stop()


async def commands(run: Run) -> None:
    """The short commands from the start of their process to its end: median of ten."""
    async with server("--no-agent") as running:
        await running.ready()
        connection = await load.Connection.open(running.port, running.tls())
        for path, body in ((PODS, small_pod("one")), (CONFIGMAPS, config_map("one", 500))):
            status, answer = await connection.request(load.message("POST", path, json.dumps(body).encode()))
            if status != 201:
                raise RuntimeError(answer)
        connection.close()
        for name, words in {
            "minik --help": ["--help"],
            "minik get": ["get", "pods", "--data-dir", str(running.directory)],
        }.items():
            _time_command(words)  # the files are in memory, their byte code is made
            times = [_time_command(words) for _ in range(TIMES)]
            run.add(name, 1000 * statistics.median(times), f"{1000 * min(times):.0f} to {1000 * max(times):.0f}")
        times = [_time_process([sys.executable, "-c", "pass"]) for _ in range(TIMES)]
        run.add("python -c pass, for comparison", 1000 * statistics.median(times), unit="ms")


def _time_command(words: list[str]) -> float:
    script = Path(sys.executable).with_name("minik")
    return _time_process(
        [
            str(script) if script.exists() else sys.executable,
            *([] if script.exists() else ["-m", "minik.cli.main"]),
            *words,
        ]
    )


def _time_process(command: list[str]) -> float:
    """Seconds. Raises RuntimeError with its complaint if it fails."""
    begin = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    elapsed = time.monotonic() - begin
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
    return elapsed
