"""NodeResourcesBalancedAllocation: CPU and memory should fill up together."""

from __future__ import annotations

from minik.sched.columns import Window
from minik.sched.plugins import Rates, Score
from minik.sched.scores.least_allocated import asked
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo


def rate(pod: PodInfo, cluster: Cluster, nodes: Window) -> Rates | None:
    if not pod.requests:
        return None
    cpu, memory = asked(pod)
    return nodes.take(cluster.column(f"balanced/{cpu}/{memory}", lambda node: _rate(node, cpu, memory)))


def _rate(node: NodeInfo, cpu: int, memory: int) -> float:
    used_cpu = (node.requested.get("cpu", 0) + cpu) / (node.allocatable.get("cpu", 0) or 1)
    used_memory = (node.requested.get("memory", 0) + memory) / (node.allocatable.get("memory", 0) or 1)
    # the standard deviation of two fractions is half their distance
    return 100 * (1 - abs(min(used_cpu, 1) - min(used_memory, 1)) / 2)


SCORE = Score("NodeResourcesBalancedAllocation", 1, rate)
