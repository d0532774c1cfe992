"""Fan-out: from whoever publishes to many bounded mailboxes.

`Mailbox` is one reader's bounded buffer; the store's watches and the cache's watches both read from one. `Hub` hands each batch of
committed events to listeners (called at once) and to mailboxes (read when their reader gets to it). The stores publish; nothing
here decides an order or remembers history: `follow` joins a store's retained history with what a mailbox receives.

A reader that falls behind by more than its limit loses its buffer and gets SlowReaderError; nobody ever waits for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from minik.storage.base import ClosedError, Event, Listener, Revision, SlowReaderError, StoreError

T = TypeVar("T")

DEFAULT_LIMIT = 10_000
"""Events that a reader may fall behind."""


class Mailbox(Generic[T]):
    """A bounded buffer with one reader. Writers never wait; the reader is woken once for all that came in a turn of the loop."""

    __slots__ = ("_end", "_items", "_limit", "_waiter")

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self._items: deque[T] = deque()
        self._limit = limit
        self._waiter: asyncio.Future[None] | None = None
        self._end: StoreError | None = None

    def put(self, item: T) -> None:
        """Add an item; one too many ends the mailbox with SlowReaderError."""
        if self._end is not None:
            return
        items = self._items
        if len(items) >= self._limit:
            items.clear()
            self.end(SlowReaderError(f"the reader fell behind by {self._limit} events"))
            return
        items.append(item)
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def prefill(self, items: Sequence[T]) -> None:
        """Add what the reader must see first; does not count towards the limit."""
        self._items.extend(items)
        self._limit += len(items)

    def end(self, error: StoreError) -> None:
        """No more items; the reader gets `error` after those that are there."""
        if self._end is None:
            self._end = error
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def pop_many(self) -> list[T]:
        """Everything there is, without waiting. Raises what ended the mailbox once it is empty."""
        items = self._items
        if not items:
            if self._end is not None:
                raise self._end
            return []
        taken = list(items)
        items.clear()
        return taken

    async def pop(self) -> T:
        """The next item. Raises what ended the mailbox."""
        while not self._items:
            if self._end is not None:
                raise self._end
            await self.wait()
        return self._items.popleft()

    async def wait(self, timeout: float | None = None) -> bool:
        """Until there is something to pop (or to raise), or `timeout` seconds have passed; says whether there is something."""
        if self._items or self._end is not None:
            return True
        loop = asyncio.get_running_loop()
        waiter = self._waiter = loop.create_future()
        timer = loop.call_later(timeout, _wake, waiter) if timeout is not None else None
        try:
            await waiter
        finally:
            if self._waiter is waiter:
                self._waiter = None
            if timer is not None:
                timer.cancel()
        return bool(self._items) or self._end is not None

    def __len__(self) -> int:
        return len(self._items)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class Hub:
    """Where a store publishes."""

    def __init__(self) -> None:
        self._listeners: dict[int, Listener] = {}
        self._listener_numbers = 0
        self._mailboxes: dict[Mailbox[Event], str] = {}
        self._closed = False

    def listen(self, listener: Listener) -> Callable[[], None]:
        """As `Store.listen`."""
        self._listener_numbers += 1
        number = self._listener_numbers
        self._listeners[number] = listener
        return lambda: self._listeners.pop(number, None) and None

    def subscribe(self, prefix: str, *, limit: int = DEFAULT_LIMIT) -> Mailbox[Event]:
        """A mailbox for the events from now on of keys with `prefix`. Raises ClosedError."""
        if self._closed:
            raise ClosedError("the store is closed")
        mailbox: Mailbox[Event] = Mailbox(limit)
        self._mailboxes[mailbox] = prefix
        return mailbox

    def unsubscribe(self, mailbox: Mailbox[Event]) -> None:
        self._mailboxes.pop(mailbox, None)

    def publish(self, events: Sequence[Event]) -> None:
        """Hand on a batch of committed events; batches come in revision order."""
        for listener in list(self._listeners.values()):
            listener(events)
        for mailbox, prefix in self._mailboxes.items():
            for event in events:
                if event.key.startswith(prefix):
                    mailbox.put(event)

    def close(self) -> None:
        """Every reader gets ClosedError after what it has not read yet."""
        self._closed = True
        self._listeners.clear()
        for mailbox in self._mailboxes:
            mailbox.end(ClosedError("the store is closed"))
        self._mailboxes.clear()


async def follow(
    hub: Hub, prefix: str, *, since: Revision, replay: Callable[[], Awaitable[Sequence[Event]]]
) -> AsyncIterator[Event]:
    """`Store.watch`: subscribe first, then read history (`replay`: all retained events after `since`), then drop duplicates."""
    mailbox = hub.subscribe(prefix)
    try:
        last = since
        for event in await replay():
            last = event.revision
            yield event
        while True:
            event = await mailbox.pop()
            if event.revision > last:
                yield event
    finally:
        hub.unsubscribe(mailbox)
