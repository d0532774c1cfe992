"""PodTopologySpread: no domain gets more than `maxSkew` pods above the one that has the fewest (DoNotSchedule constraints)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.sched.plugins import Check, Filter, No
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo
from minik.sched.spreading import Spreading, node_rule

SKEW = "node(s) didn't match pod topology spread constraints"
MISSING = f"{SKEW} (missing required label)"

Limit = tuple[str, Mapping[str, int], int, int, int]
"""Node label; pods by its value; how many there may be at most where one more is to go; how many the least domain has; maxSkew."""


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
            limits.append(
                (constraint.key, tally.in_domain, constraint.max_skew + least - itself, least, constraint.max_skew)
            )
        missing = No((MISSING,), resolvable=False, explain=lambda node: _explain(limits, node))
        skew = No((SKEW,), explain=lambda node: _explain(limits, node))

        def check(node: NodeInfo) -> No | None:
            labels = node.labels
            for key, counts, most, _, _ in limits:
                value = labels.get(key)
                if value is None:
                    return missing
                if counts.get(value, 0) > most:
                    return skew
            return None

        return check

    return Filter("PodTopologySpread", prepare)


def _explain(limits: Sequence[Limit], node: NodeInfo) -> str:
    for key, counts, most, least, skew in limits:
        value = node.labels.get(key)
        if value is None:
            return f"the node has no label {key}"
        if counts.get(value, 0) > most:
            there = counts.get(value, 0)
            return f"{key}={value} has {there} matching pod(s), the domain with the fewest {least}, maxSkew is {skew}"
    return ""
