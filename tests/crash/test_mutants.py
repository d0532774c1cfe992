"""The proof can fail: with a careless disk or a careless store, the power cuts find what is lost."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from minik.storage import database
from minik.storage.base import Op
from tests.crash.cuts import Report, directories, examine, run
from tests.crash.ledger import Ledger
from tests.crash.recovery import Recoveries
from tests.crash.workload import Mix, Workload
from tests.support.recordfs import Recorder

SEED = 1
MIX = Mix(large=0, reopen=0, backup=0)


async def first_failure(
    *,
    steps: int = 12,
    synchronous: str = "FULL",
    drops_syncs: bool = False,
    first: Callable[[Workload], Any] | None = None,
) -> Report:
    rng = random.Random(SEED)
    with directories() as (recorded, recovered):
        recorder = Recorder(recorded)
        recorder.drops_syncs = drops_syncs
        workload = Workload(recorder, Ledger(), rng, synchronous=synchronous, mix=MIX)
        await workload.open()
        if first is not None:
            await first(workload)
        for _ in range(steps):
            await workload.step(MIX.draw(rng))
        await workload.close()
        recoveries = Recoveries(recovered, synchronous=synchronous)
        return await examine(recorder, workload.ledger, recoveries, rng, stop_at_first=True)


def test_a_disk_that_answers_syncs_and_does_nothing_is_found() -> None:
    report = run(first_failure(drops_syncs=True))
    assert report.failures


def test_a_store_that_does_not_sync_is_found() -> None:
    report = run(first_failure(synchronous="OFF"))
    assert report.failures


def test_a_store_that_syncs_only_at_checkpoints_is_found_to_lose_what_it_acknowledged() -> None:
    report = run(first_failure(synchronous="NORMAL"))
    assert "acknowledged write is lost" in report.failures[0].wrong


def test_a_commit_that_is_not_one_transaction_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = database.write

    def one_by_one(db: sqlite3.Connection, rows: Sequence[Any], extras: Any) -> int:
        for row in rows:
            whole(db, [row], database.Extras())
        return whole(db, [], extras) if extras else 0

    async def several(workload: Workload) -> None:
        await workload.commit([Op(f"pods/c/{n}", b"x") for n in range(4)])

    monkeypatch.setattr(database, "write", one_by_one)
    report = run(first_failure(first=several))
    assert "half a commit" in report.failures[0].wrong


def test_a_store_that_forgets_the_revisions_of_keys_in_memory_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = database.write

    def without_ceiling(db: sqlite3.Connection, rows: Sequence[Any], extras: Any) -> int:
        return whole(db, rows, replace(extras, ceiling=None))

    async def events(workload: Workload) -> None:
        await workload.commit([Op(f"events/a/{n}", b"x", durable=False) for n in range(4)])

    monkeypatch.setattr(database, "write", without_ceiling)
    report = run(first_failure(first=events, steps=2))
    assert "given out again" in report.failures[0].wrong


def test_a_store_that_loses_history_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = database.write

    def forgets_too_much(db: sqlite3.Connection, rows: Sequence[Any], extras: Any) -> int:
        done = whole(db, rows, extras)
        db.execute("DELETE FROM history WHERE revision = 2 AND type = 2")
        return done

    async def create_and_delete(workload: Workload) -> None:
        await workload.commit([Op("pods/c/1", b"x")])
        await workload.commit([Op("pods/c/1", None)])

    monkeypatch.setattr(database, "write", forgets_too_much)
    report = run(first_failure(first=create_and_delete, steps=2))
    assert report.failures
