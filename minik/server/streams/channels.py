"""`Channels`: the client's side of an exec or attach, whichever protocol it speaks.

Channel numbers and their meaning: `minik/link/requests.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

import orjson
from aiohttp import WSMsgType, web

from minik.aio import Tasks
from minik.link.requests import ERROR, RESIZE, STDERR, STDIN, STDOUT
from minik.server.streams.spdy import SpdyConnection, SpdyStream

STREAM_TYPES = {"stdin": STDIN, "stdout": STDOUT, "stderr": STDERR, "error": ERROR, "resize": RESIZE}


class Channels(Protocol):
    """A client's channels."""

    async def receive(self) -> tuple[int, bytes | None] | None:
        """(channel, data), (channel, None) when the client ended one, None when it went away."""
        ...

    async def send(self, channel: int, data: bytes) -> None:
        """Raises ConnectionError when the client is gone."""
        ...

    async def finish(self, status: Mapping[str, Any]) -> None:
        """Tell the outcome (a `Status`) and close."""
        ...


class WebSocketChannels:
    """`v5.channel.k8s.io` and `v4.channel.k8s.io`: the first byte of a message is its channel.

    v5 adds channel 255, which says that another one has ended (KEP-4006).
    """

    CLOSE = 255

    def __init__(self, socket: web.WebSocketResponse, *, protocol: str) -> None:
        self._socket = socket
        self._half_close = protocol.startswith("v5.")
        self._old_errors = not protocol.startswith(("v4.", "v5."))

    async def receive(self) -> tuple[int, bytes | None] | None:
        while True:
            message = await self._socket.receive()
            if message.type is WSMsgType.TEXT:
                data = message.data.encode()
            elif message.type is WSMsgType.BINARY:
                data = message.data
            else:
                return None
            if not data:
                continue
            if data[0] == self.CLOSE and self._half_close:
                if len(data) == 2:
                    return data[1], None
                continue
            if len(data) == 1:  # an empty write; clients send them as keep-alives
                continue
            return data[0], data[1:]

    async def send(self, channel: int, data: bytes) -> None:
        try:
            await self._socket.send_bytes(bytes((channel,)) + data)
        except RuntimeError as error:  # aiohttp's word for a closing socket
            raise ConnectionResetError("the client went away") from error

    async def finish(self, status: Mapping[str, Any]) -> None:
        failed = status.get("status") != "Success"
        if failed or not self._old_errors:
            body = status.get("message", "").encode() if self._old_errors else orjson.dumps(status)
            await self.send(ERROR, body)
        await self._socket.close()


class SpdyChannels:
    """A SPDY stream a channel, told apart by their `streamType` header."""

    def __init__(self, connection: SpdyConnection, streams: Mapping[int, SpdyStream], *, protocol: str) -> None:
        self._connection = connection
        self._streams = streams
        self._old_errors = not protocol.startswith(("v4.", "v5."))
        self._incoming: asyncio.Queue[tuple[int, bytes | None] | None] = asyncio.Queue(8)
        self._tasks = Tasks("spdy.channels")
        for channel in (STDIN, RESIZE):
            if channel in streams:
                self._tasks.start(f"read {channel}", self._read(channel, streams[channel]))
        if ERROR in streams:
            self._tasks.start("watch", self._watch(streams[ERROR]))

    async def _read(self, channel: int, stream: SpdyStream) -> None:
        while data := await stream.read():
            await self._incoming.put((channel, data))
        await self._incoming.put((channel, None))

    async def _watch(self, stream: SpdyStream) -> None:
        while True:
            await stream.read()
            if self._connection.is_closed:
                await self._incoming.put(None)
                return
            await self._connection.wait_closed()

    async def receive(self) -> tuple[int, bytes | None] | None:
        return await self._incoming.get()

    async def send(self, channel: int, data: bytes) -> None:
        stream = self._streams.get(channel)
        if stream is not None:
            await stream.write(data)

    async def finish(self, status: Mapping[str, Any]) -> None:
        failed = status.get("status") != "Success"
        error = self._streams.get(ERROR)
        if error is not None and (failed or not self._old_errors):
            await error.write(status.get("message", "").encode() if self._old_errors else orjson.dumps(status))
        for channel in (STDOUT, STDERR, ERROR):
            if channel in self._streams:
                await self._streams[channel].end()
        await self._tasks.close()


async def accept_spdy_channels(
    connection: SpdyConnection, wanted: frozenset[int], *, protocol: str, timeout: float = 30.0
) -> SpdyChannels:
    """Wait for the streams a client of exec or attach opens. Raises TimeoutError or ConnectionError."""
    found: dict[int, SpdyStream] = {}
    async with asyncio.timeout(timeout):
        while not wanted <= found.keys():
            stream = await connection.accept()
            if stream is None:
                raise ConnectionResetError("the client went away")
            channel = STREAM_TYPES.get(stream.headers.get("streamtype", ""))
            if channel is None:
                await stream.reset()
            else:
                found[channel] = stream
    return SpdyChannels(connection, found, protocol=protocol)
