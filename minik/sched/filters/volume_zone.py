"""VolumeZone: a bound volume that carries labels of zones or regions is used in one of them."""

from __future__ import annotations

from collections.abc import Mapping

from minik.api import meta
from minik.api.core_v1 import pods
from minik.sched.plugins import Check, Filter, No
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo
from minik.sched.volumes import ClaimsError, Volumes, claims_of

TOPOLOGY = (
    "topology.kubernetes.io/zone", "topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
)  # fmt: skip
_NO = No(("node(s) had no available volume zone",), resolvable=False)


def prepare(pod: PodInfo, cluster: Cluster) -> Check | None:
    if not pods.claim_names(pod.obj):
        return None
    try:
        bound = claims_of(pod, cluster.part(Volumes)).bound
    except ClaimsError:
        return None  # VolumeBinding says why
    wanted: list[tuple[str, frozenset[str]]] = [
        (key, frozenset(labels[key].split("__")))
        for labels in map(meta.labels, bound)
        for key in TOPOLOGY
        if labels.get(key)
    ]
    if not wanted:
        return None

    def check(node: NodeInfo) -> No | None:
        if not any(key in node.labels for key in TOPOLOGY):
            return None  # a node without zones takes all, as upstream
        return None if all(_zone(node.labels, key) in zones for key, zones in wanted) else _NO

    return check


def _zone(labels: Mapping[str, str], key: str) -> str:
    """A label, under its present or its former name."""
    other = key.replace("failure-domain.beta.kubernetes.io", "topology.kubernetes.io")
    return labels.get(key) or labels.get(other) or ""


FILTER = Filter("VolumeZone", prepare)
