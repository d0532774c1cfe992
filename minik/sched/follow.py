"""What the scheduler learns from the API server: nodes, pods and whatever else plugins go by, into `snapshot.Cluster`.

Each change that could help a waiting pod is handed on as a `hints.Change`, and each pod that waits, has a node or is gone is made
known to the `Listener` (`loop.py`), which knows what it had assumed of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.meta import ROObj
from minik.client.informer import Informer, Informers
from minik.sched.hints import ACROSS_NODES, POD_LEFT, Change, Kind, node_change
from minik.sched.hooks import Follower, Helped
from minik.sched.snapshot import Cluster, PodInfo, matters


class Listener(Protocol):
    """Who is told."""

    def moved(self, change: Change) -> None:
        """The cluster, which has changed already, may suit some waiting pod better now."""
        ...

    def waits(self, obj: ROObj, before: ROObj | None) -> None:
        """A pod without a node appeared (`before` None) or changed."""
        ...

    def has_node(self, obj: ROObj, before: ROObj | None) -> None:
        """A pod has a node. It is counted there after this, unless it has finished."""
        ...

    def gone(self, obj: ROObj) -> None:
        """A pod was deleted."""
        ...


class Following:
    """Feeds `cluster`, and tells `listener`."""

    def __init__(self, informers: Informers, cluster: Cluster, listener: Listener) -> None:
        self._informers = informers
        self._cluster = cluster
        self._listener = listener
        self.pods = informers.of("pods")

    async def start(self, followers: Iterable[Follower]) -> None:
        """Follow everything; returns when all that exists has been seen."""
        nodes = self._informers.of("nodes")
        nodes.add_handler(added=self._node_added, updated=self._node_updated, deleted=self._node_deleted)
        followed = [self._follow(follower) for follower in dict.fromkeys(followers)]
        self.pods.add_handler(added=self._pod_added, updated=self._pod_updated, deleted=self._pod_deleted)
        for informer in (nodes, *followed, self.pods):
            await informer.wait_synced()

    def _follow(self, follower: Follower) -> Informer:
        cluster = self._cluster

        def tell(helped: Helped) -> None:
            if helped:
                self._listener.moved(Change("other", helped))

        def added(obj: ROObj) -> None:
            tell(follower.added(cluster, obj))

        def updated(old: ROObj, new: ROObj) -> None:
            tell(follower.updated(cluster, old, new))

        def deleted(obj: ROObj) -> None:
            tell(follower.deleted(cluster, obj))

        informer = self._informers.of(follower.resource)
        informer.add_handler(added=added, updated=updated, deleted=deleted)
        return informer

    # --- nodes -------------------------------------------------------------------------------------------------------

    def _node_added(self, obj: ROObj) -> None:
        self._node_set(None, obj)

    def _node_updated(self, old: ROObj, new: ROObj) -> None:
        self._node_set(old, new)

    def _node_set(self, old: ROObj | None, new: ROObj) -> None:
        self._cluster.set_node(new)
        change = node_change(old, new, self._cluster.get(meta.name(new)))
        if change is not None:
            self._listener.moved(change)

    def _node_deleted(self, obj: ROObj) -> None:
        self._cluster.remove_node(meta.name(obj))
        self._listener.moved(Change("node left", ACROSS_NODES))

    # --- pods --------------------------------------------------------------------------------------------------------

    def _pod_added(self, obj: ROObj) -> None:
        self._pod_set(obj, None)

    def _pod_updated(self, old: ROObj, new: ROObj) -> None:
        if meta.uid(old) != meta.uid(new):
            self._pod_deleted(old)
            self._pod_set(new, None)
        elif not new["spec"].get("nodeName") or not old["spec"].get("nodeName") or matters(old, new):
            self._pod_set(new, old)
        elif (placed := self._cluster.placed(meta.uid(new))) is not None:
            placed[0].obj = new  # it counts as before, but preemption asks when it began

    def _pod_set(self, obj: ROObj, before: ROObj | None) -> None:
        name = obj["spec"].get("nodeName")
        if not name:
            self._listener.waits(obj, before)
            return
        self._listener.has_node(obj, before)
        if pods.is_finished(obj):
            self._release(obj)
            return
        known = self._cluster.placed(meta.uid(obj))
        pod = PodInfo(obj)
        self._cluster.set_pod(pod, name)
        was = known[0] if known is not None and known[1] == name else None
        if was is not None and was.requests != pod.requests:  # a resize gives room, or takes it
            self._listener.moved(Change("pod left", POD_LEFT, node=self._cluster.get(name), pod=pod, before=was))
        elif was is None or not was.counts_as(pod):
            kind: Kind = "pod came" if was is None else "pod changed"
            self._listener.moved(Change(kind, ACROSS_NODES, node=self._cluster.get(name), pod=pod, before=was))

    def _pod_deleted(self, obj: ROObj) -> None:
        self._listener.gone(obj)
        self._release(obj)

    def _release(self, obj: ROObj) -> None:
        self.release(meta.uid(obj))

    def release(self, uid: str) -> None:
        """The pod no longer counts on a node, if it did."""
        placed = self._cluster.placed(uid)
        if placed is not None:
            pod, name = placed
            self._cluster.remove_pod(uid)
            self._listener.moved(Change("pod left", POD_LEFT, others=True, node=self._cluster.get(name), pod=pod))
