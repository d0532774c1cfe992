"""NodeResourcesFit's score: how full a node would be, judged by one of three strategies of the profile's arguments.

LeastAllocated (the default): the more stays free, the better. MostAllocated: the fuller, the better, so that nodes are filled one after
the other. RequestedToCapacityRatio: by a function of how full it is, given as points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

from minik.sched.columns import Window
from minik.sched.plugins import Rates, Score
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo

Judge: TypeAlias = Callable[[int, int], float]
"""(requested, capacity) → 0 to 100. The capacity is more than 0."""

Asked: TypeAlias = Sequence[tuple[str, int, int]]
"""Resource, weight, what the pod asks for."""

NATIVE = frozenset({"cpu", "memory", "ephemeral-storage"})
"""Resources that a node is rated by even if the pod asks for none."""
CPU_AND_MEMORY: Sequence[Mapping[str, Any]] = ({"name": "cpu", "weight": 1}, {"name": "memory", "weight": 1})


def least_allocated(requested: int, capacity: int) -> float:
    return 100 * (capacity - requested) / capacity if requested < capacity else 0.0


def most_allocated(requested: int, capacity: int) -> float:
    return 100 * min(requested, capacity) / capacity


def by_shape(points: Sequence[Mapping[str, int]]) -> Judge:
    """Straight lines between the points: `utilization` 0 to 100 → `score` 0 to 10. ValueError for points that make no such lines."""
    shape = [(point.get("utilization", 0), 10 * point.get("score", 0)) for point in points]
    if not shape:
        raise ValueError("NodeResourcesFit: requestedToCapacityRatio: at least one point is wanted in shape")
    if any(before[0] >= after[0] for before, after in pairwise(shape)):
        raise ValueError("NodeResourcesFit: requestedToCapacityRatio: shape must be in the order of utilization")
    if any(not (0 <= at <= 100 and 0 <= score <= 100) for at, score in shape):
        raise ValueError(
            "NodeResourcesFit: requestedToCapacityRatio: utilization goes from 0 to 100, score from 0 to 10"
        )

    def judge(requested: int, capacity: int) -> float:
        full = 100 * min(requested, capacity) // capacity
        before, value = shape[0]
        for at, score in shape:
            if full <= at:
                return float(value + (score - value) * (full - before) / (at - before)) if at > before else float(score)
            before, value = at, score
        return float(value)

    return judge


def make(arguments: Mapping[str, Any], weight: int) -> Score:
    """`arguments`: NodeResourcesFitArgs. ValueError for a strategy that does not exist, and numbers that make no sense."""
    strategy = arguments.get("scoringStrategy") or {}
    resources = [(each["name"], each.get("weight") or 1) for each in strategy.get("resources") or CPU_AND_MEMORY]
    if any(not 1 <= each <= 100 for _, each in resources):
        raise ValueError("NodeResourcesFit: the weight of a resource goes from 1 to 100")
    kind = strategy.get("type") or "LeastAllocated"
    skip_nothing = False
    if kind == "LeastAllocated":
        judge: Judge = least_allocated
    elif kind == "MostAllocated":
        judge = most_allocated
    elif kind == "RequestedToCapacityRatio":
        judge = by_shape((strategy.get("requestedToCapacityRatio") or {}).get("shape") or ())
        skip_nothing = True
    else:
        raise ValueError(f"NodeResourcesFit: there is no scoring strategy {kind!r}")
    name = f"{kind}/{arguments}" if arguments else kind

    def rate(pod: PodInfo, cluster: Cluster, nodes: Window) -> Rates | None:
        asked = asked_of(pod, resources)
        column = cluster.column(f"{name}/{asked}", lambda node: _rate(node, asked, judge, skip_nothing=skip_nothing))
        return nodes.take(column)

    return Score("NodeResourcesFit", weight, rate)


def asked_of(pod: PodInfo, resources: Sequence[tuple[str, int]]) -> Asked:
    """CPU and memory count as `PodInfo.weighed` has them; other resources only where the pod asks for them."""
    cpu, memory = pod.weighed
    found = []
    for name, weight in resources:
        amount = cpu if name == "cpu" else memory if name == "memory" else pod.requests.get(name, 0)
        if amount or name in NATIVE:
            found.append((name, weight, amount))
    return found


def _rate(node: NodeInfo, asked: Asked, judge: Judge, *, skip_nothing: bool) -> float:
    total, weights = 0.0, 0
    for name, weight, amount in asked:
        capacity = node.allocatable.get(name, 0)
        if capacity <= 0:
            continue
        if name == "cpu":
            used = node.weighed_cpu
        elif name == "memory":
            used = node.weighed_memory
        else:
            used = node.requested.get(name, 0)
        value = judge(used + amount, capacity)
        if value or not skip_nothing:
            total += weight * value
            weights += weight
    return total / weights if weights else 0.0
