"""`History`: everything that happened in a run, a line each. The digest of the lines is the run's fingerprint.

12.004318 store 118 PUT pods/a/web-x {"apiVersion": …}
12.500000 fault node-2 loses power
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import IO

from minik.storage.base import Event, EventType


class History:
    """`trace`: a file that gets every line."""

    def __init__(self, trace: IO[bytes] | None = None) -> None:
        self._digest = hashlib.sha256()
        self._trace = trace
        self._revisions: dict[str, list[int]] = {}
        self.lines = 0
        self.events = 0
        self.faults = 0

    @property
    def fingerprint(self) -> str:
        return self._digest.hexdigest()

    def _add(self, line: bytes) -> None:
        line = b"%.6f %b\n" % (_now(), line)
        self.lines += 1
        self._digest.update(line)
        if self._trace is not None:
            self._trace.write(line)

    @property
    def is_traced(self) -> bool:
        return self._trace is not None

    def log(self, text: str) -> None:
        """What was logged: for the trace only."""
        if self._trace is not None:
            self._trace.write(b"%.6f log %b\n" % (_now(), text.encode()))

    def store(self, events: Sequence[Event]) -> None:
        """What a store published."""
        for event in events:
            self.events += 1
            self._revisions.setdefault(event.key.partition("/")[0], []).append(event.revision)
            value = b"" if event.type is EventType.DELETE else event.value or b""
            self._add(b"store %d %b %b %b" % (event.revision, event.type.name.encode(), event.key.encode(), value))

    def revisions(self, resource: str) -> list[int]:
        """Of all events of a resource, in order."""
        return self._revisions.get(resource, [])

    def note(self, kind: str, text: str) -> None:
        """`kind`: fault, user, server, check."""
        if kind == "fault":
            self.faults += 1
        self._add(f"{kind} {text}".encode())


def _now() -> float:
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:  # before the run, or after it
        return 0.0
