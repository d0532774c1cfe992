"""TaintToleration's score: fewer untolerated PreferNoSchedule taints are better."""

from __future__ import annotations

from minik.api.core_v1 import tolerations
from minik.sched.columns import Window
from minik.sched.plugins import Rates, Score
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo


def rate(pod: PodInfo, cluster: Cluster, nodes: Window) -> Rates | None:
    if not cluster.tainted:
        return None
    tolerated = pod.spec.get("tolerations") or ()

    def disliked(node: NodeInfo) -> int:
        return sum(
            1
            for taint in node.taints
            if taint.get("effect") == "PreferNoSchedule" and not tolerations.tolerates(tolerated, taint)
        )

    most = max((disliked(node) for node in nodes if node.taints), default=0)
    if not most:
        return None
    return [100 * (most - disliked(node)) / most for node in nodes]


SCORE = Score("TaintToleration", 3, rate)
