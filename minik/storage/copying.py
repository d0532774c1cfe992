"""`copy_out`: a consistent copy of an open store into another file, in slices between which the store goes on writing.

The copy is the state as of one revision, taken when it begins. What is overwritten meanwhile is not lost for it: the history keeps
what each write replaced. So: first the records that have not been written since, in the order of their revisions; then the history up
to the revision; then, from the history after it, what was replaced before its turn came. Rows of either table never change, and
are only ever deleted: of `current` with a trace in the history, of the history from its old end on.

Used by `SqliteStore.backup`, into a file, and by `SqliteStore.check`, into memory and without the values.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from minik.storage import database
from minik.storage.base import BackupError, Revision
from minik.storage.connection import Connection
from minik.storage.database import Q

T = TypeVar("T")

Sync = Callable[[sqlite3.Connection], None]

_SYNC_BYTES = 4 << 20
_ROWS = 256
_BYTES = 1 << 20
"""What a slice has at most, but for a single larger row: 1 to 3 ms."""


class Source(Protocol):
    """An open store, as far as copying it goes."""

    async def slice(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Call `function` with the store's connection, no write being under way. Raises what it raises."""
        ...

    def position(self) -> tuple[Revision, Revision]:
        """(the last revision given out, the floor) now."""
        ...


async def copy_out(source: Source, target: Connection, *, values: bool = True, sync: Sync | None = None) -> Revision:
    """Fill the empty database `target` and return the revision it has. It is complete and consistent, but not synced.

    `values` False: empty values in place of the real ones, which are read all the same. `sync` is called now and then, so that the
    last sync, for which the store's own would have to wait, has little to do. Raises sqlite3.Error, of either side, and
    BackupError if the store forgot what the copy needs.
    """
    await target.run(database.make)
    revision, floor, volatile, marks = await source.slice(lambda db: (*source.position(), *_describe(db)))
    await target.run(lambda db: _write_description(db, revision, volatile, marks))
    reads = _Reads(source, target, values=values, sync=sync)
    await reads.copy("current", _CURRENT, after=0, upto=revision)
    seen, _ = source.position()
    await reads.copy("history", _HISTORY, after=floor, upto=revision)
    await reads.copy("replaced", _CURRENT_AGAIN, after=revision, upto=seen, bound=revision)
    _, floor = source.position()
    if floor > revision:
        raise BackupError("the history was forgotten faster than the store could be copied; try again")
    await target.run(lambda db: _finish(db, revision, floor))
    return revision


_CURRENT = "INSERT INTO current (revision, created, key, value) VALUES (?, ?, ?, ?)"
_CURRENT_AGAIN = "INSERT OR IGNORE INTO current (revision, created, key, value) VALUES (?, ?, ?, ?)"
_HISTORY = """INSERT INTO history (revision, type, created, replaced, key, value, author, written)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
_VALUE = {"current": 3, "history": 5, "replaced": 3}
"""Where a row has its value."""


class _Reads:
    """Copies rows of one table after the other, a slice at a time."""

    def __init__(self, source: Source, target: Connection, *, values: bool, sync: Sync | None) -> None:
        self._source = source
        self._target = target
        self._values = values
        self._sync = sync
        self._unsynced = 0

    async def copy(self, what: str, insert: str, *, after: int, upto: int, bound: int = 0) -> None:
        while after < upto:
            start = after

            def read(db: sqlite3.Connection) -> tuple[int, list[tuple[Any, ...]]]:
                return _slice(db, what, start, upto, bound)  # noqa: B023  # called before the loop goes on

            after, rows = await self._source.slice(read)
            if rows:
                place = _VALUE[what]
                if not self._values:
                    rows = [(*row[:place], None if row[place] is None else b"", *row[place + 1 :]) for row in rows]
                await self._target.run(_inserter(insert, rows))
                self._unsynced += sum(len(row[place] or b"") for row in rows)
                if self._sync is not None and self._unsynced > _SYNC_BYTES:
                    self._unsynced = 0
                    await self._target.run(self._sync)


def _inserter(insert: str, rows: Sequence[tuple[Any, ...]]) -> Callable[[sqlite3.Connection], None]:
    def run(db: sqlite3.Connection) -> None:
        db.execute("BEGIN")
        try:
            db.executemany(insert, rows)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.rollback()
            raise

    return run


def _slice(db: sqlite3.Connection, what: str, after: int, upto: int, bound: int) -> tuple[int, list[tuple[Any, ...]]]:
    """The next rows, and the revision up to which that was all."""
    limits = {"after": after, "upto": upto, "bound": bound, "rows": _ROWS}
    sizes = db.execute(Q[f"copy_{what}_sizes"], limits).fetchall()
    if not sizes:
        return upto, []
    end, total = upto if len(sizes) < _ROWS else sizes[-1][0], 0
    for revision, size in sizes:
        total += size or 0
        if total >= _BYTES:
            end = revision
            break
    return end, db.execute(Q[f"copy_{what}"], {**limits, "upto": end}).fetchall()


def _describe(db: sqlite3.Connection) -> tuple[list[tuple[str]], list[tuple[int, int]]]:
    return db.execute(Q["volatile"]).fetchall(), db.execute(Q["marks"]).fetchall()


def _write_description(
    db: sqlite3.Connection, revision: Revision, volatile: Sequence[tuple[str]], marks: Sequence[tuple[int, int]]
) -> None:
    db.execute(Q["set_meta"], {"name": "ceiling", "value": revision})
    for (resource,) in volatile:
        db.execute(Q["add_volatile"], {"resource": resource})
    for at, written in marks:
        db.execute(Q["add_mark"], {"revision": at, "written": written})


def _finish(db: sqlite3.Connection, revision: Revision, floor: Revision) -> None:
    db.execute(Q["set_meta"], {"name": "floor", "value": floor})
    db.execute(Q["forget_marks"], {"floor": floor})
    db.execute(Q["forget"], {"upto": floor, "rows": revision + 1})
