"""Validation of resource lists: names, quantities, requests against limits (core validation, validateResourceRequirements)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from minik.api import quantity
from minik.api.errors import FieldError, Path, field_forbidden, invalid, not_supported, required, show
from minik.api.quantity import Quantity, QuantityError
from minik.api.validation import NOT_NEGATIVE, Errors, check_name
from minik.api.validation_names import dns_label, qualified_name

HUGE_PAGES = "hugepages-"
_CONTAINER = ("cpu", "memory", "ephemeral-storage")
_STANDARD = (
    *_CONTAINER, "requests.cpu", "requests.memory", "requests.ephemeral-storage", "limits.cpu", "limits.memory",
    "limits.ephemeral-storage", "pods", "resourcequotas", "services", "replicationcontrollers", "secrets",
    "persistentvolumeclaims", "configmaps", "storage", "requests.storage", "services.nodeports", "services.loadbalancers",
)  # fmt: skip
_WHOLE = ("pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps",
          "persistentvolumeclaims", "services.nodeports", "services.loadbalancers")  # fmt: skip


def _is_standard(name: str) -> bool:
    return name in _STANDARD or name.startswith((HUGE_PAGES, "requests." + HUGE_PAGES))


def is_quota_name(name: str) -> bool:
    """Whether a quota may limit this resource of Kubernetes' own (IsStandardQuotaResourceName)."""
    return name != "storage" and _is_standard(name)


def standard_resource_name(errors: Errors, path: Path, name: str) -> None:
    """A name that resource lists outside containers may use (validateResourceName)."""
    before = len(errors)
    check_name(errors, path, name, qualified_name)
    if len(errors) == before and "/" not in name and not _is_standard(name):
        errors.append(invalid(path, name, "must be a standard resource type or fully qualified"))


def is_native(name: str) -> bool:
    """Kubernetes' own: without a prefix or with one of `kubernetes.io/`."""
    return "/" not in name or "kubernetes.io/" in name


def is_extended(name: str) -> bool:
    return not is_native(name) and not name.startswith("requests.") and not qualified_name("requests." + name)


def can_overcommit(name: str) -> bool:
    return is_native(name) and not name.startswith(HUGE_PAGES)


def container_resource_name(errors: Errors, path: Path, name: str) -> None:
    before = len(errors)
    check_name(errors, path, name, qualified_name)
    if len(errors) > before:
        return
    if "/" not in name:
        if name in _CONTAINER or name.startswith(HUGE_PAGES):
            return
        if not _is_standard(name):
            errors.append(invalid(path, name, "must be a standard resource type or fully qualified"))
        errors.append(invalid(path, name, "must be a standard resource for containers"))
    elif not is_native(name) and not is_extended(name):
        errors.append(invalid(path, name, "doesn't follow extended resource name standard"))


def quantity_value(errors: Errors, path: Path, name: str, text: Any) -> Quantity | None:
    """The parsed quantity if it is one; not negative, and whole where only whole numbers make sense."""
    try:
        parsed = quantity.parse(text)
    except QuantityError as error:
        errors.append(invalid(path, text, str(error)))
        return None
    if parsed.nanos < 0:
        errors.append(invalid(path, str(parsed), NOT_NEGATIVE))
    if (name in _WHOLE or is_extended(name)) and parsed.nanos % 10**9:
        errors.append(invalid(path, str(parsed), "must be an integer"))
    return parsed


def _huge_page(errors: Errors, path: Path, name: str, value: Quantity) -> None:
    try:
        size = quantity.parse(name[len(HUGE_PAGES) :]).value()
    except QuantityError:
        size = 0
    if size <= 0 or value.value() < size or value.value() % size:
        errors.append(invalid(path, str(value), f"{value} is not positive integer multiple of {name}"))


def resource_requirements(
    errors: Errors, path: Path, resources: Mapping[str, Any] | None, claim_names: Collection[str] = ()
) -> None:
    """core/v1 ResourceRequirements of a container."""
    if not resources:
        return
    limits_path, requests_path = path.child("limits"), path.child("requests")
    huge = False
    limits: dict[str, Quantity] = {}
    for name, text in (resources.get("limits") or {}).items():
        at = limits_path.key(name)
        container_resource_name(errors, at, name)
        value = quantity_value(errors, at, name, text)
        if value is None:
            continue
        limits[name] = value
        if name.startswith(HUGE_PAGES):
            huge = True
            _huge_page(errors, at, name, value)
    requests = resources.get("requests") or {}
    for name, text in requests.items():
        at = requests_path.key(name)
        container_resource_name(errors, at, name)
        value = quantity_value(errors, at, name, text)
        if value is None:
            continue
        limit = limits.get(name)
        if limit is not None:
            if value != limit and not can_overcommit(name):
                errors.append(invalid(requests_path, str(value), f"must be equal to {name} limit of {limit}"))
            elif value > limit:
                why = f"must be less than or equal to {name} limit of {limit}"
                errors.append(invalid(requests_path, str(value), why))
        elif not can_overcommit(name):
            errors.append(required(limits_path, "Limit must be set for non overcommitable resources"))
        if name.startswith(HUGE_PAGES):
            huge = True
            _huge_page(errors, at, name, value)
    if huge and not any(name in limits or name in requests for name in ("cpu", "memory")):
        errors.append(field_forbidden(path, "HugePages require cpu or memory"))
    _claims(errors, path.child("claims"), resources, claim_names)


def _claims(errors: Errors, path: Path, resources: Mapping[str, Any], known: Collection[str]) -> None:
    seen: set[str] = set()
    for number, claim in enumerate(resources.get("claims") or ()):
        at, name = path.index(number), claim.get("name") or ""
        if not name:
            errors.append(required(at))
            continue
        key = name
        if claim.get("request"):
            check_name(errors, at.child("request"), claim["request"], dns_label)
            key = f"{name}/{claim['request']}"
        if key in seen or name in seen:
            errors.append(FieldError("FieldValueDuplicate", at, f"Duplicate value: {show(key)}"))
        seen.add(key)
        if name not in known:
            why = "must be one of the names in pod.spec.resourceClaims"
            why += ": " + ", ".join(sorted(known)) if known else " which is empty"
            errors.append(FieldError("FieldValueNotFound", at, f"Not found: {show(name)}: {why}"))


def pod_resources(errors: Errors, path: Path, resources: Mapping[str, Any] | None) -> None:
    """Resources of a whole pod (KEP-2837): cpu, memory and huge pages only, no claims."""
    if not resources:
        return
    if resources.get("claims") is not None:
        errors.append(field_forbidden(path.child("claims"), "claims cannot be set for Resources at pod-level"))
    for which in ("limits", "requests"):
        for name in resources.get(which) or ():
            if name not in ("cpu", "memory") and not name.startswith(HUGE_PAGES):
                errors.append(not_supported(path.child(which).key(name), name, ("cpu", "hugepages-", "memory")))
    resource_requirements(errors, path, {k: v for k, v in resources.items() if k != "claims"})
