"""The way of a client to the API server: delays, lost requests and answers, errors, watches that lag, end, repeat or expire.

A `Link` belongs to a host and holds what is wrong on it now; `LinkTransport` is one client's transport over it. Where it leads, the
`Endpoint`, may change: a server that restarts is another one behind the same address.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from minik.aio import Tasks
from minik.api.errors import Conflict, Expired, InternalError, ServiceUnavailable, StatusError, TooManyRequests
from minik.api.meta import ROObj
from minik.client.transport import JSON, ListResult, Transport, WatchEvent
from minik.server.local import LocalTransport

T = TypeVar("T")


_NO_WRITES = ("/events", "reviews")


class Endpoint(Protocol):
    """A running server as clients see it. `tasks`: what it does for them; they end when it does."""

    tasks: Tasks

    def transport(self, user: str, groups: frozenset[str]) -> LocalTransport: ...


@dataclass
class Rates:
    """How likely each fault is, per request or per event. Zero: a good network."""

    refused: float = 0.0
    """429, 500, 503 or no connection: nothing happened."""
    lost: float = 0.0
    """The request took effect, the answer did not arrive."""
    conflict: float = 0.0
    dropped: float = 0.0
    """A watch ends with this event, which is not delivered."""
    repeated: float = 0.0
    """A watch begins with events that the client has seen."""
    expired: float = 0.0
    """A watch is refused with 410 Gone."""


class Link:
    """A host's network."""

    def __init__(self, name: str, rng: random.Random, *, latency: float) -> None:
        """`latency`: seconds, the longest usual one in one direction."""
        self.name, self.rng, self.latency = name, rng, latency
        self.rates = Rates()
        self.never_repeats = False
        self.is_cut = False
        self.stalled_until = 0.0
        self.watches: list[_Watch] = []
        self.lost_creates: deque[float] = deque(maxlen=1000)
        """When the answer to a create was lost: its client may create again."""
        self.requests = 0
        self.writes: Counter[str] = Counter()
        """By the owner of the task that asked for it; Events and reviews, which change nothing, apart."""

    def calm(self) -> None:
        """Nothing is wrong any more."""
        self.rates = Rates()
        self.is_cut = False
        self.stalled_until = 0.0

    def cut(self) -> None:
        """Nothing goes through; what is open breaks."""
        self.is_cut = True
        self.drop_watches()

    def drop_watches(self) -> None:
        for watch in list(self.watches):
            watch.end(ServiceUnavailable("connection reset (simulated)") if self.rng.random() < 0.5 else None)

    def hit(self, rate: float) -> bool:
        return rate > 0.0 and self.rng.random() < rate

    async def travel(self) -> None:
        """One way. Raises ServiceUnavailable if there is none."""
        if self.latency:
            await asyncio.sleep(self.latency * self.rng.random())
        if self.is_cut:
            await asyncio.sleep(self.rng.uniform(0.5, 5.0))
            raise ServiceUnavailable("no route to host (simulated)")

    def refusal(self) -> StatusError:
        rng = self.rng
        return rng.choice((
            lambda: ServiceUnavailable("connection refused (simulated)"),
            lambda: ServiceUnavailable("the server is currently unable to handle the request (simulated)"),
            lambda: TooManyRequests("too many requests (simulated)", details={"retryAfterSeconds": rng.randint(1, 3)}),
            lambda: InternalError("internal error (simulated)"),
        ))()  # fmt: skip


class _Watch:
    """One open stream: what the server sent and the client has not read yet."""

    def __init__(self) -> None:
        self._events: deque[WatchEvent] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False
        self._error: StatusError | None = None

    def put(self, event: WatchEvent) -> None:
        if not self._ended:
            self._events.append(event)
            self._wake()

    def end(self, error: StatusError | None) -> None:
        """The stream breaks here; what was not delivered is lost."""
        if not self._ended:
            self._ended, self._error = True, error
            self._events.clear()
            self._wake()

    def finish(self, error: StatusError | None) -> None:
        """The server ended it: after what is on its way."""
        if not self._ended:
            self._ended, self._error = True, error
            self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def next(self) -> WatchEvent | None:
        while not self._events:
            if self._ended:
                if self._error is not None:
                    raise self._error
                return None
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._events.popleft()


class LinkTransport:
    """A client's transport: `user` over `link` to whatever `reach` gives at the moment (None: nobody listens)."""

    def __init__(self, link: Link, reach: Callable[[], Endpoint | None], user: str, groups: frozenset[str]) -> None:
        self._link, self._reach = link, reach
        self._user, self._groups = user, groups

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON,
    ) -> ROObj:
        def call(transport: LocalTransport) -> Awaitable[ROObj]:
            return transport.request(method, path, query=query, body=body, content_type=content_type)

        return await self._exchange(method, path, call)

    async def list(self, path: str, *, query: Mapping[str, str] | None = None) -> ListResult:
        return await self._exchange("GET", path, lambda transport: transport.list(path, query=query))

    async def _exchange(self, method: str, path: str, call: Callable[[LocalTransport], Awaitable[T]]) -> T:
        link = self._link
        link.requests += 1
        await link.travel()
        rates = link.rates
        if link.hit(rates.refused):
            raise link.refusal()
        if method in ("PUT", "PATCH", "DELETE") and link.hit(rates.conflict):
            raise Conflict("the object has been modified (simulated)")
        endpoint = self._endpoint()
        work = endpoint.tasks.start(method, _answer(call(endpoint.transport(self._user, self._groups))))
        await asyncio.wait([work])  # a client that goes away does not stop the server
        if method == "POST" and (work.cancelled() or link.is_cut):
            link.lost_creates.append(asyncio.get_running_loop().time())
        if work.cancelled():
            raise ServiceUnavailable("connection reset by the server (simulated)")
        if method != "GET" and link.hit(rates.lost):
            if method == "POST":
                link.lost_creates.append(asyncio.get_running_loop().time())
            raise ServiceUnavailable("connection reset (simulated)")
        await link.travel()
        error, answer = work.result()
        if error is None:
            self._count(method, path)
        else:
            raise error
        return answer  # type: ignore[no-any-return]  # as `_answer` made it

    def _count(self, method: str, path: str) -> None:
        if method != "GET" and not path.endswith(_NO_WRITES) and (task := asyncio.current_task()) is not None:
            self._link.writes[task.get_name().partition("/")[0]] += 1

    def _endpoint(self) -> Endpoint:
        endpoint = self._reach()
        if endpoint is None or endpoint.tasks.closed:
            raise ServiceUnavailable("connection refused (simulated)")
        return endpoint

    async def watch(self, path: str, *, query: Mapping[str, str] | None = None) -> AsyncIterator[WatchEvent]:
        link = self._link
        await link.travel()
        if link.hit(link.rates.refused):
            raise link.refusal()
        if link.hit(link.rates.expired):
            raise Expired("too old resource version (simulated)")
        query = dict(query or {})
        since = int(query.get("resourceVersion") or 0)
        if since and not link.never_repeats and link.hit(link.rates.repeated):
            query["resourceVersion"] = str(max(1, since - link.rng.randint(1, 20)))
        endpoint = self._endpoint()
        watch = _Watch()
        source = endpoint.transport(self._user, self._groups).watch(path, query=query)
        link.watches.append(watch)
        pump = endpoint.tasks.start(f"watch {path}", self._pump(source, watch))
        pump.add_done_callback(lambda _: watch.finish(ServiceUnavailable("connection reset by the server (simulated)")))
        try:
            while (event := await watch.next()) is not None:
                yield event
        finally:
            link.watches.remove(watch)
            pump.cancel()

    async def _pump(self, source: AsyncIterator[WatchEvent], watch: _Watch) -> None:
        link, loop = self._link, asyncio.get_running_loop()
        try:
            async for event in source:
                if link.hit(link.rates.dropped):
                    watch.end(None)
                    return
                if link.rng.random() < 0.3:
                    await asyncio.sleep(link.latency * link.rng.random())
                if (wait := link.stalled_until - loop.time()) > 0:
                    await asyncio.sleep(wait)
                watch.put(event)
            watch.finish(None)
        except StatusError as error:
            watch.finish(error)
        finally:
            await source.aclose()  # type: ignore[attr-defined]  # the protocol promises an async generator

    async def close(self) -> None:
        """Nothing is held open."""


async def _answer(call: Awaitable[T]) -> tuple[StatusError | None, T | None]:
    try:
        return None, await call
    except StatusError as error:
        return error, None


_: type[Transport] = LinkTransport
