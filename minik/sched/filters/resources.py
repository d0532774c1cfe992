"""NodeResourcesFit: requests of all pods on a node stay within what it can allocate, and so does their number."""

from __future__ import annotations

from minik.sched.plugins import Check, Filter
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo


def prepare(pod: PodInfo, _cluster: Cluster) -> Check | None:
    wanted = [(resource, amount) for resource, amount in pod.requests.items() if amount > 0]

    def check(node: NodeInfo) -> str | None:
        allocatable, requested = node.allocatable, node.requested
        if len(node.pods) >= allocatable.get("pods", 0):
            return "Too many pods"
        for resource, amount in wanted:
            if requested.get(resource, 0) + amount > allocatable.get(resource, 0):
                return f"Insufficient {resource}"
        return None

    return check


FILTER = Filter("NodeResourcesFit", prepare)
