"""TaintToleration: NoSchedule and NoExecute taints refuse pods that do not tolerate them."""

from __future__ import annotations

from minik.api.core_v1 import tolerations
from minik.sched.plugins import Check, Filter
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo


def prepare(pod: PodInfo, cluster: Cluster) -> Check | None:
    if not cluster.tainted:
        return None
    tolerated = pod.spec.get("tolerations") or ()

    def check(node: NodeInfo) -> str | None:
        for taint in node.taints:
            if taint.get("effect") in ("NoSchedule", "NoExecute") and not tolerations.tolerates(tolerated, taint):
                return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
        return None

    return check


FILTER = Filter("TaintToleration", prepare)
