"""What the scheduler knows of services, controllers and namespaces: who belongs together, for spreading and for namespace selectors.

`FOLLOWERS` keep it up to date; `spreading.py` asks which pods are a pod's like (kube-scheduler's helper.DefaultSelector: what the
services that select the pod and the controller that owns it select, all together).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.api import meta, selectors
from minik.api.meta import Key, ROObj
from minik.api.selectors import Requirement, Selector
from minik.sched.hooks import Follower, Helped
from minik.sched.snapshot import Cluster, PodInfo
from minik.sched.tally import SelectorIndex
from minik.sched.terms import Like

_AFFINITY: Helped = frozenset({"InterPodAffinity"})
_SPREAD: Helped = frozenset({"PodTopologySpread"})
_NONE: Helped = frozenset()


class Workloads:
    """Selectors of services, by namespace, and of controllers, by uid."""

    def __init__(self) -> None:
        self._services: dict[str, SelectorIndex[Key]] = {}
        self._selectors: dict[Key, Mapping[str, str]] = {}
        self._controllers: dict[str, tuple[Requirement, ...]] = {}
        self._likes: dict[tuple[str, str, tuple[Key, ...]], Like | None] = {}
        """By namespace, controller and services: equal questions get the same object."""

    def set_service(self, service: ROObj) -> None:
        key, selector = meta.key(service), (service.get("spec") or {}).get("selector") or {}
        if self._selectors.get(key) == selector:
            return
        self.remove_service(key)
        self._likes.clear()
        if selector:
            self._selectors[key] = selector
            index = self._services.setdefault(key.namespace, SelectorIndex())
            index.add(key, selectors.from_labels(selector))

    def remove_service(self, key: Key) -> None:
        if self._selectors.pop(key, None) is not None:
            self._services[key.namespace].discard(key)
            self._likes.clear()

    def set_controller(self, controller: ROObj) -> None:
        """A ReplicationController, ReplicaSet or StatefulSet."""
        given = (controller.get("spec") or {}).get("selector") or {}
        if controller.get("kind") == "ReplicationController":
            selector = selectors.from_labels(given)
        else:
            try:
                selector = selectors.from_label_selector(given)
            except selectors.SelectorError:
                return
        self._controllers[meta.uid(controller)] = selector.requirements
        self._likes.clear()

    def remove_controller(self, uid: str) -> None:
        if self._controllers.pop(uid, None) is not None:
            self._likes.clear()

    def like(self, pod: PodInfo) -> Like | None:
        """The pods that belong together with `pod`; None if it belongs to nothing."""
        namespace, owner = pod.key.namespace, pod.owner if pod.owner in self._controllers else ""
        services = self._services.get(namespace)
        chosen: tuple[Key, ...] = ()
        if services:
            labels = pod.labels
            found = services.candidates(labels)
            chosen = tuple(sorted(key for key in found if selectors.matches_map(self._selectors[key], labels)))
        if not owner and not chosen:
            return None
        question = namespace, owner, chosen
        if question not in self._likes:
            self._likes[question] = self._like(*question)
        return self._likes[question]

    def _like(self, namespace: str, owner: str, services: Sequence[Key]) -> Like | None:
        merged: dict[str, str] = {}
        for key in services:
            merged.update(self._selectors[key])
        found = dict.fromkeys(Requirement(key, "=", (merged[key],)) for key in sorted(merged))
        found.update(dict.fromkeys(self._controllers.get(owner, ())))
        return Like(Selector(tuple(found)), frozenset((namespace,))) if found else None


def _service(cluster: Cluster, service: ROObj) -> Helped:
    cluster.part(Workloads).set_service(service)
    return _NONE


def _service_updated(cluster: Cluster, _old: ROObj, service: ROObj) -> Helped:
    return _service(cluster, service)


def _service_deleted(cluster: Cluster, service: ROObj) -> Helped:
    cluster.part(Workloads).remove_service(meta.key(service))
    return _SPREAD


def _controller(cluster: Cluster, controller: ROObj) -> Helped:
    cluster.part(Workloads).set_controller(controller)
    return _NONE


def _controller_updated(cluster: Cluster, old: ROObj, controller: ROObj) -> Helped:
    if (old.get("spec") or {}).get("selector") != (controller.get("spec") or {}).get("selector"):
        cluster.part(Workloads).set_controller(controller)
    return _NONE


def _controller_deleted(cluster: Cluster, controller: ROObj) -> Helped:
    cluster.part(Workloads).remove_controller(meta.uid(controller))
    return _NONE


def _namespace(cluster: Cluster, namespace: ROObj) -> Helped:
    return _AFFINITY if cluster.tallies.set_namespace(meta.name(namespace), meta.labels(namespace)) else _NONE


def _namespace_updated(cluster: Cluster, _old: ROObj, namespace: ROObj) -> Helped:
    return _namespace(cluster, namespace)


def _namespace_deleted(cluster: Cluster, namespace: ROObj) -> Helped:
    cluster.tallies.set_namespace(meta.name(namespace), None)
    return _NONE


NAMESPACES = Follower("namespaces", _namespace, _namespace_updated, _namespace_deleted)
FOLLOWERS = (
    NAMESPACES,
    Follower("services", _service, _service_updated, _service_deleted),
    *(
        Follower(resource, _controller, _controller_updated, _controller_deleted)
        for resource in ("replicationcontrollers", "replicasets.apps", "statefulsets.apps")
    ),
)


def known(cluster: Cluster, *objects: Mapping[str, Any]) -> None:
    """Tell `cluster` of services, controllers and namespaces by hand, as simulations do."""
    followers = {"Namespace": _namespace, "Service": _service}
    for obj in objects:
        followers.get(obj["kind"], _controller)(cluster, obj)
