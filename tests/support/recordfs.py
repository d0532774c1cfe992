"""A file system for SQLite that records what it is asked, and fails when told to: a VFS of apsw over the real one.

    recorder = Recorder(directory)
    connection = await recorder.connect(directory / "state.db")       # a `Connection` for `SqliteStore.open(..., connect=...)`
    recorder.log                                                      # every write, truncate, sync, create and delete so far
    recorder.fault = Fault(after=3, error="IOERR")                    # the fourth operation from now on fails

The files are real ones (put them on a tmpfs), so whoever looks at them beside SQLite sees what SQLite sees. Other files in the
directory that somebody writes without a sync are noticed between the operations. `powercut.py` computes from the log what a power
cut could leave. The directory is synced when the first sync of a new journal or log is asked for, which
is what SQLite's own VFS for Unix does (`os_unix.c`, UNIXFILE_DIRSYNC).

SQLite runs through apsw's own library here, not through the one of the `sqlite3` module; what it left is then read through `sqlite3`.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import apsw

from tests.support.apswdb import ApswConnection, TurnConnection


@dataclass(frozen=True, slots=True)
class Create:
    """`name` is a new, empty file from here on, known by the number `file`."""

    name: str
    file: int


@dataclass(frozen=True, slots=True)
class Delete:
    name: str


@dataclass(frozen=True, slots=True)
class Write:
    file: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    file: int
    size: int


@dataclass(frozen=True, slots=True)
class Sync:
    """Complete. `ok` False: it failed, and what was written before may never reach the disk, whatever is synced later."""

    file: int
    ok: bool = True


@dataclass(frozen=True, slots=True)
class SyncDirectory:
    """Creations and deletions up to here are on disk."""


@dataclass(frozen=True, slots=True)
class Opened:
    """SQLite opens the state anew."""


Operation: TypeAlias = Create | Delete | Write | Truncate | Sync | SyncDirectory | Opened


@dataclass(slots=True)
class Fault:
    """From now on, let `after` operations (write, truncate, sync, delete) work, then fail `times` of them, or only those of `kinds`.

    A write that fails leaves its first half on the disk if `half`.
    """

    after: int
    error: Literal["IOERR", "FULL"] = "IOERR"
    times: int = 1
    kinds: frozenset[str] = frozenset({"write", "truncate", "sync", "delete"})
    half: bool = False
    hit: str = ""
    """The operation that failed first: "sync state.db-wal"."""

    def strikes(self, kind: str, name: str) -> bool:
        """Whether this operation fails. Counts."""
        if kind not in self.kinds:
            return False
        self.after -= 1
        if self.after >= 0 or self.after < -self.times:
            return False
        self.hit = self.hit or f"{kind} {name}"
        return True


_EXTENDED = {
    "write": apsw.SQLITE_IOERR_WRITE,
    "truncate": apsw.SQLITE_IOERR_TRUNCATE,
    "sync": apsw.SQLITE_IOERR_FSYNC,
    "delete": apsw.SQLITE_IOERR_DELETE,
}
_LOCK = "lock"
_names = (f"record-{number}" for number in itertools.count())


class Recorder:
    """Records what SQLite does in `directory`.

    Files that are there already count as on disk (`existing`, by name), unless `after` says how they came to be: the log of a process
    that was killed. The new log goes on from it.
    """

    def __init__(self, directory: Path, *, after: Sequence[Operation] = ()) -> None:
        self.directory = directory
        self.log: list[Operation] = list(after)
        self.fault: Fault | None = None
        self.drops_syncs = False
        """A disk that lies: a sync is answered and does nothing."""
        self.operations = 0
        """Those that a fault could strike, so far."""
        self._files: dict[str, int] = {}
        self._numbers = itertools.count()
        self._unsynced_entry: set[int] = set()
        self._others: dict[str, bytes] = {}
        """Files that SQLite has nothing to do with, as last seen."""
        self._of_sqlite: set[str] = set()
        self.existing: dict[str, bytes] = {}
        for operation in after:
            if isinstance(operation, Create):
                self._files[operation.name] = next(self._numbers)
            elif isinstance(operation, Delete):
                del self._files[operation.name]
        for path in sorted(directory.iterdir()):
            if path.name != _LOCK:
                self._others[path.name] = path.read_bytes()
                if not after:
                    self.existing[path.name] = self._others[path.name]
                    self._files[path.name] = next(self._numbers)
        self._vfs = _VFS(next(_names), self)

    async def connect(self, path: Path) -> TurnConnection:
        """Opens a file of the directory. Raises sqlite3.Error."""
        self._of_sqlite |= {path.name, f"{path.name}-wal", f"{path.name}-journal"}
        self.look()
        self.log.append(Opened())
        return TurnConnection(ApswConnection(path, vfs=self._vfs.name))

    def look(self) -> int:
        """Learn what was made and written without SQLite. Returns the length of the log."""
        for entry in os.scandir(self.directory):
            name = entry.name
            if name != _LOCK and name not in self._files:
                self.create(name)
            if name != _LOCK and name not in self._of_sqlite:
                content = Path(entry.path).read_bytes()
                if content != self._others.get(name, b""):
                    self._others[name] = content
                    self.log.append(Write(self._files[name], 0, content))
        return len(self.log)

    def sync_directory(self, _path: Path) -> None:
        """In the place of `minik.files.sync_directory`."""
        if self._strikes("sync", "the directory"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.log.append(SyncDirectory())

    # --- what the files and the VFS report ----------------------------------------------------------------------------

    def create(self, name: str, *, syncs_entry: bool = False) -> int:
        number = self._files[name] = next(self._numbers)
        self.log.append(Create(name, number))
        if syncs_entry:
            self._unsynced_entry.add(number)
        return number

    def number(self, name: str) -> int | None:
        return self._files.get(name)

    def write(self, name: str, file: int, offset: int, data: bytes, act: Callable[[bytes], None]) -> None:
        if self._strikes("write", name):
            assert self.fault is not None
            if self.fault.half and len(data) > 1:
                part = data[: len(data) // 2]
                act(part)
                self.log.append(Write(file, offset, part))
            raise _error(self.fault.error, "write")
        act(data)
        self.log.append(Write(file, offset, data))

    def truncate(self, name: str, file: int, size: int, act: Callable[[], None]) -> None:
        self._refuse("truncate", name)
        act()
        self.log.append(Truncate(file, size))

    def sync(self, name: str, file: int, act: Callable[[], None]) -> None:
        if self._strikes("sync", name):
            self.log.append(Sync(file, ok=False))
            raise _error("IOERR", "sync")
        act()
        if self.drops_syncs:
            return
        self.log.append(Sync(file))
        if file in self._unsynced_entry:
            self._unsynced_entry.discard(file)
            self.log.append(SyncDirectory())

    def delete(self, name: str, sync: bool, act: Callable[[], None]) -> None:
        self._refuse("delete", name)
        act()
        if self._files.pop(name, None) is not None:
            self.log.append(Delete(name))
        if sync:
            self.log.append(SyncDirectory())

    def _refuse(self, kind: str, name: str) -> None:
        if self._strikes(kind, name):
            assert self.fault is not None
            raise _error(self.fault.error, kind)

    def _strikes(self, kind: str, name: str) -> bool:
        self.look()
        self.operations += 1
        return self.fault is not None and self.fault.strikes(kind, name)


def _error(error: str, kind: str) -> Exception:
    if error == "FULL":
        return apsw.FullError("injected")
    failed = apsw.IOError("injected")
    failed.extendedresult = _EXTENDED[kind]  # type: ignore[attr-defined]  # what apsw asks for, and does not declare
    return failed


class _VFS(apsw.VFS):
    def __init__(self, name: str, recorder: Recorder) -> None:
        self.name = name
        self._recorder = recorder
        super().__init__(name, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        text = name.filename() if isinstance(name, apsw.URIFilename) else name
        if text is None or Path(text).parent != self._recorder.directory:
            return apsw.VFSFile("", name, flags)  # a temporary file: not part of the state
        path = Path(text)
        if not path.exists():
            logs = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL | apsw.SQLITE_OPEN_WAL
            if flags[0] & apsw.SQLITE_OPEN_CREATE:
                self._recorder.create(path.name, syncs_entry=bool(flags[0] & logs))
        number = self._recorder.number(path.name)
        return _File(self._recorder, path.name, -1 if number is None else number, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        path = Path(filename)
        if path.parent == self._recorder.directory and path.exists():
            self._recorder.delete(path.name, syncdir, lambda: super(_VFS, self).xDelete(filename, syncdir))
        else:
            super().xDelete(filename, syncdir)


class _File(apsw.VFSFile):
    def __init__(
        self, recorder: Recorder, name: str, number: int, path: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        self._recorder = recorder
        self._name = name
        self._number = number
        super().__init__("", path, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        inherited = super().xWrite
        self._recorder.write(self._name, self._number, offset, bytes(data), lambda part: inherited(part, offset))

    def xTruncate(self, newsize: int) -> None:
        inherited = super().xTruncate
        self._recorder.truncate(self._name, self._number, newsize, lambda: inherited(newsize))

    def xSync(self, flags: int) -> None:
        inherited = super().xSync
        self._recorder.sync(self._name, self._number, lambda: inherited(flags))
