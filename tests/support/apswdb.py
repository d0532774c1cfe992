"""apsw behind the face of the standard library's `sqlite3`, as far as `minik/storage/database.py` uses it; and connections that work
within the turn of the event loop, so that a test repeats exactly. Used by `recordfs.py`.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar, cast

import apsw

T = TypeVar("T")

_INTEGRITY = (apsw.ConstraintError, apsw.MismatchError)
_DAMAGE = (apsw.CorruptError, apsw.NotADBError)


@contextmanager
def _as_sqlite3() -> Iterator[None]:
    """apsw's errors as those that `sqlite3` raises for the same result codes."""
    try:
        yield
    except apsw.Error as error:
        kind: type[sqlite3.Error] = sqlite3.OperationalError
        if isinstance(error, _INTEGRITY):
            kind = sqlite3.IntegrityError
        elif isinstance(error, _DAMAGE):
            kind = sqlite3.DatabaseError
        raised = kind(f"{type(error).__name__}: {error}")
        code = getattr(error, "extendedresult", None) or _code(error)
        if code is not None:
            raised.sqlite_errorcode = code
            raised.sqlite_errorname = str(apsw.mapping_extended_result_codes.get(code) or _name(code))
        raise raised from error


def _code(error: apsw.Error) -> int | None:
    code = getattr(error, "result", None)
    if code is None:  # made by Python code of a VFS
        code = next((number for number, kind in _CLASSES.items() if type(error) is kind), None)
    return code


_CLASSES = {apsw.SQLITE_FULL: apsw.FullError, apsw.SQLITE_IOERR: apsw.IOError}


def _name(code: int) -> str:
    return str(apsw.mapping_result_codes.get(code, code))


class ApswCursor:
    """The results of one `execute`."""

    def __init__(self, db: apsw.Connection, cursor: apsw.Cursor, rowcount: int) -> None:
        self._cursor = cursor
        self.rowcount = rowcount
        self.connection = db

    @property
    def lastrowid(self) -> int:
        return self.connection.last_insert_rowid()

    def fetchone(self) -> Any:
        with _as_sqlite3():
            return self._cursor.fetchone()

    def fetchall(self) -> list[Any]:
        with _as_sqlite3():
            return self._cursor.fetchall()

    def __iter__(self) -> Iterator[Any]:
        while (row := self.fetchone()) is not None:
            yield row

    def close(self) -> None:
        self._cursor.close()


class ApswConnection:
    """In autocommit mode, as `sqlite3.connect(..., isolation_level=None)`. Raises sqlite3.Error."""

    def __init__(self, path: Path, *, vfs: str | None = None) -> None:
        with _as_sqlite3():
            self.apsw = apsw.Connection(str(path), vfs=vfs)

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> ApswCursor:
        with _as_sqlite3():
            before = self.apsw.total_changes()
            cursor = self.apsw.execute(sql, parameters or None)
            changed = self.apsw.changes() if self.apsw.total_changes() != before else 0
            return ApswCursor(self.apsw, cursor, changed)

    def executemany(self, sql: str, parameters: Sequence[Sequence[Any]]) -> ApswCursor:
        with _as_sqlite3():
            before = self.apsw.total_changes()
            cursor = self.apsw.executemany(sql, parameters)
            return ApswCursor(self.apsw, cursor, self.apsw.total_changes() - before)

    def executescript(self, script: str) -> ApswCursor:
        cursor = self.execute(script)
        cursor.fetchall()
        return cursor

    @property
    def in_transaction(self) -> bool:
        return self.apsw.in_transaction

    @property
    def total_changes(self) -> int:
        return self.apsw.total_changes()

    def commit(self) -> None:
        if self.in_transaction:
            self.execute("COMMIT")

    def rollback(self) -> None:
        if self.in_transaction:
            self.execute("ROLLBACK")

    def close(self) -> None:
        """What fails in it is not told, as by `sqlite3`."""
        with suppress(apsw.Error):
            self.apsw.close(True)


class TurnConnection:
    """A `Connection` of the store that does its work at once, in the caller's turn of the loop.

    `pauses`: how many turns others of the loop get before the work, and after it; asked anew each time.
    """

    def __init__(self, db: ApswConnection | sqlite3.Connection) -> None:
        self.db = cast(sqlite3.Connection, db)
        self.pauses: Callable[[], int] = int

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        for _ in range(self.pauses()):
            await asyncio.sleep(0)
        try:
            return function(self.db)
        finally:
            for _ in range(self.pauses()):
                await asyncio.sleep(0)

    async def close(self) -> None:
        self.db.close()


async def connect_plain(path: Path) -> TurnConnection:
    """The standard library's SQLite."""
    return TurnConnection(sqlite3.connect(path, isolation_level=None, cached_statements=64))
