"""NodePorts: no two pods of a node take the same host port."""

from __future__ import annotations

from functools import partial

from minik.sched.plugins import Check, Filter, No
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo

ANY = "0.0.0.0"
REASON = "node(s) didn't have free ports for the requested pod ports"


def prepare(pod: PodInfo, _cluster: Cluster) -> Check | None:
    wanted = pod.host_ports
    if not wanted:
        return None

    def check(node: NodeInfo) -> No | None:
        for address, protocol, port in wanted:
            for taken_address, taken_protocol, taken_port in node.ports:
                if (
                    port == taken_port
                    and protocol == taken_protocol
                    and (address == taken_address or ANY in (address, taken_address))
                ):
                    return No((REASON,), explain=partial(_explain, taken_address, taken_protocol, taken_port))
        return None

    return check


def _explain(address: str, protocol: str, port: int) -> str:
    return f"{address}:{port}/{protocol} is taken"


FILTER = Filter("NodePorts", prepare)
