"""NodePorts: no two pods of a node take the same host port."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from minik.sched.plugins import Check, Filter, No
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo

HostPort: TypeAlias = tuple[str, str, int]
"""Address, protocol, number."""

ANY = "0.0.0.0"
REASON = "node(s) didn't have free ports for the requested pod ports"


def prepare(pod: PodInfo, _cluster: Cluster) -> Check | None:
    wanted = pod.host_ports
    if not wanted:
        return None
    taken = No((REASON,), explain=lambda node: ", ".join(_format(port) for port in _conflicts(wanted, node)))
    return lambda node: taken if _conflicts(wanted, node) else None


def _conflicts(wanted: Sequence[HostPort], node: NodeInfo) -> Sequence[HostPort]:
    """What of the node's taken ports stands in the way."""
    if not node.ports:
        return ()
    return [
        (taken_address, taken_protocol, taken_port)
        for taken_address, taken_protocol, taken_port in node.ports
        for address, protocol, port in wanted
        if port == taken_port
        and protocol == taken_protocol
        and (address == taken_address or ANY in (address, taken_address))
    ]


def _format(port: HostPort) -> str:
    address, protocol, number = port
    return f"{address}:{number}/{protocol} is taken"


FILTER = Filter("NodePorts", prepare)
