"""The server's disk: an in-loop `Connection` to a real SQLite file, slow by the seed; crashes and a full disk."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

FILE = "state.db"


class Disk:
    """Where the state file lies. After a crash the next server finds the file and its log as they were at that moment."""

    def __init__(self, directory: Path, rng: random.Random) -> None:
        self._directory, self._rng = directory, rng
        self._generation = 0
        self.is_full = False
        self.slow = 1.0
        """Factor on every delay."""
        self.commits = 0
        self.path.parent.mkdir()

    @property
    def path(self) -> Path:
        return self._directory / str(self._generation) / FILE

    async def connect(self, path: Path) -> InLoopConnection:
        """A `Connect` for `SqliteStore.open`."""
        return InLoopConnection(sqlite3.connect(path, isolation_level=None, cached_statements=64), self)

    def pull_plug(self) -> None:
        """The process is gone, what it had written is there. Its connection may still be closed: that touches the old copy only."""
        old = self.path
        self._generation += 1
        self.path.parent.mkdir()
        for name in (FILE, f"{FILE}-wal"):
            source = old.with_name(name)
            if source.exists():
                shutil.copyfile(source, self.path.with_name(name))

    def delay(self) -> float:
        rng = self._rng
        seconds = rng.uniform(0.0002, 0.002) if rng.random() < 0.95 else rng.uniform(0.005, 0.05)
        return seconds * self.slow


class InLoopConnection:
    """Works in the turn of the loop, after a delay: commits that come meanwhile share the next transaction."""

    def __init__(self, db: sqlite3.Connection, disk: Disk) -> None:
        self._db, self._disk = db, disk
        self._is_full = False

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        await asyncio.sleep(self._disk.delay())
        self._disk.commits += 1
        if self._is_full != self._disk.is_full:
            self._is_full = self._disk.is_full
            self._db.execute(f"PRAGMA query_only = {int(self._is_full)}")
        return function(self._db)

    async def close(self) -> None:
        self._db.close()
