"""NodeUnschedulable: a cordoned node takes only pods that tolerate being there."""

from __future__ import annotations

from minik.api.core_v1 import tolerations
from minik.sched.plugins import Check, Filter
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo

TAINT = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


def prepare(pod: PodInfo, cluster: Cluster) -> Check | None:
    if not cluster.cordoned or tolerations.tolerates(pod.spec.get("tolerations") or (), TAINT):
        return None
    return _check


def _check(node: NodeInfo) -> str | None:
    return "node(s) were unschedulable" if node.unschedulable else None


FILTER = Filter("NodeUnschedulable", prepare)
