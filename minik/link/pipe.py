"""`Pipe`: whole messages, both ways, in order. A WebSocket between processes, two queues within one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from aiohttp import ClientWebSocketResponse, web

MAX_MESSAGE = 1 << 20
"""Bytes; the mux keeps its frames far below."""


class PipeClosed(Exception):
    """The other end is gone, or this one was closed."""


class Pipe(Protocol):
    """A reliable, ordered, bidirectional message channel."""

    async def send(self, message: bytes) -> None:
        """Returns once the message is accepted for sending. Raises PipeClosed."""
        ...

    async def receive(self) -> bytes:
        """The next message. Raises PipeClosed."""
        ...

    async def close(self) -> None:
        """Twice is fine."""
        ...


class MemoryPipe:
    """One end of a pipe within the process; make both with `memory_pipe`."""

    def __init__(self, incoming: asyncio.Queue[bytes | None], outgoing: asyncio.Queue[bytes | None]) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._closed = False

    async def send(self, message: bytes) -> None:
        if self._closed:
            raise PipeClosed
        await self._outgoing.put(message)

    async def receive(self) -> bytes:
        if self._closed:
            raise PipeClosed
        message = await self._incoming.get()
        if message is None:
            self._closed = True
            raise PipeClosed
        return message

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for queue in (self._outgoing, self._incoming):
            while queue.full():  # nobody reads any more: what was under way is lost, as on a broken connection
                queue.get_nowait()
            queue.put_nowait(None)


def memory_pipe() -> tuple[MemoryPipe, MemoryPipe]:
    """Two connected ends. At most 64 messages wait in each direction; `send` then waits."""
    one: asyncio.Queue[bytes | None] = asyncio.Queue(64)
    other: asyncio.Queue[bytes | None] = asyncio.Queue(64)
    return MemoryPipe(one, other), MemoryPipe(other, one)


class WebSocketPipe:
    """A pipe over an open aiohttp WebSocket, of either side."""

    def __init__(self, socket: ClientWebSocketResponse | web.WebSocketResponse) -> None:
        self._socket = socket

    async def send(self, message: bytes) -> None:
        try:
            await self._socket.send_bytes(message)
        except (ConnectionError, RuntimeError) as error:  # aiohttp raises RuntimeError on a closing socket
            raise PipeClosed from error

    async def receive(self) -> bytes:
        from aiohttp import WSMsgType

        message = await self._socket.receive()
        if message.type is not WSMsgType.BINARY:
            raise PipeClosed
        data: bytes = message.data
        return data

    async def close(self) -> None:
        await self._socket.close()
