"""`Cache`: the latest state of everything and the recent history, from which the API server answers every read and every watch.

It listens to the store, so it shows a write in the same turn of the event loop in which the writer is answered. It holds the one
copy of every value in the process: the bytes as they are served, revision filled in. (The SQLite store keeps no values of durable
keys in memory; they are in its file.) Decoded objects are made when somebody asks, once per revision, and are shared: read-only.

Leaves to others: selectors and what they make of an event (`server/verbs/watch.py`), and everything about kinds.
"""

from __future__ import annotations

import asyncio
import bisect
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter

import orjson

from minik.api.meta import ROObj
from minik.storage.base import CompactedError, Event, EventType, Record, Revision, Store
from minik.storage.entry import CacheEvent, Entry, render
from minik.storage.hub import DEFAULT_LIMIT
from minik.storage.watching import Dispatcher, Watch

__all__ = ["Cache", "CacheEvent", "Entry", "IndexFunction", "Watch"]

IndexFunction = Callable[[ROObj], str | Iterable[str]]
"""object → the value or values under which it is found. "" is a value like any other."""

_KEEP_SECONDS = 600.0
_KEEP_ALWAYS = 100
_FRESH = 256
"""A resource's latest events, whose frames and decoded former states are kept: those that readers are busy with."""
_PAGE = 5000
_LOADED = 5000
"""Events of history that `start` reads back, at most: for watches that were open when the server stopped."""

_by_key = attrgetter("key")


class Cache:
    """See the module. `history`: events kept per resource, at most; those older than ten minutes go earlier."""

    def __init__(self, store: Store, *, history: int = 10_000) -> None:
        self.revision = Revision(0)
        """All that was committed up to here is in the cache and in the mailboxes of the watches."""
        self._store = store
        self._history = history
        self._floor = Revision(0)
        self._resources: dict[str, _Resource] = {}
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._early: list[Event] | None = None
        self._unlisten: Callable[[], None] | None = None

    async def start(self) -> None:
        """Load state and history and follow the store from there on."""
        self._early = []
        self._unlisten = self._store.listen(self._listen)
        revision = await self._store.current_revision()
        self._floor = await self._store.oldest_revision()
        for resource, floor in (await self._store.floors()).items():
            self._resource(resource).floor = floor
        after, more = "", True
        while more:
            page = await self._store.list("", after=after, limit=_PAGE, at=revision)
            for record in page.records:
                self._load(record)
            after, more = (page.records[-1].key if page.records else after), page.more
        await self._load_history(revision)
        self.revision = revision
        early, self._early = self._early, None
        self._publish([event for event in early if event.revision > revision])

    def _load(self, record: Record) -> None:
        self._resource(record.key.partition("/")[0]).load(Entry.of(record))

    async def _load_history(self, revision: Revision) -> None:
        events = await self._store.events("", since=self._floor, upto=revision, limit=_LOADED)
        if len(events) == _LOADED:
            self._floor = Revision(events[0].revision - 1)
            for resource in self._resources.values():
                resource.floor = max(resource.floor, self._floor)
        before: dict[str, Entry] = {}
        now = asyncio.get_running_loop().time()
        for event in events:
            resource = self._resource(event.key.partition("/")[0])
            if event.revision <= resource.floor:
                continue
            previous = before.pop(event.key, None)
            if event.type is EventType.PUT:
                assert event.value is not None
                entry = resource.entries.get(event.key)
                if entry is None or entry.revision != event.revision:
                    entry = Entry.of(Record(event.key, event.value, event.revision, event.created))
                if previous is None and event.created != event.revision:
                    previous = _former(event, event.previous)
                before[event.key] = entry
            else:
                previous = previous or _former(event, event.value)
                entry = previous.at(event.revision)
            resource.remember(CacheEvent.of(event, entry, previous), now, self._history)

    async def close(self) -> None:
        """Stop following; end all watches."""
        if self._unlisten is not None:
            self._unlisten()
            self._unlisten = None
        for resource in self._resources.values():
            resource.watches.close()
        for _, waiter in self._waiters:
            waiter.cancel()
        self._waiters.clear()

    # --- following ----------------------------------------------------------------------------------------------------

    def _resource(self, name: str) -> _Resource:
        resource = self._resources.get(name)
        if resource is None:
            resource = self._resources[name] = _Resource(self._floor)
        return resource

    def _listen(self, events: Sequence[Event]) -> None:
        if self._early is not None:
            self._early += events
        else:
            self._publish(events)

    def _publish(self, events: Sequence[Event]) -> None:
        if not events:
            return
        now = asyncio.get_running_loop().time()
        for event in events:
            self._resource(event.key.partition("/")[0]).apply(event, now, self._history)
        self.revision = events[-1].revision
        if self._waiters:
            revision, waiters = self.revision, self._waiters
            self._waiters = [pair for pair in waiters if pair[0] > revision]
            for wanted, waiter in waiters:
                if wanted <= revision and not waiter.done():
                    waiter.set_result(None)

    async def wait_for(self, revision: int, timeout: float | None = None) -> None:
        """Until everything up to `revision` is in the cache. Raises TimeoutError after `timeout` seconds."""
        if revision <= self.revision:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        pair = (revision, waiter)
        self._waiters.append(pair)
        try:
            async with asyncio.timeout(timeout):
                await waiter
        finally:
            if pair in self._waiters:
                self._waiters.remove(pair)

    # --- reading ------------------------------------------------------------------------------------------------------

    def get(self, key: str) -> Entry | None:
        """The latest state of `pods/default/web` (`nodes//n1`), or None."""
        resource = self._resources.get(key.partition("/")[0])
        return resource.entries.get(key) if resource is not None else None

    def list(self, resource: str, namespace: str = "") -> Sequence[Entry]:
        """All entries of a resource, or of one namespace of it, in key order. The sequence does not change afterwards."""
        found = self._resources.get(resource)
        return found.list(namespace) if found is not None else ()

    def count(self, resource: str) -> int:
        found = self._resources.get(resource)
        return len(found.entries) if found is not None else 0

    def resources(self) -> Sequence[str]:
        """The resources that have objects, sorted."""
        return sorted(name for name, resource in self._resources.items() if resource.entries)

    def add_index(self, resource: str, name: str, function: IndexFunction) -> None:
        """Keep an index from now on, over what is there too. Adding one of the same name again changes nothing."""
        self._resource(resource).add_index(name, function)

    def by_index(self, resource: str, name: str, value: str) -> Sequence[Entry]:
        """The entries whose index function gives `value`, in key order. Raises KeyError for an index nobody added."""
        return sorted(self._resources[resource].indexes[name].entries(value), key=_by_key)

    async def list_at(
        self, resource: str, namespace: str, revision: int, after: str = "", limit: int = 0
    ) -> Sequence[Entry]:
        """The list as of `revision`: from the history here, else from the store. Raises CompactedError."""
        found = self._resource(resource)
        if revision < found.floor:
            prefix = f"{resource}/{namespace}/" if namespace else f"{resource}/"
            page = await self._store.list(prefix, after=after, limit=limit, at=Revision(revision))
            return [Entry.of(record) for record in page.records]
        entries = found.list_at(namespace, revision)
        if after:
            entries = entries[bisect.bisect_right(entries, after, key=_by_key) :]
        return entries[:limit] if limit else entries

    def oldest_revision(self, resource: str) -> Revision:
        """A watch of the resource since this revision or a later one works."""
        found = self._resources.get(resource)
        return found.floor if found is not None else self._floor

    # --- watching -----------------------------------------------------------------------------------------------------

    def watch(
        self,
        resource: str,
        namespace: str = "",
        *,
        since: int,
        name: str = "",
        index: tuple[str, str] | None = None,
        limit: int = DEFAULT_LIMIT,
    ) -> Watch:
        """The events of a resource after the revision `since`, and live ones from then on, in revision order.

        `namespace`, `name`: only of these. `index` (index name, value): only of objects that have the value or had it until the
        event. Raises CompactedError at once if `since` is too old; reading it raises SlowReaderError, and ClosedError.
        """
        found = self._resource(resource)
        if since < found.floor:
            raise CompactedError(since, found.floor)
        function = found.indexes[index[0]].values_of if index is not None else None
        watch = Watch(found.watches, namespace=namespace, name=name, index=index, since=since, limit=limit)
        watch.replay(found.since(since), function)
        return watch

    # --- checking -----------------------------------------------------------------------------------------------------

    def verify_unchanged(self) -> None:
        """For tests: raise AssertionError, naming the key, if somebody changed a shared decoded object."""
        for resource in self._resources.values():
            for entry in resource.all_entries():
                decoded = entry.decoded
                if decoded is not None and decoded != orjson.loads(entry.raw):
                    raise AssertionError(f"{entry.key} at revision {entry.revision} was changed in the cache")

    def statistics(self) -> dict[str, dict[str, int]]:
        """Per resource: objects, bytes, events of history, watches."""
        return {
            name: {
                "objects": len(resource.entries),
                "bytes": sum(len(entry.raw) for entry in resource.entries.values()),
                "events": len(resource.history),
                "watches": len(resource.watches),
            }
            for name, resource in self._resources.items()
        }


def _former(event: Event, value: bytes | None) -> Entry:
    """The state before the oldest retained event of a key; its own revision is no longer known, only that it was earlier."""
    assert value is not None, "the store keeps what a write replaced"
    return Entry.of(Record(event.key, value, Revision(event.revision - 1), event.created))


class _Index:
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


class _Resource:
    """State, history, indexes and watches of one resource."""

    __slots__ = ("_lists", "_namespaces", "_sorted", "entries", "floor", "history", "indexes", "watches")

    def __init__(self, floor: Revision) -> None:
        self.floor = floor
        self.entries: dict[str, Entry] = {}
        self.history: deque[CacheEvent] = deque()
        self.indexes: dict[str, _Index] = {}
        self.watches = Dispatcher()
        self._sorted: list[str] = []
        self._namespaces: dict[str, list[str]] = {}
        self._lists: dict[str, tuple[Entry, ...]] = {}

    def load(self, entry: Entry) -> None:
        """Add an entry while the cache is filled; indexes do not make it keep its decoded form."""
        self._insert(entry)
        for index in self.indexes.values():
            index.put(entry, orjson.loads(entry.raw))

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
        return sorted(kept, key=_by_key)

    def add_index(self, name: str, function: IndexFunction) -> None:
        if name in self.indexes:
            return
        index = self.indexes[name] = _Index(function)
        for entry in self.entries.values():
            index.put(entry, entry.decoded or orjson.loads(entry.raw))

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
