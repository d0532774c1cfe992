"""LimitRanges: defaults for containers that say nothing, and bounds for containers, pods and claims (admission plugin LimitRanger).

`admit_limit_defaults` runs before validation and fills in, `admit_limits` after it and refuses, before quotas are looked at. Pods are
looked at when they are made and resized, claims also when they are updated. Source: kubernetes `plugin/pkg/admission/limitranger`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from minik.api import errors, quantity
from minik.api.core_v1 import limitrange, pods
from minik.api.meta import Obj, ROObj
from minik.api.quantity import Quantity
from minik.server.core import Attributes, Core

ANNOTATION = "kubernetes.io/limit-ranger"
LIMIT_RANGES = "limitranges"
_CLAIMS = "persistentvolumeclaims"


def _items(core: Core, namespace: str, type_: str) -> Iterator[Mapping[str, Any]]:
    for entry in core.cache.list(LIMIT_RANGES, namespace):
        for item in (entry.obj.get("spec") or {}).get("limits") or ():
            if item["type"] == type_:
                yield item


def admit_limit_defaults(core: Core, draft: Obj, attributes: Attributes) -> None:
    if attributes.kind.resource != "pods" or attributes.old is not None or attributes.subresource:
        return
    if not core.cache.list(LIMIT_RANGES, attributes.namespace) or not isinstance(draft.get("spec"), dict):
        return
    set_now: list[str] = []
    for item in _items(core, attributes.namespace, limitrange.CONTAINER):
        for field, shown in (("containers", "container"), ("initContainers", "init container")):
            for container in draft["spec"].get(field) or ():
                set_now += _fill(container, shown, item)
    if set_now:
        annotations = draft["metadata"].get("annotations") or {}
        draft["metadata"]["annotations"] = {**annotations, ANNOTATION: "LimitRanger plugin set: " + "; ".join(set_now)}
        draft.setdefault("status", {})["qosClass"] = pods.qos_class(draft)


def _fill(container: Obj, shown: str, item: Mapping[str, Any]) -> list[str]:
    """Give the container what it does not say; returns what was set, in words."""
    resources = dict(container.get("resources") or {})
    said = []
    for which, source in (("requests", "defaultRequest"), ("limits", "default")):
        has = resources.get(which) or {}
        more = {name: text for name, text in (item.get(source) or {}).items() if name not in has}
        if more:
            resources[which] = {**has, **more}
            said.append(f"{', '.join(sorted(more))} {which[:-1]} for {shown} {container.get('name', '')}")
    if said:
        container["resources"] = resources
    return said


def admit_limits(core: Core, draft: Obj, attributes: Attributes) -> None:
    """Raises Forbidden with everything that is out of bounds."""
    resource, changes = attributes.kind.resource, attributes.old is not None
    if resource not in ("pods", _CLAIMS) or not core.cache.list(LIMIT_RANGES, attributes.namespace):
        return
    if attributes.verb == "delete" or draft["metadata"].get("deletionTimestamp"):
        return
    if resource == "pods" and (attributes.subresource != "resize" if changes else bool(attributes.subresource)):
        return  # an update of a pod changes no resources
    if resource == _CLAIMS and attributes.subresource:
        return
    for entry in core.cache.list(LIMIT_RANGES, attributes.namespace):
        wrong = check_pod(entry.obj, draft) if resource == "pods" else check_claim(entry.obj, draft)
        wrong = list(dict.fromkeys(wrong))
        if wrong:
            why = wrong[0] if len(wrong) == 1 else f"[{', '.join(wrong)}]"
            raise errors.forbidden(attributes.kind.plural, "", attributes.name, why)


def check_pod(limit_range: ROObj, pod: ROObj) -> list[str]:
    """What of the pod is out of bounds, in upstream's words."""
    wrong: list[str] = []
    for item in (limit_range.get("spec") or {}).get("limits") or ():
        if item["type"] == limitrange.CONTAINER:
            for container in (*pods.containers(pod), *pods.init_containers(pod)):
                resources = container.get("resources") or {}
                wrong += _bounds(item, _parsed(resources.get("requests")), _parsed(resources.get("limits")))
        elif item["type"] == limitrange.POD:
            wrong += _bounds(item, _whole(pods.pod_requests(pod)), _whole(pods.pod_limits(pod)))
    return wrong


def check_claim(limit_range: ROObj, claim: ROObj) -> list[str]:
    wrong: list[str] = []
    requests = _parsed((((claim.get("spec") or {}).get("resources")) or {}).get("requests"))
    for item in (limit_range.get("spec") or {}).get("limits") or ():
        if item["type"] != limitrange.CLAIM:
            continue
        for name, bound in _parsed(item.get("min")).items():
            wrong += _least(limitrange.CLAIM, name, bound, requests.get(name), None)
        for name, bound in _parsed(item.get("max")).items():
            request = requests.get(name)
            most = f"maximum {name} usage per {limitrange.CLAIM} is {bound}"
            if request is None:
                wrong.append(f"{most}.  No request is specified")
            elif request > bound:
                wrong.append(f"{most}, but request is {request}")
    return wrong


_Amounts = Mapping[str, Quantity]


def _parsed(resources: Mapping[str, Any] | None) -> _Amounts:
    return {name: quantity.parse(text) for name, text in (resources or {}).items()}


def _whole(amounts: Mapping[str, int]) -> _Amounts:
    return {
        name: quantity.from_milli(number) if name == "cpu" else quantity.from_value(number)
        for name, number in amounts.items()
    }


def _bounds(item: Mapping[str, Any], requests: _Amounts, limits: _Amounts) -> Iterator[str]:
    type_ = item["type"]
    for name, bound in _parsed(item.get("min")).items():
        yield from _least(type_, name, bound, requests.get(name), limits.get(name))
    for name, bound in _parsed(item.get("max")).items():
        yield from _most(type_, name, bound, requests.get(name), limits.get(name))
    for name, bound in _parsed(item.get("maxLimitRequestRatio")).items():
        yield from _ratio(type_, name, bound, requests.get(name), limits.get(name))


def _least(type_: str, name: str, bound: Quantity, request: Quantity | None, limit: Quantity | None) -> Iterator[str]:
    least = f"minimum {name} usage per {type_} is {bound}"
    if request is None:
        yield f"{least}.  No request is specified"
    elif request < bound:
        yield f"{least}, but request is {request}"
    elif limit is not None and limit < bound:
        yield f"{least}, but limit is {limit}"


def _most(type_: str, name: str, bound: Quantity, request: Quantity | None, limit: Quantity | None) -> Iterator[str]:
    most = f"maximum {name} usage per {type_} is {bound}"
    if limit is None:
        yield f"{most}.  No limit is specified"
    elif limit > bound:
        yield f"{most}, but limit is {limit}"
    elif request is not None and request > bound:
        yield f"{most}, but request is {request}"


def _ratio(type_: str, name: str, bound: Quantity, request: Quantity | None, limit: Quantity | None) -> Iterator[str]:
    said = f"{name} max limit to request ratio per {type_} is {bound}"
    if not request:
        yield f"{said}, but no request is specified or request is 0"
    elif not limit:
        yield f"{said}, but no limit is specified or limit is 0"
    else:
        ratio = limit.nanos / request.nanos
        if ratio > bound.nanos / 10**9:
            yield f"{said}, but provided ratio is {ratio:f}"
