"""Crash states: what a power cut may leave of the store's files, at every moment and in every order, opened with the real code.

Each test records what a store does (`workload.py`, drawn by a seed), rebuilds the states (`cuts.py`; `tests/support/powercut.py` says
what a power cut may do) and opens every one that differs with `SqliteStore.open` over the standard library's SQLite. Then all of
`check.py` must hold; there must be exactly the first so many commits, whole, with values, revisions, authors and history; every one
that was acknowledged among them; and the next revision must be greater than all that anybody was given.

More seeds: `MINIK_CRASH_SEEDS=50 scripts/test tests/crash` (seeds 1 to 50; 2 otherwise). One seed again, as a failure names it:
`MINIK_SEED=17 scripts/test tests/crash`. `-s` shows how many states there were.
"""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

from minik.storage import database
from minik.storage.base import Op, Revision
from tests.crash.cuts import SEEDS, Report, directories, examine, run
from tests.crash.ledger import Ledger
from tests.crash.recovery import Recoveries, lay_out, recover
from tests.crash.workload import Mix, Workload
from tests.support.powercut import Disk
from tests.support.recordfs import Recorder

QUIET = Mix(volatile=0, large=0, sleep=1, compact=0, reopen=0, backup=0)


async def record_and_examine(
    seed: int, steps: int, *, synchronous: str = "FULL", mix: Mix | None = None, bulk: bool = False, samples: int = 0
) -> tuple[Report, Workload]:
    """One workload and all its states."""
    rng = random.Random(seed)
    with directories() as (recorded, recovered):
        recorder = Recorder(recorded)
        workload = Workload(recorder, Ledger(), rng, synchronous=synchronous, mix=mix)
        if bulk:
            await workload.open()
            await workload.bulk()
            await workload.step("sleep")
            await workload.step("compact")
            await workload.close()
        await workload.run(steps)
        report = await examine(
            recorder,
            workload.ledger,
            Recoveries(recovered, synchronous=synchronous),
            rng,
            lossy=synchronous == "NORMAL",
            samples=samples,
            share=0.3 if bulk else 1.0,
        )
        return report, workload


@pytest.mark.parametrize("seed", SEEDS)
def test_first_start(seed: int) -> None:
    """From no file at all to the first commits."""
    report, _ = run(record_and_examine(seed, 3, mix=QUIET))
    report.check(seed, "test_first_start")


@pytest.mark.parametrize("seed", SEEDS)
def test_everything(seed: int) -> None:
    """Single and concurrent commits, transactions, deletions, keys in memory, checkpoints, compaction, closing and opening."""
    report, workload = run(record_and_examine(seed, 14))
    report.check(seed, "test_everything")
    assert report.distinct > 1000
    assert not workload.refusals


@pytest.mark.parametrize("seed", SEEDS[:1])
def test_forgetting_in_slices(seed: int) -> None:
    report, workload = run(record_and_examine(seed, 0, bulk=True))
    report.check(seed, "test_forgetting_in_slices")
    assert workload.ledger.compacted[-1][1] > 512


@pytest.mark.parametrize("seed", SEEDS)
def test_without_a_sync_per_commit_the_last_writes_may_go_but_nothing_else(seed: int) -> None:
    """`synchronous=NORMAL`: what is there is still the first so many commits, and sound."""
    report, _ = run(record_and_examine(seed, 8, synchronous="NORMAL"))
    report.check(seed, "test_without_a_sync_per_commit")
    assert report.lost, "NORMAL lost nothing: it is as strict as FULL, or the power cuts are too kind"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_second_power_cut_during_and_after_recovery(seed: int) -> None:
    async def again() -> Report:
        rng = random.Random(seed)
        first, workload = await record_and_examine(seed, 8, samples=4)
        total = Report()
        for moment, files, last in first.samples:
            with directories() as (recorded, recovered):
                lay_out(files, recorded)
                recorder = Recorder(recorded)
                second = Workload(recorder, workload.ledger.fork(last, moment), rng)
                await second.run(3)
                report = await examine(recorder, second.ledger, Recoveries(recovered), rng, subsets=2, share=0.5)
            total.states += report.states
            total.distinct += report.distinct
            total.failures += report.failures
        return total

    run(again()).check(seed, "test_a_second_power_cut")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_power_cut_after_a_kill(seed: int) -> None:
    """The process is killed and another one goes on with files of which a part is not on disk yet; then the power is cut.

    What the second one shows must be durable, also when it is a write that the first one did not live to sync.
    """

    async def again() -> Report:
        rng = random.Random(seed)
        total = Report()
        with directories() as (recorded, _):
            first = Recorder(recorded)
            workload = Workload(first, Ledger(), rng, mix=QUIET)
            await workload.run(8)
        disk = Disk(first.existing)
        for moment, operation in enumerate(first.log, 1):
            disk.play(operation)
            unsynced = disk.open_operations()
            if not unsynced or rng.random() < 0.9:
                continue
            with directories() as (recorded, recovered):
                lay_out(disk.cut([True] * len(unsynced)), recorded)
                recorder = Recorder(recorded, after=first.log[:moment])
                recoveries = Recoveries(recovered)
                known = workload.ledger.judge(await recoveries.recover(disk.cut([True] * len(unsynced))))
                assert known.last is not None, known.wrong
                second = Workload(recorder, workload.ledger.fork(known.last, moment), rng, mix=QUIET)
                await second.run(1)
                report = await examine(recorder, second.ledger, recoveries, rng, start=moment, subsets=2, share=0.5)
            total.states += report.states
            total.distinct += report.distinct
            total.failures += report.failures
        return total

    run(again()).check(seed, "test_a_power_cut_after_a_kill")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_backup_is_the_state_of_one_revision(seed: int) -> None:
    """Whatever is written while it is made."""

    async def back_up() -> int:
        with directories() as (recorded, recovered):
            ledger = Ledger()
            mix = Mix(backup=12, sleep=1, reopen=1, compact=2)
            workload = Workload(Recorder(recorded), ledger, random.Random(seed), mix=mix)
            await workload.run(30)
            for path, revision in workload.backups:
                found = await recover({"state.db": path.read_bytes()}, recovered)
                verdict = ledger.judge(found)
                assert verdict.last == max(last for last in ledger.states if last <= revision), verdict.wrong
                assert found.next > revision
            return len(workload.backups)

    assert run(back_up()) > 2


@pytest.mark.parametrize("seed", SEEDS[:1])
def test_bringing_an_old_file_to_this_release(seed: int) -> None:
    """A file of format 1 with a write in it, and a power cut anywhere in the migration and after it."""

    async def migrate() -> Report:
        rng = random.Random(seed)
        with directories() as (recorded, recovered):
            ledger = Ledger()
            ops = [Op("pods/a/1", b"old")]
            ledger.committed(ops, make_format_1(recorded / "state.db", ops))
            ledger.opened(0, 1)
            recorder = Recorder(recorded)
            await Workload(recorder, ledger, rng, mix=QUIET).run(4)
            return await examine(recorder, ledger, Recoveries(recovered), rng)

    run(migrate()).check(seed, "test_bringing_an_old_file")


def make_format_1(path: Path, ops: list[Op]) -> list[Revision]:
    """What the first release would have left; returns the revisions."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript(database.MIGRATIONS[0] + f"PRAGMA application_id = {0x6D6E696B}; PRAGMA user_version = 1;")
    revisions = [Revision(number) for number in range(1, len(ops) + 1)]
    for revision, op in zip(revisions, ops, strict=True):
        db.execute("INSERT INTO write VALUES (?, ?, NULL, ?, ?)", (revision, revision, op.key, op.value))
    db.close()
    return revisions
