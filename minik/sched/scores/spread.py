"""PodTopologySpread's score: few like pods in the node's domains are better (ScheduleAnyway constraints, and the defaults).

Upstream's arithmetic: each constraint adds the pods of the node's domain times log(domains + 2), plus maxSkew - 1; the sum is rounded, and
100 goes to the node with the least. Many nodes have equal numbers, so each combination of them is rated once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import floor, log
from typing import Any

from minik.sched.columns import Window
from minik.sched.plugins import Rates, Score
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo
from minik.sched.spreading import Spreading, node_rule
from minik.sched.tally import Tally
from minik.sched.terms import HOSTNAME, Constraint

_MISSING = 0.0
"""What stands for a node without the constraint's label; all else is 1 or more."""


def make(arguments: Mapping[str, Any], weight: int = 2) -> Score:
    """`arguments`: PodTopologySpreadArgs."""
    spreading = Spreading.of(arguments)

    def rate(pod: PodInfo, cluster: Cluster, nodes: Window) -> Rates | None:
        constraints = spreading.constraints(pod, cluster, required=False)
        if not constraints:
            return None
        all_labels = spreading.needs_all_labels(pod)
        keys = tuple(constraint.key for constraint in constraints) if all_labels else ()
        tallies = [
            cluster.tallies.tally((each.like,), each.key, node_rule(pod, each, keys), living=True)
            for each in constraints
        ]
        columns = [_numbers(tally, cluster, nodes) for tally in tallies]
        return _rates(constraints, tallies, columns, all_labels=all_labels)

    return Score("PodTopologySpread", weight, rate)


def _domains(key: str, cluster: Cluster) -> Any:
    number = cluster.tallies.number
    return cluster.column(f"domain/{key}", lambda node: float(number(key, node.labels.get(key))))


def _numbers(tally: Tally, cluster: Cluster, nodes: Window) -> list[float]:
    """Of each node: the number of its domain; for host names, how many of the pods it has, and one."""
    key, group = tally.topology.key, tally.group
    if key != HOSTNAME:
        return nodes.take(_domains(key, cluster))
    on_node = group.on_node

    def pods_there(node: NodeInfo) -> float:
        return on_node.get(node.name, 0) + 1.0 if HOSTNAME in node.labels else _MISSING

    return nodes.take(cluster.column(f"pods/{group.number}", pods_there))


def _rates(
    constraints: Sequence[Constraint], tallies: Sequence[Tally], columns: Sequence[list[float]], *, all_labels: bool
) -> Rates | None:
    found = list(zip(*columns, strict=True))
    kinds = set(found)
    counted = len(found)
    if all_labels:
        counted -= sum(1 for each in found if _MISSING in each) if any(_MISSING in each for each in kinds) else 0
        seen = [each for each in kinds if _MISSING not in each]
    else:
        seen = list(kinds)
    parts = [
        _part(constraint, tally, {each[at] for each in seen}, counted)
        for at, (constraint, tally) in enumerate(zip(constraints, tallies, strict=True))
    ]
    sums = {each: floor(sum(part(n) for part, n in zip(parts, each, strict=True)) + 0.5) for each in seen}
    if not sums:
        return None
    least, most = min(sums.values()), max(sums.values())
    if least == most and len(seen) == len(kinds):
        return None
    rates = {each: float(100 * (most + least - value) // most) if most else 100.0 for each, value in sums.items()}
    if len(seen) < len(kinds):
        return [rates.get(each, 0.0) for each in found]
    return list(map(rates.__getitem__, found))


def _part(constraint: Constraint, tally: Tally, numbers: set[float], counted: int) -> Callable[[float], float]:
    """What a constraint adds to the sum of a node with that number."""
    skew = constraint.max_skew - 1
    if constraint.key == HOSTNAME:
        each = log(counted + 2)
        return lambda number: (number - 1) * each + skew if number else 0.0
    each = log(len(numbers) + 2)
    domains = tally.topology.number_of
    pods = {float(domains(domain)): count for domain, count in tally.in_domain.items()}
    return lambda number: pods.get(number, 0) * each + skew if number else 0.0


SCORE = make({})
