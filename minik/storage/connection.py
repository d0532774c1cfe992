"""`Connection`: the SQLite store's way to its one connection. Used by `sqlite.py`.

`ThreadConnection` is the real one: aiosqlite's thread, which `lending.py` keeps from starving. Tests put another in its place: one
that works within the turn of the event loop, for simulations that must repeat, or over a file system that records what it is asked.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, TypeAlias, TypeVar

import aiosqlite

from minik.storage.lending import Job

T = TypeVar("T")


class Connection(Protocol):
    """An open connection in autocommit mode, used by one caller at a time."""

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Call `function` with the connection. Raises what it raises."""
        ...

    async def close(self) -> None:
        """Close the file. Twice is fine."""
        ...


Connect: TypeAlias = Callable[[Path], Awaitable[Connection]]
"""Opens a file. Raises sqlite3.Error."""


class ThreadConnection:
    """A connection in a thread of its own. Must be closed, or the process does not end."""

    def __init__(self, db: aiosqlite.Connection) -> None:
        self._db = db
        self._connection = db._conn  # aiosqlite has no public way to run several statements in one visit to its thread

    @classmethod
    async def open(cls, path: Path) -> ThreadConnection:
        db = aiosqlite.connect(path, isolation_level=None, cached_statements=64)
        try:
            return cls(await db)
        except BaseException:
            db._thread.join()  # it has been told to end, and still reports to the loop, which may be gone soon
            raise

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._connection
        job = Job(lambda: function(connection), asyncio.get_running_loop())
        try:
            return await self._db._execute(job)  # type: ignore[no-untyped-call,no-any-return]  # as above; it returns the function's result
        finally:
            job.finish()

    async def close(self) -> None:
        await self._db.close()
