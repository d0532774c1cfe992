"""Media that fail, files that are damaged, directories that vanish: clear words, nothing acknowledged lost, and on again by itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from minik.storage import check, wal, writer
from minik.storage.base import (
    ABSENT,
    ClosedError,
    Event,
    Op,
    OpenError,
    Revision,
    StoreError,
    StoreFullError,
    UnknownError,
)
from minik.storage.faults import Outcome, outcome_of
from minik.storage.high import high_path, read_note
from minik.storage.open import open_store
from minik.storage.sqlite import SqliteStore
from tests.support import disks
from tests.support.recordfs import Fault, Recorder
from tests.unit.storage.test_sqlite import StoppedClock

T = TypeVar("T")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    made = await open_store(tmp_path / "data")
    try:
        yield made
    finally:
        await made.close()


async def keys(store: SqliteStore) -> list[str]:
    return [record.key for record in (await store.list("")).records]


async def until_well(store: SqliteStore) -> None:
    """Without anybody writing."""
    async with asyncio.timeout(5):
        while store.problem is not None:  # noqa: ASYNC110  # it signals nobody
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def on_recorder(directory: Path) -> AsyncIterator[tuple[SqliteStore, Recorder]]:
    """A store on a disk that fails when told to."""
    directory.mkdir()  # noqa: ASYNC240  # a test may block
    recorder = Recorder(directory)
    store = await SqliteStore.open(directory / "state.db", clock=StoppedClock(), connect=recorder.connect)
    try:
        yield store, recorder
    finally:
        recorder.fault = None
        await store.close()


# --- a disk that fails ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "error"), [("write", "FULL"), ("write", "IOERR"), ("sync", "IOERR")])
async def test_a_failure_for_a_moment_refuses_and_leaves_nothing(tmp_path: Path, kind: str, error: str) -> None:
    async with on_recorder(tmp_path / "data") as (store, recorder):
        await store.commit([Op("a/a/1", b"x")])
        recorder.fault = Fault(after=0, kinds=frozenset({kind}), error="FULL" if error == "FULL" else "IOERR")
        with pytest.raises(StoreFullError, match="disk"):
            await store.commit([Op("a/a/1", b"lost", Revision(1)), Op("a/a/2", b"lost")])
        shutil.copytree(tmp_path / "data", tmp_path / "crash right then")
        await store.commit([Op("a/a/1", b"y", Revision(1)), Op("a/a/3", b"y", ABSENT)])
        assert store.problem is None
        assert await store.check() == []
        shutil.copytree(tmp_path / "data", tmp_path / "crash later")
    for name, found in (("crash right then", ["a/a/1"]), ("crash later", ["a/a/1", "a/a/3"])):
        after = await open_store(tmp_path / name)
        assert await keys(after) == found
        await after.close()


async def test_a_sync_that_fails_for_a_while_says_that_it_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frames are in the log: a crash right then brings the write back, and a store that goes on makes an end of it."""
    monkeypatch.setattr(writer, "_RETRY_SECONDS", 0.01)
    async with on_recorder(tmp_path / "data") as (store, recorder):
        seen: list[Event] = []
        store.listen(seen.extend)
        await store.commit([Op("a/a/1", b"x"), Op("e/a/1", b"x", durable=False)])
        recorder.fault = Fault(after=0, times=1 << 30, kinds=frozenset({"sync"}))
        with pytest.raises(UnknownError, match="the disk fails under"):
            await store.commit([Op("a/a/2", b"lost")])
        assert store.problem is not None and "kernel's log" in store.problem
        for op in (Op("a/a/3", b"x"), Op("e/a/1", b"y", durable=False)):
            with pytest.raises(StoreFullError):  # not even what needs no disk: it could come before what is unknown
                await store.commit([op])
        assert await keys(store) == ["a/a/1", "e/a/1"], "reads go on"
        assert [e.revision for e in seen] == [1, 2]
        recorder.fault = None
        await until_well(store)
        shutil.copytree(tmp_path / "data", tmp_path / "crash")
        await store.commit([Op("a/a/2", b"new", ABSENT)])
        assert await store.check() == []
    after = await open_store(tmp_path / "crash")
    assert await keys(after) == ["a/a/1"]
    await after.close()


async def test_a_log_that_cannot_be_moved_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(writer, "_IDLE_SECONDS", 0.01)
    async with on_recorder(tmp_path / "data") as (store, recorder):
        await store.commit([Op("a/a/1", b"x")])
        recorder.fault = Fault(after=0, times=3, kinds=frozenset({"write"}))
        async with asyncio.timeout(5):
            while store.problem is None:  # noqa: ASYNC110  # it signals nobody
                await asyncio.sleep(0.005)
        assert "disk fails" in store.problem
        await until_well(store)
        assert await keys(store) == ["a/a/1"]


async def test_a_disk_that_stays_full_keeps_serving_and_recovers_by_itself(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_RETRY_SECONDS", 0.01)
    await store.commit([Op("a/a/1", b"x"), Op("e/a/1", b"x", durable=False)])

    async def limit(pages: int) -> None:
        async with store._turn:
            await store._run(lambda db: db.execute(f"PRAGMA max_page_count = {pages}").fetchall())

    await limit(1)
    for n in range(3):
        with pytest.raises(StoreFullError, match=r"the disk is full.*make room"):
            await store.commit([Op("a/a/2", b"x" * 100_000)])
        await store.commit([Op("e/a/1", b"%d" % n, durable=False)])
    assert await keys(store) == ["a/a/1", "e/a/1"]
    await limit(1_000_000)
    await until_well(store)
    await store.commit([Op("a/a/2", b"x" * 100_000)])
    assert await store.check() == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with disks.small_disk(tmp_path / "disk", "2m") as directory:
        yield directory


@pytest.mark.root
async def test_a_disk_that_is_really_full(small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_RETRY_SECONDS", 0.01)
    store = await open_store(small_disk / "data")
    ballast = small_disk / "ballast"
    try:
        (first,) = await store.commit([Op("a/a/0", b"x")])
        ballast.write_bytes(bytes(1 << 20))
        written = []
        with pytest.raises(StoreFullError, match="full"):
            for n in range(1, 200):
                await store.commit([Op(f"a/a/{n:03}", b"x" * 20_000)])
                written.append(f"a/a/{n:03}")
        assert await keys(store) == ["a/a/0", *written], "what was acknowledged is there, and nothing else"
        with pytest.raises(StoreError, match="full"):
            await store.backup(small_disk / "b.db")
        assert names(small_disk) == ["ballast", "data"]
        await store.backup(tmp_path / "b.db")
        shutil.copytree(small_disk / "data", tmp_path / "crashed")
        ballast.unlink()
        await until_well(store)
        await store.commit([Op("a/a/0", b"y", first)])
        assert await store.check() == []
    finally:
        await store.close()
    assert check.check_file(small_disk / "data" / "state.db") == []
    after = await open_store(tmp_path / "crashed")
    assert await keys(after) == ["a/a/0", *written]
    await after.close()


async def test_a_file_that_may_not_grow(store: SqliteStore) -> None:
    """A limit of the process (`ulimit -f`, systemd's LimitFSIZE) fails writes in another way than a full disk."""
    await store.commit([Op("a/a/1", b"x")])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        with pytest.raises(StoreError):
            await store.commit([Op("a/a/2", b"x" * 1_000_000)])
        assert await keys(store) == ["a/a/1"]
        await store.commit([Op("a/a/3", b"x")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    await store.commit([Op("a/a/2", b"x" * 1_000_000)])
    assert store.problem is None and await store.check() == []


def test_what_is_known_of_a_failed_transaction() -> None:
    def failed(code: int) -> Outcome:
        error = sqlite3.OperationalError("it failed")
        error.sqlite_errorcode = code
        return outcome_of(error)

    assert failed(sqlite3.SQLITE_FULL) is failed(sqlite3.SQLITE_READONLY) is Outcome.NOTHING
    assert failed(sqlite3.SQLITE_IOERR_FSYNC) is failed(sqlite3.SQLITE_NOMEM) is Outcome.UNKNOWN
    assert outcome_of(sqlite3.OperationalError("who knows")) is Outcome.UNKNOWN
    assert failed(sqlite3.SQLITE_CONSTRAINT_UNIQUE) is Outcome.DISAGREES


# --- files that change under it ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["directory", "file", "log", "replaced"])
async def test_files_that_vanish_are_noticed_and_may_come_back(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(writer, "_RETRY_SECONDS", 0.01)
    monkeypatch.setattr("minik.storage.faults._LOOK_SECONDS", 0.0)
    await store.commit([Op("a/a/1", b"x")])
    await store.commit([Op("a/a/2", b"x")])
    name = {"directory": "data", "file": "data/state.db", "log": "data/state.db-wal", "replaced": "data/state.db"}[what]
    (tmp_path / name).rename(tmp_path / "away")
    if what == "replaced":
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(StoreFullError, match=r"was (deleted or moved|replaced) under the running server"):
        await store.commit([Op("a/a/3", b"x")])
    assert store.problem is not None
    await store.commit([Op("e/a/1", b"x", durable=False)]) if store._volatile_resources else None
    assert await keys(store) == ["a/a/1", "a/a/2"]
    await store.backup(tmp_path / "saved.db")
    (tmp_path / "away").rename(tmp_path / name)
    await until_well(store)
    await store.commit([Op("a/a/3", b"x")])
    assert await store.check() == []


async def test_an_index_that_disagrees_with_the_file_stops_the_store(store: SqliteStore) -> None:
    await store.commit([Op("a/a/1", b"x")])
    del store._index["a/a/1"]
    with pytest.raises(StoreError, match="not what this server wrote"):
        await store.commit([Op("a/a/1", b"y", ABSENT)])
    assert "not what this server wrote" in await store.stopped()
    with pytest.raises(ClosedError, match="not what this server wrote"):
        await store.commit([Op("a/a/2", b"y")])
    assert store.problem is not None and "minik check" in store.problem


async def test_keys_and_authors_that_no_file_can_hold(store: SqliteStore) -> None:
    for key in ("", "a/\ud800"):
        with pytest.raises(ValueError):
            await store.commit([Op(key, b"x")])
    await store.commit([Op("a/ü", b"x", author="kubectl\udcff")])
    assert [v.author for v in await store.history("a/ü")] == ["kubectl?"]


# --- opening ----------------------------------------------------------------------------------------------------------


async def fill(directory: Path, count: int = 400) -> None:
    store = await open_store(directory)
    for start in range(0, count, 20):
        await store.commit([Op(f"a/a/{n:04}", b"v" * 300, author="ann") for n in range(start, start + 20)])
    await store.close()


async def fill_killed(directory: Path, to: Path, commits: int = 12) -> None:
    """`to` is as after kill -9: a file of one commit and a log of the others."""
    store = await open_store(directory)
    try:
        await store.commit([Op("a/a/00", b"x")])
        async with store._turn:
            await store._checkpoint()
        for n in range(1, commits):
            await store.commit([Op(f"a/a/{n:02}", b"x" * 3000)])
        shutil.copytree(directory, to)
    finally:
        await store.close()


async def test_a_damaged_page_is_told_at_opening_or_by_the_check(tmp_path: Path) -> None:
    await fill(tmp_path / "good")
    size = (tmp_path / "good" / "state.db").stat().st_size
    refused, found = 0, 0
    for page in range(0, size // 4096, 3):
        directory = tmp_path / f"page{page}"
        shutil.copytree(tmp_path / "good", directory)
        with (directory / "state.db").open("r+b") as file:
            file.seek(page * 4096)
            file.write(b"\xa5" * 4096)
        try:
            store = await open_store(directory)
        except OpenError as error:
            refused += 1
            assert "minik restore FILE" in str(error)
            found += bool(check.check_file(directory / "state.db"))
            continue
        try:
            problems = await store.check()
            found += bool(problems)
            with contextlib.suppress(StoreError):  # what it reads is right, or told
                assert {r.value for r in (await store.list("")).records} == {b"v" * 300}
        finally:
            await store.close()
    assert refused > 3, "among them page 1"
    assert found == len(range(0, size // 4096, 3))


async def test_files_that_are_no_state(tmp_path: Path) -> None:
    await fill(tmp_path / "data", 20)
    file = tmp_path / "data" / "state.db"
    content = file.read_bytes()
    file.write_bytes(b"")
    with pytest.raises(OpenError, match=r"ends at revision 0, but 20 was written.*minik restore"):
        await open_store(tmp_path / "data")
    file.write_bytes(b"noise" * 2000)
    with pytest.raises(OpenError, match=r"damaged.*minik restore FILE"):
        await open_store(tmp_path / "data")
    file.unlink()
    with pytest.raises(OpenError, match=r"ends at revision 0, but 20 was written"):
        await open_store(tmp_path / "data")
    file.write_bytes(content)
    store = await open_store(tmp_path / "data")
    assert len(await keys(store)) == 20
    await store.close()


async def test_what_may_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OpenError, match="cannot be made"):
        await open_store(tmp_path / "file" / "data")
    (tmp_path / "data" / "state.db").mkdir(parents=True)
    with pytest.raises(OpenError, match="cannot be opened"):
        await open_store(tmp_path / "data")
    (tmp_path / "closed").mkdir(mode=0o500)
    if os.geteuid() != 0:  # whom nothing stops; for root there is the test with a read-only disk
        with pytest.raises(OpenError, match="Permission denied"):
            await open_store(tmp_path / "closed")


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def remount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", disk], check=True)


def obey(command: str) -> None:
    """Do what an error message proposes."""
    subprocess.run(command, shell=True, check=True)


@pytest.mark.root
async def test_a_disk_that_turns_read_only(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As file systems do by themselves after an error."""
    monkeypatch.setattr(writer, "_RETRY_SECONDS", 0.01)
    await fill(small_disk / "data", 20)
    remount(small_disk, "ro")
    with pytest.raises(OpenError, match=r"(Read-only|readonly|must be writable)"):
        await open_store(small_disk / "data")
    assert check.check_file(small_disk / "data" / "state.db") == []
    remount(small_disk, "rw")
    store = await open_store(small_disk / "data")
    assert len(await keys(store)) == 20
    await store.close()


# --- the log ----------------------------------------------------------------------------------------------------------


def frames_of(log: Path) -> int:
    return (log.stat().st_size - 32) // (24 + 4096)


async def test_a_damaged_log_is_not_silently_shortened(tmp_path: Path) -> None:
    await fill_killed(tmp_path / "data", tmp_path / "killed")
    log = tmp_path / "killed" / "state.db-wal"
    content = log.read_bytes()
    assert wal.find_damage(content) is None
    frames = frames_of(log)
    told = 0
    for frame in range(frames):
        for offset in (9, 17, 24 + 1000):  # the salt, the checksum, the page
            place = 32 + frame * (24 + 4096) + offset
            damaged = bytearray(content)
            damaged[place] ^= 0x10
            damage = wal.find_damage(bytes(damaged))
            if damage is None:
                continue
            told += 1
            assert damage.end <= place and damage.lost >= 1
    assert told > 3 * (frames - 12), "all but what may be the torn end of the last transaction"
    damaged = bytearray(content)
    damaged[32 + frames // 2 * (24 + 4096) + 500] ^= 1
    log.write_bytes(damaged)
    with pytest.raises(
        OpenError, match=r"acknowledged transactions behind its byte \d+.*minik restore FILE"
    ) as refused:
        await open_store(tmp_path / "killed")
    assert log.read_bytes() == damaged, "the evidence stays"
    assert "log is damaged" in " ".join(check.check_file(tmp_path / "killed" / "state.db"))
    obey(str(refused.value).partition("go on without them: ")[2])
    store = await open_store(tmp_path / "killed")
    found = await keys(store)
    assert found == [f"a/a/{n:02}" for n in range(len(found))] and 2 < len(found) < 12
    assert await store.check() == []
    await store.close()


async def test_a_log_that_was_cut_off_is_noticed(tmp_path: Path) -> None:
    await fill_killed(tmp_path / "data", tmp_path / "killed")
    log = tmp_path / "killed" / "state.db-wal"
    content = log.read_bytes()
    assert read_note(tmp_path / "killed" / "state.db") == 12
    for frames in (0, 1, frames_of(log) // 2, frames_of(log) - 1):
        log.write_bytes(content[: 32 + frames * (24 + 4096)])
        with pytest.raises(OpenError, match=r"but 12 was written.*gone or cut off"):
            await open_store(tmp_path / "killed")
    log.write_bytes(content)


async def test_after_a_power_cut_the_note_may_lag_and_a_torn_end_is_normal(tmp_path: Path) -> None:
    await fill_killed(tmp_path / "data", tmp_path / "killed")
    log = tmp_path / "killed" / "state.db-wal"
    high_path(tmp_path / "killed" / "state.db").write_text("5\n")
    content = bytearray(log.read_bytes())
    content[-10] ^= 1
    log.write_bytes(content)
    store = await open_store(tmp_path / "killed")
    assert await keys(store) == [f"a/a/{n:02}" for n in range(11)], "all but what was under way"
    await store.commit([Op("a/a/20", b"x")])
    assert read_note(tmp_path / "killed" / "state.db") == 12
    await store.close()


def test_logs_that_are_none() -> None:
    for content in (b"", bytes(32), bytes(9000), os.urandom(9000)):
        assert wal.find_damage(content) is None
