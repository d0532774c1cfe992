"""What only the SQLite store does: restarts, refused writes, non-durable keys, retention, rest."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from minik.storage import check, database, writer
from minik.storage.base import ABSENT, CompactedError, Event, Op, OpenError, Revision, StoreFullError
from minik.storage.compactor import Retention
from minik.storage.database import Extras
from minik.storage.journal import Row
from minik.storage.open import open_store
from minik.storage.sqlite import CEILING_STEP, SqliteStore


class StoppedClock:
    """Wall time that moves when told to."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()

    async def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    made = await open_store(tmp_path / "data")
    try:
        yield made
    finally:
        await made.close()


@contextlib.asynccontextmanager
async def copy_of(directory: Path, to: Path) -> AsyncIterator[SqliteStore]:
    """The store as it would be found had the machine stopped now."""
    to.mkdir()  # noqa: ASYNC240  # a test may block
    for file in directory.iterdir():  # noqa: ASYNC240  # a test may block
        if file.name.startswith("state.db"):
            shutil.copy(file, to / file.name)
    made = await open_store(to)
    try:
        yield made
    finally:
        await made.close()
    assert check.check_file(to / "state.db") == []


async def contents(store: SqliteStore, prefix: str = "") -> list[tuple[str, bytes, int, int]]:
    return [(r.key, r.value, r.revision, r.created) for r in (await store.list(prefix)).records]


async def first(events: AsyncIterator[Event]) -> Event:
    async with asyncio.timeout(5):
        return await anext(events)


async def test_what_was_acknowledged_is_there_after_a_crash(store: SqliteStore, tmp_path: Path) -> None:
    await store.commit([Op("pods/a/1", b"x"), Op("pods/a/2", b"y")])
    await store.commit([Op("pods/a/1", b"z"), Op("pods/a/2", None)])
    async with copy_of(tmp_path / "data", tmp_path / "copy") as after:
        assert await contents(after) == [("pods/a/1", b"z", 3, 1)]
        assert await after.current_revision() == 4
        events = await after.events("", since=Revision(0), upto=Revision(4))
        assert [(e.revision, e.key, e.value, e.previous) for e in events] == [
            (1, "pods/a/1", b"x", None),
            (2, "pods/a/2", b"y", None),
            (3, "pods/a/1", b"z", b"x"),
            (4, "pods/a/2", b"y", None),
        ]
        assert await after.commit([Op("pods/a/3", b"x", ABSENT)]) == [5]


async def test_acknowledged_means_synced(store: SqliteStore) -> None:
    asked = ("synchronous", "journal_mode", "wal_autocheckpoint", "locking_mode")
    found = [await store._run(lambda db, name=name: db.execute(f"PRAGMA {name}").fetchone()[0]) for name in asked]  # type: ignore[misc]
    assert found == [2, "wal", 0, "exclusive"]


async def test_non_durable_keys_end_with_the_process_and_revisions_do_not_repeat(
    store: SqliteStore, tmp_path: Path
) -> None:
    await store.commit([Op("pods/a/1", b"x")])
    for n in range(5):
        await store.commit([Op("events/a/1", b"%d" % n, durable=False)])
    assert await contents(store) == [("events/a/1", b"4", 6, 2), ("pods/a/1", b"x", 1, 1)]
    assert (await first(store.watch("events/", since=Revision(3)))).revision == 4
    async with copy_of(tmp_path / "data", tmp_path / "crashed") as after:
        assert await contents(after) == [("pods/a/1", b"x", 1, 1)]
        revision = await after.current_revision()
        assert 6 <= revision <= 6 + CEILING_STEP
        assert await after.floors() == {"events": revision}
        for prefix in ("events/", "events/a/", ""):
            with pytest.raises(CompactedError):
                await first(after.watch(prefix, since=Revision(5)))
        assert (await first(after.watch("pods/", since=Revision(0)))).revision == 1
        (new,) = await after.commit([Op("events/a/1", b"9", ABSENT, durable=False)])
        assert new > revision
        assert (await first(after.watch("", since=revision))).revision == new
    await store.close()
    async with copy_of(tmp_path / "data", tmp_path / "closed") as after:
        assert await after.current_revision() == 7, "a clean end skips one revision, no more"
        assert await after.floors() == {"events": 7}
        with pytest.raises(CompactedError):  # who watched up to the last write must learn that the objects are gone
            await first(after.watch("events/", since=Revision(6)))


async def test_a_store_opens_again_whatever_was_compacted(store: SqliteStore, tmp_path: Path) -> None:
    await store.commit([Op("a/a/1", b"x")])
    await store.commit([Op("a/a/1", None)])
    await store.compact(Revision(2))
    async with copy_of(tmp_path / "data", tmp_path / "only a deletion") as after:
        assert (await after.current_revision(), await after.oldest_revision()) == (2, 2)
        await after.commit([Op("e/a/1", b"x", durable=False)])
    async with copy_of(tmp_path / "only a deletion", tmp_path / "only in memory") as after:
        revision = await after.current_revision()
        await after.compact(revision)
    async with copy_of(tmp_path / "only in memory", tmp_path / "and again") as after:
        assert await after.current_revision() == revision + 1
        assert await after.oldest_revision() == revision


async def test_non_durable_writes_do_not_touch_the_disk(store: SqliteStore, tmp_path: Path) -> None:
    await store.commit([Op("events/a/0", b"x", durable=False)])
    log = tmp_path / "data" / "state.db-wal"
    before = (log.stat().st_size, log.stat().st_mtime_ns)
    for n in range(500):
        await store.commit([Op(f"events/a/{n % 7}", b"x", durable=False)])
    assert (log.stat().st_size, log.stat().st_mtime_ns) == before


async def test_the_order_of_events_is_that_of_revisions_also_across_kinds_of_keys(store: SqliteStore) -> None:
    seen: list[int] = []
    store.listen(lambda events: seen.extend(e.revision for e in events))
    commits = [store.commit([Op(f"k/a/{n}", b"x", durable=n % 2 == 0)]) for n in range(40)]
    given = [revisions[0] for revisions in await asyncio.gather(*commits)]
    assert seen == given == list(range(1, 41))


async def test_a_key_may_move_from_memory_to_disk_and_stays_there(store: SqliteStore, tmp_path: Path) -> None:
    await store.commit([Op("l/a/1", b"1", durable=False)])
    await store.commit([Op("l/a/1", b"2")])
    await store.commit([Op("l/a/1", b"3", durable=False)])
    assert await contents(store) == [("l/a/1", b"3", 3, 1)]
    async with copy_of(tmp_path / "data", tmp_path / "copy") as after:
        assert await contents(after) == [("l/a/1", b"3", 3, 1)]
    await store.commit([Op("l/a/1", None, durable=False)])
    assert await contents(store) == []


async def test_a_full_disk_refuses_writes_and_the_store_goes_on_afterwards(store: SqliteStore) -> None:
    await store.commit([Op("a/a/1", b"x")])
    seen: list[Event] = []
    store.listen(seen.extend)

    def limit(pages: int) -> Callable[[sqlite3.Connection], object]:
        return lambda db: db.execute(f"PRAGMA max_page_count = {pages}").fetchall()

    await store._run(limit(1))  # the smallest that SQLite takes: the present size
    big = b"x" * 100_000
    attempts = [store.commit([Op(f"a/a/{n}", big, ABSENT)]) for n in range(2, 6)]
    attempts.append(store.commit([Op("e/a/1", b"x", durable=False)]))
    attempts.append(store.commit([Op("a/a/1", None, Revision(9))]))
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert all(isinstance(r, StoreFullError) for r in results[:4])
    assert [e.key for e in seen] in ([], ["e/a/1"]), "the ceiling may not fit either"
    assert await store.get("a/a/2") is None
    await store._run(limit(1_000_000))
    (revision,) = await store.commit([Op("a/a/2", big, ABSENT)])
    assert seen[-1].revision == revision
    assert await store._run(check.check_all) == []


async def test_non_durable_writes_go_on_while_the_disk_is_full(store: SqliteStore) -> None:
    await store.commit([Op("e/a/0", b"x", durable=False)])
    await store._run(lambda db: db.execute("PRAGMA max_page_count = 1").fetchall())
    refused, written = await asyncio.gather(
        store.commit([Op("a/a/1", b"x" * 100_000)]),
        store.commit([Op("e/a/0", b"y", durable=False)]),
        return_exceptions=True,
    )
    assert isinstance(refused, StoreFullError)
    assert written == [4], "revisions of a refused batch are not used again"


async def test_one_server_per_directory(store: SqliteStore, tmp_path: Path) -> None:
    with pytest.raises(OpenError, match="in use by another server"):
        await open_store(tmp_path / "data")
    await store.close()
    again = await open_store(tmp_path / "data")
    await again.close()


async def test_files_that_are_not_ours_are_refused(tmp_path: Path) -> None:
    newer = await open_store(tmp_path / "newer")
    await newer.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "newer" / "state.db")) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(OpenError, match="newer release"):
        await open_store(tmp_path / "newer")
    (tmp_path / "other").mkdir()
    with contextlib.closing(sqlite3.connect(tmp_path / "other" / "state.db")) as db:
        db.execute("CREATE TABLE t (x)")
    with pytest.raises(OpenError, match="not one of minik"):
        await open_store(tmp_path / "other")
    (tmp_path / "noise").mkdir()
    (tmp_path / "noise" / "state.db").write_bytes(b"noise" * 1000)
    with pytest.raises(OpenError, match="cannot be opened"):
        await open_store(tmp_path / "noise")


async def test_the_check_finds_what_is_wrong(store: SqliteStore, tmp_path: Path) -> None:
    file = tmp_path / "data" / "state.db"
    for n in range(10):
        await store.commit([Op(f"a/a/{n % 3}", b"%d" % n)])
    await store.commit([Op("a/a/0", None)])
    await store.close()
    assert check.check_file(file) == []
    for damage in (
        "DELETE FROM history WHERE revision = 9",
        "DELETE FROM current WHERE key = 'a/a/1'",
        "INSERT INTO current VALUES (11, 10, 'a/a/0', x'00')",
        "DELETE FROM meta WHERE name = 'floor'",
        "UPDATE meta SET value = 50 WHERE name = 'floor'",
    ):
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as db:
            db.execute("BEGIN")
            db.execute(damage)
            assert check.check_all(db) != [], damage
            db.execute("ROLLBACK")
    with contextlib.closing(sqlite3.connect(file)) as db, pytest.raises(sqlite3.IntegrityError):
        db.execute("INSERT INTO current VALUES (9, 9, 'a/a/9', x'00')")


async def test_history_is_forgotten_in_slices_by_age_and_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "SLICE_ROWS", 50)
    clock = StoppedClock()
    store = await open_store(tmp_path, clock=clock, retention=Retention(age=3600, revisions=2000, at_least=300))
    try:

        async def write(count: int) -> None:
            for start in range(0, count, 100):
                await store.commit([Op(f"a/a/{n}", b"x") for n in range(start, start + 100)])

        async def rows() -> int:
            async with store._turn:
                return await store._run(lambda db: int(db.execute("SELECT count(*) FROM history").fetchone()[0]))

        async def settle() -> None:
            async with asyncio.timeout(5):
                while store._has_chores():
                    await store.get("a/a/1")

        await write(3000)
        assert await rows() == 3000, "nothing younger than five minutes goes"
        await clock.sleep(400)
        await write(100)  # makes a mark: what came before is older than now
        await clock.sleep(400)
        await write(100)
        await settle()
        floor = await store.oldest_revision()
        assert 1000 <= floor <= 1200 and await rows() == 3200 - floor
        await clock.sleep(3700)
        await write(100)
        await clock.sleep(3700)
        await write(100)
        await settle()
        assert await store.oldest_revision() == 3200, "up to the last mark that is an hour old"
        assert await rows() == 200
        await store.compact(await store.current_revision())
        await settle()
        assert await rows() == 0
        assert len((await store.list("")).records) == 3000
        assert await store._run(check.check_all) == []
    finally:
        await store.close()


async def test_commits_go_on_between_slices_of_forgetting(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a backlog a commit waits for the slice that runs, and goes with the next one."""
    monkeypatch.setattr(writer, "SLICE_ROWS", 40)
    for _ in range(4):
        await store.commit([Op(f"a/a/{n}", b"x") for n in range(1000)])
    slices: list[int] = []
    real = database.write

    def write(db: sqlite3.Connection, rows: Sequence[Row], extras: Extras) -> int:
        slices.append(real(db, rows, extras))
        return slices[-1]

    monkeypatch.setattr(database, "write", write)
    await store.compact(Revision(4000))
    assert await store.oldest_revision() == 4000, "at once, though the rows are still there"
    waited, commits = [], 0
    while store._forgotten < 4000:
        before = len(slices)
        await store.commit([Op("a/a/1", b"%d" % commits)])
        waited.append(len(slices) - before)
        commits += 1
    assert sum(slices) == 4000 and max(slices) == 40
    assert commits > 20 and max(waited) <= 3, "the running slice, its own, and the next that began since"
    assert await store._run(check.check_all) == []


async def test_forgetting_goes_on_after_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await open_store(tmp_path)
    await store.commit([Op(f"a/a/{n}", b"x") for n in range(500)])
    monkeypatch.setattr(writer, "SLICE_ROWS", 10)
    await store.compact(Revision(400))
    async with copy_of(tmp_path, tmp_path / "copy") as after:
        assert await after.oldest_revision() == 400
        async with asyncio.timeout(5):
            while after._has_chores():
                await after.get("a/a/1")
        left = await after._run(lambda db: db.execute("SELECT count(*) FROM history").fetchone())
        assert left == (100,)
    await store.close()


async def test_an_idle_store_moves_its_log_once_and_then_rests(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_IDLE_SECONDS", 0.02)
    file = tmp_path / "data" / "state.db"
    before = file.stat().st_mtime_ns
    await store.commit([Op("a/a/1", b"x")])
    async with asyncio.timeout(5):
        while store._log_bytes:  # noqa: ASYNC110  # it signals nobody
            await asyncio.sleep(0.01)
        async with store._turn:
            pass
    assert file.stat().st_mtime_ns > before
    assert store._timer is None and not store._has_chores()


async def test_commits_get_through_a_saturated_event_loop(store: SqliteStore) -> None:
    """Without `lending.Job` this takes minutes: the connection's thread hardly ever gets the interpreter's lock."""
    busy = True

    async def saturate() -> None:
        loop = asyncio.get_running_loop()
        while busy:
            until = loop.time() + 0.0002
            while loop.time() < until:
                pass
            await asyncio.sleep(0)

    spinning = asyncio.ensure_future(saturate())
    try:
        async with asyncio.timeout(10):
            for n in range(200):
                await store.commit([Op(f"a/a/{n}", b"x" * 1000)])
    finally:
        busy = False
        await spinning
