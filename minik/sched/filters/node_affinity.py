"""NodeAffinity: nodeSelector and required node affinity."""

from __future__ import annotations

from collections.abc import Sequence

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


def named(pod: PodInfo) -> Sequence[str] | None:
    """The only nodes that come into question because each required term names some, as a DaemonSet's pods do; None: any may."""
    affinity = (pod.spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    names: list[str] = []
    for term in (required or {}).get("nodeSelectorTerms") or ():
        fields = term.get("matchFields") or ()
        found = [f["values"] for f in fields if f.get("key") == "metadata.name" and f.get("operator") == "In"]
        if not found:
            return None
        names += found[0]
    return list(dict.fromkeys(names)) or None


FILTER = Filter("NodeAffinity", prepare)
