"""What a key's history amounts to as `Version`s. Pure; used by every store."""

from __future__ import annotations

from collections.abc import Sequence

from minik.storage.base import Event, EventType, Record, Revision, Version

VersionRow = tuple[int, int, int, int | None, bytes | None, str | None, int | None]
"""A row of the SQLite store's history: revision, type, created, revision it replaced, value it replaced, author, time (Unix ms)."""


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
