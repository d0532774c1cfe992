"""What `pods/resize` may change (KEP-1287): cpu and memory of app containers and sidecars, nothing else. Pure.

Called by `server/subresources/pod_parts.py`; the resized pod is validated as a pod besides. Source: kubernetes `ValidatePodResize`.
Memory limits may be lowered and added without a restart, as since 1.34.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.api.core_v1 import pods
from minik.api.errors import Path, field_forbidden, invalid
from minik.api.meta import ROObj
from minik.api.validation import Errors
from minik.api.validation_pod import SPEC

_MUTABLE = ("cpu", "memory")


def validate_pod_resize(new: ROObj, old: ROObj) -> Errors:
    """`new` as it was sent, its defaults filled in."""
    after, before = new.get("spec") or {}, old["spec"]
    if any((spec.get("resources") or {}).get(which) for spec in (after, before) for which in ("requests", "limits")):
        return [field_forbidden(Path(""), "pods with pod-level resources cannot be resized")]
    errors: Errors = []
    for field in ("initContainers", "containers"):
        errors += _same_names(SPEC.child(field), after.get(field) or (), before.get(field) or ())
    if errors:
        return errors
    qos = (old.get("status") or {}).get("qosClass") or pods.qos_class(old)
    if pods.qos_class(new) != qos:
        errors.append(invalid(SPEC, qos, "Pod QOS Class may not change as a result of resizing"))
    for field in ("initContainers", "containers"):
        for number, (mine, theirs) in enumerate(zip(after.get(field) or (), before.get(field) or (), strict=True)):
            is_plain_init = field == "initContainers" and not pods.is_sidecar(theirs)
            errors += _container(SPEC.child(field).index(number), mine, theirs, is_fixed=is_plain_init)
    return errors


def _same_names(path: Path, after: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]]) -> Errors:
    if len(after) != len(before):
        return [field_forbidden(path, "containers may not be added or removed on resize")]
    return [
        field_forbidden(path.index(number).child("name"), "containers may not be renamed or reordered on resize")
        for number, (mine, theirs) in enumerate(zip(after, before, strict=True))
        if mine.get("name") != theirs["name"]
    ]


def _container(path: Path, new: Mapping[str, Any], old: Mapping[str, Any], *, is_fixed: bool) -> Errors:
    after, before = new.get("resources") or {}, old.get("resources") or {}
    if is_fixed:
        changed = _amounts(after) != _amounts(before)
        return [field_forbidden(SPEC, "resources for non-sidecar init containers are immutable")] if changed else []
    errors: Errors = []
    for which in ("requests", "limits"):
        if (before.get(which) or {}).keys() - (after.get(which) or {}).keys():
            errors.append(field_forbidden(path.child("resources").child(which), f"resource {which} cannot be removed"))
    if not errors and _fixed_amounts(after) != _fixed_amounts(before):
        errors.append(field_forbidden(SPEC, "only cpu and memory resources are mutable"))
    return errors


def _amounts(resources: Mapping[str, Any]) -> list[Mapping[str, int]]:
    return [pods.amounts(resources.get(which)) for which in ("requests", "limits")]


def _fixed_amounts(resources: Mapping[str, Any]) -> list[Any]:
    kept = [{name: n for name, n in each.items() if name not in _MUTABLE} for each in _amounts(resources)]
    return [*kept, resources.get("claims")]
