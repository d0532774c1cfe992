"""Streams of Docker: log frames, and sessions (exec, attach) over a hijacked connection.

Without a TTY the engine sends frames: one byte 1 or 2 for stdout or stderr, three zero bytes, four bytes of length, the data; with
one, just the data (Docker Engine API, "Stream format"). Used by `docker.py`.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal, cast

import aiodocker
import aiohttp
from aiodocker.stream import Stream

from minik.agent.containers.base import RuntimeFailure, RuntimeUnavailable, Session
from minik.agent.containers.docker_client import engine_error

Chunk = tuple[Literal[1, 2], bytes]
_HEADER = struct.Struct(">BxxxL")


class Frames:
    """Takes log frames apart. Frames of one stream that arrive together are given as one chunk.

    The engine cuts lines at 16 KiB and, with timestamps, dates every piece; with `dated`, only the first piece of a line keeps
    its date."""

    def __init__(self, *, dated: bool = False) -> None:
        self._dated = dated
        self._buffer = bytearray()
        self._is_partial = {1: False, 2: False}

    def feed(self, data: bytes) -> list[Chunk]:
        """The chunks that are complete with `data`."""
        buffer = self._buffer
        buffer += data
        chunks: list[tuple[Literal[1, 2], list[bytes]]] = []
        at, end, size = 0, len(buffer), _HEADER.size
        view = bytes(buffer)
        while at + size <= end:
            kind, length = _HEADER.unpack_from(view, at)
            if at + size + length > end:
                break
            at += size
            piece = view[at : at + length]
            at += length
            if kind not in (1, 2) or not piece:
                continue
            if self._dated:
                if self._is_partial[kind]:
                    piece = piece[piece.find(b" ") + 1 :]
                self._is_partial[kind] = not piece.endswith(b"\n")
            stream = cast("Literal[1, 2]", kind)
            if chunks and chunks[-1][0] == stream:
                chunks[-1][1].append(piece)
            else:
                chunks.append((stream, [piece]))
        del buffer[:at]
        return [(stream, b"".join(pieces)) for stream, pieces in chunks]


class DockerSession:
    """An exec or attach that has begun."""

    def __init__(
        self,
        stream: Stream,
        *,
        resize: Callable[[int, int], Awaitable[object]],
        exit_code: Callable[[], Awaitable[int | None]],
    ) -> None:
        """`resize(width, height)` may fail with RuntimeFailure; `exit_code()` is asked once the output has ended."""
        self._stream = stream
        self._resize = resize
        self._exit_code = exit_code
        self._is_input_closed = False

    async def output(self) -> AsyncIterator[Chunk]:
        """See `Session`. Raises RuntimeUnavailable when the engine goes away."""
        try:
            while (message := await self._stream.read_out()) is not None:
                if message.data:
                    yield (2 if message.stream == 2 else 1), message.data
        except (aiodocker.DockerError, aiohttp.ClientError, OSError) as error:
            raise RuntimeUnavailable(f"the connection to the container engine broke: {error}") from error

    async def write(self, data: bytes) -> None:
        """See `Session`. Raises ConnectionError when the command takes nothing any more."""
        if self._is_input_closed:
            raise ConnectionResetError("stdin is closed")
        if not data:
            return
        try:
            transport = self._transport()
            if transport is None or transport.is_closing():
                raise ConnectionResetError("the command has ended")
            await self._stream.write_in(data)
        except ConnectionError:
            raise
        except (aiodocker.DockerError, aiohttp.ClientError, OSError, RuntimeError) as error:
            raise ConnectionResetError(str(error)) from error

    async def close_stdin(self) -> None:
        """Half-closes the connection: aiodocker's own `close` would drop the output that is still to come."""
        if self._is_input_closed:
            return
        self._is_input_closed = True
        transport = self._transport()
        if transport is not None and not transport.is_closing() and transport.can_write_eof():
            transport.write_eof()

    def _transport(self) -> asyncio.WriteTransport | None:
        response = self._stream._resp
        connection = response.connection if response is not None else None
        return cast("asyncio.WriteTransport | None", connection.transport if connection is not None else None)

    async def resize(self, width: int, height: int) -> None:
        """A wish: a command that has ended cannot be resized, and that is no failure."""
        try:
            await self._resize(width, height)
        except RuntimeFailure:
            return

    async def exit_code(self) -> int | None:
        return await self._exit_code()

    async def close(self) -> None:
        discard(self._stream)


_: type[Session] = DockerSession


def discard(stream: Stream) -> None:
    """Close the connection of a session, in whatever state it is."""
    stream._closed = True
    if stream._resp is not None:
        stream._resp.close()


async def begin(stream: Stream) -> None:
    """Send the request and take over the connection. Raises EngineError and RuntimeUnavailable."""
    try:
        await stream._init()
    except aiodocker.DockerError as error:
        raise engine_error(error) from error
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise RuntimeUnavailable(f"the container engine does not answer: {error}") from error
    finally:
        if stream._queue is None:
            discard(stream)
