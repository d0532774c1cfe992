"""InterPodAffinity's score: preferred pod affinity and anti-affinity, of the pod and of the pods that run.

A running pod's preferences count for those it prefers, and its required affinity counts `hardPodAffinityWeight`. Each pod found in the
node's domain adds (or takes) the weight of the term; the best node gets 100, the worst 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from minik.sched.columns import Window
from minik.sched.plugins import Rates, Score
from minik.sched.snapshot import Cluster, PodInfo

Counts: TypeAlias = Mapping[Any, int]
"""How many pods there are by the value of a node label; None for nodes without it, which counts nobody."""


def make(arguments: Mapping[str, Any], weight: int) -> Score:
    """`arguments`: InterPodAffinityArgs. ValueError for a weight that makes no sense."""
    hard = arguments.get("hardPodAffinityWeight", 1)
    if not 0 <= hard <= 100:
        raise ValueError("InterPodAffinity: hardPodAffinityWeight goes from 0 to 100")
    ignore_existing = bool(arguments.get("ignorePreferredTermsOfExistingPods"))

    def rate(pod: PodInfo, cluster: Cluster, nodes: Window) -> Rates | None:
        found: dict[str, list[tuple[int, Counts]]] = {}
        tallies, affinity = cluster.tallies, pod.affinity
        if affinity is not None:
            for worth, term in affinity.preferred:
                counts = tallies.tally((term.like,), term.key).in_domain
                if worth and counts:
                    found.setdefault(term.key, []).append((worth, counts))
        if not ignore_existing or (affinity is not None and affinity.preferred):
            for held, tally in tallies.liking(pod):
                worth = hard if held.hard else held.weight
                if worth and tally.in_domain:
                    found.setdefault(held.term.key, []).append((worth, tally.in_domain))
        return _rates(found, nodes) if found else None

    return Score("InterPodAffinity", weight, rate)


def _rates(found: Mapping[str, list[tuple[int, Counts]]], nodes: Window) -> Rates | None:
    sums = [0] * len(nodes)
    for key, counted in found.items():
        values = [node.labels.get(key) for node in nodes]
        for worth, counts in counted:
            sums = [total + worth * counts.get(value, 0) for total, value in zip(sums, values, strict=True)]
    least, most = min(sums), max(sums)
    if least == most:
        return None
    scale = 100 / (most - least)
    return [scale * (total - least) for total in sums]
