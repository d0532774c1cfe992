"""The file of the SQLite store: its schema, and every statement on it, as plain functions over one `sqlite3.Connection`.

They run in the connection's thread; `sqlite.py` calls them and decides when. Nothing here knows an event loop. The one writer is
also the one that checkpoints, and the file is locked against every other connection: SQLite before 3.51.3 can damage a
write-ahead log that two connections write and checkpoint at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import IO, Any

from minik.storage.base import OpenError, Record, Revision, StoreError
from minik.storage.journal import Row
from minik.storage.versions import EventRow, VersionRow

MAX_ROWS = 1024
"""Rows of one statement; SQLite takes 32,766 parameters."""

_APPLICATION_ID = 0x6D6E696B
_ALL = 1 << 62
_AFTER_ALL_KEYS = "\U0010ffff"


def _read_queries() -> dict[str, str]:
    text = resources.files("minik.storage").joinpath("queries.sql").read_text("utf-8")
    parts = re.split(r"^-- name: (.+)$", text, flags=re.MULTILINE)
    return {name.strip(): sql.strip() for name, sql in zip(parts[1::2], parts[2::2], strict=True)}


Q: Mapping[str, str] = _read_queries()

MIGRATIONS = [Q["migration 1"], Q["migration 2"]]
"""Step n takes a file from version n to n + 1 (`PRAGMA user_version`). Never change one that was released."""


class DirectoryLock:
    """Holds a data directory against other servers, for as long as the process lives at most. Raises OpenError."""

    def __init__(self, directory: Path) -> None:
        self._file: IO[str] | None = (directory / "lock").open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.seek(0)
            holder = self._file.read().strip()
            self.release()
            who = f" (process {holder})" if holder else ""
            raise OpenError(f"{directory} is in use by another server{who}") from error
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """Twice is fine."""
        if self._file is not None:
            self._file.close()
            self._file = None


@dataclass(slots=True)
class Contents:
    """What a store needs to know of its file when it opens it."""

    revision: Revision
    """All revisions given out before are at most this."""
    durable: Revision
    """The last one of which the file shows a trace."""
    floor: Revision
    forgotten: Revision
    """Up to here history has no rows any more; it may lag behind the floor."""
    ceiling: Revision
    index: dict[str, tuple[Revision, Revision]]
    volatile: list[str]
    marks: list[tuple[int, int]]


@dataclass(slots=True)
class Extras:
    """What a transaction does besides its rows."""

    ceiling: Revision | None = None
    volatile: list[str] = field(default_factory=list)
    mark: tuple[int, int] | None = None
    floor: Revision | None = None
    forget: tuple[Revision, int] | None = None
    """Forget history up to this revision, at most that many rows."""

    def __bool__(self) -> bool:
        return bool(self.volatile or self.mark or self.forget) or self.ceiling is not None or self.floor is not None


def prepare(db: sqlite3.Connection, *, synchronous: str) -> Contents:
    """Set the connection up, bring the file to this release's version and read what the store needs. Raises OpenError."""
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    format_of(db)  # a file that is refused is not touched
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(f"PRAGMA synchronous = {synchronous}")
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute("PRAGMA cache_size = -4096")
    db.execute("PRAGMA temp_store = MEMORY")
    migrate(db)
    noted = meta(db)
    (durable,) = db.execute(Q["last_revision"]).fetchone()
    (oldest,) = db.execute(Q["oldest_history"]).fetchone()
    index = {key: (Revision(revision), Revision(created)) for key, revision, created in db.execute(Q["index"])}
    volatile = [resource for (resource,) in db.execute(Q["volatile"])]
    # Clients may hold the last revision together with non-durable objects, which are gone: it must lie before their history.
    lost = 1 if volatile else 0
    return Contents(
        revision=Revision(max(durable, noted["ceiling"], noted["floor"]) + lost),
        durable=Revision(max(durable, noted["floor"])),
        floor=Revision(noted["floor"]),
        forgotten=Revision(min(noted["floor"], oldest - 1 if oldest is not None else noted["floor"])),
        ceiling=Revision(noted["ceiling"]),
        index=index,
        volatile=volatile,
        marks=db.execute(Q["marks"]).fetchall(),
    )


def make(db: sqlite3.Connection) -> None:
    """Set up a new file that nobody else sees before it is complete, and that is synced as a whole then."""
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("PRAGMA journal_mode = MEMORY").fetchall()
    db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA cache_size = -4096")
    migrate(db)


@contextlib.contextmanager
def open_closed(path: Path) -> Iterator[sqlite3.Connection]:
    """A state file that no server has open, or a backup. Raises OpenError and sqlite3.Error.

    The file stays byte for byte as it is, but for a write-ahead log that a crash left: that goes into it when the connection ends.
    """
    if not path.is_file():
        raise OpenError(f"{path} is not there")
    log = path.with_name(path.name + "-wal")
    lock: DirectoryLock | None = None
    if (path.parent / "lock").exists():
        with contextlib.suppress(OSError):  # where nothing can be written, no server runs
            lock = DirectoryLock(path.parent)
    try:
        mode = "mode=rw" if log.exists() and log.stat().st_size else "mode=ro&immutable=1"
        db = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None)
        try:
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            yield db
        finally:
            db.close()
    finally:
        if lock is not None:
            lock.release()


def format_of(db: sqlite3.Connection) -> int:
    """The format of the file (0: it is empty). Raises OpenError if it is not one of minik, or a newer one."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application != _APPLICATION_ID:
        raise OpenError("the state file is a SQLite file, but not one of minik")
    if version > len(MIGRATIONS):
        raise OpenError(
            f"the state file was written by a newer release of minik (format {version}; this release knows up to"
            f" {len(MIGRATIONS)}): use that release"
        )
    return int(version)


def migrate(db: sqlite3.Connection) -> None:
    """Bring the file to this release's format, a step a transaction. Raises OpenError and sqlite3.Error."""
    version = format_of(db)
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        checkpoint(db)  # what a killed process left must be on disk before anything is written behind it: see wal.py
        stamp = f"PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {number};"
        try:
            db.executescript(f"BEGIN IMMEDIATE;\n{script}\n{stamp}\nCOMMIT;")
        except sqlite3.Error:
            if db.in_transaction:
                db.rollback()
            raise


def write(db: sqlite3.Connection, rows: Sequence[Row], extras: Extras) -> int:
    """Carry out a batch as one transaction, durable on return; returns the number of history rows forgotten.

    The usual batch is one statement. That is not only fewer statements: between two of them the thread would have to get the
    interpreter's lock back from a busy event loop. After an error nothing of the batch is there.
    """
    if not extras and len(rows) <= MAX_ROWS:
        _write_rows(db, rows)
        return 0
    db.execute("BEGIN IMMEDIATE")
    try:
        for start in range(0, len(rows), MAX_ROWS):
            _write_rows(db, rows[start : start + MAX_ROWS])
        forgotten = _write_extras(db, extras)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.rollback()
        raise
    return forgotten


def _write_rows(db: sqlite3.Connection, rows: Sequence[Row]) -> None:
    size = 1
    while size < len(rows):
        size *= 2
    parameters: list[Any] = [value for row in rows for value in row]
    parameters += [None] * (7 * (size - len(rows)))
    db.execute(_insert(size), parameters)


_inserts: dict[int, str] = {}


def _insert(size: int) -> str:
    sql = _inserts.get(size)
    if sql is None:
        sql = _inserts[size] = "INSERT INTO write VALUES " + ",".join(["(?,?,?,?,?,?,?)"] * size)
    return sql


def _write_extras(db: sqlite3.Connection, extras: Extras) -> int:
    if extras.ceiling is not None:
        db.execute(Q["set_meta"], {"name": "ceiling", "value": extras.ceiling})
    for resource in extras.volatile:
        db.execute(Q["add_volatile"], {"resource": resource})
    if extras.mark is not None:
        db.execute(Q["add_mark"], {"revision": extras.mark[0], "written": extras.mark[1]})
    if extras.floor is not None:
        db.execute(Q["set_meta"], {"name": "floor", "value": extras.floor})
        db.execute(Q["forget_marks"], {"floor": extras.floor})
    if extras.forget is None:
        return 0
    upto, rows = extras.forget
    return db.execute(Q["forget"], {"upto": upto, "rows": rows}).rowcount


def checkpoint(db: sqlite3.Connection, *, truncate: bool = False) -> None:
    """Move the write-ahead log into the file."""
    db.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if truncate else 'PASSIVE'})").fetchall()


def settle(db: sqlite3.Connection, ceiling: Revision, revision: Revision) -> None:
    """Write something, durable on return, after a transaction that failed: nothing of that can come back afterwards.

    `ceiling` must be new. Raises StoreError if there are rows after `revision`, which are of the failed transaction.
    """
    (found,) = db.execute(Q["last_revision"]).fetchone()
    if found > revision:
        raise StoreError(f"a transaction that failed is there all the same (revision {found} after {revision})")
    write(db, (), Extras(ceiling=ceiling))


def sync_log(db: sqlite3.Connection) -> None:
    """Bring to disk what is in the file before anybody is shown it. Raises OpenError.

    A process that was killed between a write and its sync left a log that the next one reads, but that a power cut could still take.
    """
    try:
        _, frames, _ = db.execute(
            "PRAGMA wal_checkpoint(PASSIVE)"
        ).fetchone()  # syncs the log before it does anything else
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_FULL:
            raise
        return
    if frames < 0:  # "PRAGMA journal_mode" may have failed, and tells of the mode all the same
        raise OpenError("the state file's write-ahead log cannot be made; is there room on the disk?")


def get(db: sqlite3.Connection, key: str) -> Record | None:
    row = db.execute(Q["get"], {"key": key}).fetchone()
    return None if row is None else Record(*row)


def meta(db: sqlite3.Connection) -> dict[str, int]:
    """The two numbers of the log."""
    return dict(db.execute(Q["meta"]).fetchall())


def places(db: sqlite3.Connection, after: str, limit: int) -> list[tuple[str, int, int]]:
    """Keys in their order with (revision, created), found through the index of keys."""
    return db.execute(Q["places"], {"after": after, "limit": limit}).fetchall()


def count(db: sqlite3.Connection) -> int:
    """How many keys there are."""
    return int(db.execute(Q["count_all"]).fetchone()[0])


def list_page(db: sqlite3.Connection, prefix: str, after: str, limit: int) -> tuple[list[Record], int]:
    """The records, at most `limit` (0: all), and how many there are in all."""
    bounds = {"prefix": prefix, "end": prefix + _AFTER_ALL_KEYS, "after": after}
    rows = db.execute(Q["list"], {**bounds, "limit": limit or _ALL}).fetchall()
    total = len(rows)
    if limit and total == limit:
        (total,) = db.execute(Q["count"], bounds).fetchone()
    return [Record(*row) for row in rows], total


def first_writes(
    db: sqlite3.Connection, prefix: str, after: str, since: int, upto: int
) -> list[tuple[str, int, int | None]]:
    """Per key written after `since` up to `upto`: the first such write, and the revision it replaced, if any."""
    bounds = {"prefix": prefix, "end": prefix + _AFTER_ALL_KEYS, "after": after, "since": since, "upto": upto}
    return db.execute(Q["first_writes"], bounds).fetchall()


def list_at(
    db: sqlite3.Connection, prefix: str, after: str, at: Revision, limit: int, writes: Mapping[str, int]
) -> tuple[list[Record], int]:
    """The records as of `at`, at most `limit` (0: all) in key order, and how many there are in all.

    `writes`: of the keys that existed then and were written since, the first write since.
    """
    bounds = {"prefix": prefix, "end": prefix + _AFTER_ALL_KEYS, "after": after, "at": at}
    found = [Record(*row) for row in db.execute(Q["list_unchanged"], {**bounds, "limit": limit or _ALL})]
    (unchanged,) = db.execute(Q["count_unchanged"], bounds).fetchone()
    for key in sorted(writes)[: limit or None]:
        found.append(Record(*db.execute(Q["replaced"], {"revision": writes[key]}).fetchone()))
    return found, unchanged + len(writes)


def event_rows(db: sqlite3.Connection, prefix: str, since: int, upto: int) -> list[EventRow]:
    """The history of keys with `prefix` from one revision (excluded) to another, in revision order."""
    bounds = {"prefix": prefix, "end": prefix + _AFTER_ALL_KEYS, "since": since, "upto": upto}
    return db.execute(Q["event_rows"], bounds).fetchall()


def last_event_rows(db: sqlite3.Connection, prefix: str, since: int, limit: int) -> list[EventRow]:
    """The last `limit` rows of that history, in revision order."""
    bounds = {"prefix": prefix, "end": prefix + _AFTER_ALL_KEYS, "since": since, "limit": limit}
    return db.execute(Q["last_event_rows"], bounds).fetchall()[::-1]


def version_rows(db: sqlite3.Connection, key: str, after: int, upto: int) -> list[VersionRow]:
    """The history of a key from one revision (excluded) to another."""
    return db.execute(Q["versions"], {"key": key, "after": after, "upto": upto}).fetchall()
