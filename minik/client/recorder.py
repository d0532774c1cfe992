"""`Recorder`: Events (core/v1) about objects, for people who read `kubectl describe`.

Never blocks and never fails its caller: `event` decides what to write and puts it into a bounded queue; when that is full the event
is dropped and counted. A background task, started with the first event, writes one after another.

`Correlator` is client-go's `tools/record/events_cache.go`, pure but for its memory: identical events become one with a count;
more than ten similar ones (same object and reason, other message) within ten minutes become one "(combined from similar events)";
a source may write 25 events about an object at once and then one every five minutes (spam filter). All memories are bounded (LRU).
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from minik.aio import Tasks
from minik.api import meta, times
from minik.api.errors import AlreadyExists, NotFound, ServiceUnavailable, StatusError
from minik.api.meta import Obj, ROObj
from minik.client.client import Client
from minik.clock import Clock, Entropy

log = logging.getLogger("minik.client.recorder")

QUEUE_LIMIT = 1000
MEMORY = 4096
SIMILAR_LIMIT = 10
SIMILAR_SECONDS = 600.0
BURST = 25
REFILL_SECONDS = 300.0
_ATTEMPTS = 12
_RETRY_PAUSE = 10.0
_COMBINED = "(combined from similar events): "

V = TypeVar("V")


class _Lru(Generic[V]):
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: OrderedDict[tuple[str, ...], V] = OrderedDict()

    def get(self, key: tuple[str, ...], make: Callable[[], V]) -> V:
        found = self._entries.get(key)
        if found is None:
            found = self._entries[key] = make()
            if len(self._entries) > self._limit:
                self._entries.popitem(last=False)
        else:
            self._entries.move_to_end(key)
        return found


@dataclass(slots=True)
class _Bucket:
    """A token bucket per source and object."""

    tokens: float = BURST
    at: float | None = None

    def take(self, now: float) -> bool:
        if self.at is not None:
            self.tokens = min(BURST, self.tokens + (now - self.at) / REFILL_SECONDS)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass(slots=True)
class _Similar:
    messages: set[str] = field(default_factory=set)
    at: float = 0.0


@dataclass(slots=True, eq=False)
class Written:
    """What the recorder knows of one Event object: how to count it up."""

    count: int = 0
    name: str = ""
    first: str = ""


@dataclass(frozen=True, slots=True)
class Correlated:
    """An event to write: create it if `written.count` is 1, else count `written.name` up."""

    event: Obj
    written: Written


class Correlator:
    """Decides what becomes of an event: written, counted up, combined or dropped."""

    def __init__(self) -> None:
        self._buckets: _Lru[_Bucket] = _Lru(MEMORY)
        self._similar: _Lru[_Similar] = _Lru(MEMORY)
        self._written: _Lru[Written] = _Lru(MEMORY)

    def correlate(self, event: Obj, *, now: float) -> Correlated | None:
        """`now` in seconds of a monotonic clock. None: too many, drop it."""
        about = event["involvedObject"]
        source = event["source"].get("component", ""), event["source"].get("host", "")
        subject = (
            *source,
            *(about.get(f, "") for f in ("kind", "namespace", "name", "uid", "apiVersion")),
        )
        what = (*subject, about.get("fieldPath", ""), event["type"], event["reason"])
        similar = self._similar.get(what, _Similar)
        if now - similar.at > SIMILAR_SECONDS:
            similar.messages.clear()
        similar.at = now
        if len(similar.messages) < SIMILAR_LIMIT or event["message"] in similar.messages:
            similar.messages.add(event["message"])
            identity = (*what, event["message"])
        else:
            event["message"] = _COMBINED + event["message"]
            identity = what
        if not self._buckets.get(subject, _Bucket).take(now):
            return None
        written = self._written.get(identity, Written)
        written.count += 1
        return Correlated(event, written)


class Recorder:
    """Writes Events in the name of `component` (and `host`, for a node)."""

    def __init__(self, client: Client, *, component: str, clock: Clock, entropy: Entropy, host: str = "") -> None:
        self.component = component
        self.host = host
        self.dropped = 0
        self._client = client
        self._clock = clock
        self._entropy = entropy
        self._correlator = Correlator()
        self._queue: asyncio.Queue[Correlated] = asyncio.Queue(QUEUE_LIMIT)
        self._tasks = Tasks(f"recorder {component}")
        self._writer: asyncio.Task[Any] | None = None
        self._closed = False

    def event(
        self,
        obj: ROObj,
        type: str,  # noqa: A002  # the field's own word
        reason: str,
        message: str,
        *,
        action: str = "",
        field_path: str = "",
        related: Mapping[str, Any] | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        """Record that something happened to `obj`. `type`: Normal or Warning. `reason`: CamelCase. Never blocks, never raises.

        `field_path` names a part: `spec.containers{web}`. `obj` needs apiVersion, kind and metadata."""
        if self._closed:
            return
        draft = self._draft(obj, type, reason, message, action, field_path)
        if related:
            draft["related"] = dict(related)
        if annotations:
            draft["metadata"]["annotations"] = dict(annotations)
        correlated = self._correlator.correlate(draft, now=self._clock.monotonic())
        if correlated is None:
            self.dropped += 1
            return
        try:
            self._queue.put_nowait(correlated)
        except asyncio.QueueFull:
            self.dropped += 1
            return
        if self._writer is None or self._writer.done():
            self._writer = self._tasks.start("write", self._run())

    def _draft(self, obj: ROObj, type_: str, reason: str, message: str, action: str, field_path: str) -> Obj:
        about: Obj = {
            "apiVersion": obj.get("apiVersion", ""),
            "kind": obj.get("kind", ""),
            "name": meta.name(obj),
            "uid": meta.uid(obj),
            "resourceVersion": obj["metadata"].get("resourceVersion", ""),
        }
        namespace = meta.namespace(obj)
        if namespace:
            about["namespace"] = namespace
        if field_path:
            about["fieldPath"] = field_path
        now = self._clock.now()
        stamp = times.format_time(now)
        source = {"component": self.component}
        if self.host:
            source["host"] = self.host
        nanos = int(now.timestamp() * 1_000_000) * 1000 + self._entropy.rng.randrange(1000)
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{about['name'][:230]}.{nanos:x}", "namespace": namespace or "default"},
            "involvedObject": about,
            "type": type_,
            "reason": reason,
            "message": message[:1024],
            "action": action,
            "source": source,
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "eventTime": None,
            "count": 1,
            "reportingComponent": self.component,
            "reportingInstance": self.host,
        }

    async def _run(self) -> None:
        while not self._queue.empty():
            await self._write(await self._queue.get())

    async def _write(self, correlated: Correlated) -> None:
        for _ in range(_ATTEMPTS):
            try:
                await self._write_once(correlated.event, correlated.written)
            except ServiceUnavailable:
                await self._clock.sleep(_RETRY_PAUSE)
                continue
            except StatusError as error:
                # A namespace that is being deleted, for one. Events are best effort: refused is refused (client-go too).
                log.debug("event refused", extra={"reason": correlated.event["reason"], "error": error.message})
            return
        self.dropped += 1

    async def _write_once(self, event: Obj, written: Written) -> None:
        if written.name:
            patch = {
                "count": written.count,
                "lastTimestamp": event["lastTimestamp"],
                "message": event["message"],
            }
            try:
                await self._client.patch("events", written.name, event["metadata"]["namespace"], patch)
                return
            except NotFound:
                written.count = 1  # it has expired: begin a new one
        for _ in range(3):
            event["count"] = written.count
            try:
                await self._client.create("events", event)
                written.name = event["metadata"]["name"]
                return
            except AlreadyExists:
                event["metadata"]["name"] += self._entropy.suffix(2)

    async def close(self) -> None:
        """Drop what is not yet written, and stop."""
        self._closed = True
        await self._tasks.close()
