"""`SqliteStore`: the `Store` that keeps a server's state in one SQLite file. Opened by `open.py`.

This half opens and reads; `writer.py` is the half that writes. In memory are, per durable key, its revisions but not its value:
values are held once in the process, by the cache, as the bytes it serves. So live events of durable keys do not carry what they
replaced, and `get` and `list` read the file.

The connection's thread competes with the event loop for the interpreter's lock; `lending.py` sees to it that it does not starve.
Whatever looks through more than a page of the file does so in slices, between which the writer gets its turn.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from minik.clock import Clock
from minik.files import sync_directory
from minik.storage import check, database, wal
from minik.storage.backup import write_backup
from minik.storage.base import (
    BackupError,
    CompactedError,
    Event,
    Listener,
    OpenError,
    Page,
    Record,
    Revision,
    Store,
    StoreError,
    Version,
)
from minik.storage.compactor import Retention
from minik.storage.connection import Connect, Connection, ThreadConnection
from minik.storage.copying import copy_out
from minik.storage.database import Contents, DirectoryLock
from minik.storage.faults import RESTORE, explain
from minik.storage.high import HighWater, high_path
from minik.storage.hub import follow
from minik.storage.versions import Replay, VersionRow, plan_versions
from minik.storage.writer import CEILING_STEP, Writer

__all__ = ["CEILING_STEP", "SqliteStore"]

T = TypeVar("T")

_SLICE = 4096
"""Revisions of history looked through at a time."""
_EVENT_SLICE = 512
"""Revisions of history read with their values at a time."""


class SqliteStore(Writer):
    """See the module. Made by `SqliteStore.open`; must be closed, or the process does not end."""

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        clock: Clock,
        retention: Retention | None = None,
        synchronous: str = "FULL",
        connect: Connect = ThreadConnection.open,
    ) -> SqliteStore:
        """Open or make the file `path`, whose directory must exist. Raises OpenError."""
        full = synchronous == "FULL"
        lock: DirectoryLock | None = None
        db: Connection | None = None
        high: HighWater | None = None
        try:
            lock = DirectoryLock(path.parent)
            if full:
                _check_log(path)
            path.touch(mode=0o600)  # noqa: ASYNC240  # opening is local and blocks for microseconds
            sync_directory(path.parent)  # the names first: that of a log, before anything of it goes into the file
            db = await connect(path)
            contents = await db.run(lambda c: database.prepare(c, synchronous=synchronous))
            problems = await db.run(check.check_quickly)
            if problems:
                raise OpenError(f"{path} is damaged: {'; '.join(problems)}; {RESTORE}")
            if full:
                high = HighWater(path)
                _check_high(path, contents, high)
            await db.run(database.sync_log)
        except BaseException as error:
            if db is not None:
                await db.close()
            if high is not None:
                high.close()
            if lock is not None:
                lock.release()
            if isinstance(error, sqlite3.Error | OSError):
                raise OpenError(f"the store cannot be opened: {explain(error, path)}") from error
            raise
        return cls(
            path, db, lock, contents, connect=connect, clock=clock, retention=retention or Retention(), high=high
        )

    # --- reading ------------------------------------------------------------------------------------------------------

    async def get(self, key: str) -> Record | None:
        self._check_open()
        async with self._turn:
            if key not in self._index:
                return self._volatile.records.get(key)
            return await self._read(lambda db: database.get(db, key))

    async def list(self, prefix: str, *, after: str = "", limit: int = 0, at: Revision | None = None) -> Page:
        self._check_open()
        async with self._turn:
            if at is None or at >= self._revision:
                found, total = await self._read(lambda db: database.list_page(db, prefix, after, limit))
                volatile = self._volatile.list(prefix, after, None)
                return _page([*found, *volatile], limit, total + len(volatile), self._revision if at is None else at)
        return await self._list_at(prefix, after, limit, at)

    async def _list_at(self, prefix: str, after: str, limit: int, at: Revision) -> Page:
        first: dict[str, int | None] = {}
        """The keys written since: by which row of history, if they were there before it."""
        upto = at
        while True:
            since, upto = upto, Revision(upto + _SLICE)
            async with self._turn:
                self._check_retained(prefix, at)
                for key, revision, replaced in await self._read(
                    partial(database.first_writes, prefix=prefix, after=after, since=since, upto=upto)
                ):
                    first.setdefault(key, revision if replaced is not None else None)
                if upto < self._revision:
                    continue
                writes = {key: revision for key, revision in first.items() if revision is not None}
                found, total = await self._read(
                    partial(database.list_at, prefix=prefix, after=after, at=at, limit=limit, writes=writes)
                )
                volatile = self._volatile.list(prefix, after, at)
                return _page([*found, *volatile], limit, total + len(volatile), at)

    async def events(self, prefix: str, *, since: Revision, upto: Revision, limit: int = 0) -> Sequence[Event]:
        self._check_open()

        def check() -> None:
            if since < self._floor:
                raise CompactedError(since, self._floor)

        found = await self._replay(prefix, since, upto, check, limit)
        return found[-limit:] if limit else found

    async def _replay(
        self, prefix: str, since: Revision, upto: Revision | None, check: Callable[[], None], limit: int = 0
    ) -> Sequence[Event]:
        """The events after `since` up to `upto` (None: up to the end). `check` raises if they are not all retained.

        `limit`: more than so many of the newest need not be there.
        """
        replay, at = Replay(upto), since
        while True:
            async with self._turn:
                check()
                if limit and upto is not None and upto >= self._revision:
                    at = self._revision
                    replay = Replay(upto)
                    rows = await self._read(partial(database.last_event_rows, prefix=prefix, since=since, limit=limit))
                else:
                    after, at = at, Revision(at + _EVENT_SLICE)
                    rows = await self._read(partial(database.event_rows, prefix=prefix, since=after, upto=at))
                replay.add(rows)
                if at >= self._revision or (upto is not None and at >= upto and replay.complete):
                    volatile = self._volatile.events(prefix, since, self._revision if upto is None else upto)
                    found = replay.events()
                    return sorted([*found, *volatile], key=lambda event: event.revision) if volatile else found

    async def history(self, key: str) -> Sequence[Version]:
        self._check_open()
        rows: list[VersionRow] = []
        at = self._floor
        while True:  # there is no index by key
            async with self._turn:
                after, at = at, Revision(at + _SLICE)
                rows += await self._read(partial(database.version_rows, key=key, after=after, upto=at))
                if at < self._revision:
                    continue
                current = await self._read(lambda db: database.get(db, key))
                found = plan_versions([row for row in rows if row[0] > self._floor], current)
                return sorted([*found, *self._volatile.versions(key)], key=lambda version: version.revision)

    def watch(self, prefix: str, *, since: Revision) -> AsyncIterator[Event]:
        async def replay() -> Sequence[Event]:
            return await self._replay(prefix, since, None, partial(self._check_retained, prefix, since))

        return follow(self._hub, prefix, since=since, replay=replay)

    # --- copying and checking -----------------------------------------------------------------------------------------

    async def slice(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """For `copying.py`: as `_read`, once it is our turn."""
        self._check_open()
        await asyncio.sleep(0)  # a connection that works within our turn of the loop lets nobody else have one
        async with self._turn:
            return await self._read(function)

    def position(self) -> tuple[Revision, Revision]:
        """For `copying.py`: the last revision and the floor."""
        return self._revision, self._floor

    async def backup(self, target: Path) -> Revision:
        """Write a copy of the state as of now to `target`, whole or not at all, replacing what is there; returns its revision.

        Writes go on meanwhile; one waits for a slice of some milliseconds at most. Raises BackupError, StoreError if the state
        cannot be read, ClosedError.
        """
        self._check_open()
        async with self._copying:
            return await write_backup(self, target, state=self._health.path, connect=self._connect)

    async def check(self) -> Sequence[str]:
        """What is wrong with the file, as `check.check_all`, and whether what is in memory agrees with it; writes go on. [] is sound.

        Every row is read, in slices; the history's keys and numbers are copied into memory for it.
        """
        self._check_open()
        found = [self._health.problem] if self._health.problem is not None else []
        copy = await self._connect(Path(":memory:"))
        try:
            async with self._copying:
                await copy_out(self, copy, values=False)
            found += await copy.run(check.check_all)
            found += await self._compare()
        except (BackupError, StoreError) as error:
            found.append(str(error))
        except sqlite3.IntegrityError as error:
            found.append(f"the file is damaged: its rows contradict each other ({error})")
        finally:
            await copy.close()
        return found

    async def _compare(self) -> Sequence[str]:
        """The index in memory against the file's index of keys and the rows that it leads to."""
        async with self._turn:
            noted = await self._read(database.meta)
            if noted != {"ceiling": self._ceiling, "floor": self._floor}:
                return [f"memory and file disagree about the ends of the log: {noted}"]
        after, seen = "", _SLICE
        while seen == _SLICE:
            async with self._turn:
                rows = await self._read(partial(database.places, after=after, limit=_SLICE))
                wrong = [key for key, revision, created in rows if self._index.get(key) != (revision, created)]
                if wrong:
                    return [f"memory and file disagree about {len(wrong)} keys, the first of which is {wrong[0]}"]
                after, seen = rows[-1][0] if rows else after, len(rows)
                missing = len(self._index) - await self._read(database.count) if seen < _SLICE else 0
        return [f"memory has {missing} keys more than the file"] if missing else []

    def listen(self, listener: Listener) -> Callable[[], None]:
        return self._hub.listen(listener)

    async def current_revision(self) -> Revision:
        return self._revision

    async def oldest_revision(self) -> Revision:
        return self._floor

    async def floors(self) -> Mapping[str, Revision]:
        floor = self._volatile.floor
        return dict.fromkeys(self._volatile_resources, floor) if floor > self._floor else {}

    async def _read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """As `_run`. Raises StoreError."""
        try:
            return await self._run(function)
        except sqlite3.Error as error:
            raise StoreError(f"the store could not read: {self._health.note(error)}") from error

    def _check_retained(self, prefix: str, revision: Revision) -> None:
        """Raise CompactedError if the events of `prefix` after `revision` are not all there."""
        oldest = self._floor
        if self._volatile.floor > oldest:
            for resource in self._volatile_resources:
                if prefix.startswith(f"{resource}/") or f"{resource}/".startswith(prefix):
                    oldest = self._volatile.floor
        if revision < oldest:
            raise CompactedError(revision, oldest)


def _check_log(path: Path) -> None:
    """Raise OpenError if the write-ahead log of `path` is damaged where it holds acknowledged writes."""
    log = path.with_name(path.name + "-wal")
    damage = wal.lost_transactions(log)
    if damage is not None:
        raise OpenError(
            f"{log} is damaged: {damage.lost} or more acknowledged transactions behind its byte {damage.end} cannot be read;"
            f" {RESTORE}. To go on without them: truncate -s {damage.end} {log} && rm {high_path(path)}"
        )


def _check_high(path: Path, contents: Contents, high: HighWater) -> None:
    """Raise OpenError if more was once written than is there."""
    if contents.durable < high.revision:
        raise OpenError(
            f"{path} ends at revision {contents.durable}, but {high.revision} was written: its write-ahead log ({path.name}-wal) is"
            f" gone or cut off, or an older file was put in its place; {RESTORE}. To go on from what is there, restore that:"
            f" minik restore {path}"
        )


def _page(records: Sequence[Record], limit: int, total: int, revision: Revision) -> Page:
    """A page of records from disk followed by ones from memory; `total` of them come after the asked key."""
    ordered = sorted(records, key=lambda record: record.key)
    shown = ordered[:limit] if limit else ordered
    return Page(shown, revision, more=total > len(shown), remaining=total - len(shown))


if TYPE_CHECKING:

    def _is_store(store: SqliteStore) -> Store:
        return store
