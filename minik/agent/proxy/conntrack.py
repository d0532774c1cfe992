"""Making the kernel forget UDP flows to endpoints that are gone: a flow that is remembered keeps its old target for as long as
packets come, and UDP has no end of connection. Called by `apply.py`. Layout: `linux/netfilter/nfnetlink_conntrack.h`.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from collections.abc import Callable
from typing import NamedTuple

from minik.agent.network.netlink import Message, Netlink, attribute, parse_attributes

_NETFILTER = 12
_GET, _DELETE = (1 << 8) | 1, (1 << 8) | 2
_ORIGINAL, _REPLY, _ID = 1, 2, 12
_UDP = 17
_NESTED = 0x8000


class Flow(NamedTuple):
    """A UDP flow: where the client sends to, and who answers."""

    address: str
    port: int
    target: str
    target_port: int


def _end(attributes: bytes) -> tuple[str, str, int, int, int]:
    """(source, destination, protocol, source port, destination port) of one direction."""
    rows = parse_attributes(attributes)
    ip, proto = parse_attributes(rows.get(1, b"")), parse_attributes(rows.get(2, b""))

    def address(kind: int) -> str:
        return str(ipaddress.IPv4Address(ip[kind])) if len(ip.get(kind, b"")) == 4 else ""

    def port(kind: int) -> int:
        return struct.unpack("!H", proto[kind])[0] if kind in proto else 0

    return address(1), address(2), proto.get(1, b"\0")[0], port(2), port(3)


def forget_udp(is_stale: Callable[[Flow], bool]) -> int:
    """Delete the remembered UDP flows that are stale. How many that were. Raises OSError."""
    header = struct.pack("!BBH", socket.AF_INET, 0, 0)
    doomed: list[bytes] = []
    with Netlink(_NETFILTER) as kernel:
        for _, body in kernel.dump(_GET, header):
            rows = parse_attributes(body[4:])
            _, to, protocol, _, port = _end(rows.get(_ORIGINAL, b""))
            if protocol != _UDP:
                continue
            target, _, _, target_port, _ = _end(rows.get(_REPLY, b""))
            if is_stale(Flow(to, port, target, target_port)):
                entry = attribute(_ORIGINAL | _NESTED, rows[_ORIGINAL])
                if _ID in rows:
                    entry += attribute(_ID, rows[_ID])
                doomed.append(entry)
        deletions = [Message(_DELETE, 0, header + entry) for entry in doomed]
        return kernel.try_each(*deletions, ignore=frozenset({errno.ENOENT}))
