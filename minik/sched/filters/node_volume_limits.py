"""NodeVolumeLimits: a CSI driver attaches no more volumes to a node than its CSINode says.

Counted are the volumes of the node's pods, those still to be made for their claims, and what is attached there without a pod
(VolumeAttachments that are being taken back).
"""

from __future__ import annotations

from collections import Counter

from minik.api import meta
from minik.api.meta import ROObj
from minik.api.storage_v1 import csinode, volumeattachment
from minik.sched.hooks import NOTHING, Follower, Helped
from minik.sched.plugins import Check, Filter, No
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo
from minik.sched.volumes import Volumes, attachable, attached

NAME = "NodeVolumeLimits"
_NO = No(("node(s) exceed max volume count",))
_HELPED: Helped = frozenset({NAME})


def prepare(pod: PodInfo, cluster: Cluster) -> Check | None:
    if not pod.spec.get("volumes"):
        return None
    known = cluster.part(Volumes)
    wanted = frozenset(attachable(pod, known)) if known.csi_nodes else frozenset()
    if not wanted:
        return None

    def check(node: NodeInfo) -> No | None:
        limits = _limits(known.csi_nodes.get(node.name))
        if not limits:
            return None
        there = {volume for other in node.pods.values() for volume in attachable(other, known)}
        there.update(attached(node.name, known))
        new = Counter(driver for driver, _ in wanted - there)
        used = Counter(driver for driver, _ in there)
        return _NO if any(driver in limits and used[driver] + new[driver] > limits[driver] for driver in new) else None

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


def _attachment_set(cluster: Cluster, attachment: ROObj) -> Helped:
    known = cluster.part(Volumes)
    known.attachments.setdefault(attachment["spec"]["nodeName"], {})[meta.name(attachment)] = attachment
    return NOTHING


def _attachment_changed(cluster: Cluster, _old: ROObj, new: ROObj) -> Helped:
    return _attachment_set(cluster, new)  # its node cannot change


def _attachment_gone(cluster: Cluster, attachment: ROObj) -> Helped:
    known, node = cluster.part(Volumes), attachment["spec"]["nodeName"]
    known.attachments.get(node, {}).pop(meta.name(attachment), None)
    if not known.attachments.get(node):
        known.attachments.pop(node, None)
    return _HELPED


FOLLOWERS = (
    Follower(csinode.RESOURCE, _node_set, _node_changed, _node_gone),
    Follower(volumeattachment.RESOURCE, _attachment_set, _attachment_changed, _attachment_gone),
)
