"""RuntimeClass: a new pod that names one gets its overhead and its constraints on nodes; one that does not exist is refused.

Source: kubernetes `plugin/pkg/admission/runtimeclass`. An overhead is the class's alone: a pod may repeat it, and bring none of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik.api import errors, quantity
from minik.api.core_v1 import tolerations
from minik.api.errors import Forbidden
from minik.api.meta import Obj, ROObj
from minik.api.node_v1 import runtimeclass
from minik.server.core import Attributes, Core


def admit_runtime_class(core: Core, draft: Obj, attributes: Attributes) -> None:
    if attributes.kind.resource != "pods" or attributes.verb != "create" or attributes.subresource:
        return
    spec = draft.get("spec")
    if not isinstance(spec, dict):
        return
    found: ROObj = {}
    name = spec.get("runtimeClassName")
    if name is not None:
        entry = core.cache.get(runtimeclass.KIND.key("", name))
        if entry is None:
            raise _refused(attributes, f'pod rejected: RuntimeClass "{name}" not found')
        found = entry.obj
    _overhead(spec, found.get("overhead"), attributes)
    if found.get("scheduling"):
        _scheduling(spec, found["scheduling"], attributes)


def _refused(attributes: Attributes, why: str) -> Forbidden:
    return errors.forbidden("pods", "", attributes.name, why)


def _overhead(spec: Obj, overhead: ROObj | None, attributes: Attributes) -> None:
    own = spec.get("overhead")
    if overhead is None:
        if own:
            why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
            raise _refused(attributes, why)
        return
    fixed = overhead.get("podFixed") or {}
    if own and _amounts(own) != _amounts(fixed):
        why = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"
        raise _refused(attributes, why)
    if fixed:
        spec["overhead"] = dict(fixed)


def _amounts(resources: Mapping[str, Any]) -> dict[str, quantity.Quantity]:
    return {name: quantity.parse(text) for name, text in resources.items()}


def _scheduling(spec: Obj, scheduling: ROObj, attributes: Attributes) -> None:
    wanted = scheduling.get("nodeSelector") or {}
    own = spec.get("nodeSelector") or {}
    for key, value in wanted.items():
        if own.get(key, value) != value:
            why = (
                f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
                f"pod.spec.nodeSelector[{key}] = {own[key]}"
            )
            raise _refused(attributes, why)
    if wanted:
        spec["nodeSelector"] = {**own, **wanted}
    if scheduling.get("tolerations"):
        both = tolerations.merged(spec.get("tolerations") or (), scheduling["tolerations"])
        spec["tolerations"] = [dict(each) for each in both]
