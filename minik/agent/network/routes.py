"""Which routes lead to the pods of the other nodes. Pure; `peers.py` carries it out.

Nodes on the same link are reached through their own address (host-gw). The others through VXLAN: the packet to their pods is
wrapped and sent to their address. Everything about a peer's end of the overlay follows from its Node object, so nothing needs to be
learnt or announced.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from minik.api import meta
from minik.api.meta import ROObj

IPv4 = ipaddress.IPv4Address
Net4 = ipaddress.IPv4Network


@dataclass(frozen=True, slots=True)
class LocalLink:
    """A network this node is on: the link's index, and what is directly reachable there."""

    index: int
    network: Net4


@dataclass(frozen=True, slots=True)
class Direct:
    """Pods of `cidr` are behind `via`, which is on link `index`."""

    cidr: Net4
    via: IPv4
    index: int


@dataclass(frozen=True, slots=True)
class Overlay:
    """Pods of `cidr` are behind the VXLAN end at `remote`, whose inner address is `inner` with MAC `mac`."""

    cidr: Net4
    remote: IPv4
    inner: IPv4
    mac: bytes


@dataclass(frozen=True, slots=True)
class Plan:
    direct: tuple[Direct, ...] = ()
    overlay: tuple[Overlay, ...] = ()
    problems: tuple[str, ...] = field(default=(), compare=False)
    """Nodes that cannot be reached, for a log line."""


def overlay_mac(inner: IPv4) -> bytes:
    """The MAC of the overlay device with the inner address `inner`."""
    return b"\x0a\x59" + inner.packed


def plan_routes(nodes: Iterable[ROObj], me: str, links: Sequence[LocalLink]) -> Plan:
    """`nodes`: all of the cluster; `links`: the networks of this one. A node without a pod CIDR or address has no pods to reach.
    Nodes that claim the same CIDR: the first by name has it."""
    direct: list[Direct] = []
    overlay: list[Overlay] = []
    problems: list[str] = []
    taken: dict[Net4, str] = {}
    by_name = sorted(nodes, key=meta.name)
    own = {address for node in by_name if meta.name(node) == me for address in _addresses(node)}
    for node in by_name:
        name = meta.name(node)
        addresses = _addresses(node)
        cidr = _pod_cidr(node)
        if cidr is None or not addresses:
            continue
        if other := next((taken[net] for net in taken if net.overlaps(cidr)), None):
            problems.append(f"nodes {other} and {name} both have pods in {cidr}")
            continue
        taken[cidr] = name
        if name == me or addresses[0] in own:  # another node of this very host: its pods have routes already
            continue
        link = next((link for link in links if addresses[0] in link.network), None)
        if link is not None:
            direct.append(Direct(cidr, addresses[0], link.index))
        else:
            overlay.append(Overlay(cidr, addresses[0], cidr[1], overlay_mac(cidr[1])))
    return Plan(tuple(direct), tuple(overlay), tuple(problems))


def _pod_cidr(node: ROObj) -> Net4 | None:
    spec = node.get("spec") or {}
    candidates = [spec.get("podCIDR"), *(spec.get("podCIDRs") or ())]
    return next((net for net in (_parse(Net4, c) for c in candidates) if net is not None), None)


def _addresses(node: ROObj) -> list[IPv4]:
    rows = (node.get("status") or {}).get("addresses") or ()
    parsed = (_parse(IPv4, row.get("address")) for row in rows if row.get("type") == "InternalIP")
    return [address for address in parsed if address is not None]


def _parse(of: Any, text: str | None) -> Any:
    try:
        return of(text) if text else None
    except ValueError:
        return None
