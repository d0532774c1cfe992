"""`VolatileKeys`: the non-durable keys of the SQLite store (Events, node heartbeats): in memory, gone with the process.

They share the revision sequence with what is on disk. Knows their latest records and a short history; the store decides what is
written and merges what is read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from minik.storage.base import Event, Record, Revision


class VolatileKeys:
    """`floor`: events up to it are forgotten. `history`: events kept, at most."""

    def __init__(self, floor: Revision, *, history: int) -> None:
        self.records: dict[str, Record] = {}
        self.floor = floor
        self._history = history
        self._log: deque[tuple[Event, Record | None]] = deque()

    def apply(
        self, events: Sequence[Event], replaced: Mapping[Revision, Record | None], records: Mapping[str, Record | None]
    ) -> None:
        """Take over a published batch: `events` that have an element in `replaced` are of keys here."""
        for event in events:
            if event.revision in replaced:
                self._log.append((event, replaced[event.revision]))
        for key, record in records.items():
            if record is None:
                self.records.pop(key, None)
            else:
                self.records[key] = record
        while len(self._log) > self._history:
            self.floor = self._log.popleft()[0].revision

    def forget(self, upto: Revision) -> None:
        """Drop the events up to `upto`."""
        while self._log and self._log[0][0].revision <= upto:
            self._log.popleft()
        self.floor = max(self.floor, upto)

    def list(self, prefix: str, after: str, at: Revision | None) -> Sequence[Record]:
        """Records in key order; as of `at`, which must not lie before `floor`, if given."""
        records: Mapping[str, Record] = self.records
        if at is not None and self._log and self._log[-1][0].revision > at:
            records = self._records_at(at)
        return [records[key] for key in sorted(key for key in records if key.startswith(prefix) and key > after)]

    def _records_at(self, revision: Revision) -> dict[str, Record]:
        records = dict(self.records)
        for event, replaced in reversed(self._log):
            if event.revision <= revision:
                break
            if replaced is None:
                records.pop(event.key, None)
            else:
                records[event.key] = replaced
        return records

    def events(self, prefix: str, since: Revision, upto: Revision) -> Sequence[Event]:
        return [e for e, _ in self._log if since < e.revision <= upto and e.key.startswith(prefix)]
