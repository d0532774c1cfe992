"""Backups: writing one of an open store, looking at one, putting one in the place of a stopped server's state.

A backup is an ordinary state file without a write-ahead log, perhaps with the cluster's keys in it (`identity.py`). `write_backup` is
called by `SqliteStore.backup`; `copy_closed`, `describe` and `restore` by the command line, on files that no server has open.

Restoring must not turn time back for clients: what is restored goes on above every revision that the replaced state ever gave out,
and everything up to there counts as compacted, so that whoever watched is told to list again (etcd calls this `--bump-revision
--mark-compacted`). The price is the history, which begins anew.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from minik.files import sync_directory
from minik.storage import check, database, identity, wal
from minik.storage.base import BackupError, OpenError, Revision, StoreError
from minik.storage.connection import Connect
from minik.storage.copying import Source, copy_out
from minik.storage.database import DirectoryLock, Q
from minik.storage.faults import explain
from minik.storage.high import read_note

STATE = "state.db"
_UNKNOWN_STEP = 1_000_000_000
"""How far to go up if it cannot be known what the lost state gave out. etcd's documentation proposes as much."""


async def write_backup(source: Source, target: Path, *, state: Path, connect: Connect) -> Revision:
    """A copy of the open store `source`, whose file is `state`, at `target`. As `SqliteStore.backup`."""
    _check_target(target, state)
    partial = _partial(target)
    try:
        _discard(partial)
        partial.touch(mode=0o600, exist_ok=False)
        copy = await connect(partial)
        try:
            revision = await copy_out(source, copy, sync=lambda _: _sync(partial))
            problems = await copy.run(check.check_all)
            if problems:
                raise BackupError(f"the copy is not sound, and the state it comes from neither: {'; '.join(problems)}")
            await copy.run(lambda _: _sync(partial))
        finally:
            await copy.close()
        partial.replace(target)
        sync_directory(target.parent)
    except BaseException as error:
        _discard(partial)
        if isinstance(error, sqlite3.Error | OSError):
            raise BackupError(f"the backup could not be written: {explain(error, target)}") from error
        raise
    return revision


def copy_closed(state: Path, target: Path) -> Revision:
    """A copy of a state file that no server has open, at `target`, where nothing may be; `state` stays as it is.

    Raises OpenError: a server is running there, or the file is not there or not sound; BackupError: the copy cannot be written.
    """
    problems = check.check_file(state)
    if problems:
        raise OpenError(f"{state} is not sound: {'; '.join(problems)}")
    try:
        target.touch(mode=0o600, exist_ok=False)
        with database.open_closed(state) as db, contextlib.closing(sqlite3.connect(target)) as copy:
            db.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE").fetchall()
            (revision,) = copy.execute(Q["last_durable"]).fetchone()
    except (sqlite3.Error, OSError) as error:
        raise BackupError(f"the backup could not be written: {explain(error, target)}") from error
    return Revision(revision)


def _check_target(target: Path, state: Path) -> None:
    if target.is_dir():
        raise BackupError(f"{target} is a directory; a backup is a file")
    if not target.parent.is_dir():
        raise BackupError(f"{target.parent} is not a directory")
    if target.parent.resolve() == state.parent.resolve() and target.name.startswith((state.stem + ".", "lock")):
        raise BackupError(f"{target} is one of the server's own files")


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def _discard(path: Path) -> None:
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm", f"{path.name}-journal"):
        path.with_name(name).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


# --- looking at one ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Summary:
    """What a state file or backup is. `objects`: how many, by resource, sorted; `size` in bytes; `written`: of the last write."""

    revision: Revision
    format: int
    written: datetime | None
    objects: Mapping[str, int]
    size: int


def describe(path: Path) -> Summary:
    """Look at a file that no server has open. Raises OpenError."""
    try:
        with database.open_closed(path) as db:
            version = database.format_of(db)
            if not version:
                raise OpenError(f"{path} is empty")
            (revision,) = db.execute(Q["last_durable"]).fetchone()
            objects = dict(db.execute(Q["count_by_resource"]).fetchall())
            written = db.execute(Q["last_written"]).fetchone()[0] if version >= 2 else None
            if written is None:
                (seconds,) = db.execute(Q["last_mark"]).fetchone()
                written = None if seconds is None else 1000 * seconds
    except (sqlite3.Error, OSError) as error:
        raise OpenError(explain(error, path)) from error
    size = sum(p.stat().st_size for p in (path, path.with_name(path.name + "-wal")) if p.exists())
    time = None if written is None else datetime.fromtimestamp(written / 1000, UTC)
    return Summary(Revision(revision), version, time, objects, size)


# --- putting one in place ---------------------------------------------------------------------------------------------


def restore(backup: Path, data_dir: Path, *, now: datetime) -> Path | None:
    """Put the state of `backup` in the place of that in `data_dir`; returns where the old one is now, None if there was none.

    The backup stays as it is. It may be of an older release, or the state file of `data_dir` itself (to go on from it although
    writes went missing). Whatever happens meanwhile, a crash included, what `data_dir` has is the old state or the new. Raises
    OpenError: a server is running there, or the backup is not there, not sound or of a newer release; BackupError: it cannot be
    written.
    """
    state = data_dir / STATE
    new = _partial(state)
    lock: DirectoryLock | None = None
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = DirectoryLock(data_dir)
        _discard(new)
        _copy_in(backup, new)
        kept = _free_name(state.with_name(f"{state.name}.before-restore-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"))
        replaced = state.exists()
        _replace(state, new, kept)
        sync_directory(data_dir)
        return kept if replaced else None
    except (sqlite3.Error, OSError) as error:
        raise BackupError(f"{backup} cannot be restored: {explain(error, data_dir)}") from error
    finally:
        if lock is not None:
            _discard(new)
            lock.release()


def _log(state: Path) -> Path:
    return state.with_name(f"{state.name}-wal")


def _copy_in(backup: Path, new: Path) -> None:
    """A copy of the backup at `new`, sound and in this release's format, in one file."""
    if not backup.is_file():
        raise OpenError(f"{backup} is not there")
    log = backup.with_name(backup.name + "-wal")
    new.touch(mode=0o600, exist_ok=False)
    shutil.copyfile(backup, new)
    if log.exists():
        shutil.copyfile(log, new.with_name(new.name + "-wal"))
    if wal.lost_transactions(log) is not None:
        raise OpenError(f"{log} is damaged; this backup cannot be used")
    try:
        db = sqlite3.connect(new, isolation_level=None)
        try:
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            if not database.format_of(db):
                raise OpenError(f"{backup} is empty")
            problems = check.check_all(db)
            if problems:
                raise OpenError(f"{backup} is damaged and cannot be used: {'; '.join(problems)}")
            db.execute("PRAGMA journal_mode = DELETE").fetchall()
            database.migrate(db)
            identity.drop(db)
        finally:
            db.close()
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        raise OpenError(f"{explain(error, backup)}; this backup cannot be used") from error


def _last_given(state: Path) -> Revision | None:
    """The last revision that a state file may have given out; None if there is no telling."""
    try:
        if not state.exists() or wal.lost_transactions(state.with_name(state.name + "-wal")) is not None:
            return None
        db = sqlite3.connect(f"{state.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
        try:
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            if not database.format_of(db):
                return None
            if check.check_all(db):
                return None
            (revision,) = db.execute(Q["last_given"]).fetchone()
            (mode,) = db.execute("PRAGMA journal_mode = DELETE").fetchone()
            return Revision(revision) if mode == "delete" else None
        finally:
            db.close()
    except (sqlite3.Error, StoreError):
        return None


def _finish(new: Path, old: Revision | None, noted: Revision) -> None:
    """Let the new state go on above all revisions of the old one, without history, and sync it."""
    db = sqlite3.connect(new, isolation_level=None)
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = OFF").fetchall()
        (own,) = db.execute(Q["last_given"]).fetchone()
        floor = max(own, old or 0, noted) + (1 if old is not None else _UNKNOWN_STEP)
        db.execute("BEGIN")
        for name in ("ceiling", "floor"):
            db.execute(Q["set_meta"], {"name": name, "value": floor})
        db.execute(Q["forget_all"])
        db.execute(Q["forget_marks"], {"floor": floor})
        db.execute("COMMIT")
    finally:
        db.close()
    _sync(new)


def _replace(state: Path, new: Path, kept: Path) -> None:
    """Finish `new` and put it in the place of `state`, which becomes `kept`, whole: with its log, unless that went into it."""
    log, spare = _log(state), _log(kept)
    if log.exists():
        spare.hardlink_to(log)  # SQLite deletes a log that it cannot read
    try:
        last = _last_given(state)
        _finish(new, last, read_note(state))
        if last is not None:
            spare.unlink(missing_ok=True)
        for suffix in ("-wal", "-shm"):  # a log beside the new file would be taken for its own
            state.with_name(state.name + suffix).unlink(missing_ok=True)
        if state.exists():
            kept.hardlink_to(state)
        sync_directory(state.parent)
        new.rename(state)
    except BaseException:
        kept.unlink(missing_ok=True)
        if spare.exists():
            spare.rename(log)
        raise


def _free_name(path: Path) -> Path:
    names = (path if number == 1 else path.with_name(f"{path.name}-{number}") for number in itertools.count(1))
    return next(name for name in names if not name.exists() and not _log(name).exists())
