"""NodeVolumeLimits: a CSI driver attaches no more volumes to a node than its CSINode says."""

from __future__ import annotations

from minik.api import meta
from minik.api.meta import ROObj
from minik.api.storage_v1 import csinode
from minik.sched.hooks import NOTHING, Follower, Helped
from minik.sched.plugins import Check, Filter, No
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo
from minik.sched.volumes import Volumes, csi_volumes

NAME = "NodeVolumeLimits"
_NO = No(("node(s) exceed max volume count",))
_HELPED: Helped = frozenset({NAME})


def prepare(pod: PodInfo, cluster: Cluster) -> Check | None:
    if not pod.spec.get("volumes"):
        return None
    known = cluster.part(Volumes)
    new = set(csi_volumes(pod, known)) if known.csi_nodes else set()
    if not new:
        return None

    def check(node: NodeInfo) -> No | None:
        limits = _limits(known.csi_nodes.get(node.name))
        if not limits:
            return None
        used = {volume for other in node.pods.values() for volume in csi_volumes(other, known)}
        for driver in {driver for driver, _ in new} & set(limits):
            if sum(1 for each, _ in used | new if each == driver) > limits[driver]:
                return _NO
        return None

    return check


def _limits(node: ROObj | None) -> dict[str, int]:
    """driver → how many volumes."""
    found = ((node or {}).get("spec") or {}).get("drivers") or ()
    return {
        driver["name"]: driver["allocatable"]["count"]
        for driver in found
        if (driver.get("allocatable") or {}).get("count") is not None
    }


FILTER = Filter(NAME, prepare)


def _node_set(cluster: Cluster, node: ROObj) -> Helped:
    cluster.part(Volumes).csi_nodes[meta.name(node)] = node
    return _HELPED


def _node_changed(cluster: Cluster, _old: ROObj, new: ROObj) -> Helped:
    return _node_set(cluster, new)


def _node_gone(cluster: Cluster, node: ROObj) -> Helped:
    cluster.part(Volumes).csi_nodes.pop(meta.name(node), None)
    return NOTHING


FOLLOWERS = (Follower(csinode.RESOURCE, _node_set, _node_changed, _node_gone),)
