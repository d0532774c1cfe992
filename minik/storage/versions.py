"""What rows of history amount to: the `Version`s of a key, the `Event`s of many. Pure; used by the stores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minik.storage.base import Event, EventType, Record, Revision, Version

VersionRow = tuple[int, int, int, int | None, bytes | None, str | None, int | None]
"""A row of the SQLite store's history: revision, type, created, revision it replaced, value it replaced, author, time (Unix ms)."""

EventRow = tuple[int, int, int, str, bytes | None, bytes | None]
"""A row of history: revision, type, created, key, value it replaced, value it wrote if that is still there."""


def base_version(record: Record) -> Version:
    """The state of a key before everything that is retained."""
    return Version(record.revision, record.created, EventType.PUT, record.value, None, "", None)


def version_of(event: Event, replaced: Record | None, author: str, written: int) -> Version:
    """`replaced`: the state before the event; `written`: when it happened, in Unix milliseconds."""
    value = event.value if event.type is EventType.PUT else None
    previous = replaced.value if replaced is not None else None
    return Version(event.revision, event.created, event.type, value, previous, author, written / 1000)


def plan_versions(rows: Sequence[VersionRow], current: Record | None) -> list[Version]:
    """A key's versions from its retained rows, in revision order, and from what is there now.

    A row has what its write replaced; what it wrote is what the next one replaced, or what is there now.
    """
    if not rows:
        return [base_version(current)] if current is not None else []
    first = rows[0]
    found = []
    if first[3] is not None and first[4] is not None:
        found.append(base_version(Record("", first[4], Revision(first[3]), Revision(first[2]))))
    for row, later in zip(rows, [*rows[1:], None], strict=True):
        revision, type_, created, _, previous, author, written = row
        value = None
        if type_ == EventType.PUT:
            value = later[4] if later is not None else current.value if current is not None else None
        seconds = written / 1000 if written is not None else None
        found.append(
            Version(Revision(revision), Revision(created), EventType(type_), value, previous, author or "", seconds)
        )
    return found


class Replay:
    """The events up to `upto` (None: all) out of rows of history that are added in revision order.

    What a write wrote is what the key's next write replaced, unless it is still there: so some values come with later rows.
    """

    def __init__(self, upto: int | None) -> None:
        self._upto = upto
        self._events: list[list[Any]] = []
        self._open: dict[str, list[Any]] = {}

    def add(self, rows: Sequence[EventRow]) -> None:
        for revision, type_, created, key, replaced, present in rows:
            event = self._open.pop(key, None)
            if event is not None:
                event[2] = replaced
            if self._upto is not None and revision > self._upto:
                continue
            if type_ == EventType.DELETE:
                self._events.append([EventType.DELETE, key, replaced, None, revision, created])
            else:
                event = [EventType.PUT, key, present, replaced, revision, created]
                self._events.append(event)
                if present is None:
                    self._open[key] = event

    @property
    def complete(self) -> bool:
        """Whether no value is missing any more."""
        return not self._open

    def events(self) -> list[Event]:
        """Those so far."""
        return [Event(*event) for event in self._events]
