"""LeastAllocated: the more CPU and memory stay free, the better."""

from __future__ import annotations

from minik.sched.columns import Window
from minik.sched.plugins import Rates, Score
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo

MIN_CPU = 100
MIN_MEMORY = 200 * 1024 * 1024
"""What a pod without requests counts as, so that such pods spread too (kube-scheduler's DefaultMilliCPURequest)."""


def asked(pod: PodInfo) -> tuple[int, int]:
    return pod.requests.get("cpu") or MIN_CPU, pod.requests.get("memory") or MIN_MEMORY


def rate(pod: PodInfo, cluster: Cluster, nodes: Window) -> Rates | None:
    cpu, memory = asked(pod)
    return nodes.take(cluster.column(f"least/{cpu}/{memory}", lambda node: _rate(node, cpu, memory)))


def _rate(node: NodeInfo, cpu: int, memory: int) -> float:
    total_cpu = node.allocatable.get("cpu", 0) or 1
    total_memory = node.allocatable.get("memory", 0) or 1
    free_cpu = 1 - (node.requested.get("cpu", 0) + cpu) / total_cpu
    free_memory = 1 - (node.requested.get("memory", 0) + memory) / total_memory
    return 50 * (max(free_cpu, 0) + max(free_memory, 0))


SCORE = Score("NodeResourcesFit", 1, rate)
