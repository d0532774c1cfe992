"""NodeResourcesFit: requests of all pods on a node stay within what it can allocate, and so does their number."""

from __future__ import annotations

from collections.abc import Sequence

from minik.sched.columns import Column
from minik.sched.plugins import Check, Filter
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo


def _wanted(pod: PodInfo) -> Sequence[tuple[str, int]]:
    return [(resource, amount) for resource, amount in pod.requests.items() if amount > 0]


def fits(pod: PodInfo, cluster: Cluster) -> Column:
    """1.0 for each node with room for the pod, 0.0 for the others."""
    wanted = _wanted(pod)
    return cluster.column(f"fits/{wanted}", lambda node: float(_check(node, wanted) is None))


def prepare(pod: PodInfo, cluster: Cluster) -> Check | None:
    wanted, known = _wanted(pod), fits(pod, cluster)
    return lambda node: None if known.of(node) else _check(node, wanted)


def _check(node: NodeInfo, wanted: Sequence[tuple[str, int]]) -> str | None:
    allocatable, requested = node.allocatable, node.requested
    if len(node.pods) >= allocatable.get("pods", 0):
        return "Too many pods"
    for resource, amount in wanted:
        if requested.get(resource, 0) + amount > allocatable.get(resource, 0):
            return f"Insufficient {resource}"
    return None


FILTER = Filter("NodeResourcesFit", prepare, fits)
