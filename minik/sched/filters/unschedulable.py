"""NodeUnschedulable: a cordoned node takes only pods that tolerate being there."""

from __future__ import annotations

from minik.api.core_v1 import tolerations
from minik.sched.columns import Column
from minik.sched.plugins import Check, Filter, No
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo

TAINT = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
_NO = No(("node(s) were unschedulable",), resolvable=False)


def fits(_pod: PodInfo, cluster: Cluster) -> Column:
    return cluster.column("schedulable", lambda node: float(not node.unschedulable))


def prepare(pod: PodInfo, cluster: Cluster) -> Check | None:
    if not cluster.cordoned or tolerations.tolerates(pod.spec.get("tolerations") or (), TAINT):
        return None
    return _check


def _check(node: NodeInfo) -> No | None:
    return _NO if node.unschedulable else None


FILTER = Filter("NodeUnschedulable", prepare, fits)
