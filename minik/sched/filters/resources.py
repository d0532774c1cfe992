"""NodeResourcesFit: requests of all pods on a node stay within what it can allocate, and so does their number."""

from __future__ import annotations

from collections.abc import Sequence

from minik.sched.plugins import Check, Filter
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo


def prepare(pod: PodInfo, _cluster: Cluster) -> Check | None:
    wanted = [(resource, amount) for resource, amount in pod.requests.items() if amount > 0]
    key = str(wanted)

    def check(node: NodeInfo) -> str | None:
        fits = node.fits
        if key in fits:
            return fits[key]
        node.bound()
        fits[key] = reason = _check(node, wanted)
        return reason

    return check


def _check(node: NodeInfo, wanted: Sequence[tuple[str, int]]) -> str | None:
    allocatable, requested = node.allocatable, node.requested
    if len(node.pods) >= allocatable.get("pods", 0):
        return "Too many pods"
    for resource, amount in wanted:
        if requested.get(resource, 0) + amount > allocatable.get(resource, 0):
            return f"Insufficient {resource}"
    return None


FILTER = Filter("NodeResourcesFit", prepare)
