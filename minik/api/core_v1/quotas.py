"""What objects use of a namespace's quotas, and which quotas an object falls under. Pure.

Amounts are whole nano-units, as `Quantity.nanos`; `show` writes them. A quota's names are what its `spec.hard` limits: `pods`,
`requests.cpu`, `count/deployments.apps`, `gold.storageclass.storage.k8s.io/requests.storage`. Each name is about one resource
(`resource_of`). Used by the server, which refuses (`server/admission/quota.py`), and by the controller, which writes the status; sums
are kept in `quota_tally.py`. Source of the rules: kubernetes `pkg/quota/v1/evaluator/core`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any, TypeAlias

from minik.api import meta, times
from minik.api.core_v1 import pods, services
from minik.api.core_v1 import resourcequota as scopes
from minik.api.meta import ROObj
from minik.api.quantity import Quantity, parse
from minik.api.validation_resources import HUGE_PAGES, is_extended

Usage: TypeAlias = Mapping[str, int]
"""Resource name → nano-units."""

Scope: TypeAlias = tuple[tuple[str, str, tuple[str, ...]], ...]
"""(scope, operator, values) that all must hold; equal for quotas that count the same objects."""

PODS, SERVICES, CLAIMS = "pods", "services", "persistentvolumeclaims"
CHANGING = frozenset({PODS, SERVICES, CLAIMS})
"""Resources whose objects' use can change while they exist. Of all others an object is one."""
_ONE = 10**9
_MILLI = 10**6
_CLASS = ".storageclass.storage.k8s.io/"
_COUNT = "count/"
_LEGACY = frozenset({PODS, SERVICES, CLAIMS, "configmaps", "secrets", "resourcequotas", "replicationcontrollers"})
_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_MUST_BE_SAID = frozenset({"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"})
_BINARY = ("memory", "ephemeral-storage", "storage", HUGE_PAGES)
_BETA_CLASS = "volume.beta.kubernetes.io/storage-class"


@lru_cache(maxsize=4096)
def resource_of(name: str) -> str:
    """The resource whose objects use what a quota's `name` limits (`pods`, `deployments.apps`); "" if none is known."""
    if name.startswith(_COUNT):
        return name[len(_COUNT) :]
    if name in _LEGACY:
        return name
    if name.startswith("services."):
        return SERVICES
    if name == "requests.storage" or _CLASS in name:
        return CLAIMS
    bare = name.partition(".")[2] if name.startswith(("requests.", "limits.")) else name
    if bare in _COMPUTE or (bare.startswith(HUGE_PAGES) and not name.startswith("limits.")):
        return PODS
    return PODS if name.startswith("requests.") and is_extended(bare) else ""


def names_for(quota: ROObj, resource: str) -> list[str]:
    """What of the quota's `spec.hard` objects of `resource` use."""
    return [name for name in (quota.get("spec") or {}).get("hard") or () if resource_of(name) == resource]


def limit(quota: ROObj, name: str) -> int:
    return parse(quota["spec"]["hard"][name]).nanos


def show(name: str, nanos: int) -> str:
    """An amount as a quantity: bytes with binary suffixes where they are even, everything else decimal."""
    is_bytes = any(part in name for part in _BINARY)
    return str(Quantity(nanos, "BinarySI" if is_bytes and nanos % (1024 * _ONE) == 0 else "DecimalSI"))


# --- use ------------------------------------------------------------------------------------------------------------


def usage(resource: str, obj: ROObj, *, now: float) -> Usage:
    """What one object uses. `now`: seconds since the epoch; a pod that should have gone by then uses nothing any more."""
    used = {_COUNT + resource: _ONE}
    if resource == PODS:
        _pod(used, obj, now)
    elif resource == SERVICES:
        _service(used, obj)
    elif resource == CLAIMS:
        _claim(used, obj)
    elif resource in _LEGACY:
        used[resource] = _ONE
    return used


def until(resource: str, obj: ROObj) -> float | None:
    """When the object's use ends by time alone, in seconds since the epoch: a pod that its node does not let go is not counted for
    ever, or nothing could take its place (QuotaV1Pod)."""
    if resource != PODS:
        return None
    metadata = obj["metadata"]
    deleting, grace = metadata.get("deletionTimestamp"), metadata.get("deletionGracePeriodSeconds")
    if not deleting or grace is None:
        return None
    return (times.parse_time(deleting) + timedelta(seconds=grace)).timestamp()


def _pod(used: dict[str, int], pod: ROObj, now: float) -> None:
    end = until(PODS, pod)
    if pods.is_finished(pod) or (end is not None and now > end):
        return
    used[PODS] = _ONE
    _compute(used, pods.pod_requests(_actual(pod)), pods.pod_limits(_actual(pod)))


def _actual(pod: ROObj) -> ROObj:
    """The pod with what its containers still have where it is more than what they shall have: a resize that has yet to be done."""
    held = {row["name"]: row for row in pods.statuses(pod) if row.get("allocatedResources") or row.get("resources")}
    if not held:
        return pod
    spec = dict(pod["spec"])
    for which in ("containers", "initContainers"):
        if spec.get(which):
            spec[which] = [_with_held(c, held[c["name"]]) if c["name"] in held else c for c in spec[which]]
    return {**pod, "spec": spec}


def _with_held(container: Mapping[str, Any], row: Mapping[str, Any]) -> Mapping[str, Any]:
    wanted, there = container.get("resources") or {}, row.get("resources") or {}
    requests = _most(wanted.get("requests"), there.get("requests"), row.get("allocatedResources"))
    limits = _most(wanted.get("limits"), there.get("limits"))
    return {**container, "resources": {"requests": requests, "limits": limits}}


def _most(first: Mapping[str, Any] | None, *others: Mapping[str, Any] | None) -> dict[str, Any]:
    """Per name of `first` the largest of all."""
    result = dict(first or {})
    for other in others:
        for name, text in (other or {}).items():
            if name in result and parse(text) > parse(result[name]):
                result[name] = text
    return result


def _compute(used: dict[str, int], requests: Mapping[str, int], limits: Mapping[str, int]) -> None:
    for name, number in requests.items():
        nanos = number * (_MILLI if name == "cpu" else _ONE)
        if name in _COMPUTE or name.startswith(HUGE_PAGES):
            used[name] = used["requests." + name] = nanos
        elif is_extended(name):
            used["requests." + name] = nanos
    for name, number in limits.items():
        if name in _COMPUTE:
            used["limits." + name] = number * (_MILLI if name == "cpu" else _ONE)


def _service(used: dict[str, int], service: ROObj) -> None:
    used[SERVICES] = _ONE
    kind, ports = services.type_of(service), services.ports(service)
    if services.wants_node_ports(service):
        used["services.nodeports"] = len(ports) * _ONE
    elif kind == "LoadBalancer":  # none are given, but some may be asked for
        used["services.nodeports"] = sum(1 for port in ports if port.get("nodePort")) * _ONE
    if kind == "LoadBalancer":
        used["services.loadbalancers"] = _ONE


def _claim(used: dict[str, int], claim: ROObj) -> None:
    used[CLAIMS] = _ONE
    spec = claim.get("spec") or {}
    class_ = meta.annotations(claim).get(_BETA_CLASS) or spec.get("storageClassName") or ""
    if class_:
        used[f"{class_}{_CLASS}persistentvolumeclaims"] = _ONE
    request = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if request is None:
        return
    nanos = parse(request).nanos
    allocated = ((claim.get("status") or {}).get("allocatedResources") or {}).get("storage")
    if allocated is not None:
        nanos = max(nanos, parse(allocated).nanos)
    used["requests.storage"] = nanos
    if class_:
        used[f"{class_}{_CLASS}requests.storage"] = nanos


# --- scopes ---------------------------------------------------------------------------------------------------------


def scope_of(quota: ROObj) -> Scope:
    """Which objects the quota is about."""
    spec = quota.get("spec") or {}
    found = [(name, "Exists", ()) for name in spec.get("scopes") or ()]
    for row in (spec.get("scopeSelector") or {}).get("matchExpressions") or ():
        found.append((row["scopeName"], row["operator"], tuple(sorted(row.get("values") or ()))))
    return tuple(sorted(set(found)))


def in_scope(scope: Scope, resource: str, obj: ROObj) -> bool:
    """Whether quotas of this scope count the object. One with scopes counts pods alone, or claims by their attributes class."""
    if resource == PODS:
        return all(_pod_in(name, operator, values, obj) for name, operator, values in scope)
    if resource == CLAIMS:
        return all(name == scopes.VOLUME_CLASS and _claim_in(operator, values, obj) for name, operator, values in scope)
    return not scope


def _pod_in(name: str, operator: str, values: Sequence[str], pod: ROObj) -> bool:
    spec = pod.get("spec") or {}
    if name in (scopes.TERMINATING, scopes.NOT_TERMINATING):
        ends = (spec.get("activeDeadlineSeconds") or -1) >= 0
        return ends == (name == scopes.TERMINATING)
    if name in (scopes.BEST_EFFORT, scopes.NOT_BEST_EFFORT):
        return (pods.qos_class(pod) == "BestEffort") == (name == scopes.BEST_EFFORT)
    if name == scopes.PRIORITY_CLASS:
        class_ = spec.get("priorityClassName") or ""
        return _compares({class_} if class_ else (), operator, values)
    return name == scopes.CROSS_NAMESPACE and _reaches_out(spec.get("affinity") or {})


def _reaches_out(affinity: Mapping[str, Any]) -> bool:
    """Whether a term of pod (anti-)affinity names other namespaces."""
    for which in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(which) or {}
        terms = [
            *(rules.get("requiredDuringSchedulingIgnoredDuringExecution") or ()),
            *(row["podAffinityTerm"] for row in rules.get("preferredDuringSchedulingIgnoredDuringExecution") or ()),
        ]
        if any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms):
            return True
    return False


def _claim_in(operator: str, values: Sequence[str], claim: ROObj) -> bool:
    spec, status = claim.get("spec") or {}, claim.get("status") or {}
    names = {
        spec.get("volumeAttributesClassName"),
        status.get("currentVolumeAttributesClassName"),
        (status.get("modifyVolumeStatus") or {}).get("targetVolumeAttributesClassName"),
    }
    return _compares({name for name in names if name}, operator, values)


def _compares(names: Collection[str], operator: str, values: Sequence[str]) -> bool:
    if operator == "Exists":
        return bool(names)
    if operator == "DoesNotExist":
        return not names
    if operator == "In":
        return any(name in values for name in names)
    return not names or any(name not in values for name in names)


# --- what must be said ----------------------------------------------------------------------------------------------


def unsaid(pod: ROObj, names: Collection[str]) -> str:
    """In upstream's words which of `names` containers leave open, although a quota limits it; "" if none. A pod that says what it needs
    as a whole need not say it for each container (KEP-2837)."""
    spec = pod.get("spec") or {}
    if any((spec.get("resources") or {}).get(which) for which in ("requests", "limits")):
        return ""
    required = sorted(_MUST_BE_SAID.intersection(names))
    if not required:
        return ""
    missing: dict[str, set[str]] = {}
    for container in (*pods.containers(pod), *pods.init_containers(pod)):
        resources = container.get("resources") or {}
        for name in required:
            which, _, bare = name.rpartition(".")
            if bare not in (resources.get(which or "requests") or ()):
                missing.setdefault(name, set()).add(container.get("name") or "")
    said = "; ".join(f"{name} for: {','.join(sorted(found))}" for name, found in sorted(missing.items()))
    return f"must specify {said}" if said else ""
