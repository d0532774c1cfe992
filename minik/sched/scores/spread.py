"""PodTopologySpread's score: few like pods in the node's domains are better (ScheduleAnyway constraints, and the defaults).

Upstream's arithmetic: each constraint adds the pods of the node's domain times log(domains + 2), plus maxSkew - 1; the sum is rounded, and
100 goes to the node with the least. Many nodes have equal numbers, so each combination of them is rated once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import floor, log
from operator import add
from typing import Any

from minik.sched.columns import Window
from minik.sched.plugins import Rates, Score
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo
from minik.sched.spreading import Spreading, node_rule
from minik.sched.tally import Tally
from minik.sched.terms import HOSTNAME, Constraint

_MISSING = 0.0
"""What stands for a node without the constraint's label; all else is 1 or more."""


def make(arguments: Mapping[str, Any], weight: int) -> Score:
    """`arguments`: PodTopologySpreadArgs."""
    spreading = Spreading(arguments)

    def rate(pod: PodInfo, cluster: Cluster, nodes: Window) -> Rates | None:
        constraints = spreading.constraints(pod, cluster, required=False)
        if not constraints:
            return None
        all_labels = spreading.needs_all_labels(pod)
        if not all_labels:  # a label that no node has makes no difference
            constraints = [each for each in constraints if cluster.tallies.is_known(each.key)]
            if not constraints:
                return None
        keys = tuple(constraint.key for constraint in constraints) if all_labels else ()
        tallies = [
            cluster.tallies.tally((each.like,), each.key, node_rule(pod, each, keys), living=True)
            for each in constraints
        ]
        together = len(tallies) <= 3
        columns = [_numbers(tally, cluster, nodes, at * together) for at, tally in enumerate(tallies)]
        return _rates(constraints, tallies, columns, all_labels=all_labels)

    return Score("PodTopologySpread", weight, rate)


def _numbers(tally: Tally, cluster: Cluster, nodes: Window, place: int) -> list[float]:
    """Of each node: the number of its domain; for host names, how many of the pods it has, and one. Times what the place makes it."""
    key, factor = tally.topology.key, _FACTOR**place
    if key == HOSTNAME:
        on_node = tally.group.on_node

        def pods_there(node: NodeInfo) -> float:
            return (on_node.get(node.name, 0) + 1) * factor if HOSTNAME in node.labels else _MISSING

        return nodes.take(cluster.column(f"pods/{tally.group.number}/{place}", pods_there))
    number = tally.topology.number_of
    return nodes.take(cluster.column(f"domain/{key}/{place}", lambda node: number(node.labels.get(key)) * factor))


_FACTOR = 2.0**17
"""Numbers of domains are below it: so those of three constraints make one number, which is quick to compare."""


def _rates(
    constraints: Sequence[Constraint], tallies: Sequence[Tally], columns: Sequence[list[float]], *, all_labels: bool
) -> Rates | None:
    codes: Sequence[float] | Sequence[tuple[float, ...]]
    if len(columns) <= 3:
        codes = columns[0]
        for more in columns[1:]:
            codes = list(map(add, codes, more))
        kinds = {code: _numbers_of(code, len(columns)) for code in set(codes)}
    else:
        codes = list(zip(*columns, strict=True))
        kinds = {code: code for code in set(codes)}
    counted, ignored = len(codes), False
    if all_labels:
        for code in [code for code, numbers in kinds.items() if _MISSING in numbers]:
            del kinds[code]
            counted -= codes.count(code)
            ignored = True
        if not kinds:
            return None
    parts = [
        _part(constraint, tally, len({numbers[at] for numbers in kinds.values()}), counted)
        for at, (constraint, tally) in enumerate(zip(constraints, tallies, strict=True))
    ]
    sums = {code: floor(sum(map(_apply, parts, numbers)) + 0.5) for code, numbers in kinds.items()}
    least, most = min(sums.values()), max(sums.values())
    if least == most and not ignored:
        return None
    rates = {code: float(100 * (most + least - value) // most) if most else 100.0 for code, value in sums.items()}
    if ignored:
        return [rates.get(code, 0.0) for code in codes]
    return list(map(rates.__getitem__, codes))


def _numbers_of(code: float, count: int) -> tuple[float, ...]:
    """What `_numbers` gave of each constraint."""
    if count == 1:
        return (code,)
    rest, first = divmod(code, _FACTOR)
    return (first, *_numbers_of(rest, count - 1))


def _apply(part: Callable[[float], float], number: float) -> float:
    return part(number)


def _part(constraint: Constraint, tally: Tally, domains: int, counted: int) -> Callable[[float], float]:
    """What a constraint adds to the sum of a node with that number."""
    skew = constraint.max_skew - 1
    if constraint.key == HOSTNAME:
        each = log(counted + 2)
        return lambda number: (number - 1) * each + skew if number else 0.0
    each = log(domains + 2)
    number_of = tally.topology.number_of
    pods = {float(number_of(domain)): count for domain, count in tally.in_domain.items()}
    return lambda number: pods.get(number, 0) * each + skew if number else 0.0
