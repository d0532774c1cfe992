"""VolumeRestrictions: a claim of mode ReadWriteOncePod is for one pod in the whole cluster (KEP-2485), and a disk that pods name
themselves (GCE, AWS, iSCSI, RBD) for one pod of a node, or for all that only read.

Who uses such a claim is noted when a pod is being bound (`volume_binding`), and by following pods.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.meta import Key, ROObj
from minik.sched.hooks import NOTHING, Follower, Helped
from minik.sched.plugins import Check, Filter, No
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo
from minik.sched.volumes import Volumes, discard_user, single_use

NAME = "VolumeRestrictions"
_REASON = ("node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode",)
_HELPED: Helped = frozenset({NAME})


def prepare(pod: PodInfo, cluster: Cluster) -> Check | None:
    if not pod.spec.get("volumes"):
        return None
    where, disks = _used_on(pod, cluster), _disks(pod)
    if not where and not disks:
        return None
    here, elsewhere = No(_REASON), No(_REASON, resolvable=False)
    busy = No(("node(s) had no available disk",))

    def check(node: NodeInfo) -> No | None:
        if where:
            return here if where == {node.name} else elsewhere
        theirs = [disk for other in node.pods.values() for disk in _disks(other)]
        return busy if any(_conflict(mine, other) for mine in disks for other in theirs) else None

    return check


def _used_on(pod: PodInfo, cluster: Cluster) -> set[str]:
    """The nodes where others use a claim of the pod that is for one."""
    known = cluster.part(Volumes)
    users: set[str] = set()
    for key in single_use(pod, known):
        users |= known.users.get(key, set()) | known.coming.get(key, set())
    users.discard(pod.uid)
    return {cluster.node_of(uid) for uid in users} - {""}  # a pod that preemption takes away for a trial is nowhere


class _Disk(NamedTuple):
    """`read_only`: it may be shared with others that only read. `monitors`: of RBD, one of which two must have in common."""

    kind: str
    name: str
    read_only: bool
    monitors: frozenset[str] = frozenset()


def _disks(pod: PodInfo) -> Sequence[_Disk]:
    found = []
    for volume in pod.spec.get("volumes") or ():
        for kind, name in _NAMES.items():
            source = volume.get(kind)
            if source is not None:
                read_only = bool(source.get("readOnly")) and kind != "awsElasticBlockStore"
                found.append(_Disk(kind, name(source), read_only, frozenset(source.get("monitors") or ())))
    return found


_NAMES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "gcePersistentDisk": lambda source: str(source["pdName"]),
    "awsElasticBlockStore": lambda source: str(source["volumeID"]),
    "iscsi": lambda source: str(source["iqn"]),
    "rbd": lambda source: f"{source.get('pool') or 'rbd'}/{source['image']}",
}
"""Volume source → what two of them have in common if they are one disk."""


def _conflict(one: _Disk, other: _Disk) -> bool:
    if (one.kind, one.name) != (other.kind, other.name) or (one.read_only and other.read_only):
        return False
    return one.kind != "rbd" or bool(one.monitors & other.monitors)


FILTER = Filter(NAME, prepare)


def _pod_set(cluster: Cluster, obj: ROObj) -> Helped:
    names = pods.claim_names(obj)
    if not names:
        return NOTHING
    known = cluster.part(Volumes)
    if pods.is_finished(obj):
        return _freed(known, obj, names)
    if pods.is_scheduled(obj):
        known.choices.pop(meta.uid(obj), None)
        for name in names:
            key = Key(meta.namespace(obj), name)
            known.users.setdefault(key, set()).add(meta.uid(obj))
            discard_user(known.coming, key, meta.uid(obj))
    return NOTHING


def _pod_changed(cluster: Cluster, _old: ROObj, new: ROObj) -> Helped:
    return _pod_set(cluster, new)


def _pod_gone(cluster: Cluster, obj: ROObj) -> Helped:
    names = pods.claim_names(obj)
    return _freed(cluster.part(Volumes), obj, names) if names else NOTHING


def _freed(known: Volumes, obj: ROObj, names: list[str]) -> Helped:
    known.choices.pop(meta.uid(obj), None)
    for name in names:
        known.no_user(Key(meta.namespace(obj), name), meta.uid(obj))
    return _HELPED


FOLLOWERS = (Follower("pods", _pod_set, _pod_changed, _pod_gone),)
