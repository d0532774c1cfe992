"""`Informer`: a resource's objects held in memory, by list and watch. `Informers` makes sure there is one per resource.

Controllers, the scheduler and the agent read from informers and are told by them. An informer lists once, then watches; when the
stream ends it watches on from the last resourceVersion (bookmarks keep that fresh), and lists again only if the server says
Expired. Pauses between attempts grow with jitter (client-go's reflector: 0.8 s to 30 s; here from 0.1 s, because a server that
restarts is back within a second). While a resource is not served (a custom kind that is not defined yet, or no longer) it waits for
the registry to change, without asking, and holds no objects.

Handlers are called in the order of the log, in the loop's thread, and must return at once: enqueue a key, nothing more. Revisions
are the store's, common to all resources, so `wait_for(revision)` after a write means: the informer has seen that write.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from minik.aio import Tasks
from minik.api import meta
from minik.api.errors import NotFound, ServiceUnavailable, StatusError, TooManyRequests
from minik.api.meta import Key, ROObj
from minik.api.registry import Registry
from minik.client.served import wait_served
from minik.client.store import IndexFunction, Lister, ObjectStore
from minik.client.transport import Transport
from minik.clock import Clock, Entropy

log = logging.getLogger("minik.client.informer")

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 30.0
_TURN = 64
"""Events between two looks at whether other tasks of the process should have their turn."""

Added = Callable[[ROObj], None]
Updated = Callable[[ROObj, ROObj], None]
Deleted = Callable[[ROObj], None]


def _ignore_one(_obj: ROObj) -> None:
    pass


def _ignore_two(_old: ROObj, _new: ROObj) -> None:
    pass


@dataclass(slots=True, eq=False)
class _Handler:
    added: Added
    updated: Updated
    deleted: Deleted


class _NotServed(Exception):  # no error: a state of affairs
    """The registry has no such kind at the moment."""


class Informer:
    """One resource (or the part of it that selectors leave), kept up to date. Made by `Informers.of`."""

    def __init__(
        self,
        resource: str,
        transport: Transport,
        registry: Registry,
        *,
        clock: Clock,
        entropy: Entropy,
        field_selector: str = "",
        label_selector: str = "",
        namespace: str = "",
    ) -> None:
        self.resource = resource
        self.field_selector = field_selector
        self.label_selector = label_selector
        self.namespace = namespace
        self.store = ObjectStore()
        self.lister = Lister(resource, self.store)
        self.revision = 0
        """Everything up to here has been seen."""
        self.events = 0
        self.lists = 0
        self._transport = transport
        self._registry = registry
        self._clock = clock
        self._entropy = entropy
        self._handlers: tuple[_Handler, ...] = ()
        self._synced = asyncio.Event()
        self._waiters: list[tuple[int, int, asyncio.Future[None]]] = []
        self._gone: dict[Key, list[tuple[str, asyncio.Future[None]]]] = {}
        self._sequence = 0
        self._failures = 0

    # --- reading -----------------------------------------------------------------------------------------------------

    def get(self, key: Key) -> ROObj | None:
        return self.store.objects.get(key)

    @property
    def synced(self) -> bool:
        """Whether the first list has arrived and its handlers have run."""
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        await self._synced.wait()

    async def wait_for(self, revision: int) -> None:
        """Wait until the write at `revision` has been seen (or the resource has been listed anew since this call)."""
        if self.revision >= revision and self.synced:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._sequence += 1
        heapq.heappush(self._waiters, (revision, self._sequence, waiter))
        await waiter

    async def wait_gone(self, key: Key, uid: str = "") -> None:
        """Wait until `key` is gone, is being deleted, or (with `uid`) is another object."""
        obj = self.store.objects.get(key)
        if _is_gone(obj, uid):
            return
        waiter = asyncio.get_running_loop().create_future()
        self._gone.setdefault(key, []).append((uid, waiter))
        await waiter

    def statistics(self) -> dict[str, Any]:
        return {
            "objects": len(self.store.objects), "revision": self.revision, "events": self.events,
            "lists": self.lists, "handlers": len(self._handlers), "synced": self.synced,
        }  # fmt: skip

    # --- being told --------------------------------------------------------------------------------------------------

    def add_handler(
        self, *, added: Added | None = None, updated: Updated | None = None, deleted: Deleted | None = None
    ) -> Callable[[], None]:
        """Have these called for every change; what exists already comes as `added` now. Returns what removes them again."""
        handler = _Handler(added or _ignore_one, updated or _ignore_two, deleted or _ignore_one)
        self._handlers = (*self._handlers, handler)
        if added is not None:
            for obj in list(self.store.objects.values()):
                added(obj)

        def remove() -> None:
            self._handlers = tuple(each for each in self._handlers if each is not handler)

        return remove

    def add_index(self, name: str, function: IndexFunction) -> None:
        """Let the objects be looked up by `function` as `lister.by_index(name, value)`."""
        self.store.add_index(name, function)

    # --- list and watch ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """List and watch until cancelled. Run once, by `Informers`."""
        while True:
            try:
                await self._list()
                while True:
                    await self._watch()
            except _NotServed:
                self._replace({}, self.revision)
                await wait_served(self._registry, (self.resource,))
                self._failures = 0
            except StatusError as error:
                level = logging.DEBUG if isinstance(error, NotFound) else logging.INFO
                log.log(
                    level, "watch refused; listing again", extra={"resource": self.resource, "error": error.message}
                )
                await self._pause()

    async def _list(self) -> None:
        while True:
            newest = self._sequence
            try:
                found = await self._transport.list(self._path(), query=self._query())
            except (StatusError, OSError) as error:
                self._complain("list", error)
                await self._pause()
                continue
            self.lists += 1
            self._replace({meta.key(obj): obj for obj in found.items}, int(found.resource_version or 0))
            for _, sequence, waiter in self._waiters:
                # The list began after these asked: it shows their writes, even if a restarted server's revisions went back.
                if sequence <= newest and not waiter.done():
                    waiter.set_result(None)
            self._synced.set()
            return

    async def _watch(self) -> None:
        """One watch connection, until it ends. A server out of reach means a pause and another try from the same revision;
        every other error passes through, and the resource is listed anew (always safe: a restarted server may have lost
        revisions that did not have to survive, and refuses ours as too large)."""
        began = self._clock.monotonic()
        seen = self.events
        failed = False
        query = {**self._query(), "resourceVersion": str(self.revision), "allowWatchBookmarks": "true"}
        try:
            stream = self._transport.watch(self._path(), query=query)
            try:
                async for event in stream:
                    if event.type == "BOOKMARK":
                        self._reached(meta.revision(event.object))
                        continue
                    self._apply(event.type, event.object)
                    if not self.events % _TURN:
                        await asyncio.sleep(0)
            finally:
                with contextlib.suppress(StatusError, OSError):
                    await stream.aclose()  # type: ignore[attr-defined]  # the protocol promises an async generator
        except (ServiceUnavailable, TooManyRequests, OSError) as error:
            self._complain("watch", error)
            failed = True
        if self.events > seen or self._clock.monotonic() - began > 1.0:
            self._failures = 0
            if not failed:
                return
        await self._pause()

    def _path(self) -> str:
        kind = self._registry.get(self.resource)
        if kind is None:
            raise _NotServed(self.resource)
        return kind.path(self.namespace)

    def _query(self) -> dict[str, str]:
        query = {}
        if self.field_selector:
            query["fieldSelector"] = self.field_selector
        if self.label_selector:
            query["labelSelector"] = self.label_selector
        return query

    async def _pause(self) -> None:
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._failures, 20))
        self._failures += 1
        await self._clock.sleep(pause * (1.0 + self._entropy.rng.random()))

    def _complain(self, what: str, error: Exception) -> None:
        level = logging.WARNING if self._failures == 3 else logging.DEBUG  # once an outage, and not for a blink
        if isinstance(error, NotFound):
            level = logging.DEBUG  # its kind is no longer served, and the registry is about to learn of it
        log.log(
            level,
            "informer cannot reach the server",
            extra={"resource": self.resource, "verb": what, "error": str(error)},
        )

    # --- applying ----------------------------------------------------------------------------------------------------

    def _apply(self, type_: str, obj: ROObj) -> None:
        self.events += 1
        metadata = obj["metadata"]
        revision = int(metadata["resourceVersion"])
        if revision <= self.revision:
            return  # seen: a server may repeat itself after a reconnect, and if that is cut off, old states would stay
        key = Key(metadata.get("namespace", ""), metadata["name"])
        if type_ == "DELETED":
            # The last known state goes to the handlers; the event's may be newer (a final update) and is what counts.
            if self.store.remove(key) is not None:
                self._tell_deleted(obj)
        else:
            self._put(key, obj)
        if self._gone:
            self._settle_gone(key)
        self._reached(revision)

    def _put(self, key: Key, obj: ROObj) -> None:
        old = self.store.objects.get(key)
        if old is not None and old["metadata"].get("uid") != obj["metadata"].get("uid"):
            self.store.remove(key)
            self._tell_deleted(old)
            old = None
        self.store.put(key, obj, old)
        try:
            if old is None:
                for handler in self._handlers:
                    handler.added(obj)
            else:
                for handler in self._handlers:
                    handler.updated(old, obj)
        except Exception:  # a handler of somebody else must not end the informer for everyone
            log.exception("informer handler failed", extra={"resource": self.resource, "key": str(key)})

    def _tell_deleted(self, obj: ROObj) -> None:
        try:
            for handler in self._handlers:
                handler.deleted(obj)
        except Exception:  # as above
            log.exception("informer handler failed", extra={"resource": self.resource, "key": str(meta.key(obj))})

    def _replace(self, objects: dict[Key, ROObj], revision: int) -> None:
        for key in [key for key in self.store.objects if key not in objects]:
            old = self.store.remove(key)
            if old is not None:
                self._tell_deleted(old)
        for key, obj in objects.items():
            known = self.store.objects.get(key)
            if known is None or known["metadata"].get("resourceVersion") != obj["metadata"].get("resourceVersion"):
                self._put(key, obj)
        self.revision = revision
        for key in list(self._gone):
            self._settle_gone(key)
        self._reached(revision)

    def _reached(self, revision: int) -> None:
        if revision > self.revision:
            self.revision = revision
        waiters = self._waiters
        while waiters and (waiters[0][0] <= self.revision or waiters[0][2].done()):
            waiter = heapq.heappop(waiters)[2]
            if not waiter.done():
                waiter.set_result(None)

    def _settle_gone(self, key: Key) -> None:
        waiting = self._gone.get(key)
        if waiting is None:
            return
        obj = self.store.objects.get(key)
        remaining = []
        for uid, waiter in waiting:
            if _is_gone(obj, uid):
                if not waiter.done():
                    waiter.set_result(None)
            elif not waiter.done():
                remaining.append((uid, waiter))
        if remaining:
            self._gone[key] = remaining
        else:
            del self._gone[key]


def _is_gone(obj: ROObj | None, uid: str) -> bool:
    return obj is None or meta.is_deleting(obj) or bool(uid and meta.uid(obj) != uid)


async def _ended(tasks: Sequence[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


class Informers:
    """The informers of a process: one per resource and selection, shared by all, started when first asked for."""

    def __init__(self, transport: Transport, registry: Registry, *, clock: Clock, entropy: Entropy) -> None:
        self._transport = transport
        self._registry = registry
        self._clock = clock
        self._entropy = entropy
        self._informers: dict[tuple[str, str, str, str], Informer] = {}
        self._running: dict[tuple[str, str, str, str], asyncio.Task[Any]] = {}
        self._tasks = Tasks("informers")

    def of(self, resource: str, *, field_selector: str = "", label_selector: str = "", namespace: str = "") -> Informer:
        """The informer of `resource`, started if need be. Handlers added before the next `await` see everything.

        The selectors make a separate, smaller informer: `of("pods", field_selector="spec.nodeName=n1")` for an agent."""
        key = (resource, field_selector, label_selector, namespace)
        informer = self._informers.get(key)
        if informer is None:
            informer = self._informers[key] = Informer(
                resource, self._transport, self._registry, clock=self._clock, entropy=self._entropy,
                field_selector=field_selector, label_selector=label_selector, namespace=namespace,
            )  # fmt: skip
            self._running[key] = self._tasks.start(resource, informer.run())
        return informer

    async def wait_synced(self) -> None:
        """Wait until every informer that was asked for has its objects."""
        for informer in list(self._informers.values()):
            await informer.wait_synced()

    def drop(self, resource: str) -> Coroutine[Any, Any, None]:
        """Forget the informers of a resource that is no longer served, at once: who asks again gets new ones. What is returned waits
        until they have stopped."""
        tasks = []
        for key in [key for key in self._informers if key[0] == resource]:
            del self._informers[key]
            tasks.append(self._running.pop(key))
            tasks[-1].cancel()
        return _ended(tasks)

    def statistics(self) -> dict[str, dict[str, Any]]:
        return {",".join(filter(None, key)): informer.statistics() for key, informer in self._informers.items()}

    async def close(self) -> None:
        await self._tasks.close()
