"""TaintToleration's score: fewer untolerated PreferNoSchedule taints are better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik.api.core_v1 import tolerations
from minik.sched.columns import Window
from minik.sched.plugins import Rates, Score
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo


def make(_arguments: Mapping[str, Any], weight: int) -> Score:
    return Score("TaintToleration", weight, rate)


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

    found = [disliked(node) if node.taints else 0 for node in nodes]
    most = max(found)
    return [100 * (most - each) / most for each in found] if most else None
