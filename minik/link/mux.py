"""`Mux`: many independent streams over one `Pipe`, each with its own flow control.

A message is one frame: type (1 byte), stream number (4), payload. A stream has numbered channels (see `requests.py`), each of
which can be half-closed. A sender may have `WINDOW` bytes of data under way that the receiver has not taken; so a slow reader
stops its own writer and nobody else. Either side may open streams; the opener's numbers are odd on the server, even on the agent.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from enum import IntEnum
from typing import TypeAlias

import orjson

from minik.aio import Tasks
from minik.link.pipe import Pipe, PipeClosed

log = logging.getLogger("minik.link")

WINDOW = 256 * 1024
"""Bytes a stream may have under way, each direction."""
MAX_DATA = 32 * 1024
"""Bytes of data in one frame."""
PING_EVERY = 20.0
"""Seconds; a link that has not been heard of for three times as long is dead."""


class _Frame(IntEnum):
    OPEN = 1
    DATA = 2
    END = 3
    CREDIT = 4
    CLOSE = 5
    PING = 6
    PONG = 7


class LinkClosed(Exception):
    """The link went away under the stream, or the other side gave the stream up; says why."""


StreamHandler: TypeAlias = "Callable[[bytes, Stream], Awaitable[None]]"
"""(the opener's request, the stream): serves a stream the other side opened. Returning closes it; what it raises is told."""


class Stream:
    """One conversation. Made by `Mux.open`, or given to the handler."""

    def __init__(self, mux: Mux, number: int) -> None:
        self._mux = mux
        self.number = number
        self._credit = WINDOW
        self._may_send = asyncio.Event()
        self._may_send.set()
        self._received: deque[tuple[int, bytes | None]] = deque()
        self._arrived = asyncio.Event()
        self._taken = 0
        self._closed: str | None = None
        """Why it is over; "" is a proper end."""

    async def send(self, channel: int, data: bytes | memoryview) -> None:
        """Send on a channel; waits while the other side is behind. Raises LinkClosed."""
        view = memoryview(data)
        while view:
            while self._credit <= 0:
                self._raise_if_closed()
                self._may_send.clear()
                await self._may_send.wait()
            self._raise_if_closed()
            part = view[: min(len(view), MAX_DATA, self._credit)]
            view = view[len(part) :]
            self._credit -= len(part)
            await self._mux.send_frame(_Frame.DATA, self.number, bytes((channel,)) + bytes(part))

    async def end(self, channel: int) -> None:
        """Nothing more will be sent on a channel."""
        self._raise_if_closed()
        await self._mux.send_frame(_Frame.END, self.number, bytes((channel,)))

    async def receive(self) -> tuple[int, bytes | None] | None:
        """(channel, data), (channel, None) when the other side ended a channel, or None when the stream is properly closed.

        Raises LinkClosed when it ended otherwise.
        """
        while not self._received:
            if self._closed is not None:
                if self._closed:
                    raise LinkClosed(self._closed)
                return None
            self._arrived.clear()
            await self._arrived.wait()
        channel, data = self._received.popleft()
        if data is not None:
            self._taken += len(data)
            if self._taken >= WINDOW // 2 and self._closed is None:
                credit, self._taken = self._taken, 0
                await self._mux.send_frame(_Frame.CREDIT, self.number, credit.to_bytes(4, "big"))
        return channel, data

    async def close(self, error: str = "") -> None:
        """End the stream, properly or with what went wrong. Twice is fine."""
        if self._closed is None:
            self._finish(error)
            await self._mux.close_stream(self, error)

    @property
    def is_closed(self) -> bool:
        return self._closed is not None

    def _raise_if_closed(self) -> None:
        if self._closed is not None:
            raise LinkClosed(self._closed or "the other side closed the stream")

    # called by the mux

    def _deliver(self, channel: int, data: bytes | None) -> None:
        self._received.append((channel, data))
        self._arrived.set()

    def _grant(self, credit: int) -> None:
        self._credit += credit
        self._may_send.set()

    def _finish(self, error: str) -> None:
        if self._closed is None:
            self._closed = error
        self._arrived.set()
        self._may_send.set()


class Mux:
    """Runs one end of a link until it closes."""

    def __init__(
        self, pipe: Pipe, *, is_server: bool, handler: StreamHandler | None = None, keepalive: bool = True
    ) -> None:
        self._pipe = pipe
        self._handler = handler
        self._keepalive = keepalive
        self._next = 1 if is_server else 2
        self._streams: dict[int, Stream] = {}
        self._tasks = Tasks("link")
        self._heard = True
        self._closed = False

    async def run(self) -> None:
        """Serve the link until either side closes it. All streams end with it."""
        if self._keepalive:
            self._tasks.start("ping", self._ping())
        try:
            while True:
                await self._received(await self._pipe.receive())
        except PipeClosed:
            pass
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the link and everything on it. Twice is fine."""
        if self._closed:
            return
        self._closed = True
        for stream in list(self._streams.values()):
            stream._finish("the link to the node was lost")
        self._streams.clear()
        await self._tasks.close()
        await self._pipe.close()

    async def open(self, request: bytes) -> Stream:
        """Open a stream for `request`. Raises LinkClosed."""
        if self._closed:
            raise LinkClosed("the link to the node was lost")
        stream = Stream(self, self._next)
        self._next += 2
        self._streams[stream.number] = stream
        await self.send_frame(_Frame.OPEN, stream.number, request)
        return stream

    async def send_frame(self, kind: _Frame, stream: int, payload: bytes) -> None:
        """For `Stream` only."""
        try:
            await self._pipe.send(bytes((kind,)) + stream.to_bytes(4, "big") + payload)
        except PipeClosed as error:
            raise LinkClosed("the link to the node was lost") from error

    async def close_stream(self, stream: Stream, error: str) -> None:
        """For `Stream` only."""
        self._streams.pop(stream.number, None)
        if not self._closed:
            try:
                await self.send_frame(_Frame.CLOSE, stream.number, orjson.dumps({"error": error}))
            except LinkClosed:
                log.debug("link lost while closing a stream")

    async def _ping(self) -> None:
        silent = 0
        while True:
            await asyncio.sleep(PING_EVERY)
            silent = 0 if self._heard else silent + 1
            self._heard = False
            if silent >= 3:
                await self._pipe.close()
                return
            try:
                await self.send_frame(_Frame.PING, 0, b"")
            except LinkClosed:
                return

    async def _received(self, message: bytes) -> None:
        self._heard = True
        kind, number, payload = message[0], int.from_bytes(message[1:5], "big"), message[5:]
        if kind == _Frame.PING:
            await self.send_frame(_Frame.PONG, 0, b"")
            return
        if kind == _Frame.OPEN:
            self._opened(number, payload)
            return
        stream = self._streams.get(number)
        if stream is None:  # it was closed on this side while the frame was under way
            return
        if kind == _Frame.DATA:
            stream._deliver(payload[0], payload[1:])
        elif kind == _Frame.END:
            stream._deliver(payload[0], None)
        elif kind == _Frame.CREDIT:
            stream._grant(int.from_bytes(payload, "big"))
        elif kind == _Frame.CLOSE:
            del self._streams[number]
            stream._finish(orjson.loads(payload)["error"])

    def _opened(self, number: int, request: bytes) -> None:
        stream = Stream(self, number)
        self._streams[number] = stream
        if self._handler is None:
            self._tasks.start(f"refuse {number}", stream.close("this side serves no streams"))
        else:
            self._tasks.start(f"stream {number}", self._serve(self._handler, request, stream))

    @staticmethod
    async def _serve(handler: StreamHandler, request: bytes, stream: Stream) -> None:
        try:
            await handler(request, stream)
        except LinkClosed:
            log.debug("stream given up by the other side")
        except Exception as error:  # told to the other side, which is the one that asked
            log.debug("stream failed", exc_info=error)
            await stream.close(str(error) or type(error).__name__)
        else:
            await stream.close()
