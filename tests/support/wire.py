"""HTTPS for load tests: one connection, one request at a time, nothing sent twice.

Client libraries send a request again when a kept connection turns out to be dead, which would make one operation of a history two.
`Wire` says instead what is known: `NotSentError`, the server cannot have got it; `CutError`, it may have.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator

TIMEOUT = 60.0
"""Seconds after which a server that answers nothing counts as hanging."""


class NotSentError(Exception):
    """No connection: the request never left."""


class CutError(Exception):
    """The connection ended before the whole answer was there."""


class Wire:
    """One HTTP/1.1 connection to `host:port`, made when needed and kept."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext) -> None:
        self._host, self._port, self._context = host, port, context
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is not None and (self._streams[0].at_eof() or self._streams[1].is_closing()):
            self.close()
        if self._streams is None:
            try:
                async with asyncio.timeout(TIMEOUT):
                    self._streams = await asyncio.open_connection(
                        self._host, self._port, ssl=self._context, server_hostname=self._host, limit=1 << 22
                    )
            except OSError as error:
                if isinstance(error, TimeoutError):
                    raise AssertionError("the server takes no connection, and refuses none") from error
                raise NotSentError(str(error)) from error
        return self._streams

    async def _begin(self, method: str, path: str, body: bytes | None, content_type: str) -> tuple[int, dict[str, str]]:
        """Send a request; the answer's status and headers. What follows is still to be read."""
        reader, writer = await self._connected()
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nAccept: application/json\r\n"
        if body is not None:
            head += f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        writer.write(head.encode() + b"\r\n" + (body or b""))
        text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = text.rstrip("\r\n").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return int(first.split(" ", 2)[1]), headers

    async def request(
        self, method: str, path: str, body: bytes | None = None, content_type: str = "application/json"
    ) -> tuple[int, bytes]:
        """Status and body. Raises NotSentError, CutError, and AssertionError if there is no answer at all."""
        try:
            async with asyncio.timeout(TIMEOUT):
                status, headers = await self._begin(method, path, body, content_type)
                assert self._streams is not None
                reader = self._streams[0]
                if "content-length" in headers:
                    answer = await reader.readexactly(int(headers["content-length"]))
                else:
                    answer = b"".join([chunk async for chunk in _chunks(reader)])
        except TimeoutError as error:
            self.close()
            raise AssertionError(f"{method} {path}: no answer within {TIMEOUT:.0f} s") from error
        except (OSError, EOFError) as error:
            self.close()
            raise CutError(str(error)) from error
        except BaseException:
            self.close()
            raise
        if headers.get("connection", "").lower() == "close":
            self.close()
        return status, answer

    async def lines(self, path: str) -> AsyncIterator[bytes]:
        """The lines of a GET that streams, first the status as one of its own (`b"200"`); one that is no 200 is given as one line.

        Ends where the stream ends. Raises NotSentError, and CutError when the connection is cut.
        """
        try:
            status, headers = await self._begin("GET", path, None, "")
            yield str(status).encode()
            assert self._streams is not None
            reader = self._streams[0]
            if "content-length" in headers:
                yield await reader.readexactly(int(headers["content-length"]))
                return
            rest = b""
            async for chunk in _chunks(reader):
                *whole, rest = (rest + chunk).split(b"\n")
                for line in whole:
                    yield line
            if rest:
                yield rest
        except (OSError, EOFError) as error:
            raise CutError(str(error)) from error
        finally:
            self.close()

    def close(self) -> None:
        """At once, without a farewell."""
        if self._streams is not None:
            with contextlib.suppress(Exception):
                self._streams[1].transport.abort()
            self._streams = None


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The chunks of a chunked body (RFC 9112, 7.1)."""
    while True:
        size = int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16)
        chunk = await reader.readexactly(size + 2)
        if not size:
            return
        yield chunk[:-2]
