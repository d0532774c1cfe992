"""Cuts the power at every operation of a recorded log, in every way that `powercut.py` plans, and has each state examined."""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import looptime
import pytest

from tests.crash.ledger import Ledger
from tests.crash.recovery import Recoveries
from tests.support.powercut import Disk, Files, plan_cuts
from tests.support.recordfs import Recorder

T = TypeVar("T")

SEEDS = (
    [int(os.environ["MINIK_SEED"])]
    if "MINIK_SEED" in os.environ
    else list(range(1, 1 + int(os.environ.get("MINIK_CRASH_SEEDS", "2"))))
)
"""Of this run; see tests/crash/test_power_cut.py."""


@dataclass(frozen=True, slots=True)
class Failure:
    moment: int
    what: str
    wrong: str


@dataclass(slots=True)
class Report:
    """`states` were rebuilt, `distinct` of them differed and were opened."""

    states: int = 0
    distinct: int = 0
    failures: list[Failure] = field(default_factory=list)
    lost: int = 0
    """States in which acknowledged writes are missing; only counted where that is allowed."""
    samples: list[tuple[int, Files, int]] = field(default_factory=list)
    """Some of the sound states: (moment, files, last durable revision)."""

    def check(self, seed: int, test: str) -> None:
        """Fail, and say how to repeat it, if there was a failure."""
        print(f"{test}, seed {seed}: {self.states} states, {self.distinct} distinct")
        if self.failures:
            shown = "\n".join(f"  power cut after operation {f.moment}, {f.what}: {f.wrong}" for f in self.failures[:8])
            pytest.fail(
                f"{len(self.failures)} of {self.states} states are wrong:\n{shown}\n"
                f"again with: MINIK_SEED={seed} scripts/test tests/crash -k {test}",
                pytrace=False,
            )


async def examine(
    recorder: Recorder,
    ledger: Ledger,
    recoveries: Recoveries,
    rng: random.Random,
    *,
    start: int = 0,
    lossy: bool = False,
    subsets: int = 4,
    samples: int = 0,
    share: float = 1.0,
    stop_at_first: bool = False,
) -> Report:
    """Judge the states of that `share` of the moments from `start` on; `samples` of the sound ones are handed out."""
    report = Report()
    disk = Disk(recorder.existing)
    before = recoveries.distinct
    for moment in range(len(recorder.log) + 1):
        if moment:
            disk.play(recorder.log[moment - 1])
        if moment < start or rng.random() >= share:
            continue
        for variant in plan_cuts(disk, rng, subsets=subsets):
            files = disk.cut(variant.fates)
            last, wrong = await recoveries.judge(files, ledger, moment, lossy=lossy)
            report.states += 1
            if wrong:
                report.failures.append(Failure(moment, variant.what, wrong))
                if stop_at_first:
                    return report
                continue
            assert last is not None
            report.lost += last < ledger.acknowledged_at(moment)
            _sample(report, (moment, files, last), samples, rng)
    report.distinct = recoveries.distinct - before
    return report


def _sample(report: Report, state: tuple[int, Files, int], samples: int, rng: random.Random) -> None:
    """Each state has the same chance."""
    if len(report.samples) < samples:
        report.samples.append(state)
    elif samples and (place := rng.randrange(report.states)) < samples:
        report.samples[place] = state


@contextmanager
def directories() -> Iterator[tuple[Path, Path]]:
    """Two empty directories, in memory where the machine has such a place."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as root:
        first, second = Path(root, "recorded"), Path(root, "recovered")
        first.mkdir()
        second.mkdir()
        yield first, second


def run(work: Coroutine[Any, Any, T]) -> T:
    """In an event loop of simulated time."""
    with asyncio.Runner(loop_factory=lambda: looptime.new_event_loop(start=0)) as runner:
        return runner.run(work)
