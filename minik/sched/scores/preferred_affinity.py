"""NodeAffinity's score: preferred terms that match add their weights."""

from __future__ import annotations

from minik.api.core_v1 import node_selectors
from minik.sched.columns import Window
from minik.sched.plugins import Rates, Score
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo


def rate(pod: PodInfo, _cluster: Cluster, nodes: Window) -> Rates | None:
    affinity = (pod.spec.get("affinity") or {}).get("nodeAffinity") or {}
    preferred = affinity.get("preferredDuringSchedulingIgnoredDuringExecution")
    if not preferred:
        return None
    total = sum(term["weight"] for term in preferred) or 1

    def rate_one(node: NodeInfo) -> float:
        got = sum(
            term["weight"]
            for term in preferred
            if node_selectors.matches_term(term["preference"], node.labels, node.name)
        )
        return float(100 * got / total)

    return [rate_one(node) for node in nodes]


SCORE = Score("NodeAffinity", 2, rate)
