"""The little of rtnetlink that minik needs: links, addresses, routes, neighbours. Messages in, parsed rows out; no waiting.

Called by `routed.py`, `vxlan.py`, `device.py` and `reset.py`; what should exist is their business. Layouts: `rtnetlink(7)`,
`linux/if_link.h`, `linux/neighbour.h`. A library would do it too: pyroute2 takes 0.3 s to import, longer than the agent may
take to start.
"""

from __future__ import annotations

import ipaddress
import itertools
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from minik.agent.network.base import NetworkError

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH = 28, 29, 30
GROUP_LINK, GROUP_ROUTE4, GROUP_ADDR4 = 0x1, 0x40, 0x10

_REQUEST, _ACK, _ROOT_MATCH = 0x1, 0x4, 0x300
REPLACE, EXCLUSIVE, CREATE, APPEND = 0x100, 0x200, 0x400, 0x800
_ERROR, _DONE = 2, 3
_OVERRUN = 4
IFF_UP = 1
PROTOCOL = 109
"""`rtm_protocol` of every route minik makes: that is how it tells them from others' (`ip route show proto 109`)."""
SCOPE_GLOBAL, SCOPE_LINK, SCOPE_HOST = 0, 253, 254
_TABLE_MAIN, _UNICAST = 254, 1
_ONLINK = 4
_PERMANENT, _NTF_SELF = 0x80, 0x02
_AF_BRIDGE = 7
_NESTED_MASK = 0x3FFF

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Net = ipaddress.IPv4Network | ipaddress.IPv6Network


def attribute(kind: int, data: bytes | int | str) -> bytes:
    """One attribute, padded. An int is 32 bits in host order, a str gets its NUL."""
    if isinstance(data, int):
        data = struct.pack("=I", data)
    elif isinstance(data, str):
        data = data.encode() + b"\0"
    size = 4 + len(data)
    return struct.pack("=HH", size, kind) + data + b"\0" * (-size % 4)


def parse_attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(data):
        size, kind = struct.unpack_from("=HH", data, at)
        if size < 4:
            break
        found[kind & _NESTED_MASK] = data[at + 4 : at + size]
        at += (size + 3) & ~3
    return found


@dataclass(frozen=True, slots=True)
class Message:
    """One request: its type, the flags beyond request and acknowledge, and its payload."""

    kind: int
    flags: int
    body: bytes


def _ifinfo(index: int = 0, *, up: bool | None = None, family: int = 0) -> bytes:
    flags, change = (0, 0) if up is None else (IFF_UP if up else 0, IFF_UP)
    return struct.pack("=BxHiII", family, 0, index, flags, change)


def _info(kind: str, data: bytes = b"") -> bytes:
    inner = struct.pack("=HH", 4 + len(kind), 1) + kind.encode() + b"\0" * (-len(kind) % 4)
    return attribute(18, inner + (attribute(2, data) if data else b""))


def new_veth(name: str, *, mac: bytes, mtu: int, peer: str, peer_mac: bytes, peer_namespace: int) -> Message:
    """A veth whose other end lies in the namespace behind the descriptor `peer_namespace`."""
    other = _ifinfo() + attribute(3, peer) + attribute(28, peer_namespace) + attribute(4, mtu) + attribute(1, peer_mac)
    body = _ifinfo() + attribute(3, name) + attribute(4, mtu) + attribute(1, mac) + _info("veth", attribute(1, other))
    return Message(RTM_NEWLINK, CREATE | EXCLUSIVE, body)


def new_bridge(name: str) -> Message:
    return Message(RTM_NEWLINK, CREATE | EXCLUSIVE, _ifinfo(up=True) + attribute(3, name) + _info("bridge"))


def new_vxlan(name: str, *, vni: int, port: int, local: Address, mac: bytes, mtu: int) -> Message:
    """A VXLAN device that learns nothing: its forwarding entries are static."""
    data = (
        attribute(1, vni)
        + attribute(4 if local.version == 4 else 17, local.packed)
        + attribute(7, b"\0")
        + attribute(15, struct.pack("!H", port))
    )
    body = _ifinfo(up=True) + attribute(3, name) + attribute(4, mtu) + attribute(1, mac) + _info("vxlan", data)
    return Message(RTM_NEWLINK, CREATE | EXCLUSIVE, body)


def set_link(index: int, *, up: bool | None = None, alias: str | None = None, mtu: int | None = None) -> Message:
    body = _ifinfo(index, up=up)
    if alias is not None:
        body += attribute(20, alias)
    if mtu is not None:
        body += attribute(4, mtu)
    return Message(RTM_NEWLINK, 0, body)


def delete_link(index: int) -> Message:
    return Message(RTM_DELLINK, 0, _ifinfo(index))


def new_address(index: int, address: Address, *, scope: int = SCOPE_GLOBAL) -> Message:
    """A host address (/32 or /128) on the link."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    body = struct.pack("=BBBBI", family, address.max_prefixlen, 0, scope, index)
    body += attribute(1, address.packed) + attribute(2, address.packed)
    return Message(RTM_NEWADDR, CREATE | REPLACE, body)


@dataclass(frozen=True, slots=True)
class Route:
    """A unicast route of the main table. `source` is the address the host itself uses towards it."""

    to: Net
    index: int
    via: Address | None = None
    source: Address | None = None
    onlink: bool = False


def _route(kind: int, flags: int, route: Route, protocol: int) -> Message:
    family = socket.AF_INET if route.to.version == 4 else socket.AF_INET6
    scope = SCOPE_GLOBAL if route.via is not None or family == socket.AF_INET6 else SCOPE_LINK
    body = struct.pack(
        "=BBBBBBBBI", family, route.to.prefixlen, 0, 0, _TABLE_MAIN, protocol, scope, _UNICAST, _ONLINK * route.onlink
    )
    if route.to.prefixlen:
        body += attribute(1, route.to.network_address.packed)
    body += attribute(4, route.index)
    if route.via is not None:
        body += attribute(5, route.via.packed)
    if route.source is not None:
        body += attribute(7, route.source.packed)
    return Message(kind, flags, body)


def new_route(route: Route) -> Message:
    """Made, or put in the place of the one to the same destination."""
    return _route(RTM_NEWROUTE, CREATE | REPLACE, route, PROTOCOL)


def delete_route(route: Route) -> Message:
    return _route(RTM_DELROUTE, 0, route, PROTOCOL)


def new_neighbour(index: int, address: Address, mac: bytes) -> Message:
    """A permanent ARP or neighbour-discovery entry."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    body = struct.pack("=BxxxiHBB", family, index, _PERMANENT, 0, 0)
    return Message(RTM_NEWNEIGH, CREATE | REPLACE, body + attribute(1, address.packed) + attribute(2, mac))


def new_forwarding(index: int, mac: bytes, remote: Address) -> Message:
    """On a VXLAN device: frames to `mac` go to the host `remote`."""
    body = struct.pack("=BxxxiHBB", _AF_BRIDGE, index, _PERMANENT, _NTF_SELF, 0)
    return Message(RTM_NEWNEIGH, CREATE | REPLACE, body + attribute(2, mac) + attribute(1, remote.packed))


def delete_forwarding(index: int, mac: bytes, remote: Address) -> Message:
    body = struct.pack("=BxxxiHBB", _AF_BRIDGE, index, _PERMANENT, _NTF_SELF, 0)
    return Message(RTM_DELNEIGH, 0, body + attribute(2, mac) + attribute(1, remote.packed))


def delete_neighbour(index: int, address: Address) -> Message:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    body = struct.pack("=BxxxiHBB", family, index, 0, 0, 0)
    return Message(RTM_DELNEIGH, 0, body + attribute(1, address.packed))


@dataclass(frozen=True, slots=True)
class Link:
    index: int
    name: str
    kind: str = ""
    """`veth`, `bridge`, … or "" for hardware."""
    alias: str = ""
    mtu: int = 0
    up: bool = False
    peer: int = 0
    """Of a veth: the index of its other end, in that end's namespace."""
    mac: bytes = b""


class Netlink:
    """One netlink socket of the namespace its maker was in. Used by one thread at a time."""

    def __init__(self, family: int = socket.NETLINK_ROUTE, *, groups: int = 0) -> None:
        """`groups`: multicast groups to hear (then use `socket` and `parse`)."""
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family)
        self.socket.bind((0, groups))
        self._numbers = itertools.count(1)

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, *messages: Message) -> None:
        """Carry out `messages` in order, in one system call. Raises OSError of the first that failed (all were tried)."""
        if not messages:
            return
        self.socket.send(b"".join(self._pack(m, _REQUEST | _ACK) for m in messages))
        failure: OSError | None = None
        answered = 0
        while answered < len(messages):
            for kind, body in parse(self.socket.recv(1 << 16)):
                if kind == _ERROR:
                    answered += 1
                    failure = failure or _error(body)
        if failure is not None:
            raise failure

    def try_each(self, *messages: Message, ignore: frozenset[int]) -> int:
        """Carry them out one by one; errors with a number in `ignore` do not matter. How many succeeded."""
        done = 0
        for message in messages:
            try:
                self.send(message)
            except OSError as error:
                if error.errno not in ignore:
                    raise
            else:
                done += 1
        return done

    def dump(self, kind: int, body: bytes) -> Iterator[tuple[int, bytes]]:
        """Every row that answers a request for all: (message type, payload). Read it to its end."""
        self.socket.send(self._pack(Message(kind, 0, body), _REQUEST | _ROOT_MATCH))
        while True:
            for row, payload in parse(self.socket.recv(1 << 18)):
                if row == _DONE:
                    return
                if row == _ERROR:
                    error = _error(payload)
                    if error is not None:
                        raise error
                    return
                yield row, payload

    def _pack(self, message: Message, flags: int) -> bytes:
        return (
            struct.pack("=IHHII", 16 + len(message.body), message.kind, flags | message.flags, next(self._numbers), 0)
            + message.body
        )

    def links(self) -> list[Link]:
        return [_link(body) for _, body in self.dump(RTM_GETLINK, _ifinfo())]

    def addresses(self) -> list[tuple[int, Address, int]]:
        """(link index, address, prefix length) of every IPv4 and IPv6 address."""
        found = []
        for _, body in self.dump(RTM_GETADDR, struct.pack("=BBBBI", 0, 0, 0, 0, 0)):
            _, length, _, _, index = struct.unpack_from("=BBBBI", body)
            rows = parse_attributes(body[8:])
            packed = rows.get(2) or rows.get(1)
            if packed is not None:
                found.append((index, ipaddress.ip_address(packed), length))
        return found

    def own_routes(self) -> list[Route]:
        """The IPv4 routes that minik made."""
        found = []
        for _, body in self.dump(RTM_GETROUTE, struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0)):
            parsed = parse_route(body)
            if parsed is not None:
                found.append(parsed)
        return found

    def neighbours(self, index: int, family: int) -> list[tuple[bytes, bytes]]:
        """(destination address, MAC) of the permanent entries of a link; with family AF_BRIDGE its forwarding entries."""
        found = []
        for _, body in self.dump(RTM_GETNEIGH, struct.pack("=BxxxiHBB", family, 0, 0, 0, 0)):
            own, link, state, _, _ = struct.unpack_from("=BxxxiHBB", body)
            rows = parse_attributes(body[12:])
            if own == family and link == index and state & _PERMANENT and 1 in rows and 2 in rows:
                found.append((rows[1], rows[2]))
        return found


def parse(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, payload) of each message in what a socket received."""
    at = 0
    while at + 16 <= len(data):
        size, kind = struct.unpack_from("=IH", data, at)
        if kind == _OVERRUN or size < 16:
            raise NetworkError("netlink answer lost")
        yield kind, data[at + 16 : at + size]
        at += (size + 3) & ~3


def parse_route(body: bytes) -> Route | None:
    """A route message that carries minik's protocol number, in the main table."""
    family, length, _, _, table, protocol, _, kind, flags = struct.unpack_from("=BBBBBBBBI", body)
    if protocol != PROTOCOL or table != _TABLE_MAIN or kind != _UNICAST:
        return None
    rows = parse_attributes(body[12:])
    base = rows.get(1, b"\0" * (4 if family == socket.AF_INET else 16))
    return Route(
        to=ipaddress.ip_network((base, length)),
        index=_number(rows.get(4)),
        via=ipaddress.ip_address(rows[5]) if 5 in rows else None,
        source=ipaddress.ip_address(rows[7]) if 7 in rows else None,
        onlink=bool(flags & _ONLINK),
    )


def link_name(body: bytes) -> str:
    """The name in a link message."""
    return _text(parse_attributes(body[16:]).get(3))


def _link(body: bytes) -> Link:
    index, flags = struct.unpack_from("=4xiI", body)
    rows = parse_attributes(body[16:])
    info = parse_attributes(rows.get(18, b""))
    return Link(
        index=index,
        name=_text(rows.get(3)),
        kind=_text(info.get(1)),
        alias=_text(rows.get(20)),
        mtu=_number(rows.get(4)),
        up=bool(flags & IFF_UP),
        peer=_number(rows.get(5)),
        mac=rows.get(1, b""),
    )


def _text(data: bytes | None) -> str:
    return (data or b"").rstrip(b"\0").decode(errors="replace")


def _number(data: bytes | None) -> int:
    return struct.unpack("=I", data)[0] if data is not None and len(data) == 4 else 0


def _error(payload: bytes) -> OSError | None:
    (code,) = struct.unpack_from("=i", payload)
    return OSError(-code, os.strerror(-code)) if code else None
