"""NodeResourcesFit: requests of all pods on a node stay within what it can allocate, and so does their number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from minik.api.validation_resources import is_extended
from minik.sched.columns import Column
from minik.sched.plugins import Check, Filter, No
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo

Wanted = Sequence[tuple[str, int]]


def make(arguments: Mapping[str, Any]) -> Filter:
    """`arguments`: NodeResourcesFitArgs. What it ignores are extended resources, by name or by group (what stands before the slash)."""
    ignored = frozenset(arguments.get("ignoredResources") or ())
    groups = frozenset(arguments.get("ignoredResourceGroups") or ())

    def wanted_of(pod: PodInfo) -> Wanted:
        found = [(resource, amount) for resource, amount in pod.requests.items() if amount > 0]
        if not ignored and not groups:
            return found
        return [
            (name, amount)
            for name, amount in found
            if not (is_extended(name) and (name in ignored or name.partition("/")[0] in groups))
        ]

    def fits(pod: PodInfo, cluster: Cluster) -> Column:
        """1.0 for each node with room for the pod, 0.0 for the others."""
        wanted = wanted_of(pod)
        return cluster.column(f"fits/{wanted}", lambda node: float(_fits(node, wanted)))

    def prepare(pod: PodInfo, cluster: Cluster) -> Check | None:
        wanted, known = wanted_of(pod), fits(pod, cluster)
        return lambda node: None if known.of(node) else _refusal(node, wanted)

    return Filter("NodeResourcesFit", prepare, fits)


def _fits(node: NodeInfo, wanted: Wanted) -> bool:
    allocatable, requested = node.allocatable, node.requested
    if len(node.pods) >= allocatable.get("pods", 0):
        return False
    return all(requested.get(resource, 0) + amount <= allocatable.get(resource, 0) for resource, amount in wanted)


def _refusal(node: NodeInfo, wanted: Wanted) -> No:
    """All that is lacking. Where the pod asks for more than the whole node has, no preemption helps."""
    reasons: list[str] = []
    numbers: list[tuple[str, int, int, int]] = []
    resolvable = True
    count, room = len(node.pods), node.allocatable.get("pods", 0)
    if count >= room:
        reasons.append("Too many pods")
        numbers.append(("pods", 1, count, room))
    for resource, amount in wanted:
        used, capacity = node.requested.get(resource, 0), node.allocatable.get(resource, 0)
        if used + amount > capacity:
            reasons.append(f"Insufficient {resource}")
            numbers.append((resource, amount, used, capacity))
            resolvable = resolvable and amount <= capacity
    return No(tuple(reasons), resolvable, partial(_explain, numbers))


def _explain(numbers: Sequence[tuple[str, int, int, int]]) -> str:
    return "; ".join(
        f"{resource}: wants {_text(resource, amount)}, {_text(resource, used)} of {_text(resource, capacity)} taken"
        for resource, amount, used, capacity in numbers
    )


def _text(resource: str, number: int) -> str:
    if resource == "cpu":
        return f"{number}m" if number % 1000 else str(number // 1000)
    if resource in ("memory", "ephemeral-storage"):
        for unit, size in (("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)):
            if number >= size and number % size == 0:
                return f"{number // size}{unit}"
    return str(number)


FILTER = make({})
