"""Backups of a store that goes on, what they look like, and restoring them."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from minik.storage import backup, check, copying, sqlite
from minik.storage.backup import describe, restore
from minik.storage.base import BackupError, CompactedError, Event, Op, OpenError, Record, Revision
from minik.storage.high import read_note
from minik.storage.open import open_store
from minik.storage.sqlite import SqliteStore
from tests.support.apswdb import connect_plain
from tests.unit.storage.test_sqlite import StoppedClock

NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    made = await open_store(tmp_path / "data", clock=StoppedClock())
    try:
        yield made
    finally:
        await made.close()


@contextlib.asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[SqliteStore]:
    made = await open_store(directory)
    try:
        yield made
    finally:
        await made.close()


async def records(store: SqliteStore, at: Revision | None = None) -> list[Record]:
    return list((await store.list("pods/", at=at)).records)


async def first(events: AsyncIterator[Event]) -> Event:
    async with asyncio.timeout(5):
        return await anext(events)


def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "_ROWS", 7)
    monkeypatch.setattr(copying, "_BYTES", 60)
    monkeypatch.setattr(copying, "_SYNC_BYTES", 100)
    monkeypatch.setattr(sqlite, "_SLICE", 11)
    monkeypatch.setattr(sqlite, "_EVENT_SLICE", 5)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("in_loop", [False, True])
async def test_a_backup_is_the_state_as_of_one_revision_while_writes_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, in_loop: bool
) -> None:
    small_slices(monkeypatch)
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "state.db"
    store = await (
        SqliteStore.open(path, clock=StoppedClock(), connect=connect_plain) if in_loop else open_store(path.parent)
    )
    rng = random.Random(seed)
    present: set[str] = set()
    written = 0

    async def write() -> None:
        nonlocal written
        key = f"pods/a/{rng.randrange(40)}"
        remove = key in present and rng.random() < 0.3
        (present.discard if remove else present.add)(key)
        await store.commit([Op(key, None if remove else rng.randbytes(rng.randrange(1, 40)), author=f"w{written}")])
        await store.commit([Op("events/a/1", b"e", durable=False)])
        written += 1

    for _ in range(150):
        await write()
    await store.compact(Revision(60))
    making = asyncio.ensure_future(store.backup(tmp_path / "copy.db"))
    checking = asyncio.ensure_future(store.check())
    before = written
    while not making.done() or not checking.done():
        await write()
        if written % 20 == 0:
            await store.compact(Revision(60 + (written - before) // 20))
    assert written > before + 10, "writes go on meanwhile"
    revision = await making
    assert await checking == []
    wanted = await records(store, revision)
    history = {r.key: [v for v in await store.history(r.key) if v.revision <= revision] for r in wanted}
    assert check.check_file(tmp_path / "copy.db") == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy.db", "data"]  # noqa: ASYNC240  # a test may block
    (tmp_path / "other").mkdir()
    shutil.copy(tmp_path / "copy.db", tmp_path / "other" / "state.db")
    async with opened(tmp_path / "other") as copy:
        assert await records(copy) == wanted
        assert await copy.oldest_revision() <= await store.oldest_revision()
        assert await copy.current_revision() == revision + 1
        floor = await store.oldest_revision()
        for key, versions in history.items():
            assert [v for v in await copy.history(key) if v.revision > floor] == [
                v for v in versions if v.revision > floor
            ]
        assert (await copy.list("events/")).records == []
    await store.close()


async def test_a_backup_replaces_an_older_one_and_is_one_private_file(store: SqliteStore, tmp_path: Path) -> None:
    target = tmp_path / "b.db"
    target.write_text("an older one")
    await store.commit([Op("pods/a/1", b"x"), Op("nodes//n", b"y")])
    assert await store.backup(target) == 2
    assert target.stat().st_mode & 0o777 == 0o600
    with contextlib.closing(sqlite3.connect(target)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    summary = describe(target)
    assert (summary.revision, summary.format, dict(summary.objects)) == (2, 2, {"nodes": 1, "pods": 1})
    assert summary.written == StoppedClock().now()
    assert summary.size == target.stat().st_size


async def test_a_backup_that_cannot_be_written_leaves_nothing_and_harms_nothing(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.commit([Op(f"pods/a/{n}", b"x" * 1000) for n in range(300)])
    (tmp_path / "b").mkdir()
    for target, why in (
        (tmp_path / "b", "is a directory"),
        (tmp_path / "none" / "b.db", "is not a directory"),
        (tmp_path / "data" / "state.db", "server's own"),
        (tmp_path / "data" / "state.db-wal", "server's own"),
        (tmp_path / "data" / "state.high", "server's own"),
    ):
        with pytest.raises(BackupError, match=why):
            await store.backup(target)

    async def connect_full(path: Path) -> Any:
        connection = await store_connect(path)
        await connection.run(lambda db: db.execute("PRAGMA max_page_count = 30").fetchall())
        return connection

    store_connect = store._connect
    monkeypatch.setattr(store, "_connect", connect_full)
    (tmp_path / "b" / "old.db").write_text("an older one")
    with pytest.raises(BackupError, match="disk is full"):
        await store.backup(tmp_path / "b" / "old.db")
    assert [p.name for p in (tmp_path / "b").iterdir()] == ["old.db"]
    assert (tmp_path / "b" / "old.db").read_text() == "an older one"
    monkeypatch.undo()
    assert store.problem is None
    assert await store.commit([Op("pods/a/0", b"y")]) == [301]
    assert await store.backup(tmp_path / "b" / "old.db") == 301


async def test_a_cancelled_backup_leaves_nothing(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_slices(monkeypatch)
    await store.commit([Op(f"pods/a/{n}", b"x" * 100) for n in range(200)])
    (tmp_path / "b").mkdir()
    making = asyncio.ensure_future(store.backup(tmp_path / "b" / "b.db"))
    while not list((tmp_path / "b").iterdir()):  # noqa: ASYNC110  # until it is under way
        await asyncio.sleep(0)
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert list((tmp_path / "b").iterdir()) == []
    assert await store.backup(tmp_path / "b" / "b.db") == 200


async def test_history_forgotten_during_a_backup_fails_it_clearly(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_slices(monkeypatch)
    await store.commit([Op(f"pods/a/{n}", b"x" * 100) for n in range(100)])
    making = asyncio.ensure_future(store.backup(tmp_path / "b.db"))
    while not making.done():
        await store.commit([Op("pods/a/1", b"y")])
        await store.compact(await store.current_revision())
    with pytest.raises(BackupError, match="try again"):
        await making
    assert not (tmp_path / "b.db").exists()


async def test_the_online_check_finds_what_is_wrong(store: SqliteStore) -> None:
    await store.commit([Op(f"pods/a/{n}", b"x", author="ann") for n in range(20)])
    assert await store.check() == []
    place = store._index["pods/a/3"]
    store._index["pods/a/3"] = (Revision(99), Revision(1))
    assert "pods/a/3" in " ".join(await store.check())
    store._index["pods/a/3"] = place
    store._index["pods/a/none"] = place
    assert "1 keys more" in " ".join(await store.check())
    del store._index["pods/a/none"]
    for damage, why in (
        ("DELETE FROM history WHERE revision = 9", "in the history"),
        ("UPDATE history SET written = NULL WHERE revision = 10", "author and its time"),
        ("UPDATE meta SET value = 77 WHERE name = 'floor'", "ends of the log"),
    ):
        await store._run(lambda db, damage=damage: db.execute("SAVEPOINT s").execute(damage))  # type: ignore[misc]  # mypy cannot infer lambdas with defaults
        assert why in " ".join(await store.check())
        await store._run(lambda db: db.execute("ROLLBACK TO s").execute("RELEASE s"))
    assert await store.check() == []


async def make_timelines(tmp_path: Path) -> Revision:
    """A backup `b.db`, and a state that went on from it; returns the last revision that was given out."""
    async with opened(tmp_path / "data") as store:
        await store.commit([Op("pods/a/1", b"old"), Op("pods/a/2", b"old")])
        await store.backup(tmp_path / "b.db")
        await store.commit([Op("pods/a/1", b"lost")])
        (last,) = await store.commit([Op("events/a/1", b"e", durable=False)])
        return last


async def test_restoring_goes_on_above_what_the_lost_state_gave_out(tmp_path: Path) -> None:
    last = await make_timelines(tmp_path)
    kept = restore(tmp_path / "b.db", tmp_path / "data", now=NOW)
    assert kept == tmp_path / "data" / "state.db.before-restore-20260506T070809Z"
    assert sorted(p.name for p in (tmp_path / "data").iterdir()) == ["lock", "state.db", kept.name, "state.high"]
    assert check.check_file(kept) == check.check_file(tmp_path / "data" / "state.db") == []
    assert describe(kept).revision == 3 and describe(tmp_path / "data" / "state.db").objects == {"pods": 2}
    async with opened(tmp_path / "data") as store:
        assert [(r.value, r.revision) for r in await records(store)] == [(b"old", 1), (b"old", 2)]
        now = await store.current_revision()
        assert now > last
        for since in range(1, last + 1):
            with pytest.raises(CompactedError):
                await first(store.watch("pods/", since=Revision(since)))
        (new,) = await store.commit([Op("pods/a/1", b"new", Revision(1))])
        assert new > now and (await first(store.watch("pods/", since=now))).revision == new
        assert await store.check() == []
    kept_2 = restore(tmp_path / "b.db", tmp_path / "data", now=NOW)
    assert kept_2 is not None and kept_2.name == f"{kept.name}-2"
    async with opened(tmp_path / "data") as store:
        assert await store.current_revision() > new


async def test_the_replaced_state_is_kept_with_its_log(tmp_path: Path) -> None:
    """As after kill -9: the last writes are in the log alone."""
    await make_timelines(tmp_path)
    async with opened(tmp_path / "data") as store:
        await store.commit([Op("pods/a/9", b"only in the log")])
        shutil.copytree(tmp_path / "data", tmp_path / "killed")
    assert (tmp_path / "killed" / "state.db-wal").stat().st_size
    kept = restore(tmp_path / "b.db", tmp_path / "killed", now=NOW)
    assert kept is not None and describe(kept).objects == {"pods": 3}
    assert not (tmp_path / "killed" / "state.db-wal").exists()
    restore(kept, tmp_path / "killed", now=NOW)
    async with opened(tmp_path / "killed") as store:
        assert [r.value for r in await records(store)] == [b"lost", b"old", b"only in the log"]


async def test_restoring_over_a_damaged_state_keeps_it_and_goes_far_up(tmp_path: Path) -> None:
    await make_timelines(tmp_path)
    state = tmp_path / "data" / "state.db"
    damaged = b"noise" + state.read_bytes()[5:]
    state.write_bytes(damaged)
    (tmp_path / "data" / "state.db-wal").write_bytes(b"log")
    kept = restore(tmp_path / "b.db", tmp_path / "data", now=NOW)
    assert kept is not None and kept.read_bytes() == damaged
    assert kept.with_name(kept.name + "-wal").read_bytes() == b"log"
    async with opened(tmp_path / "data") as store:
        assert await store.current_revision() > 1_000_000_000
        assert len(await records(store)) == 2
    assert restore(tmp_path / "b.db", tmp_path / "new", now=NOW) is None
    async with opened(tmp_path / "new") as store:
        assert await store.current_revision() > 1_000_000_000


async def test_what_cannot_be_restored_is_refused(tmp_path: Path) -> None:
    await make_timelines(tmp_path)
    state, good = tmp_path / "data" / "state.db", tmp_path / "b.db"
    before = state.read_bytes()
    async with opened(tmp_path / "data"):
        with pytest.raises(OpenError, match="in use by another server"):
            restore(good, tmp_path / "data", now=NOW)
        with pytest.raises(OpenError, match="in use by another server"):
            check.check_file(state)
    content = good.read_bytes()
    bad = tmp_path / "bad.db"

    def cut(data: bytes) -> bytes:
        return data[: len(data) // 2 // 4096 * 4096]

    cases: list[tuple[Callable[[], object], str]] = [
        (lambda: bad.unlink(missing_ok=True), "is not there"),
        (lambda: bad.write_bytes(b""), "is empty"),
        (lambda: bad.write_bytes(b"noise" * 2000), "damaged"),
        (lambda: bad.write_bytes(cut(content)), "damaged"),
        (lambda: bad.write_bytes(content[:8192] + bytes(4096) + content[12288:]), "damaged"),
    ]
    for make, why in cases:
        make()
        with pytest.raises(OpenError, match=why):
            restore(bad, tmp_path / "data", now=NOW)
    shutil.copy(good, bad)
    with contextlib.closing(sqlite3.connect(bad)) as db, db:
        db.execute("DELETE FROM history WHERE revision = 2")
    with pytest.raises(OpenError, match=r"damaged.*in the history"):
        restore(bad, tmp_path / "data", now=NOW)
    assert sorted(p.name for p in (tmp_path / "data").iterdir()) == ["lock", "state.db", "state.high"]
    assert describe(state).objects == {"pods": 2} and len(before) == len(state.read_bytes())
    async with opened(tmp_path / "data") as store:
        assert [r.value for r in await records(store)] == [b"lost", b"old"]


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("killed", [False, True])
async def test_a_crash_while_restoring_leaves_the_old_state_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    """At each call that changes files; with and without a log that a killed server left."""
    await make_timelines(tmp_path)
    async with opened(tmp_path / "data") as store:
        await store.commit([Op("pods/a/9", b"last")])
        if killed:
            shutil.copytree(tmp_path / "data", tmp_path / "killed")
    source = tmp_path / ("killed" if killed else "data")
    outcomes = set()
    crash_at, finished = 0, False
    while not finished:
        crash_at += 1
        directory = tmp_path / f"run{crash_at}"
        shutil.copytree(source, directory)
        with monkeypatch.context() as patched:
            finished = not dies_restoring(patched, tmp_path / "b.db", directory, crash_at)
        async with opened(directory) as store:
            values = [r.value for r in await records(store)]
            assert values in ([b"lost", b"old", b"last"], [b"old", b"old"]), f"crash at {crash_at}"
            assert await store.current_revision() >= 4
            assert await store.check() == []
            outcomes.add(len(values))
        restore(tmp_path / "b.db", directory, now=NOW)
        async with opened(directory) as store:
            assert [r.value for r in await records(store)] == [b"old", b"old"]
    assert outcomes == {2, 3} and crash_at > 15


def dies_restoring(patched: pytest.MonkeyPatch, source: Path, directory: Path, crash_at: int) -> bool:
    """Restore, but die before or after the call number `crash_at` / 2; nothing is done to any file from then on."""
    count = 0
    calls = [(Path, name) for name in ("rename", "hardlink_to", "touch", "unlink")] + [(shutil, "copyfile")]
    calls += [(backup, name) for name in ("_sync", "sync_directory", "_finish", "_copy_in", "_last_given")]

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count >= crash_at:
                raise Killed
            result = real(*args, **kwargs)
            count += 1
            if count >= crash_at:
                raise Killed
            return result

        return wrapped

    for owner, name in calls:
        patched.setattr(owner, name, wrap(getattr(owner, name)))
    try:
        restore(source, directory, now=NOW)
    except Killed:
        return True
    return False


async def test_the_state_file_itself_can_be_restored_to_go_on_after_a_loss(tmp_path: Path) -> None:
    """Somebody deleted the log of a killed server: what it had is gone, and no revision may be given out twice."""
    async with opened(tmp_path / "data") as store:
        await store.commit([Op("pods/a/1", b"x")])
        async with store._turn:
            await store._checkpoint()
        for n in range(9):
            await store.commit([Op("pods/a/2", b"%d" % n)])
        shutil.copytree(tmp_path / "data", tmp_path / "killed")
    state = tmp_path / "killed" / "state.db"
    (tmp_path / "killed" / "state.db-wal").unlink()
    assert read_note(state) == 10
    with pytest.raises(OpenError, match=r"ends at revision 1, but 10 was written.*minik restore"):
        await open_store(tmp_path / "killed")
    assert check.check_file(state) == ["writes are missing: it ends at revision 1, but 10 was written"]
    restore(state, tmp_path / "killed", now=NOW)
    async with opened(tmp_path / "killed") as store:
        assert await store.current_revision() > 10
        assert [r.value for r in await records(store)] == [b"x"]
