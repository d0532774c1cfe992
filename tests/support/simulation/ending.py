"""`end_state`: what came of a story (`script.py`), without what chance decides: names, addresses, times, and how many tries it took."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minik.api import meta
from minik.api.core_v1 import pods, services
from minik.api.meta import ROObj
from minik.storage.cache import Cache
from tests.support.simulation.view import View

NAMESPACES = ("story", "story-other")
SLICES = "endpointslices.discovery.k8s.io"
_CLUSTER = "story-"
"""How the names of cluster-wide objects of a story begin."""


def end_state(cache: Cache) -> list[str]:
    """Every object of the story, a line each, sorted."""
    view = View(cache)
    return sorted(
        f"{resource} {line}"
        for resource in sorted(view.cache.resources())
        if resource not in _CHANCE
        for obj in view.all(resource)
        if meta.namespace(obj) in NAMESPACES or (not meta.namespace(obj) and meta.name(obj).startswith(_CLUSTER))
        if (line := _LINES.get(resource, _other)(view, obj))
    )


def runs_are_awaited(cache: Cache) -> bool:
    """Whether some CronJob has yet to have a run that ended well."""
    return any(
        meta.namespace(entry.obj) in NAMESPACES and not (entry.obj.get("status") or {}).get("lastSuccessfulTime")
        for entry in cache.list("cronjobs.batch")
    )


_CHANCE = frozenset({
    "events", "leases.coordination.k8s.io", "nodes", SLICES, "controllerrevisions.apps", "ipaddresses.networking.k8s.io",
    "persistentvolumes",
})  # fmt: skip


def _images(template: ROObj) -> list[str]:
    return [container["image"] for container in template["spec"]["containers"]]


def _counts(obj: ROObj, *fields: str) -> dict[str, Any]:
    status = obj.get("status") or {}
    return {field: status[field] for field in fields if status.get(field)}


def _other(_view: View, obj: ROObj) -> str:
    shown = _counts(obj, "readyReplicas", "availableReplicas", "numberReady", "phase")
    data = obj.get("data") if meta.name(obj) != "kube-root-ca.crt" else ""
    return f"{meta.name(obj)}: {(obj.get('spec') or {}).get('replicas')} {shown} {data}"


def _pod(_view: View, obj: ROObj) -> str:
    owner = meta.controller_of(obj)
    if owner is None:
        return f"{meta.name(obj)}: {pods.phase(obj)}"
    if owner["kind"] == "Job":
        return ""  # how many it took is chance
    kept = meta.name(obj) if owner["kind"] == "StatefulSet" else ""
    node = pods.node_name(obj) if owner["kind"] == "DaemonSet" else ""
    base = owner["name"].rsplit("-", 1)[0] if owner["kind"] == "ReplicaSet" else owner["name"]
    return f"{owner['kind']} {base} {kept}{node}: {_images(obj)} {pods.phase(obj)} {pods.is_ready(obj)}"


def _replica_set(view: View, obj: ROObj) -> str:
    owner = meta.controller_of(obj)
    if owner is None:
        return _other(view, obj)
    number = obj["spec"]["replicas"]
    return f"of {owner['name']}: {number} of {_images(obj['spec']['template'])}" if number else ""


def _job(_view: View, obj: ROObj) -> str:
    ended = [c["type"] for c in (obj.get("status") or {}).get("conditions") or () if c["status"] == "True"]
    owner = meta.controller_of(obj)
    name = f"of {owner['name']}" if owner is not None else meta.name(obj)
    return f"{name}: {ended} {_counts(obj, 'succeeded', 'completedIndexes')}"


def _service(view: View, obj: ROObj) -> str:
    mine = [s for s in view.all(SLICES) if meta.labels(s).get("kubernetes.io/service-name") == meta.name(obj)]
    rows = [row for s in mine if meta.namespace(s) == meta.namespace(obj) for row in s.get("endpoints") or ()]
    ready = sum(row["conditions"]["ready"] for row in rows)
    balanced = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    has_port = [bool(port.get("nodePort")) for port in services.ports(obj)]
    return f"{meta.name(obj)}: {services.type_of(obj)} {ready} ready, {[row['ip'] for row in balanced]} {has_port}"


def _endpoints(_view: View, obj: ROObj) -> str:
    return f"{meta.name(obj)}: {sum(len(s.get('addresses') or ()) for s in obj.get('subsets') or ())}"


def _budget(_view: View, obj: ROObj) -> str:
    return f"{meta.name(obj)}: {_counts(obj, 'currentHealthy', 'desiredHealthy', 'expectedPods', 'disruptionsAllowed')}"


def _autoscaler(_view: View, obj: ROObj) -> str:
    if (meta.condition(obj, "AbleToScale") or {}).get("status") != "True":
        return f"{meta.name(obj)}: has nothing to scale"
    return f"{meta.name(obj)}: {_counts(obj, 'currentReplicas', 'desiredReplicas')}"


def _quota(_view: View, obj: ROObj) -> str:
    return f"{meta.name(obj)}: {sorted(((obj.get('status') or {}).get('used') or {}).items())}"


def _secret(_view: View, obj: ROObj) -> str:
    return f"{meta.name(obj)}: {obj.get('type')} {sorted(obj.get('data') or {})}"


def _role(_view: View, obj: ROObj) -> str:
    return f"{meta.name(obj)}: {obj.get('rules')}"


def _claim(_view: View, obj: ROObj) -> str:
    return f"{meta.name(obj)}: {(obj.get('status') or {}).get('phase')}"


def _ingress(_view: View, obj: ROObj) -> str:
    return f"{meta.name(obj)}: {obj['spec'].get('ingressClassName')}"


def _owned(_view: View, obj: ROObj) -> str:
    return f"{meta.name(obj)}: {sorted(owner['name'] for owner in meta.owners(obj))}"


_LINES: dict[str, Callable[[View, ROObj], str]] = {
    "pods": _pod,
    "replicasets.apps": _replica_set,
    "jobs.batch": _job,
    "services": _service,
    "endpoints": _endpoints,
    "poddisruptionbudgets.policy": _budget,
    "horizontalpodautoscalers.autoscaling": _autoscaler,
    "resourcequotas": _quota,
    "secrets": _secret,
    "clusterroles.rbac.authorization.k8s.io": _role,
    "persistentvolumeclaims": _claim,
    "ingresses.networking.k8s.io": _ingress,
    "gadgets.simulation.test": _owned,
}
