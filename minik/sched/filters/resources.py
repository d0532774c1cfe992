"""NodeResourcesFit: requests of all pods on a node stay within what it can allocate, and so does their number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    def prepare(pod: PodInfo, _cluster: Cluster) -> Check | None:
        wanted = wanted_of(pod)
        made: dict[tuple[tuple[str, ...], bool], No] = {}

        def check(node: NodeInfo) -> No | None:
            why = _lacking(node, wanted)
            if not why[0]:
                return None
            if why not in made:
                made[why] = No(*why, explain=lambda node: _explain(node, wanted))
            return made[why]

        return check

    return Filter("NodeResourcesFit", prepare, fits)


def _fits(node: NodeInfo, wanted: Wanted) -> bool:
    allocatable, requested = node.allocatable, node.requested
    if len(node.pods) >= allocatable.get("pods", 0):
        return False
    return all(requested.get(resource, 0) + amount <= allocatable.get(resource, 0) for resource, amount in wanted)


def _lacking(node: NodeInfo, wanted: Wanted) -> tuple[tuple[str, ...], bool]:
    """All that is lacking, in words, and whether there could be enough. If not, no preemption helps."""
    reasons: list[str] = []
    resolvable = True
    allocatable, requested = node.allocatable, node.requested
    if len(node.pods) >= allocatable.get("pods", 0):
        reasons.append("Too many pods")
    for resource, amount in wanted:
        capacity = allocatable.get(resource, 0)
        if requested.get(resource, 0) + amount > capacity:
            reasons.append(f"Insufficient {resource}")
            if amount > capacity:
                resolvable = False
    return tuple(reasons), resolvable


def _explain(node: NodeInfo, wanted: Wanted) -> str:
    said = []
    for resource, amount in (("pods", 1), *wanted):
        used = len(node.pods) if resource == "pods" else node.requested.get(resource, 0)
        capacity = node.allocatable.get(resource, 0)
        if used + amount > capacity:
            numbers = (_text(resource, number) for number in (amount, used, capacity))
            said.append("{}: wants {}, {} of {} taken".format(resource, *numbers))
    return "; ".join(said)


def _text(resource: str, number: int) -> str:
    if resource == "cpu":
        return f"{number}m" if number % 1000 else str(number // 1000)
    if resource in ("memory", "ephemeral-storage"):
        for unit, size in (("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)):
            if number >= size and number % size == 0:
                return f"{number // size}{unit}"
    return str(number)
