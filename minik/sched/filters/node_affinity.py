"""NodeAffinity: nodeSelector and required node affinity."""

from __future__ import annotations

from minik.api.core_v1 import node_selectors
from minik.sched.plugins import Check, Filter
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo

REASON = "node(s) didn't match Pod's node affinity/selector"


def prepare(pod: PodInfo, _cluster: Cluster) -> Check | None:
    selector = pod.spec.get("nodeSelector") or {}
    affinity = (pod.spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if not selector and not required:
        return None

    def check(node: NodeInfo) -> str | None:
        for key, value in selector.items():
            if node.labels.get(key) != value:
                return REASON
        if required and not node_selectors.matches(required, node.labels, node.name):
            return REASON
        return None

    return check


FILTER = Filter("NodeAffinity", prepare)
