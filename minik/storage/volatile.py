"""`VolatileKeys`: the non-durable keys of the SQLite store (Events, node heartbeats): in memory, gone with the process.

They share the revision sequence with what is on disk. Knows their latest records and a short history; the store decides what is
written and merges what is read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from minik.storage.base import Event, Record, Revision, Version
from minik.storage.versions import base_version, version_of


@dataclass(frozen=True, slots=True)
class _Write:
    """One entry of the log; `written` in Unix milliseconds."""

    event: Event
    replaced: Record | None
    author: str
    written: int


class VolatileKeys:
    """`floor`: events up to it are forgotten. `history`: events kept, at most."""

    def __init__(self, floor: Revision, *, history: int) -> None:
        self.records: dict[str, Record] = {}
        self.floor = floor
        self._history = history
        self._log: deque[_Write] = deque()

    def apply(
        self,
        events: Sequence[Event],
        replaced: Mapping[Revision, tuple[Record | None, str]],
        records: Mapping[str, Record | None],
        written: int,
    ) -> None:
        """Take over a published batch: `events` that have an element in `replaced` (what, and by whom) are of keys here."""
        for event in events:
            if event.revision in replaced:
                self._log.append(_Write(event, *replaced[event.revision], written))
        for key, record in records.items():
            if record is None:
                self.records.pop(key, None)
            else:
                self.records[key] = record
        while len(self._log) > self._history:
            self.floor = self._log.popleft().event.revision

    def forget(self, upto: Revision) -> None:
        """Drop the events up to `upto`."""
        while self._log and self._log[0].event.revision <= upto:
            self._log.popleft()
        self.floor = max(self.floor, upto)

    def list(self, prefix: str, after: str, at: Revision | None) -> Sequence[Record]:
        """Records in key order; as of `at`, which must not lie before `floor`, if given."""
        records: Mapping[str, Record] = self.records
        if at is not None and self._log and self._log[-1].event.revision > at:
            records = self._records_at(at)
        return [records[key] for key in sorted(key for key in records if key.startswith(prefix) and key > after)]

    def _records_at(self, revision: Revision) -> dict[str, Record]:
        records = dict(self.records)
        for write in reversed(self._log):
            if write.event.revision <= revision:
                break
            if write.replaced is None:
                records.pop(write.event.key, None)
            else:
                records[write.event.key] = write.replaced
        return records

    def events(self, prefix: str, since: Revision, upto: Revision) -> Sequence[Event]:
        return [w.event for w in self._log if since < w.event.revision <= upto and w.event.key.startswith(prefix)]

    def versions(self, key: str) -> Sequence[Version]:
        """What is known of a key's history, oldest first."""
        writes = [write for write in self._log if write.event.key == key]
        base = writes[0].replaced if writes else self.records.get(key)
        found = [base_version(base)] if base is not None else []
        return [*found, *(version_of(w.event, w.replaced, w.author, w.written) for w in writes)]
