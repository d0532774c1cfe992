"""NodeAffinity's score: preferred terms that match add their weights."""

from __future__ import annotations

from collections.abc import Sequence

from minik.api.core_v1 import node_selectors
from minik.sched.plugins import Rate, Score
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo


def prepare(pod: PodInfo, _cluster: Cluster, _feasible: Sequence[NodeInfo]) -> Rate | None:
    affinity = (pod.spec.get("affinity") or {}).get("nodeAffinity") or {}
    preferred = affinity.get("preferredDuringSchedulingIgnoredDuringExecution")
    if not preferred:
        return None
    total = sum(term["weight"] for term in preferred) or 1

    def rate(node: NodeInfo) -> float:
        got = sum(
            term["weight"]
            for term in preferred
            if node_selectors.matches_term(term["preference"], node.labels, node.name)
        )
        return float(100 * got / total)

    return lambda nodes: [rate(node) for node in nodes]


SCORE = Score("NodeAffinity", 2, prepare)
