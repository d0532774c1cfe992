"""State files of other releases: older ones are brought up to date, newer ones refused, and a migration is done or not done."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from minik.storage import check, database
from minik.storage.backup import describe, restore
from minik.storage.base import EventType, Op, OpenError, Revision
from minik.storage.open import open_store
from tests.unit.storage.test_sqlite import StoppedClock

_ROWS = """
INSERT INTO write VALUES (1, 1, NULL, 'pods/a/1', x'31'), (2, 2, NULL, 'pods/a/2', x'32'), (3, 1, 1, 'pods/a/1', x'33'),
    (4, 2, 2, 'pods/a/2', NULL), (5, 5, NULL, 'pods/a/2', x'35');
UPDATE meta SET value = 2 WHERE name = 'floor';
UPDATE meta SET value = 20 WHERE name = 'ceiling';
DELETE FROM history WHERE revision <= 2;
INSERT INTO volatile VALUES ('events');
INSERT INTO mark VALUES (3, 1767225000);
PRAGMA application_id = 0x6D6E696B;
PRAGMA user_version = 1;
"""


def make_format_1(path: Path) -> None:
    """As the first release left it, which knew no authors and no times."""
    path.parent.mkdir(exist_ok=True)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(f"PRAGMA journal_mode = WAL;{database.Q['migration 1']}{_ROWS}")


def version_of(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


async def test_a_file_of_format_1_opens_and_keeps_everything(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    make_format_1(path)
    assert check.check_file(path) == []
    assert version_of(path) == 1, "looking at it changes nothing"
    clock = StoppedClock()
    store = await open_store(tmp_path, clock=clock)
    try:
        assert await store.current_revision() == 21
        assert await store.oldest_revision() == 2
        assert await store.floors() == {"events": 21}
        page = await store.list("")
        assert [(r.key, r.value, r.revision, r.created) for r in page.records] == [
            ("pods/a/1", b"3", 3, 1),
            ("pods/a/2", b"5", 5, 5),
        ]
        events = await store.events("pods/", since=Revision(2), upto=Revision(20))
        assert [(e.revision, e.key, e.value) for e in events] == [
            (3, "pods/a/1", b"3"),
            (4, "pods/a/2", b"2"),
            (5, "pods/a/2", b"5"),
        ]
        (new,) = await store.commit([Op("pods/a/1", b"new", author="ann")])
        versions = await store.history("pods/a/1")
        assert [(v.revision, v.type, v.value, v.previous, v.author, v.written) for v in versions] == [
            (1, EventType.PUT, b"1", None, "", None),
            (3, EventType.PUT, b"3", b"1", "", None),
            (new, EventType.PUT, b"new", b"3", "ann", clock.time.timestamp()),
        ]
        assert await store.check() == []
    finally:
        await store.close()
    assert version_of(path) == len(database.MIGRATIONS) == 2
    assert check.check_file(path) == []
    again = await open_store(tmp_path, clock=clock)
    await again.close()


async def test_a_backup_of_format_1_is_described_and_restored(tmp_path: Path) -> None:
    backup = tmp_path / "old.db"
    make_format_1(backup)
    content = backup.read_bytes()
    summary = describe(backup)
    assert (summary.revision, summary.format, summary.objects) == (5, 1, {"pods": 2})
    assert summary.written is not None and summary.written.timestamp() == 1767225000
    assert restore(backup, tmp_path / "data", now=StoppedClock().now()) is None
    assert backup.read_bytes() == content
    store = await open_store(tmp_path / "data")
    assert [r.value for r in (await store.list("")).records] == [b"3", b"5"]
    await store.close()


async def test_a_newer_file_is_refused_and_not_touched(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    await store.commit([Op("pods/a/1", b"x")])
    await store.close()
    path = tmp_path / "state.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    content = path.read_bytes()
    with pytest.raises(
        OpenError, match=r"newer release of minik .format 99; this release knows up to 2.: use that release"
    ):
        await open_store(tmp_path)
    with pytest.raises(OpenError, match="newer release"):
        check.check_file(path)
    with pytest.raises(OpenError, match="newer release"):
        describe(path)
    with pytest.raises(OpenError, match="newer release"):
        restore(path, tmp_path / "elsewhere", now=StoppedClock().now())
    assert path.read_bytes() == content
    assert not (tmp_path / "elsewhere" / "state.db").exists()


@pytest.mark.parametrize("place", ["start", "middle", "end"])
async def test_a_migration_that_fails_leaves_the_old_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    path = tmp_path / "state.db"
    make_format_1(path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        before = list(db.iterdump())
    script = database.Q["migration 2"]
    broken = {
        "start": f"SELECT nonsense;{script}",
        "middle": script.replace("DROP TRIGGER", "SELECT nonsense; DROP TRIGGER"),
        "end": f"{script}\nINSERT INTO current VALUES (3, 3, 'twice', x'00');",
    }[place]
    monkeypatch.setattr(database, "MIGRATIONS", [database.Q["migration 1"], broken])
    with pytest.raises(OpenError):
        await open_store(tmp_path)
    assert version_of(path) == 1
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert list(db.iterdump()) == before
    monkeypatch.undo()
    store = await open_store(tmp_path)
    assert len((await store.list("")).records) == 2
    await store.close()
    assert check.check_file(path) == []


def test_the_schema_refuses_what_the_index_in_memory_got_wrong() -> None:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        database.make(db)
        insert = "INSERT INTO write VALUES (?, ?, ?, ?, ?, '', 0)"
        for row in ((1, 1, None, "a", b"1"), (2, 2, None, "b", b"2"), (3, 1, 1, "a", b"3")):
            db.execute(insert, row)
        before = list(db.iterdump())
        for wrong in (
            (4, 4, None, "a", b"x"),  # it is there
            (4, 1, 1, "a", b"x"),  # it is elsewhere by now
            (4, 2, 2, "a", b"x"),  # that is another key's place
            (4, 4, 1, "c", b"x"),  # it is not there
            (4, 4, None, "c", None),  # it cannot be deleted
            (4, 1, None, "a", None),
            (3, 1, 3, "a", b"x"),  # the revision is taken
            (4, 5, None, "c", b"x"),  # made later than written
        ):
            with pytest.raises(sqlite3.IntegrityError):
                db.execute(insert, wrong)
            assert list(db.iterdump()) == before, wrong
        db.execute(insert, (4, 1, 3, "a", None))
        assert check.check_all(db) == []
