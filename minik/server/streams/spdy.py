"""SPDY/3.1 framing, as much as Kubernetes' clients use of it (moby/spdystream): no push, no flow-control windows.

`SpdyConnection` is the server's end: streams that the client opens arrive from `accept`; each has headers and carries bytes.
Back-pressure is the connection's own: a stream whose bytes nobody takes stops the reader, as upstream's does.
"""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections import deque
from collections.abc import Mapping

from minik.server.streams.bytes import ByteStream

_NAMES = (  # noqa: SIM905  # kept as text: a list of 60 lines would hide what it is
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status"
).split()
_MORE = ("200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin")
_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden"
    "404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,"
    "publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = b"".join(struct.pack(">I", len(n)) + n.encode() for n in (*_NAMES, *_MORE)) + _TAIL.encode()
"""The compression dictionary of the SPDY/3 specification, section 2.6.10.1."""

SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
FLAG_FIN = 1
MAX_FRAME = 1 << 22
MAX_HEADERS = 1 << 16
MAX_WAITING = 1 << 18
"""Bytes a stream holds for its reader before the whole connection waits."""


class SpdyError(Exception):
    """The other side does not speak SPDY/3.1 as it should."""


def encode_headers(headers: Mapping[str, str]) -> bytes:
    """A name/value block, not yet compressed."""
    out = [struct.pack(">I", len(headers))]
    for name, value in headers.items():
        for text in (name.lower().encode(), value.encode()):
            out += (struct.pack(">I", len(text)), text)
    return b"".join(out)


def decode_headers(block: bytes) -> dict[str, str]:
    """The inverse of `encode_headers`; names are lower case."""
    try:
        (count,) = struct.unpack_from(">I", block)
        at, found = 4, {}
        for _ in range(count):
            pair = []
            for _ in range(2):
                (length,) = struct.unpack_from(">I", block, at)
                pair.append(block[at + 4 : at + 4 + length].decode())
                at += 4 + length
            found[pair[0].lower()] = pair[1]
        return found
    except (struct.error, UnicodeDecodeError) as error:
        raise SpdyError("malformed headers") from error


class SpdyStream:
    """One stream. `headers` are those it was opened with."""

    def __init__(self, connection: SpdyConnection, number: int, headers: Mapping[str, str]) -> None:
        self.connection = connection
        self.number = number
        self.headers = headers
        self._chunks: deque[bytes] = deque()
        self._waiting = 0
        self._ended = False
        self._sent_end = False
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    async def read(self) -> bytes:
        """The next bytes; b"" when the client ended its side or the connection is gone."""
        while not self._chunks:
            if self._ended:
                return b""
            self._changed.clear()
            await self._changed.wait()
        chunk = self._chunks.popleft()
        self._waiting -= len(chunk)
        if self._waiting < MAX_WAITING:
            self._room.set()
        return chunk

    async def write(self, data: bytes) -> None:
        """Raises ConnectionError when the client is gone."""
        await self.connection.send_data(self.number, data)

    async def end(self) -> None:
        """Half-close: nothing more is written."""
        if not self._sent_end:
            self._sent_end = True
            await self.connection.send_data(self.number, b"", fin=True)

    async def reset(self) -> None:
        self._finish()
        self.connection.forget(self)
        await self.connection.send_control(RST_STREAM, struct.pack(">II", self.number, 5))

    async def _deliver(self, data: bytes) -> None:
        self._chunks.append(data)
        self._waiting += len(data)
        self._changed.set()
        if self._waiting >= MAX_WAITING:
            self._room.clear()
            await self._room.wait()

    def _finish(self) -> None:
        self._ended = True
        self._changed.set()
        self._room.set()


class SpdyConnection:
    """The server's end of a SPDY/3.1 connection. Run `run`, then take streams with `accept`."""

    def __init__(self, stream: ByteStream) -> None:
        self._bytes = stream
        self._deflate = zlib.compressobj(zdict=DICTIONARY)
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._streams: dict[int, SpdyStream] = {}
        self._new: asyncio.Queue[SpdyStream | None] = asyncio.Queue()
        self._writing = asyncio.Lock()
        self._closed = False
        self._over = asyncio.Event()

    @property
    def is_closed(self) -> bool:
        return self._closed

    async def wait_closed(self) -> None:
        """Until the client is gone or `close` was called."""
        await self._over.wait()

    async def accept(self) -> SpdyStream | None:
        """The next stream the client opens, or None when the connection is over."""
        return await self._new.get()

    def forget(self, stream: SpdyStream) -> None:
        """Drop a stream that is over on both sides."""
        self._streams.pop(stream.number, None)

    async def run(self) -> None:
        """Read frames until the client closes. Raises SpdyError for one that does not follow the protocol."""
        try:
            while True:
                head = await self._bytes.read_exactly(8)
                (word, flags_length) = struct.unpack(">II", head)
                flags, length = flags_length >> 24, flags_length & 0xFFFFFF
                if length > MAX_FRAME:
                    raise SpdyError("frame too large")
                payload = await self._bytes.read_exactly(length) if length else b""
                if word >> 31:
                    await self._control(word & 0xFFFF, flags, payload)
                else:
                    await self._data(word & 0x7FFFFFFF, flags, payload)
        except (EOFError, ConnectionError):
            pass
        finally:
            self._closed = True
            self._over.set()
            for stream in self._streams.values():
                stream._finish()
            self._new.put_nowait(None)

    async def _data(self, number: int, flags: int, payload: bytes) -> None:
        stream = self._streams.get(number)
        if stream is None:
            return
        if payload:
            await stream._deliver(payload)
        if flags & FLAG_FIN:
            stream._finish()

    async def _control(self, kind: int, flags: int, payload: bytes) -> None:
        if kind == SYN_STREAM:
            number = struct.unpack_from(">I", payload)[0] & 0x7FFFFFFF
            stream = SpdyStream(self, number, self._headers(payload[10:]))
            self._streams[number] = stream
            if flags & FLAG_FIN:
                stream._finish()
            async with self._writing:
                block = self._compress({})
                await self._frame(SYN_REPLY, struct.pack(">I", number) + block)
            self._new.put_nowait(stream)
        elif kind == RST_STREAM:
            gone = self._streams.pop(struct.unpack_from(">I", payload)[0] & 0x7FFFFFFF, None)
            if gone is not None:
                gone._finish()
        elif kind == PING:
            await self.send_control(PING, payload)
        elif kind == HEADERS:
            self._headers(payload[4:])  # keeps the compression state right
        elif kind == GOAWAY:
            raise EOFError
        # SETTINGS and WINDOW_UPDATE have nothing to say to an end without windows

    def _headers(self, block: bytes) -> dict[str, str]:
        try:
            return decode_headers(self._inflate.decompress(block, MAX_HEADERS))
        except zlib.error as error:
            raise SpdyError(f"malformed header block: {error}") from error

    def _compress(self, headers: Mapping[str, str]) -> bytes:
        return self._deflate.compress(encode_headers(headers)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

    async def _frame(self, kind: int, payload: bytes, flags: int = 0) -> None:
        await self._bytes.write(struct.pack(">HHI", 0x8003, kind, flags << 24 | len(payload)) + payload)

    async def send_control(self, kind: int, payload: bytes) -> None:
        async with self._writing:
            await self._frame(kind, payload)

    async def send_data(self, number: int, data: bytes, *, fin: bool = False) -> None:
        if self._closed:
            raise ConnectionResetError("the client went away")
        async with self._writing:
            head = struct.pack(">II", number, (FLAG_FIN if fin else 0) << 24 | len(data))
            await self._bytes.write(head + data)

    async def close(self) -> None:
        """Say good-bye and close the connection."""
        if not self._closed:
            try:
                await self.send_control(GOAWAY, struct.pack(">II", max(self._streams, default=0), 0))
            except ConnectionError:
                self._closed = True
        await self._bytes.close()
