"""A small HTTP/1.1 client made for load: keep-alive connections that send one request after another and count answers."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterable


class Connection:
    """One connection; `request` returns (status, body)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int, tls: ssl.SSLContext) -> Connection:
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=tls, limit=1 << 24))

    async def request(self, message: bytes) -> tuple[int, bytes]:
        self._writer.write(message)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length, at = 0, head.lower().find(b"content-length:")
        if at >= 0:
            length = int(head[at + 15 : head.index(b"\r", at)])
        body = await self._reader.readexactly(length) if length else b""
        return int(head[9:12]), body

    def close(self) -> None:
        self._writer.close()


def message(method: str, path: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


async def rate(
    port: int, tls: ssl.SSLContext, make: Callable[[int], bytes], *, clients: int, seconds: float, expect: int
) -> float:
    """Requests a second that `clients` connections get answered with status `expect`."""
    connections = [await Connection.open(port, tls) for _ in range(clients)]
    counter = iter(range(10**9))
    end = time.monotonic() + seconds

    async def work(connection: Connection) -> int:
        done = 0
        while time.monotonic() < end:
            status, body = await connection.request(make(next(counter)))
            if status != expect:
                raise RuntimeError(f"status {status}: {body[:500]!r}")
            done += 1
        return done

    start = time.monotonic()
    done = await asyncio.gather(*(work(c) for c in connections))
    elapsed = time.monotonic() - start
    for connection in connections:
        connection.close()
    return sum(done) / elapsed


async def send(port: int, tls: ssl.SSLContext, messages: Iterable[bytes], *, clients: int, expect: int) -> None:
    """Send each message once, over `clients` connections. Raises RuntimeError for an answer with another status."""
    rest = iter(messages)

    async def work() -> None:
        connection = await Connection.open(port, tls)
        for each in rest:
            status, body = await connection.request(each)
            if status != expect:
                raise RuntimeError(f"status {status}: {body[:500]!r}")
        connection.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(work())
