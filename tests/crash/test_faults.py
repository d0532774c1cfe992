"""Disks that fail: every single operation of a workload in turn, and for a while; the store open and going on, and after power cuts.

What was acknowledged is there; what was refused with StoreFullError is not, not even after a power cut at the worst moment; what was
refused with UnknownError may come back after one, whole, if nothing was committed since. Once the disk works, so does the store, and
what it knows in memory is what is in the file.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest

from minik.storage import check
from minik.storage.base import ConflictError, Op, OpenError, Revision, UnknownError
from tests.crash.cuts import SEEDS, directories, run
from tests.crash.ledger import Ledger, Recovered
from tests.crash.recovery import recover
from tests.crash.workload import Mix, Refusal, Workload
from tests.support.powercut import Disk, Files, plan_cuts
from tests.support.recordfs import Fault, Recorder

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""apsw tells of failures that SQLite does not pass on."""

STEPS = 8
RETRY = 60.0
"""Seconds (of simulated time): far longer than a store waits until it tries again."""
MIX = Mix(sleep=4, large=1, compact=2, reopen=1, backup=0)


async def work(workload: Workload, seed: int) -> None:
    """The same steps for the same seed, whatever fails in between; what fails to open is opened again, the disk having been healed."""
    rng = random.Random(seed)
    await open_(workload)
    for _ in range(STEPS):
        name = MIX.draw(rng)
        if name == "reopen":
            await workload.close()
            await open_(workload)
        else:
            await workload.step(name)


async def open_(workload: Workload) -> None:
    try:
        await workload.open()
    except OpenError:
        assert workload.recorder.fault is not None
        assert workload.recorder.fault.hit
        workload.recorder.fault = None
        await workload.open()
    store = workload.store
    if workload.refusals:
        floor, revision = await store.oldest_revision(), await store.current_revision()
        found = Recovered(
            {record.key: record for record in (await store.list("")).records},
            await store.events("", since=floor, upto=revision),
            floor,
            revision,
            Revision(revision + 1),
        )
        _adopt_unknown(workload, found)


def _adopt_unknown(workload: Workload, found: Recovered) -> None:
    """A commit that may come back with the next start did: it happened."""
    for refusal in workload.refusals:
        if isinstance(refusal.error, UnknownError) and refusal.last == workload.ledger.last:
            alternative = with_unknown(workload.ledger, refusal, found)
            if alternative is not None and alternative.judge(found).last == alternative.last > refusal.last:
                workload.ledger.adopt(alternative)


async def count_operations(seed: int) -> int:
    with directories() as (recorded, _):
        workload = Workload(Recorder(recorded), Ledger(), random.Random(seed))
        await work(workload, seed)
        await workload.close()
        return workload.recorder.operations


async def check_open_store(workload: Workload) -> list[str]:
    """What the open store says against what it was told; what it knows in memory against the file."""
    store, ledger = workload.store, workload.ledger
    wrong = await workload.connection.run(check.check_all)
    wrong += await workload.connection.run(lambda db: [m for (m,) in db.execute("PRAGMA journal_mode") if m != "wal"])
    listed = {record.key: record for record in (await store.list("")).records}
    if listed != {key: record for key, (record, _) in ledger.live.items()}:
        wrong.append("list differs from what was acknowledged")
    floor = await store.oldest_revision()
    events = await store.events("pods/", since=floor, upto=await store.current_revision())
    if list(events) != [e for e in ledger.events if e.revision > floor and e.key.startswith("pods/")]:
        wrong.append("history differs from what was acknowledged")
    for key in listed:
        at = listed[key].revision
        try:  # decided by the index in memory
            await store.commit([Op(key, b"", Revision(at + 1))])
        except ConflictError as error:
            if error.actual == at:
                continue
        wrong.append(f"the index in memory is wrong about {key}")
    return wrong


def with_unknown(ledger: Ledger, refusal: Refusal, recovered: Recovered) -> Ledger | None:
    """What the ledger would be had the refused commits been carried out, as it seems that they were in `recovered`."""
    alternative = ledger.fork(refusal.last, refusal.moment)
    tail = [event.revision for event in recovered.events if event.revision > refusal.last]
    tail += [r.revision for r in recovered.records.values() if r.revision > refusal.last]
    ops = [op for commit in refusal.commits for op in commit]
    before = [n for n, op in enumerate(ops) if op.durable]
    if not tail or not before:
        return None
    revision = min(tail) - before[0]
    for commit in refusal.commits:
        if not _holds(alternative, commit):
            continue
        revisions = [Revision(revision + n) for n in range(len(commit))]
        alternative.committed(commit, revisions)
        revision += len(commit)
    return alternative


def _holds(ledger: Ledger, commit: Sequence[Op]) -> bool:
    at = {key: record.revision for key, (record, _) in ledger.live.items()}
    for op in commit:
        actual = at.get(op.key, Revision(0))
        if (op.expected is not None and op.expected != actual) or (op.value is None and not actual):
            return False
        at[op.key] = Revision(0 if op.value is None else -1)
    return True


async def judge(files: Files, workload: Workload, moment: int, directory: Path) -> str:
    """What is wrong after a power cut at `moment` of a run with a failure."""
    ledger = workload.ledger
    recovered = await recover(files, directory)
    verdict = ledger.judge(recovered)
    if verdict.last is not None:
        return ledger.missing(recovered, verdict.last, moment)
    for refusal in workload.refusals:
        undecided = isinstance(refusal.error, UnknownError) or moment < refusal.moment
        if undecided and refusal.last == ledger.acknowledged_at(moment):
            alternative = with_unknown(ledger, refusal, recovered)
            if alternative is not None and alternative.judge(recovered).last is not None:
                return ""
    return verdict.wrong


async def one_failure(seed: int, fault: Fault, outcomes: Counter[str]) -> list[str]:
    """A run in which `fault` strikes; what is wrong with it."""
    rng = random.Random(seed)
    with directories() as (recorded, recovered):
        recorder = Recorder(recorded)
        recorder.fault = fault
        workload = Workload(recorder, Ledger(), random.Random(seed))
        await work(workload, seed)
        hit = fault.hit
        recorder.fault = None
        await asyncio.sleep(RETRY)
        wrong = await check_open_store(workload)
        end = len(recorder.log)
        await workload.close()
        last_files = {p.name: p.read_bytes() for p in recorded.iterdir() if p.name != "lock"}
        final = await recover(last_files, recovered)
        verdict = workload.ledger.judge(final)
        if verdict.last != workload.ledger.last:
            wrong.append(f"after closing: {verdict.wrong or f'{verdict.last} of {workload.ledger.last}'}")
        outcomes[hit] += 1
        outcomes.update(type(refusal.error).__name__ for refusal in workload.refusals)
        moments = {refusal.moment + n for refusal in workload.refusals for n in (-3, -1, 0, 1, 2, 5)}
        moments |= set(rng.sample(range(end), 2))
        disk = Disk(recorder.existing)
        for moment, operation in enumerate(recorder.log, 1):
            disk.play(operation)
            if moment in moments:
                variants = list(plan_cuts(disk, rng, subsets=2))
                for variant in [variants[0], *rng.sample(variants, min(3, len(variants)))]:
                    problem = await judge(disk.cut(variant.fates), workload, moment, recovered)
                    outcomes["power cuts"] += 1
                    if problem:
                        wrong.append(f"power cut after operation {moment}, {variant.what}: {problem}")
    return [f"{fault.error} at {hit}: {text}" for text in wrong]


@pytest.mark.parametrize("seed", SEEDS)
def test_each_operation_fails_once(seed: int) -> None:
    async def all_of_them() -> tuple[list[str], Counter[str], int]:
        rng = random.Random(seed)
        wrong: list[str] = []
        outcomes: Counter[str] = Counter()
        count = await count_operations(seed)
        for number in range(count):
            times = rng.choice((1, 1, 1, 3, 8))
            fault = Fault(after=number, error=rng.choice(("IOERR", "FULL")), half=rng.random() < 0.5, times=times)
            found = await one_failure(seed, fault, outcomes)
            wrong += [f"operation {number}: {text}" for text in found]
        return wrong, outcomes, count

    wrong, outcomes, count = run(all_of_them())
    print(f"seed {seed}: {count} runs, {dict(outcomes)}")
    again = f"again with: MINIK_SEED={seed} scripts/test tests/crash -k test_each_operation_fails_once"
    assert not wrong, f"{len(wrong)} wrong:\n" + "\n".join(wrong[:10]) + f"\n{again}"
    assert outcomes["StoreFullError"]
    assert outcomes["UnknownError"]


@pytest.mark.parametrize("error", ["FULL", "IOERR"])
def test_a_disk_that_takes_nothing_for_a_while(error: Literal["FULL", "IOERR"]) -> None:
    """Reads and keys in memory go on; writes are refused, all of them; when the disk takes writes again, so does the store."""

    async def for_a_while() -> list[str]:
        with directories() as (recorded, recovered):
            recorder = Recorder(recorded)
            workload = Workload(recorder, Ledger(), random.Random(1))
            await workload.open()
            await workload.commit([Op("pods/a/1", b"1")], [Op("events/a/1", b"1", durable=False)])
            recorder.fault = Fault(after=0, error=error, times=1_000_000)
            for value in (b"2", b"3"):
                await workload.commit([Op("pods/a/1", value)], [Op("pods/a/2", value)])
                if error == "FULL":  # while it is not known what is on disk, there are no new revisions at all
                    await workload.commit([Op("events/a/1", value, durable=False)])
                await asyncio.sleep(7)  # long enough to try to move the log into the file
            refused = [commit[0].key for refusal in workload.refusals for commit in refusal.commits]
            assert refused == ["pods/a/1", "pods/a/2"] * 2
            assert [record.value for record in (await workload.store.list("pods/")).records] == [b"1"]
            if error == "FULL":
                assert [record.value for record in (await workload.store.list("events/")).records] == [b"3"]
            recorder.fault = None
            await asyncio.sleep(RETRY)
            await workload.commit([Op("pods/a/2", b"4")])
            assert len(workload.refusals) == 2
            wrong = await check_open_store(workload)
            await workload.close()
            final = await recover({p.name: p.read_bytes() for p in recorded.iterdir() if p.name != "lock"}, recovered)
            assert workload.ledger.judge(final).last == workload.ledger.last
            return wrong

    assert run(for_a_while()) == []
