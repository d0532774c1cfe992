"""VolumeRestrictions: a claim of mode ReadWriteOncePod is for one pod in the whole cluster (KEP-2485).

Who uses such a claim is noted when a pod is being bound (`volume_binding`), and by following pods.
"""

from __future__ import annotations

from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.meta import Key, ROObj
from minik.sched.hooks import NOTHING, Follower, Helped
from minik.sched.plugins import Check, Filter, No
from minik.sched.snapshot import Cluster, PodInfo
from minik.sched.volumes import Volumes, single_use

NAME = "VolumeRestrictions"
_NO = No(
    ("node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode",), resolvable=False
)
_HELPED: Helped = frozenset({NAME})


def prepare(pod: PodInfo, cluster: Cluster) -> Check | None:
    if not pod.spec.get("volumes"):
        return None
    known = cluster.part(Volumes)
    if any(known.users.get(key, set()) - {pod.uid} for key in single_use(pod, known)):
        return lambda _node: _NO
    return None


FILTER = Filter(NAME, prepare)


def _pod_set(cluster: Cluster, obj: ROObj) -> Helped:
    names = pods.claim_names(obj)
    if not names:
        return NOTHING
    known = cluster.part(Volumes)
    if pods.is_finished(obj):
        return _freed(known, obj, names)
    if pods.is_scheduled(obj):
        for name in names:
            known.users.setdefault(Key(meta.namespace(obj), name), set()).add(meta.uid(obj))
    return NOTHING


def _pod_changed(cluster: Cluster, _old: ROObj, new: ROObj) -> Helped:
    return _pod_set(cluster, new)


def _pod_gone(cluster: Cluster, obj: ROObj) -> Helped:
    names = pods.claim_names(obj)
    return _freed(cluster.part(Volumes), obj, names) if names else NOTHING


def _freed(known: Volumes, obj: ROObj, names: list[str]) -> Helped:
    for name in names:
        key = Key(meta.namespace(obj), name)
        users = known.users.get(key, set())
        users.discard(meta.uid(obj))
        if not users:
            known.users.pop(key, None)
    return _HELPED


FOLLOWERS = (Follower("pods", _pod_set, _pod_changed, _pod_gone),)
