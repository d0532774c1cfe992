"""`Resource`: what the cache holds of one resource: latest entries, order, history, indexes and watches. Used by `cache.py` only.

Everything here happens in one turn of the event loop per event; nothing waits.
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter

from minik.api.meta import ROObj
from minik.storage.base import Event, EventType, Revision
from minik.storage.entry import CacheEvent, Entry, render
from minik.storage.watching import Dispatcher

IndexFunction = Callable[[ROObj], str | Iterable[str]]
"""object → the value or values under which it is found. "" is a value like any other."""

_KEEP_SECONDS = 600.0
_KEEP_ALWAYS = 100
_FRESH = 256
"""A resource's latest events, whose frames and decoded former states are kept: those that readers are busy with."""

by_key = attrgetter("key")


class Index:
    """value → entries, kept up to date by `put` and `drop`."""

    __slots__ = ("_function", "_of", "_values")

    def __init__(self, function: IndexFunction) -> None:
        self._function = function
        self._values: dict[str, dict[str, Entry]] = {}
        self._of: dict[str, tuple[str, ...]] = {}

    def values_of(self, obj: ROObj) -> tuple[str, ...]:
        try:
            found = self._function(obj)
            return (found,) if isinstance(found, str) else tuple(found)
        except (AttributeError, KeyError, TypeError):
            return ()  # an object of an unforeseen shape is found under no value; it must not stop the log

    def put(self, entry: Entry, obj: ROObj) -> tuple[str, ...]:
        """Index the entry's new state; returns the values it had or has."""
        key = entry.key
        old, new = self._of.get(key, ()), self.values_of(obj)
        if old == new:
            for value in new:
                self._values[value][key] = entry
            return new
        self._remove(key, old)
        for value in new:
            self._values.setdefault(value, {})[key] = entry
        self._of[key] = new
        return (*old, *(value for value in new if value not in old))

    def drop(self, key: str) -> tuple[str, ...]:
        old = self._of.pop(key, ())
        self._remove(key, old)
        return old

    def _remove(self, key: str, values: Iterable[str]) -> None:
        for value in values:
            entries = self._values[value]
            entries.pop(key, None)
            if not entries:
                del self._values[value]

    def entries(self, value: str) -> Iterable[Entry]:
        return self._values.get(value, {}).values()


class Resource:
    """State, history, indexes and watches of one resource."""

    __slots__ = ("_lists", "_namespaces", "_sorted", "entries", "floor", "history", "indexes", "watches")

    def __init__(self, floor: Revision) -> None:
        self.floor = floor
        self.entries: dict[str, Entry] = {}
        self.history: deque[CacheEvent] = deque()
        self.indexes: dict[str, Index] = {}
        self.watches = Dispatcher()
        self._sorted: list[str] = []
        self._namespaces: dict[str, list[str]] = {}
        self._lists: dict[str, tuple[Entry, ...]] = {}

    def load(self, entry: Entry) -> None:
        """Add an entry while the cache is filled."""
        self._insert(entry)
        for index in self.indexes.values():
            index.put(entry, entry.obj)

    def _insert(self, entry: Entry) -> None:
        key = entry.key
        self.entries[key] = entry
        _insort(self._sorted, key)
        namespace = entry.namespace
        if namespace:
            _insort(self._namespaces.setdefault(namespace, []), key)

    def _delete(self, key: str, namespace: str) -> None:
        del self.entries[key]
        del self._sorted[bisect.bisect_left(self._sorted, key)]
        if namespace:
            keys = self._namespaces[namespace]
            del keys[bisect.bisect_left(keys, key)]
            if not keys:
                del self._namespaces[namespace]

    def apply(self, event: Event, now: float, history: int) -> None:
        """Take over a live event: state, indexes, history, watches."""
        previous = self.entries.get(event.key)
        touched: dict[str, tuple[str, ...]] = {}
        if event.type is EventType.PUT:
            assert event.value is not None
            key = event.key if previous is None else previous.key
            entry = Entry(key, event.revision, event.created, render(event.value, event.revision))
            if previous is None:
                self._insert(entry)
            else:
                self.entries[key] = entry
            for name, index in self.indexes.items():
                touched[name] = index.put(entry, entry.obj)
        elif previous is not None:
            entry = previous.at(event.revision)
            self._delete(event.key, entry.namespace)
            for name, index in self.indexes.items():
                touched[name] = index.drop(event.key)
        else:
            return
        if self._lists:
            self._lists.pop("", None)
            self._lists.pop(entry.namespace, None)
        change = CacheEvent.of(event, entry, previous)
        entry.share_frames()
        self.remember(change, now, history)
        self.watches.dispatch(change, touched)

    def remember(self, event: CacheEvent, now: float, limit: int) -> None:
        """Append to the history and forget what is too much or too old."""
        event.time = now
        history = self.history
        history.append(event)
        if len(history) > _FRESH:
            history[-_FRESH - 1].settle()
        too_old = now - _KEEP_SECONDS
        while len(history) > limit or (len(history) > _KEEP_ALWAYS and history[0].time < too_old):
            self.floor = history.popleft().revision

    def since(self, revision: int) -> Iterator[CacheEvent]:
        """The retained events after `revision`, in order."""
        found: list[CacheEvent] = []
        for event in reversed(self.history):
            if event.revision <= revision:
                break
            found.append(event)
        return reversed(found)

    def list(self, namespace: str) -> tuple[Entry, ...]:
        found = self._lists.get(namespace)
        if found is None:
            keys = self._sorted if not namespace else self._namespaces.get(namespace, ())
            entries = self.entries
            found = tuple([entries[key] for key in keys])
            if found:
                self._lists[namespace] = found
        return found

    def list_at(self, namespace: str, revision: int) -> Sequence[Entry]:
        """The list as of a revision within the history: the present one with the later events undone."""
        undo: dict[str, Entry | None] = {}
        for event in reversed(self.history):
            if event.revision <= revision:
                break
            if not namespace or event.entry.namespace == namespace:
                undo[event.entry.key] = event.previous
        present = self.list(namespace)
        if not undo:
            return present
        kept = [entry for entry in present if entry.key not in undo]
        kept += [entry for entry in undo.values() if entry is not None]
        return sorted(kept, key=by_key)

    def add_index(self, name: str, function: IndexFunction) -> None:
        if name in self.indexes:
            return
        index = self.indexes[name] = Index(function)
        for entry in self.entries.values():
            index.put(entry, entry.obj)

    def all_entries(self) -> Iterator[Entry]:
        yield from self.entries.values()
        for event in self.history:
            yield event.entry
            if event.previous is not None:
                yield event.previous


def _insort(keys: list[str], key: str) -> None:
    if not keys or key > keys[-1]:
        keys.append(key)
    else:
        bisect.insort(keys, key)
