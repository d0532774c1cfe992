"""WATCH of a collection: what the cache publishes, seen through the request's selectors, from a revision on.

A selector makes other events of some: an object that enters the selection is ADDED, one that leaves it is DELETED (with its last
selected state). Bookmarks tell the reached revision once a minute to who asked for them, and end the initial events of a streaming list
(KEP-3157). A reader that is too slow is cut off and has to list again.

`Watching` yields events one by one for local clients (`__anext__`) and as bytes, everything that is there in one piece, for HTTP
(`chunks`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import orjson

from minik.api.errors import Expired, InternalError, StatusError, field_forbidden, invalid_object
from minik.api.kind import Kind
from minik.api.meta import Obj, ROObj
from minik.clock import Clock, Entropy
from minik.server.core import Core
from minik.server.crd.reading import View, view
from minik.server.options import is_true, resource_version, whole_number
from minik.server.representation import JSON, Format, format_of, include_object, partial, table
from minik.server.request import Request, Response
from minik.server.selection import Predicate, selection
from minik.server.verbs.common import kind_of
from minik.server.verbs.list import select, wait_for_version
from minik.storage.base import ClosedError, CompactedError, SlowReaderError
from minik.storage.cache import CacheEvent, Entry, Watch

BOOKMARK_SECONDS = 60.0
_CLOSE = 1e-3
"""Seconds by which a timer may be early and is on time all the same: a loop whose clock is coarse would turn without getting on."""
_MIN_TIMEOUT = 1800
"""Seconds; a watch without timeoutSeconds lasts between this and twice as long (--min-request-timeout)."""
_INITIAL_END = {"k8s.io/initial-events-end": "true"}


ItemType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]


@dataclass(frozen=True, slots=True)
class WatchItem:
    """One event as it goes out. `entry` holds the bytes of an object's events; a BOOKMARK or ERROR has only `object`."""

    type: ItemType
    entry: Entry | None = None
    value: ROObj | None = None

    @property
    def object(self) -> ROObj:
        if self.entry is not None:
            return self.entry.obj
        assert self.value is not None
        return self.value


def frame(item: WatchItem) -> bytes:
    """One line of a JSON watch stream."""
    if item.entry is not None:
        return item.entry.frame(item.type)
    return orjson.dumps({"type": item.type, "object": item.value}) + b"\n"


def seen(event: CacheEvent, holds: Predicate | None) -> WatchItem | None:
    """What an event is to a watcher with a selector; None if nothing."""
    if holds is None:
        return WatchItem(event.type, event.entry)
    if event.type == "DELETED":
        return WatchItem("DELETED", event.entry) if holds(event.entry.obj) else None
    after = holds(event.entry.obj)
    before = event.previous is not None and holds(event.previous.obj)
    if after:
        return WatchItem("MODIFIED" if before else "ADDED", event.entry)
    if before:
        return WatchItem("DELETED", event.left)
    return None


def bookmark(kind: Kind, revision: int, *, initial_end: bool = False) -> WatchItem:
    metadata: Obj = {"resourceVersion": str(revision), "creationTimestamp": None}
    if initial_end:
        metadata["annotations"] = _INITIAL_END
    return WatchItem("BOOKMARK", value={"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata})


def error_item(error: StatusError) -> WatchItem:
    return WatchItem("ERROR", value=error.to_status())


async def watch(core: Core, request: Request) -> Response:
    kind = kind_of(request)
    namespace = request.info.namespace if kind.namespaced else ""
    chosen = selection(request, kind)
    version_text = request.one("resourceVersion")
    bookmarks = is_true(request.one("allowWatchBookmarks"))
    streaming = is_true(request.one("sendInitialEvents"))
    _check_options(request, streaming=streaming, bookmarks=bookmarks)
    version = resource_version(version_text)
    if version > core.cache.revision:
        await wait_for_version(core, version)
    initial: list[WatchItem] = []
    since = version
    if streaming or not version:
        since = core.cache.revision
        send = streaming or "sendInitialEvents" not in request.query
        initial = [WatchItem("ADDED", e) for e in await select(core, kind, namespace, chosen)] if send else []
        if streaming and bookmarks:
            initial.append(bookmark(kind, since, initial_end=True))
    try:
        source = await core.cache.watch(kind.store, namespace, since=since, name=chosen.name, index=chosen.index)
    except CompactedError as error:
        raise Expired(f"too old resource version: {error.wanted} ({error.oldest})") from error
    chosen_format = format_of(request)
    watching = Watching(
        source,
        initial,
        holds=chosen.holds,
        show=view(core, kind),
        kind=kind,
        bookmarks=bookmarks,
        seconds=_timeout(request, core.entropy),
        revision=lambda: core.cache.revision,
        write=_writer(chosen_format, request, kind, core.clock),
    )
    content_type = JSON if chosen_format.media_type == JSON else chosen_format.media_type
    return Response(watch=watching, content_type=content_type)


def _timeout(request: Request, entropy: Entropy) -> float:
    seconds = whole_number(request, "timeoutSeconds")
    if seconds is not None and seconds > 0:
        return float(seconds)
    return float("inf") if request.decoded else _MIN_TIMEOUT * (1 + entropy.rng.random())


def _check_options(request: Request, *, streaming: bool, bookmarks: bool) -> None:
    """metainternalversion validation of sendInitialEvents."""
    given = request.query.get("sendInitialEvents")
    match = request.one("resourceVersionMatch")
    found = []
    if not given and match:
        found.append(
            field_forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            )
        )
    if given and match != "NotOlderThan":
        found.append(
            field_forbidden(
                "resourceVersionMatch", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            )
        )
    if streaming and not bookmarks:
        why = "sendInitialEvents is forbidden for watch unless allowWatchBookmarks is set"
        found.append(field_forbidden("sendInitialEvents", why))
    if found:
        raise invalid_object(group="meta.k8s.io", kind="ListOptions", name="", errors=found)


Writer = Callable[[WatchItem], bytes]


def _writer(chosen: Format, request: Request, kind: Kind, clock: Clock) -> Writer:
    """How events are written: cached frames, Tables, or metadata only."""
    if chosen.as_ == "Table":
        return _table_writer(kind, include_object(request), clock.now)
    if chosen.as_:
        return _partial_frame
    return frame


def _table_writer(kind: Kind, include: str, now: Callable[[], datetime]) -> Writer:
    first = True

    def write(item: WatchItem) -> bytes:
        nonlocal first
        if item.type == "ERROR":
            return frame(item)
        metadata: Obj = {"resourceVersion": item.object["metadata"].get("resourceVersion", "")}
        if item.type == "BOOKMARK":
            made = table(kind, [], metadata, include=include, now=now(), definitions=False)
            made["metadata"] = dict(item.object["metadata"])
            made["rows"] = [{"cells": [], "object": partial(item.object)}]
        else:
            made = table(kind, [item.object], metadata, include=include, now=now(), definitions=first)
            first = False
        return orjson.dumps({"type": item.type, "object": made}) + b"\n"

    return write


def _partial_frame(item: WatchItem) -> bytes:
    value = item.object if item.type == "ERROR" else partial(item.object)
    return orjson.dumps({"type": item.type, "object": value}) + b"\n"


class Watching:
    """One running watch: initial events, then live ones, bookmarks between, until its time is over or the reader is too slow."""

    def __init__(
        self,
        source: Watch,
        initial: Sequence[WatchItem],
        *,
        holds: Predicate | None,
        show: View | None,
        kind: Kind,
        bookmarks: bool,
        seconds: float,
        revision: Callable[[], int],
        write: Writer,
    ) -> None:
        self._source = source
        self._ready = deque(initial)
        self._holds = holds
        self._show = show
        self._kind = kind
        self._bookmarks = bookmarks
        self._revision = revision
        self._write = write
        loop = asyncio.get_running_loop()
        self._ends = loop.time() + seconds
        self._next_bookmark = loop.time() + BOOKMARK_SECONDS if bookmarks else float("inf")
        self._over = False

    def __aiter__(self) -> AsyncIterator[WatchItem]:
        return self

    async def __anext__(self) -> WatchItem:
        while not self._ready:
            if self._over or not await self._more():
                raise StopAsyncIteration
        return self._ready.popleft()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The stream's bytes: whatever is there, in one piece."""
        write = self._write
        while True:
            if self._ready:
                items = list(self._ready)
                self._ready.clear()
                yield b"".join(map(write, items))
            if self._over or not await self._more():
                return

    async def _more(self) -> bool:
        """Wait for something to send. False when the watch's time is over."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        until = min(self._ends, self._next_bookmark)
        try:
            there = await self._source.wait(max(until - now, 0.0) if until != float("inf") else None)
            reached = self._revision()
            events: Iterable[CacheEvent] = self._source.pop_many()
            if self._show is not None:
                events = await self._show.events(events)
            self._ready.extend(self._seen(events))
        except InternalError as error:
            self._over = True
            self._ready.append(error_item(error))
            return True
        except (SlowReaderError, ClosedError, CompactedError) as error:
            self._over = True
            if isinstance(error, CompactedError):
                self._ready.append(error_item(Expired(f"too old resource version: {error.wanted} ({error.oldest})")))
            return bool(self._ready)
        if not there:
            now = loop.time() + _CLOSE
            if now >= self._ends:
                return False
            if now >= self._next_bookmark:
                self._next_bookmark = now + BOOKMARK_SECONDS
                self._ready.append(bookmark(self._kind, reached))
        return True

    def _seen(self, events: Iterable[CacheEvent]) -> Iterable[WatchItem]:
        holds = self._holds
        for event in events:
            item = seen(event, holds)
            if item is not None:
                yield item

    async def aclose(self) -> None:
        """Stop listening to the cache."""
        self._over = True
        self._source.close()
