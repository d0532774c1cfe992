"""NodeAffinity's score: preferred terms that match add their weights, the pod's own and those of the profile's `addedAffinity`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik.api.core_v1 import node_selectors
from minik.sched.columns import Window
from minik.sched.plugins import Rates, Score
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo

_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def make(arguments: Mapping[str, Any], weight: int) -> Score:
    """`arguments`: NodeAffinityArgs."""
    added = (arguments.get("addedAffinity") or {}).get(_PREFERRED) or ()

    def rate(pod: PodInfo, _cluster: Cluster, nodes: Window) -> Rates | None:
        affinity = (pod.spec.get("affinity") or {}).get("nodeAffinity") or {}
        preferred = [*added, *(affinity.get(_PREFERRED) or ())]
        if not preferred:
            return None

        def got(node: NodeInfo) -> int:
            return sum(
                term["weight"]
                for term in preferred
                if node_selectors.matches_term(term["preference"], node.labels, node.name)
            )

        found = [got(node) for node in nodes]
        most = max(found)
        return [100 * each / most for each in found] if most else None

    return Score("NodeAffinity", weight, rate)
