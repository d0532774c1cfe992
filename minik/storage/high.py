"""`HighWater`: a note beside the state file of the last revision that was written, to notice writes that went missing.

SQLite takes a write-ahead log that is cut off, or not there at all, for one that was never longer: acknowledged writes would be gone
without a word, and their revisions given out again. So would they if somebody put an older state file in place by hand. The note
is written after each transaction and never synced: it costs a microsecond, is exact after a crash of the process and lags by the
kernel's half minute after a power cut. It is never ahead of what is durable, so it never cries wolf. Used by `sqlite.py`, which does
without it where transactions are not synced one by one.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from minik.storage.base import Revision

_DIGITS = 20


def high_path(path: Path) -> Path:
    """The note that belongs to a state file."""
    return path.with_suffix(".high")


def read_note(path: Path) -> Revision:
    """The revision noted beside the state file `path`; 0 if none is."""
    try:
        return Revision(int(high_path(path).read_bytes()[:_DIGITS] or b"0"))
    except (OSError, ValueError):
        return Revision(0)


class HighWater:
    """`path`: the state file. Whatever fails here is no reason not to store: the note is then as it was, or not there."""

    def __init__(self, path: Path) -> None:
        self.revision = read_note(path)
        self._file = -1
        with contextlib.suppress(OSError):
            self._file = os.open(high_path(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def note(self, revision: Revision) -> None:
        """Everything up to `revision` is durable."""
        if revision > self.revision:
            self.revision = revision
            with contextlib.suppress(OSError):
                os.pwrite(self._file, b"%0*d\n" % (_DIGITS, revision), 0)

    def close(self) -> None:
        """Twice is fine."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
