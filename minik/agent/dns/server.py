"""`DnsServer`: the cluster's DNS, at its service address on every node, so that a pod's question never leaves its node.

The agent's informers feed it (`update_service`, `update_slice`). Names of the cluster come from `records.py`, everything else
from `upstream.py`. Packed answers are kept by the bytes of the question, so a name that is asked again costs a dict look-up: those
of the cluster until something changes, others for as long as they may be kept. Answers with several addresses take turns.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from dataclasses import dataclass
from typing import Any

from minik.agent.dns import wire
from minik.agent.dns.records import Answer, Records
from minik.agent.dns.upstream import Upstream
from minik.agent.dns.wire import Malformed, Question, Record
from minik.aio import Tasks
from minik.api.meta import Key, ROObj
from minik.clock import Clock

log = logging.getLogger("minik.agent.dns")

_CACHE_ENTRIES = 4096
_LONGEST_SECONDS = 30
_BATCH = 64
_IN_FLIGHT = 512
_CONNECTIONS = 128
_IDLE_SECONDS = 10.0
_MAX_TURNS = 8


@dataclass(slots=True)
class _Kept:
    """An answer of another server, without its number."""

    answer: bytes
    offsets: tuple[int, ...]
    stored: float
    until: float


class DnsServer:
    """See the module."""

    def __init__(self, *, records: Records, upstream: Upstream, clock: Clock) -> None:
        self._records, self._upstream, self._clock = records, upstream, clock
        self._own: dict[bytes, tuple[list[bytes], list[int]]] = {}
        self._kept: dict[bytes, _Kept] = {}
        self._generation = records.generation
        self._tasks = Tasks("dns")
        self._socket: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._connections = 0
        self._questions = self._forwarded = 0

    # --- what is told ----------------------------------------------------------------------------------------------------

    def update_service(self, key: Key, service: ROObj | None) -> None:
        """The Service as it is now; None when it is gone."""
        self._records.update_service(key, service)
        self._forget_changed()

    def update_slice(self, key: Key, slice_: ROObj | None) -> None:
        """The EndpointSlice as it is now; None when it is gone."""
        self._records.update_slice(key, slice_)
        self._forget_changed()

    def _forget_changed(self) -> None:
        if self._generation != self._records.generation:
            self._generation = self._records.generation
            self._own.clear()

    # --- life ------------------------------------------------------------------------------------------------------------

    async def start(self, address: str, port: int = 53) -> None:
        """Answer at `address`, which must be one of this host's, over UDP and TCP. Raises OSError."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        udp = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            # Several nodes may share one host; each of them knows all answers.
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            udp.bind((address, port))
            bound = udp.getsockname()[1]
            self._server = await asyncio.start_server(self._accept, address, bound, reuse_port=True)
        except OSError:
            udp.close()
            raise
        self._socket = udp
        asyncio.get_running_loop().add_reader(udp, self._readable)

    @property
    def port(self) -> int:
        """Where it answers, once started."""
        return int(self._socket.getsockname()[1]) if self._socket is not None else 0

    async def close(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        if self._server is not None:
            self._server.close()
        await self._tasks.close()

    def statistics(self) -> dict[str, int]:
        return {"questions": self._questions, "forwarded": self._forwarded, "kept": len(self._own) + len(self._kept)}

    # --- UDP -------------------------------------------------------------------------------------------------------------

    def _readable(self) -> None:
        """Answer what has arrived, a batch at a time so that others get their turn."""
        udp = self._socket
        if udp is None:
            return
        for _ in range(_BATCH):
            try:
                data, client = udp.recvfrom(4096)
            except BlockingIOError:
                return
            except OSError:  # an ICMP error of an earlier answer
                continue
            answer = self._cached(data)
            if answer is None:
                answer = self._answer_now(data)
            if answer is not None:
                self._send(answer, client)
            elif len(self._tasks) < _IN_FLIGHT:
                self._tasks.start("question", self._answer_later(data, client))
            else:
                self._send(wire.bare_error(data, wire.SERVFAIL), client)

    def _send(self, answer: bytes, client: Any) -> None:
        if self._socket is not None and answer:
            with contextlib.suppress(OSError):  # no room or no client: it will ask again
                self._socket.sendto(answer, client)

    async def _answer_later(self, data: bytes, client: Any) -> None:
        question = wire.parse_question(data)
        answer = await self._resolve(data, question, stream=False)
        if len(answer) > question.udp_limit:
            answer = wire.truncated(data, question)
        self._send(answer, client)

    # --- TCP -------------------------------------------------------------------------------------------------------------

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._connections >= _CONNECTIONS:
            writer.close()
            return
        self._connections += 1
        try:
            while True:
                async with asyncio.timeout(_IDLE_SECONDS):
                    (size,) = struct.unpack("!H", await reader.readexactly(2))
                    data = await reader.readexactly(size)
                answer = await self._answer_stream(data)
                if not answer:
                    return
                writer.write(struct.pack("!H", len(answer)) + answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):  # the client went away or is idle; TimeoutError is an OSError
            return
        finally:
            self._connections -= 1
            writer.close()

    async def _answer_stream(self, data: bytes) -> bytes:
        self._questions += 1
        try:
            question = wire.parse_question(data)
        except (Malformed, IndexError):
            return wire.bare_error(data, wire.FORMERR) if len(data) >= wire.HEADER else b""
        refusal = self._refusal(data, question)
        return refusal or await self._resolve(data, question, stream=True)

    # --- answers ---------------------------------------------------------------------------------------------------------

    def _cached(self, data: bytes) -> bytes | None:
        self._questions += 1
        rest = data[2:]
        own = self._own.get(rest)
        if own is not None:
            variants, turn = own
            turn[0] = (turn[0] + 1) % len(variants)
            return data[:2] + variants[turn[0]]
        kept = self._kept.get(rest)
        if kept is None:
            return None
        now = self._clock.monotonic()
        if now >= kept.until:
            del self._kept[rest]
            return None
        return data[:2] + wire.aged(kept.answer, [at - 2 for at in kept.offsets], int(now - kept.stored))

    def _answer_now(self, data: bytes) -> bytes | None:
        """The answer if it is known here, b"" for none at all, None when another server must be asked."""
        try:
            question = wire.parse_question(data)
        except (Malformed, IndexError):
            return wire.bare_error(data, wire.FORMERR) if len(data) >= wire.HEADER and not data[2] & 0x80 else b""
        refusal = self._refusal(data, question)
        if refusal is not None:
            return refusal
        if not self._records.is_ours(question.name):
            return None
        answer = self._records.answer(question.name, question.type)
        if answer.chase:
            return None
        variants = [
            packed if len(packed) <= question.udp_limit else wire.truncated(data, question)
            for packed in _variants(data, question, answer)
        ]
        if len(self._own) >= _CACHE_ENTRIES:
            self._own.clear()
        self._own[data[2:]] = [packed[2:] for packed in variants], [0]
        return variants[0]

    def _refusal(self, data: bytes, question: Question) -> bytes | None:
        if wire.opcode(question):
            return wire.pack_answer(data, question, wire.NOTIMP, authoritative=False)
        if question.klass not in (wire.IN, wire.ANY):
            return wire.pack_answer(data, question, wire.REFUSED, authoritative=False)
        return None

    async def _resolve(self, data: bytes, question: Question, *, stream: bool) -> bytes:
        if self._records.is_ours(question.name):
            answer = self._records.answer(question.name, question.type)
            if answer.chase:
                answer = await self._chase(question, answer)
            return _variants(data, question, answer)[0]
        self._forwarded += 1
        reply = await self._upstream.ask(data, question.end, stream=stream)
        if reply is None:
            return wire.pack_answer(data, question, wire.SERVFAIL, authoritative=False)
        self._keep(data, reply)
        return reply

    def _keep(self, data: bytes, reply: bytes) -> None:
        facts = wire.parse_foreign(reply)
        seconds = min(facts.ttl, _LONGEST_SECONDS)
        if facts.truncated or seconds <= 0 or facts.rcode not in (wire.NOERROR, wire.NXDOMAIN):
            return
        question = wire.parse_question(data)
        if len(reply) > question.udp_limit:
            return
        if len(self._kept) >= _CACHE_ENTRIES:
            self._kept.clear()
        now = self._clock.monotonic()
        self._kept[data[2:]] = _Kept(reply[2:], tuple(facts.ttl_offsets), now, now + seconds)

    async def _chase(self, question: Question, answer: Answer) -> Answer:
        """The addresses of the outside name that a service stands for."""
        if question.type not in (wire.A, wire.AAAA):
            return answer
        self._forwarded += 1
        try:
            query = wire.build_query(0, answer.chase, question.type)
        except Malformed:
            return Answer(wire.SERVFAIL, answer.answers)
        reply = await self._upstream.ask(query, len(query))
        if reply is None:
            return Answer(wire.SERVFAIL, answer.answers)
        facts = wire.parse_foreign(reply)
        ttl = min(facts.ttl, _LONGEST_SECONDS)
        found = [Record(answer.chase, kind, ttl, text) for kind, text in facts.addresses if kind == question.type]
        return Answer(facts.rcode, [*answer.answers, *found])


def _variants(data: bytes, question: Question, answer: Answer) -> list[bytes]:
    """The packed answer, with its records in each order they take turns in."""
    rows = list(answer.answers)
    turns = 1 if any(row.type == wire.CNAME for row in rows) else max(min(len(rows), _MAX_TURNS), 1)
    try:
        return [
            wire.pack_answer(
                data, question, answer.rcode,
                answers=rows[turn:] + rows[:turn], authority=answer.authority, additional=answer.additional,
            )
            for turn in range(turns)
        ]  # fmt: skip
    except Malformed as error:
        log.warning("name cannot be answered", extra={"question": question.name, "error": str(error)})
        return [wire.pack_answer(data, question, wire.SERVFAIL)]
