"""When the medium fails: what a failed transaction means, and whether the files are still those that were opened. Used by `writer.py`.

A transaction that SQLite reports as failed was rolled back in its view, but its frames may lie complete in the write-ahead log: a
sync that fails says nothing about what reaches the disk, and a crash right then would bring the transaction back. Only a disk that
is full, a file that may not be written and a statement that is too big are known to leave nothing. After anything else the writer
*settles*: it commits something small, whose frames take the place of those of the failed transaction and so make an end of it. Until
that has succeeded, nothing else is written, and the outcome of the failed transaction is called unknown.
"""

from __future__ import annotations

import errno
import sqlite3
from enum import Enum
from pathlib import Path

RESTORE = "restore a backup: minik restore FILE"


class Outcome(Enum):
    """What a failed transaction left behind."""

    NOTHING = "nothing"
    UNKNOWN = "unknown"
    DISAGREES = "disagrees"
    """Nothing, and it failed because the file is not what the writer took it for."""


_LEAVES_NOTHING = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_TOOBIG}
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def outcome_of(error: sqlite3.Error) -> Outcome:
    """Of the transaction that raised `error`."""
    code = _primary_code(error)
    if code == sqlite3.SQLITE_CONSTRAINT or isinstance(error, sqlite3.IntegrityError):
        return Outcome.DISAGREES
    return Outcome.NOTHING if code in _LEAVES_NOTHING else Outcome.UNKNOWN


def explain(error: sqlite3.Error | OSError, path: Path) -> str:
    """What is wrong with `path`, and what a person can do about it."""
    what = str(error)
    if isinstance(error, OSError):
        if error.errno == errno.ENOSPC:
            return f"{path} cannot be written: the disk is full; make room on it"
        return f"{path} cannot be used: {error.strerror or error}"
    code = _primary_code(error)
    if code == sqlite3.SQLITE_FULL:
        return f"{path} cannot be written: the disk is full ({what}); make room on it"
    if code in _DAMAGE:
        return f"{path} is damaged ({what}); {RESTORE}"
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return f"{path} and its directory must be writable ({what})"
    if code == sqlite3.SQLITE_IOERR:
        name = getattr(error, "sqlite_errorname", "")
        return f"the disk fails under {path} ({what}, {name}); see the kernel's log"
    return f"{path}: {what}"


def _primary_code(error: sqlite3.Error) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


_LOOK_SECONDS = 1.0
"""How often it is looked whether the files are still there."""


class Health:
    """What is wrong with a store's medium, in words, as far as was noticed. `path`: the state file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write: str | None = None
        """Why the last attempt to write failed."""
        self.checkpoint: str | None = None
        """Why the log could not be moved into the file."""
        self.damage: str | None = None
        """What was found broken; does not heal."""
        self._files = _Files(path)
        self._looked = 0.0

    @property
    def problem(self) -> str | None:
        return self.damage or self.write or self.checkpoint

    def note(self, error: sqlite3.Error) -> str:
        """Explain an error of the connection, and remember damage."""
        what = explain(error, self.path)
        if _primary_code(error) in _DAMAGE:
            self.damage = what
        return what

    def look(self, now: float) -> bool:
        """Whether the files are not those any more that were opened. Looks once a second, and always while writing fails."""
        if self.write is not None or not self._looked <= now < self._looked + _LOOK_SECONDS:
            self._looked = now
            problem = self._files.problem()
            if problem is not None:
                self.write = problem
                return True
        return False


class _Files:
    """The state file and its log as they were when first seen: a file that was deleted or replaced takes writes, and forgets them."""

    def __init__(self, path: Path) -> None:
        self._seen: dict[Path, tuple[int, int]] = {}
        self._paths = (path, path.with_name(path.name + "-wal"))

    def problem(self) -> str | None:
        """Why what is written now would be lost; None if it would not."""
        for path in self._paths:
            try:
                found = path.stat()
            except FileNotFoundError:
                place = None
            except OSError as error:
                return explain(error, path)
            else:
                place = (found.st_dev, found.st_ino)
            if place is not None and path not in self._seen:
                self._seen[path] = place
            if place != self._seen.get(path):
                what = "deleted or moved" if place is None else "replaced"
                return (
                    f"{path} was {what} under the running server, which still has all of it: put it back,"
                    " or save the state with `minik backup FILE`, stop the server and restore that"
                )
        return None
