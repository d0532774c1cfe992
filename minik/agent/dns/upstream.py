"""Asking the host's own name servers about everything outside of the cluster. Called by `server.py`.

The servers are those of the host's resolv.conf, read again when it changes. Each question goes out from a socket of its own with a
number of its own (so that answers are hard to forge) and keeps the client's bytes otherwise. When none answers, questions fail
at once for a moment: a pod's search list asks five times, and should not wait five times.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minik.agent.dns.wire import Malformed, parse_foreign, same_question
from minik.agent.etcfiles import parse_resolv_conf
from minik.clock import Clock, Entropy

RESOLV_CONF = Path("/etc/resolv.conf")
RESOLVED_CONF = Path("/run/systemd/resolve/resolv.conf")
"""What systemd-resolved itself asks; its own stub answers at a loopback address of the host only."""
_STUBS = frozenset({"127.0.0.53", "127.0.0.54"})
_TIMEOUT = 1.5
_ROUNDS = 2
_PAUSE_SECONDS = 2.0
_REREAD_SECONDS = 5.0
_PORT = 53


class _Once(asyncio.DatagramProtocol):
    """The first datagram that answers the question."""

    def __init__(self, query: bytes, end: int) -> None:
        self._query, self._end = query, end
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if not self.answer.done() and data[:2] == self._query[:2] and same_question(self._query, self._end, data):
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


class Upstream:
    """See the module."""

    def __init__(
        self, *, clock: Clock, entropy: Entropy, own: Sequence[str], files: Sequence[Path] = (RESOLV_CONF, RESOLVED_CONF),
        port: int = _PORT,
    ) -> None:  # fmt: skip
        """`own`: addresses that must not be asked, because it is we who answer there. `files`: the first is read; when it names
        stubs only, the next one."""
        self._clock, self._entropy = clock, entropy
        self._own, self._files, self._port = frozenset(own), files, port
        self._servers: tuple[str, ...] = ()
        self._stamp: tuple[float, ...] | None = None
        self._checked = float("-inf")
        self._paused_until = float("-inf")

    def servers(self) -> tuple[str, ...]:
        """Who is asked, in order. Looks at the files no more often than every few seconds."""
        now = self._clock.monotonic()
        if now - self._checked >= _REREAD_SECONDS:
            self._checked = now
            stamp = tuple(_modified(path) for path in self._files)
            if stamp != self._stamp:
                self._stamp = stamp
                self._servers = self._read()
                self._paused_until = now
        return self._servers

    def _read(self) -> tuple[str, ...]:
        found: list[str] = []
        for path in self._files:
            try:
                found = [s for s in parse_resolv_conf(path.read_text()).nameservers if s not in self._own]
            except OSError:
                continue
            if any(server not in _STUBS for server in found):
                break
        return tuple(dict.fromkeys(found))

    async def ask(self, query: bytes, end: int, *, stream: bool = False) -> bytes | None:
        """The answer to `query` (whose question ends at `end`), with its number; None when nobody answers. `stream`: over TCP."""
        servers = self.servers()
        if not servers or self._clock.monotonic() < self._paused_until:
            return None
        number = struct.pack("!H", self._entropy.rng.getrandbits(16))
        sent = number + query[2:]
        for _ in range(_ROUNDS):
            for server in servers:
                with contextlib.suppress(OSError, Malformed, asyncio.IncompleteReadError):  # TimeoutError is an OSError
                    async with asyncio.timeout(_TIMEOUT):
                        answer = await (self._over_tcp if stream else self._over_udp)(server, sent, end)
                    parse_foreign(answer)
                    return query[:2] + answer[2:]
        self._paused_until = self._clock.monotonic() + _PAUSE_SECONDS
        return None

    async def _over_udp(self, server: str, query: bytes, end: int) -> bytes:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(
            lambda: _Once(query, end), remote_addr=(server, self._port)
        )
        try:
            transport.sendto(query)
            return await protocol.answer
        finally:
            transport.close()

    async def _over_tcp(self, server: str, query: bytes, end: int) -> bytes:
        reader, writer = await asyncio.open_connection(server, self._port)
        try:
            writer.write(struct.pack("!H", len(query)) + query)
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            answer = await reader.readexactly(size)
        finally:
            writer.close()
        if answer[:2] != query[:2] or not same_question(query, end, answer):
            raise Malformed("not the answer to this question")
        return answer


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
