"""NodeResourcesBalancedAllocation: the resources of a node should fill up together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

from minik.sched.columns import Window
from minik.sched.plugins import Rates, Score
from minik.sched.scores.resources import CPU_AND_MEMORY, NATIVE
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo


def make(arguments: Mapping[str, Any], weight: int) -> Score:
    """`arguments`: NodeResourcesBalancedAllocationArgs."""
    resources: list[str] = [str(each["name"]) for each in arguments.get("resources") or CPU_AND_MEMORY]

    def rate(pod: PodInfo, cluster: Cluster, nodes: Window) -> Rates | None:
        requests = pod.requests
        if not any(requests.get(name) for name in resources):
            return None  # it changes no balance
        asked = [(name, requests.get(name, 0)) for name in resources if name in NATIVE or requests.get(name)]
        return nodes.take(cluster.column(f"balanced/{asked}", lambda node: _rate(node, asked)))

    return Score("NodeResourcesBalancedAllocation", weight, rate)


def _rate(node: NodeInfo, asked: Sequence[tuple[str, int]]) -> float:
    parts = []
    for name, amount in asked:
        capacity = node.allocatable.get(name, 0)
        if capacity > 0:
            parts.append(min((node.requested.get(name, 0) + amount) / capacity, 1.0))
    if len(parts) == 2:  # the standard deviation of two fractions is half their distance
        return 100 * (1 - abs(parts[0] - parts[1]) / 2)
    if not parts:
        return 100.0
    mean = sum(parts) / len(parts)
    return 100 * (1 - sqrt(sum((part - mean) ** 2 for part in parts) / len(parts)))
