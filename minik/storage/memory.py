"""`MemoryStore`: the `Store` to read first. Everything is in two plain structures; nothing survives the process.

Tests and embedded clusters use it; it is also the model that the SQLite store is tested against. It favours plainness: a list
as of an old revision undoes the events after it, one by one.
"""

from __future__ import annotations

import bisect
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from minik.clock import Clock, SystemClock
from minik.storage.base import (
    ABSENT,
    ClosedError,
    CompactedError,
    ConflictError,
    Event,
    EventType,
    Listener,
    Op,
    Page,
    Record,
    Revision,
    Store,
    Version,
)
from minik.storage.hub import Hub, follow
from minik.storage.versions import base_version, version_of


@dataclass(frozen=True, slots=True)
class _Write:
    """One entry of the log: what happened, the record it replaced or removed, who wrote it when (Unix milliseconds)."""

    event: Event
    replaced: Record | None
    author: str
    written: int


class MemoryStore:
    """A `Store` in the process's memory. `history`: events kept for watches and old lists, at most."""

    def __init__(self, *, history: int = 100_000, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._records: dict[str, Record] = {}
        self._log: list[_Write] = []
        self._revision = Revision(0)
        self._oldest = Revision(0)
        self._history = history
        self._hub = Hub()
        self._closed = False

    async def get(self, key: str) -> Record | None:
        self._check_open()
        return self._records.get(key)

    async def list(self, prefix: str, *, after: str = "", limit: int = 0, at: Revision | None = None) -> Page:
        self._check_open()
        revision = self._revision if at is None else at
        records = self._records if revision >= self._revision else self._records_at(revision)
        keys = sorted(key for key in records if key.startswith(prefix) and key > after)
        shown = keys[:limit] if limit else keys
        remaining = len(keys) - len(shown)
        return Page([records[key] for key in shown], revision, more=remaining > 0, remaining=remaining)

    def _records_at(self, revision: Revision) -> dict[str, Record]:
        records = dict(self._records)
        for write in reversed(self._since(revision)):
            if write.replaced is None:
                records.pop(write.event.key, None)
            else:
                records[write.event.key] = write.replaced
        return records

    def _since(self, revision: Revision) -> Sequence[_Write]:
        """The writes after `revision`. Raises CompactedError."""
        if revision < self._oldest:
            raise CompactedError(revision, self._oldest)
        return self._log[bisect.bisect_right(self._log, revision, key=lambda write: write.event.revision) :]

    async def commit(self, ops: Sequence[Op]) -> Sequence[Revision]:
        self._check_open()
        changed: dict[str, Record | None] = {}
        writes: list[_Write] = []
        revision = self._revision
        written = int(self._clock.now().timestamp() * 1000)
        for op in ops:
            old = changed[op.key] if op.key in changed else self._records.get(op.key)
            actual = ABSENT if old is None else old.revision
            if op.expected is not None and op.expected != actual:
                raise ConflictError(op.key, actual)
            revision = Revision(revision + 1)
            if op.value is not None:
                created = revision if old is None else old.created
                changed[op.key] = Record(op.key, op.value, revision, created)
                previous = None if old is None else old.value
                event = Event(EventType.PUT, op.key, op.value, previous, revision, created)
            elif old is not None:
                changed[op.key] = None
                event = Event(EventType.DELETE, op.key, old.value, None, revision, old.created)
            else:
                raise ConflictError(op.key, ABSENT)
            writes.append(_Write(event, old, op.author, written))
        for key, record in changed.items():
            if record is None:
                self._records.pop(key, None)
            else:
                self._records[key] = record
        self._revision = revision
        self._log += writes
        if len(self._log) > 2 * self._history:
            self._forget(self._log[-self._history - 1].event.revision)
        events = [write.event for write in writes]
        if events:
            self._hub.publish(events)
        return [event.revision for event in events]

    def watch(self, prefix: str, *, since: Revision) -> AsyncIterator[Event]:
        async def replay() -> Sequence[Event]:
            return [w.event for w in self._since(since) if w.event.key.startswith(prefix)]

        return follow(self._hub, prefix, since=since, replay=replay)

    async def events(self, prefix: str, *, since: Revision, upto: Revision, limit: int = 0) -> Sequence[Event]:
        self._check_open()
        events = [write.event for write in self._since(since)]
        return [e for e in events if e.revision <= upto and e.key.startswith(prefix)][-limit:]

    async def history(self, key: str) -> Sequence[Version]:
        self._check_open()
        writes = [write for write in self._log if write.event.key == key]
        base = writes[0].replaced if writes else self._records.get(key)
        found = [base_version(base)] if base is not None else []
        return [*found, *(version_of(w.event, w.replaced, w.author, w.written) for w in writes)]

    def listen(self, listener: Listener) -> Callable[[], None]:
        return self._hub.listen(listener)

    async def compact(self, upto: Revision) -> None:
        self._check_open()
        self._forget(Revision(min(upto, self._revision)))

    def _forget(self, upto: Revision) -> None:
        if upto > self._oldest:
            self._log = list(self._since(upto))
            self._oldest = upto

    async def current_revision(self) -> Revision:
        return self._revision

    async def oldest_revision(self) -> Revision:
        return self._oldest

    async def floors(self) -> Mapping[str, Revision]:
        return {}

    async def close(self) -> None:
        self._closed = True
        self._hub.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the store is closed")


if TYPE_CHECKING:
    _: Store = MemoryStore()
