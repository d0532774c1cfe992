"""`UserspaceBackend`: services without nftables, by copying bytes. Half a millisecond and some CPU per connection more than the kernel
takes, and servers see the node's address; it is for hosts where there is nothing better.

A frontend is a listening socket. One with an address of its own needs that address on this host: `assign` puts it there, and
where that is not possible (no root) the frontend is left out. Node ports listen on every address.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import zlib
from collections.abc import Callable, Collection, Sequence
from typing import Any, cast

from minik.agent.proxy.apply import Backend
from minik.agent.proxy.rules import Frontend, Point, Target
from minik.aio import Tasks

log = logging.getLogger("minik.agent.proxy")

_CONNECT_SECONDS = 5.0
_UDP_IDLE_SECONDS = 30.0
_UDP_CLIENTS = 1024
_BLOCK = 1 << 16


class _Choice:
    """The targets of one point: in turn, or by the client's address."""

    def __init__(self, frontend: Frontend) -> None:
        self.frontend = frontend
        self._turn = 0

    def order(self, client: str) -> Sequence[Target]:
        """Every target, the first choice first."""
        targets = self.frontend.targets
        if not targets or not self._may_come(client):
            return ()
        if self.frontend.sticky:
            first = zlib.crc32(client.encode()) % len(targets)
        else:
            self._turn = first = (self._turn + 1) % len(targets)
        return targets[first:] + targets[:first]

    def _may_come(self, client: str) -> bool:
        sources = self.frontend.sources
        if sources is None:
            return True
        address = ipaddress.ip_address(client)
        return any(address in ipaddress.ip_network(network) for network in sources)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_BLOCK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


class _Stream:
    """One TCP frontend."""

    def __init__(self, choice: _Choice, tasks: Tasks) -> None:
        self._choice, self._tasks = choice, tasks
        self._server: asyncio.Server | None = None

    async def open(self, address: str, port: int) -> None:
        self._server = await asyncio.start_server(self._accept, address or "0.0.0.0", port, reuse_address=True)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.start("connection", self._serve(reader, writer))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        try:
            for target in self._choice.order(peer[0] if peer else ""):
                try:
                    async with asyncio.timeout(_CONNECT_SECONDS):
                        there = await asyncio.open_connection(target.address, target.port)
                except OSError:  # TimeoutError is one
                    continue
                try:
                    await asyncio.gather(_copy(reader, there[1]), _copy(there[0], writer))
                finally:
                    there[1].close()
                return
        finally:
            writer.close()


class _Answers(asyncio.DatagramProtocol):
    """What a target sends back to one client."""

    def __init__(self, reply: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        self._reply, self._lost = reply, lost
        self.last = 0.0

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._reply(data)

    def error_received(self, exc: Exception) -> None:
        self._lost()


class _Datagrams(asyncio.DatagramProtocol):
    """One UDP frontend: a socket towards the target for each client, until the client is quiet."""

    def __init__(self, choice: _Choice, tasks: Tasks) -> None:
        self._choice, self._tasks = choice, tasks
        self._transport: asyncio.DatagramTransport | None = None
        self._clients: dict[Any, tuple[asyncio.DatagramTransport, asyncio.TimerHandle]] = {}
        self._loop = asyncio.get_running_loop()

    async def open(self, address: str, port: int) -> None:
        await self._loop.create_datagram_endpoint(lambda: self, local_addr=(address or "0.0.0.0", port))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def close(self) -> None:
        for client in list(self._clients):
            self._drop(client)
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        known = self._clients.get(addr)
        if known is None:
            if len(self._clients) < _UDP_CLIENTS:
                self._tasks.start("datagram", self._first(data, addr))
            return
        known[0].sendto(data)
        known[1].cancel()
        self._clients[addr] = known[0], self._loop.call_later(_UDP_IDLE_SECONDS, self._drop, addr)

    async def _first(self, data: bytes, client: Any) -> None:
        for target in self._choice.order(client[0])[:1]:
            transport, _ = await self._loop.create_datagram_endpoint(
                lambda: _Answers(lambda answer: self._reply(answer, client), lambda: self._drop(client)),
                remote_addr=(target.address, target.port),
            )
            self._drop(client)
            self._clients[client] = transport, self._loop.call_later(_UDP_IDLE_SECONDS, self._drop, client)
            transport.sendto(data)

    def _reply(self, data: bytes, client: Any) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, client)

    def _drop(self, client: Any) -> None:
        known = self._clients.pop(client, None)
        if known is not None:
            known[1].cancel()
            known[0].close()


class UserspaceBackend:
    """See the module."""

    def __init__(self, assign: Callable[[str], None] | None = None) -> None:
        """`assign(address)` makes it one of this host's addresses (idempotent, may raise OSError); None where that cannot be."""
        self._assign = assign
        self._open: dict[Point, _Stream | _Datagrams] = {}
        self._tasks = Tasks("userspace proxy")

    async def load(self, frontends: Collection[Frontend]) -> None:
        for listener in self._open.values():
            listener.close()
        self._open.clear()
        await self.change((), list(frontends))

    async def change(self, removed: Sequence[Frontend], added: Sequence[Frontend]) -> None:
        for frontend in removed:
            listener = self._open.pop(frontend.point, None)
            if listener is not None:
                listener.close()
        for frontend in added:
            if frontend.targets and frontend.point.table in ("svc", "nport"):
                await self._listen(frontend)

    async def _listen(self, frontend: Frontend) -> None:
        point = frontend.point
        choice = _Choice(frontend)
        listener: _Stream | _Datagrams
        if point.protocol == "tcp":
            listener = _Stream(choice, self._tasks)
        elif point.protocol == "udp":
            listener = _Datagrams(choice, self._tasks)
        else:
            return
        try:
            if point.address:
                if self._assign is None:
                    return
                self._assign(point.address)
            await listener.open(point.address, point.port)
        except OSError as error:
            log.warning("service address not opened", extra={"point": str(point), "error": str(error)})
            return
        self._open[point] = listener

    def is_intact(self) -> bool:
        return True

    async def close(self) -> None:
        for listener in self._open.values():
            listener.close()
        self._open.clear()
        await self._tasks.close()


_: type[Backend] = UserspaceBackend
