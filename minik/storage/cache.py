"""`Cache`: the latest state of everything and the recent history, from which the API server answers every read and every watch.

It listens to the store, so it shows a write in the same turn of the event loop in which the writer is answered. It holds the one
copy of every value in the process: the bytes as they are served, revision filled in. (The SQLite store keeps no values of durable
keys in memory; they are in its file.) Decoded objects are made when somebody asks, once per revision, and are shared: read-only.

Leaves to others: selectors and what they make of an event (`server/verbs/watch.py`), and everything about kinds.
"""

from __future__ import annotations

import asyncio
import bisect
import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import orjson

from minik.storage.base import CompactedError, Event, EventType, Record, Revision, Store
from minik.storage.entry import CacheEvent, Entry
from minik.storage.hub import DEFAULT_LIMIT
from minik.storage.resource import IndexFunction, Resource, by_key
from minik.storage.watching import Watch

log = logging.getLogger("minik.storage")

__all__ = ["Cache", "CacheEvent", "Entry", "IndexFunction", "Watch"]

_PAGE = 5000
_LOADED = 5000
"""Events of history that `start` reads back, at most: for watches that were open when the server stopped. Older ones are read from
the store by who asks for them."""
MAX_REPLAY = 50_000
"""Events that a watch is served from the store; who missed more is better off with a list."""


Follower = Callable[[str, Entry | None], None]


class Cache:
    """See the module. `history`: events kept per resource, at most; those older than ten minutes go earlier."""

    def __init__(self, store: Store, *, history: int = 10_000) -> None:
        self.revision = Revision(0)
        """All that was committed up to here is in the cache and in the mailboxes of the watches."""
        self._store = store
        self._history = history
        self._floor = Revision(0)
        self._resources: dict[str, Resource] = {}
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._followers: dict[str, list[Follower]] = {}
        self._early: list[Event] | None = None
        self._unlisten: Callable[[], None] | None = None
        self._replaying = asyncio.Lock()

    async def start(self) -> None:
        """Load state and history and follow the store from there on."""
        self._early = []
        self._unlisten = self._store.listen(self._listen)
        revision = await self._store.current_revision()
        self._floor = await self._store.oldest_revision()
        for early_resource in self._resources.values():  # those that an index was added to
            early_resource.floor = self._floor
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
        for name, followers in self._followers.items():
            for entry in self.list(name):
                for follower in followers:
                    follower(entry.key, entry)
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
        now = asyncio.get_running_loop().time()
        retained = [e for e in events if e.revision > self._resource(e.key.partition("/")[0]).floor]
        for change in self._changes(retained):
            self._resource(change.entry.key.partition("/")[0]).remember(change, now, self._history)

    def _changes(self, events: Sequence[Event]) -> Iterator[CacheEvent]:
        """The store's retained events as the changes they were, each with the state before it."""
        before: dict[str, Entry] = {}
        for event in events:
            previous = before.pop(event.key, None)
            if event.type is EventType.PUT:
                assert event.value is not None
                entry = self.get(event.key)
                if entry is None or entry.revision != event.revision:
                    entry = Entry.of(Record(event.key, event.value, event.revision, event.created))
                if previous is None and event.created != event.revision:
                    previous = _former(event, event.previous)
                before[event.key] = entry
            else:
                previous = previous or _former(event, event.value)
                entry = previous.at(event.revision)
            yield CacheEvent.of(event, entry, previous)

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

    def _resource(self, name: str) -> Resource:
        resource = self._resources.get(name)
        if resource is None:
            resource = self._resources[name] = Resource(self._floor)
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
            name = event.key.partition("/")[0]
            self._resource(name).apply(event, now, self._history)
            if name in self._followers:
                self._tell(name, event.key)
        self.revision = events[-1].revision
        if self._waiters:
            revision, waiters = self.revision, self._waiters
            self._waiters = [pair for pair in waiters if pair[0] > revision]
            for wanted, waiter in waiters:
                if wanted <= revision and not waiter.done():
                    waiter.set_result(None)

    def _tell(self, name: str, key: str) -> None:
        """One follower that fails must stop neither the others nor the store, whose writer all this is called by."""
        for follower in self._followers[name]:
            try:
                follower(key, self.get(key))
            except Exception:
                log.exception("a follower of the cache failed", extra={"key": key})

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

    def follow(self, resource: str, follower: Follower) -> None:
        """Have `follower(key, entry)` called at once for what is there, and for each change in the turn in which it is published (None:
        the object is gone). For what must be in step with the objects; everything else watches."""
        self._followers.setdefault(resource, []).append(follower)
        for entry in self.list(resource):
            follower(entry.key, entry)

    def end_watches(self, resource: str) -> None:
        """End all watches of a resource as if their time were over: their readers come again."""
        found = self._resources.get(resource)
        if found is not None:
            found.watches.close()

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
        return sorted(self._resources[resource].indexes[name].entries(value), key=by_key)

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
            entries = entries[bisect.bisect_right(entries, after, key=by_key) :]
        return entries[:limit] if limit else entries

    def oldest_revision(self, resource: str) -> Revision:
        """A watch of the resource since this revision or a later one is served from memory."""
        found = self._resources.get(resource)
        return found.floor if found is not None else self._floor

    # --- watching -----------------------------------------------------------------------------------------------------

    async def watch(
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
        event. What the history here no longer has is read from the store. Raises CompactedError at once if that does not have it
        either (or it is more than MAX_REPLAY); reading the watch raises SlowReaderError, and ClosedError.
        """
        found = self._resource(resource)
        older: list[CacheEvent] = []
        reached = since
        while reached < found.floor:  # it may move on while the store is read
            upto = found.floor
            older += await self._older(f"{resource}/{namespace}/" if namespace else f"{resource}/", reached, upto)
            reached = upto
        # From here on nothing waits: what the history has, and what is published once the watch is there, follow without a gap.
        function = found.indexes[index[0]].values_of if index is not None else None
        watch = Watch(found.watches, namespace=namespace, name=name, index=index, since=since, limit=limit)
        watch.replay(chain(older, found.since(reached)), function)
        return watch

    async def _older(self, prefix: str, since: int, upto: int) -> Sequence[CacheEvent]:
        """Changes from the store's history. Raises CompactedError if it is not all there."""
        async with self._replaying:  # one at a time: each is a long read
            events = await self._store.events(prefix, since=Revision(since), upto=Revision(upto), limit=MAX_REPLAY + 1)
        floor = (await self._store.floors()).get(prefix.partition("/")[0], Revision(0))
        if since < floor:
            raise CompactedError(since, floor)
        if len(events) > MAX_REPLAY:
            raise CompactedError(since, events[0].revision)
        return list(self._changes(events))

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
