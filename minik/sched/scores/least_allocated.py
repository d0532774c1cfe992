"""LeastAllocated: the more CPU and memory stay free, the better."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from minik.sched.plugins import Rate, Score
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo

MIN_CPU = 100
MIN_MEMORY = 200 * 1024 * 1024
"""What a pod without requests counts as, so that such pods spread too (kube-scheduler's DefaultMilliCPURequest)."""


def asked(pod: PodInfo) -> tuple[int, int]:
    return pod.requests.get("cpu") or MIN_CPU, pod.requests.get("memory") or MIN_MEMORY


def remembered(
    nodes: Sequence[NodeInfo], what: str, wanted: tuple[int, int], compute: Callable[[NodeInfo, int, int], float]
) -> list[float]:
    """A rate that depends on nothing but the node's resources and those `wanted`: a node keeps it until its resources change, so that
    of a thousand equal pods each has only the node of the one before computed anew."""
    key = f"{what}/{wanted}"
    known = [node.rates.get(key, -1.0) for node in nodes]
    start = 0
    with contextlib.suppress(ValueError):  # few are missing: the search for them runs in C
        while True:
            start = known.index(-1.0, start)
            node = nodes[start]
            known[start] = _remember(node, key, compute(node, *wanted))
    return known


def _remember(node: NodeInfo, key: str, rate: float) -> float:
    node.bound()
    node.rates[key] = rate
    return rate


def prepare(pod: PodInfo, _cluster: Cluster, _feasible: Sequence[NodeInfo]) -> Rate | None:
    wanted = asked(pod)
    return lambda nodes: remembered(nodes, "least", wanted, _rate)


def _rate(node: NodeInfo, cpu: int, memory: int) -> float:
    total_cpu = node.allocatable.get("cpu", 0) or 1
    total_memory = node.allocatable.get("memory", 0) or 1
    free_cpu = 1 - (node.requested.get("cpu", 0) + cpu) / total_cpu
    free_memory = 1 - (node.requested.get("memory", 0) + memory) / total_memory
    return 50 * (max(free_cpu, 0) + max(free_memory, 0))


SCORE = Score("NodeResourcesFit", 1, prepare)
