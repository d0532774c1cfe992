"""NodeName: a pod that names its node runs there only. (Such a pod is bound by its creator; this is for simulations.)"""

from __future__ import annotations

from minik.sched.plugins import Check, Filter, No
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo

_NO = No(("node(s) didn't match the requested node name",), resolvable=False)


def prepare(pod: PodInfo, _cluster: Cluster) -> Check | None:
    if not pod.node:
        return None

    def check(node: NodeInfo) -> No | None:
        return None if node.name == pod.node else _NO

    return check


FILTER = Filter("NodeName", prepare)
