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
_REASON = ("node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode",)
_HELPED: Helped = frozenset({NAME})


def prepare(pod: PodInfo, cluster: Cluster) -> Check | None:
    if not pod.spec.get("volumes"):
        return None
    known = cluster.part(Volumes)
    users: set[str] = set()
    for key in single_use(pod, known):
        users |= known.users.get(key, set()) | known.coming.get(key, set())
    users.discard(pod.uid)
    where = {cluster.node_of(uid) for uid in users} - {""}  # a pod that preemption takes away for a trial is nowhere
    if not where:
        return None
    here, elsewhere = No(_REASON), No(_REASON, resolvable=False)
    return lambda node: here if where == {node.name} else elsewhere


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
            _discard(known.coming, key, meta.uid(obj))
    return NOTHING


def _pod_changed(cluster: Cluster, _old: ROObj, new: ROObj) -> Helped:
    return _pod_set(cluster, new)


def _pod_gone(cluster: Cluster, obj: ROObj) -> Helped:
    names = pods.claim_names(obj)
    return _freed(cluster.part(Volumes), obj, names) if names else NOTHING


def _freed(known: Volumes, obj: ROObj, names: list[str]) -> Helped:
    known.choices.pop(meta.uid(obj), None)
    for name in names:
        for users in (known.users, known.coming):
            _discard(users, Key(meta.namespace(obj), name), meta.uid(obj))
    return _HELPED


def _discard(users: dict[Key, set[str]], key: Key, uid: str) -> None:
    found = users.get(key, set())
    found.discard(uid)
    if not found:
        users.pop(key, None)


FOLLOWERS = (Follower("pods", _pod_set, _pod_changed, _pod_gone),)
