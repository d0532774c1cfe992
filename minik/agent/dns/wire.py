"""The DNS message format (RFC 1035, 2782, 6891): reading a question, packing an answer, ageing one that came from elsewhere. Pure.

Written out because answering is the hot path and a full DNS library costs the agent more to import than all of its own DNS;
the tests check it against one. Called by `server.py` and `upstream.py`.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

A, CNAME, SOA, PTR, TXT, AAAA, SRV, OPT, ANY = 1, 5, 6, 12, 16, 28, 33, 41, 255
IN = 1
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 2, 3, 4, 5
_QR, _AA, _TC, _RD, _RA = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
_OPCODE = 0x7800
HEADER = 12
PLAIN_UDP = 512
OWN_UDP = 1232
LARGEST_UDP = 4096
"""LARGEST_UDP limits what we send to clients that take more; OWN_UDP is what we say we take (DNS flag day 2020)."""


class Malformed(ValueError):
    """Not a DNS message."""


class Record(NamedTuple):
    """A resource record of class IN. `data` by type: A/AAAA the address, CNAME/PTR a name, TXT the text, SRV "priority weight port
    name", SOA "mname rname serial refresh retry expire minimum". Names are absolute, without the last dot."""

    name: str
    type: int
    ttl: int
    data: str


@dataclass(frozen=True, slots=True)
class Question:
    """`name` in lower case without the last dot; `end` is where the question section ends in the message."""

    name: str
    type: int
    klass: int
    flags: int
    end: int
    udp_limit: int
    edns: bool


def parse_question(data: bytes) -> Question:
    """The one question of a query. Raises Malformed."""
    if len(data) < HEADER + 5:
        raise Malformed("too short")
    _, flags, questions, answers, authorities, extra = struct.unpack_from("!HHHHHH", data)
    if questions != 1 or answers or authorities or flags & _QR:
        raise Malformed("not a query with one question")
    labels: list[str] = []
    at = HEADER
    while True:
        size = data[at]
        at += 1
        if not size:
            break
        if size > 63 or at + size >= len(data):
            raise Malformed("bad name")
        labels.append(data[at : at + size].decode("latin-1").lower())
        at += size
    if at + 4 > len(data) or at - HEADER > 255:
        raise Malformed("bad question")
    kind, klass = struct.unpack_from("!HH", data, at)
    at += 4
    limit, edns = PLAIN_UDP, False
    # The first additional record of a query is OPT in practice; TSIG would be another, which we do not know.
    if extra and len(data) >= at + 11 and data[at] == 0 and struct.unpack_from("!H", data, at + 1)[0] == OPT:
        edns = True
        limit = max(PLAIN_UDP, min(struct.unpack_from("!H", data, at + 3)[0], LARGEST_UDP))
    return Question(".".join(labels), kind, klass, flags, at, limit, edns)


def opcode(question: Question) -> int:
    return (question.flags & _OPCODE) >> 11


def encode_name(name: str) -> bytes:
    """Uncompressed. Raises Malformed for a label or name that is too long."""
    out = bytearray()
    for label in name.split(".") if name else ():
        raw = label.encode("latin-1", "replace")
        if not 0 < len(raw) < 64:
            raise Malformed(f"bad label in {name!r}")
        out.append(len(raw))
        out += raw
    out.append(0)
    if len(out) > 255:
        raise Malformed(f"name too long: {name!r}")
    return bytes(out)


class _Packer:
    """Owner names and the names in SOA, CNAME and PTR data point to an owner name written before where they end alike."""

    def __init__(self, start: bytes, name: str) -> None:
        self.out = bytearray(start)
        self._offsets: dict[str, int] = {}
        self._remember(name, HEADER)

    def _remember(self, name: str, at: int) -> None:
        while name and at < 0x4000:
            self._offsets.setdefault(name, at)
            label, _, name = name.partition(".")
            at += len(label) + 1

    def name(self, name: str) -> bytes:
        """Its shortest form at this point."""
        written = bytearray()
        while name:
            known = self._offsets.get(name)
            if known is not None:
                return bytes(written + struct.pack("!H", 0xC000 | known))
            label, _, name = name.partition(".")
            written += encode_name(label)[:-1]
        return bytes(written + b"\0")

    def record(self, record: Record) -> None:
        at = len(self.out)
        self.out += self.name(record.name)
        self._remember(record.name, at)
        data = _data(record, self)
        self.out += struct.pack("!HHIH", record.type, IN, record.ttl, len(data)) + data


def _data(record: Record, packer: _Packer) -> bytes:
    kind, text = record.type, record.data
    if kind in (A, AAAA):
        return ipaddress.ip_address(text).packed
    if kind in (CNAME, PTR):
        return packer.name(text)
    if kind == TXT:
        raw = text.encode()
        return bytes([len(raw)]) + raw
    if kind == SRV:
        priority, weight, port, target = text.split(" ", 3)
        return struct.pack("!HHH", int(priority), int(weight), int(port)) + encode_name(target)
    if kind == SOA:
        primary, mailbox, *numbers = text.split(" ")
        return packer.name(primary) + packer.name(mailbox) + struct.pack("!IIIII", *map(int, numbers))
    raise Malformed(f"cannot pack records of type {kind}")


def pack_answer(
    query: bytes,
    question: Question,
    rcode: int,
    *,
    answers: Sequence[Record] = (),
    authority: Sequence[Record] = (),
    additional: Sequence[Record] = (),
    authoritative: bool = True,
) -> bytes:
    """The answer to `query`. The question is repeated byte for byte (its letters' case is the client's check)."""
    packer = _Packer(query[: question.end], question.name)
    for record in (*answers, *authority, *additional):
        packer.record(record)
    extra = len(additional)
    if question.edns:
        packer.out += struct.pack("!BHHIH", 0, OPT, OWN_UDP, 0, 0)
        extra += 1
    flags = _QR | (question.flags & (_OPCODE | _RD)) | _RA | (_AA if authoritative else 0) | rcode
    struct.pack_into("!HHHHH", packer.out, 2, flags, 1, len(answers), len(authority), extra)
    return bytes(packer.out)


def truncated(query: bytes, question: Question) -> bytes:
    """The answer that says: ask again over TCP."""
    empty = bytearray(pack_answer(query, question, NOERROR))
    empty[2] |= _TC >> 8
    return bytes(empty)


def bare_error(query: bytes, rcode: int) -> bytes:
    """The answer to something that cannot be read."""
    flags = _QR | (struct.unpack_from("!H", query, 2)[0] & (_OPCODE | _RD)) | _RA | rcode
    return query[:2] + struct.pack("!HHHHH", flags, 0, 0, 0, 0)


# --- answers of other servers ---------------------------------------------------------------------------------------------


def _skip_name(data: bytes, at: int) -> int:
    while True:
        size = data[at]
        if size >= 0xC0:
            return at + 2
        at += 1 + size
        if not size:
            return at


@dataclass(frozen=True, slots=True)
class Foreign:
    """What matters of another server's answer: offsets of the TTLs, the lowest of them, and for CNAME chasing its records' bytes."""

    rcode: int
    truncated: bool
    ttl_offsets: Sequence[int]
    ttl: int
    addresses: Sequence[tuple[int, str]]
    """(type, address) of its A and AAAA records."""


def parse_foreign(data: bytes) -> Foreign:
    """Raises Malformed."""
    try:
        return _parse_foreign(data)
    except (IndexError, struct.error) as error:
        raise Malformed("cut short") from error


def _parse_foreign(data: bytes) -> Foreign:
    _, flags, questions, answers, authorities, extra = struct.unpack_from("!HHHHHH", data)
    at = HEADER
    for _ in range(questions):
        at = _skip_name(data, at) + 4
    offsets: list[int] = []
    addresses: list[tuple[int, str]] = []
    lowest = 1 << 31
    for index in range(answers + authorities + extra):
        at = _skip_name(data, at)
        kind, _, ttl, size = struct.unpack_from("!HHIH", data, at)
        if kind != OPT:
            offsets.append(at + 4)
            lowest = min(lowest, ttl)
            if kind == SOA and index >= answers:  # the time to remember that there is nothing (RFC 2308)
                lowest = min(lowest, struct.unpack_from("!I", data, at + 10 + size - 4)[0])
            if kind in (A, AAAA) and index < answers:
                addresses.append((kind, str(ipaddress.ip_address(data[at + 10 : at + 10 + size]))))
        at += 10 + size
    ttl = lowest if offsets else 0
    return Foreign(flags & 0xF, bool(flags & _TC), offsets, ttl, addresses)


def same_question(query: bytes, end: int, answer: bytes) -> bool:
    """Whether `answer` repeats the question of `query` (which ends at `end`), in any case, and is an answer."""
    return len(answer) >= end and bool(answer[2] & 0x80) and answer[HEADER:end].lower() == query[HEADER:end].lower()


def aged(answer: bytes, offsets: Sequence[int], seconds: int) -> bytes:
    """`answer` with its TTLs that much shorter."""
    if not seconds:
        return answer
    out = bytearray(answer)
    for at in offsets:
        struct.pack_into("!I", out, at, max(struct.unpack_from("!I", out, at)[0] - seconds, 0))
    return bytes(out)


def build_query(number: int, name: str, kind: int) -> bytes:
    """A recursive query. Raises Malformed for a name that is none."""
    return struct.pack("!HHHHHH", number, _RD, 1, 0, 0, 0) + encode_name(name) + struct.pack("!HH", kind, IN)
