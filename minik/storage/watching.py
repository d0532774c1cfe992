"""`Watch` and `Dispatcher`: which watches of a resource get an event, at a cost that depends on those that do.

A watch stands in exactly one bucket (everything, one name, one index value, or one namespace), the narrowest that its request
allows; what else the request asks for is checked when an event is put into its mailbox. Used by `cache.py` only.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TypeAlias

from minik.api.meta import ROObj
from minik.storage.base import ClosedError
from minik.storage.entry import CacheEvent
from minik.storage.hub import Mailbox

_Bucket: TypeAlias = "dict[Watch, None]"  # a set that keeps its order, so that simulations repeat


class Dispatcher:
    """The watches of one resource, by what they want."""

    __slots__ = ("_all", "_buckets", "_by_index", "_by_name", "_count")

    def __init__(self) -> None:
        self._all: _Bucket = {}
        self._buckets: dict[Hashable, _Bucket] = {}
        self._by_name = 0
        self._by_index: dict[str, int] = {}
        self._count = 0

    def add(self, watch: Watch) -> None:
        self._count += 1
        match watch.place:
            case None:
                self._all[watch] = None
                return
            case ("name", _):
                self._by_name += 1
            case ("index", str(name), _):
                self._by_index[name] = self._by_index.get(name, 0) + 1
        self._buckets.setdefault(watch.place, {})[watch] = None

    def remove(self, watch: Watch) -> None:
        """Twice is fine."""
        bucket = self._all if watch.place is None else self._buckets.get(watch.place)
        if bucket is None or watch not in bucket:
            return
        del bucket[watch]
        self._count -= 1
        if watch.place is None:
            return
        if not bucket:
            del self._buckets[watch.place]
        match watch.place:
            case ("name", _):
                self._by_name -= 1
            case ("index", str(name), _):
                self._by_index[name] -= 1

    def dispatch(self, event: CacheEvent, touched: Mapping[str, Iterable[str]]) -> None:
        """Put the event where it belongs. `touched`: index name → the values that the object had or has."""
        for watch in self._all:
            watch.put(event)
        buckets = self._buckets
        if not buckets:
            return
        entry = event.entry
        bucket = buckets.get(("namespace", entry.namespace))
        if bucket is not None:
            for watch in bucket:
                watch.put(event)
        if self._by_name:
            for watch in buckets.get(("name", entry.name), ()):
                watch.put_if_wanted(event)
        for name, values in touched.items():
            if self._by_index.get(name):
                for value in values:
                    for watch in buckets.get(("index", name, value), ()):
                        watch.put_if_wanted(event)

    def close(self) -> None:
        for bucket in (self._all, *self._buckets.values()):
            for watch in bucket:
                watch.end(ClosedError("the cache is closed"))

    def __len__(self) -> int:
        return self._count


class Watch(Mailbox[CacheEvent]):
    """One watch: an async iterator of events, or, for the HTTP writer, `wait` and `pop_many`. Close it when done with it."""

    __slots__ = ("_dispatcher", "_name", "_namespace", "_since", "place")

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        namespace: str,
        name: str,
        index: tuple[str, str] | None,
        since: int,
        limit: int,
    ) -> None:
        super().__init__(limit)
        self._dispatcher = dispatcher
        self._namespace = namespace
        self._name = name
        self._since = since
        self.place: tuple[str, ...] | None = None
        """Its bucket."""
        if name:
            self.place = ("name", name)
        elif index is not None:
            self.place = ("index", *index)
        elif namespace:
            self.place = ("namespace", namespace)
        dispatcher.add(self)

    def replay(self, events: Iterable[CacheEvent], values_of: Callable[[ROObj], Iterable[str]] | None) -> None:
        """Start with these retained events, as far as they are wanted. `values_of`: the function of its index."""
        found = []
        value = self.place[2] if self.place is not None and self.place[0] == "index" else None
        for event in events:
            if not self._wants(event):
                continue
            if value is not None and values_of is not None:
                states = (event.entry,) if event.previous is None else (event.entry, event.previous)
                if not any(value in values_of(state.obj) for state in states):
                    continue
            found.append(event)
        self.prefill(found)

    def put_if_wanted(self, event: CacheEvent) -> None:
        if self._wants(event):
            self.put(event)

    def _wants(self, event: CacheEvent) -> bool:
        entry = event.entry
        return (not self._namespace or entry.namespace == self._namespace) and (
            not self._name or entry.name == self._name
        )

    def pop_many(self) -> list[CacheEvent]:
        """Everything there is, without waiting. Raises SlowReaderError, or ClosedError once the rest has been read."""
        found = super().pop_many()
        if self._since and found:
            if found[0].revision <= self._since:  # asked for from a revision that had not come yet
                found = [event for event in found if event.revision > self._since]
            if found:
                self._since = 0
        return found

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> CacheEvent:
        while True:
            event = await self.pop()
            if event.revision > self._since:
                return event

    def close(self) -> None:
        """Stop receiving. Twice is fine."""
        self._dispatcher.remove(self)

    async def aclose(self) -> None:
        self.close()
