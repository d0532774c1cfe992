"""PodTopologySpread: no domain gets more than `maxSkew` pods above the one that has the fewest (DoNotSchedule constraints)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from minik.sched.plugins import Check, Filter, No
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo
from minik.sched.spreading import Spreading, node_rule

SKEW = "node(s) didn't match pod topology spread constraints"
MISSING = f"{SKEW} (missing required label)"

Limit = tuple[str, Mapping[str, int], int, int]
"""Node label; pods by its value; how many of them there may be at most where one more is to go; of these, in the least domain."""


def make(arguments: Mapping[str, Any]) -> Filter:
    """`arguments`: PodTopologySpreadArgs."""
    spreading = Spreading(arguments)

    def prepare(pod: PodInfo, cluster: Cluster) -> Check | None:
        constraints = spreading.constraints(pod, cluster, required=True)
        if not constraints:
            return None
        keys = tuple(constraint.key for constraint in constraints)
        limits: list[Limit] = []
        for constraint in constraints:
            rule = node_rule(pod, constraint, keys)
            tally = cluster.tallies.tally((constraint.like,), constraint.key, rule, living=True)
            least = tally.least if len(tally.topology.nodes) >= constraint.min_domains else 0
            itself = cluster.tallies.matches(constraint.like, pod)
            limits.append((constraint.key, tally.in_domain, constraint.max_skew + least - itself, least))
        return partial(_check, limits)

    return Filter("PodTopologySpread", prepare)


def _check(limits: Sequence[Limit], node: NodeInfo) -> No | None:
    labels = node.labels
    for key, counts, most, least in limits:
        value = labels.get(key)
        if value is None:
            return No((MISSING,), resolvable=False, explain=partial(_no_label, key))
        if counts.get(value, 0) > most:
            return No((SKEW,), explain=partial(_too_many, key, value, counts[value], least))
    return None


def _no_label(key: str) -> str:
    return f"the node has no label {key}"


def _too_many(key: str, value: str, count: int, least: int) -> str:
    return f"{key}={value} has {count} matching pod(s), the domain with the fewest has {least}"


FILTER = make({})
