"""`open_store`: the store of a data directory. Called by the composition root and by commands that work on a stopped server."""

from __future__ import annotations

import fcntl
from pathlib import Path

from minik.clock import Clock, SystemClock
from minik.storage.base import OpenError
from minik.storage.compactor import Retention
from minik.storage.sqlite import SqliteStore

FILE_NAME = "state.db"


async def open_store(
    data_dir: Path,
    *,
    clock: Clock | None = None,
    retention: Retention | None = None,
    synchronous: str = "FULL",
) -> SqliteStore:
    """Open the store in `data_dir`, making both if absent; the directory is locked until the store is closed.

    `synchronous` "NORMAL" gives up the last writes before a power failure for speed. Raises OpenError: the directory is in use by
    another server, cannot be read or written, or its file is of a newer release or damaged.
    """
    if synchronous not in ("FULL", "NORMAL"):
        raise ValueError(f"synchronous is FULL or NORMAL, not {synchronous}")
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)  # noqa: ASYNC240  # opening is local and blocks for microseconds
    except OSError as error:
        raise OpenError(f"{data_dir} cannot be made: {error}") from error
    return await SqliteStore.open(
        data_dir / FILE_NAME, clock=clock or SystemClock(), retention=retention, synchronous=synchronous
    )


def is_in_use(data_dir: Path) -> bool:
    """Whether a server holds the store of `data_dir` open now."""
    try:
        with (data_dir / "lock").open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
