"""`ByteStream`: bytes in order, both ways; what SPDY runs over. A taken-over HTTP connection, or a WebSocket."""

from __future__ import annotations

import asyncio
from typing import Protocol

from aiohttp import WSMsgType, web


class ByteStream(Protocol):
    async def read_exactly(self, count: int) -> bytes:
        """`count` bytes. Raises EOFError when the other side closed."""
        ...

    async def write(self, data: bytes) -> None:
        """Returns when there is room for more. Raises ConnectionError."""
        ...

    async def close(self) -> None: ...


class SocketBytes:
    """An HTTP connection after a 101 answer, taken away from aiohttp."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read_exactly(self, count: int) -> bytes:
        try:
            return await self._reader.readexactly(count)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise EOFError from error

    async def read_some(self, most: int) -> bytes:
        """What is there, at least a byte; b"" at the end. Raises ConnectionError."""
        return await self._reader.read(most)

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def close(self) -> None:
        self._writer.close()


class WebSocketBytes:
    """Bytes as the binary messages of a WebSocket; message borders mean nothing (KEP-4006 tunnelling)."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket
        self._buffer = bytearray()

    async def read_exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            message = await self._socket.receive()
            if message.type is not WSMsgType.BINARY:
                raise EOFError
            self._buffer += message.data
        result = bytes(self._buffer[:count])
        del self._buffer[:count]
        return result

    async def write(self, data: bytes) -> None:
        await self._socket.send_bytes(data)

    async def close(self) -> None:
        await self._socket.close()


class TakenOver(web.StreamResponse):
    """What a handler returns whose connection is no longer aiohttp's: nothing more is written to it."""

    async def prepare(self, request: web.BaseRequest) -> None:
        del request

    async def write_eof(self, data: bytes = b"") -> None:
        del data


def take_over(request: web.BaseRequest, *, head: bytes) -> SocketBytes:
    """Write `head` (a complete 101 answer) and take the connection away from aiohttp."""
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the client went away")
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 18, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport.write(head)
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    return SocketBytes(reader, asyncio.StreamWriter(transport, protocol, reader, loop))
