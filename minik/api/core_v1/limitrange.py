"""LimitRange: bounds and defaults for the resources of one namespace's containers, pods and claims.

Applied by `server/admission/limit_ranger.py`. Source of the rules: kubernetes `pkg/apis/core/v1/defaults.go` and
`pkg/apis/core/validation` (ValidateLimitRange).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.api import quantity
from minik.api.columns import column
from minik.api.errors import FieldError, Path, duplicate, field_forbidden, invalid, required
from minik.api.kind import Kind
from minik.api.meta import Obj, ROObj
from minik.api.quantity import Quantity, QuantityError
from minik.api.validation import Errors, check_name
from minik.api.validation_names import qualified_name
from minik.api.validation_resources import can_overcommit, container_resource_name, standard_resource_name

CONTAINER, POD, CLAIM = "Container", "Pod", "PersistentVolumeClaim"
_TYPES = (CONTAINER, POD, CLAIM)
_LISTS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
_ONE = quantity.parse(1)


def default(limit_range: Obj) -> None:
    """What a container's item leaves out: default limits are the maximum, default requests the default limits, else the minimum."""
    for item in (limit_range.get("spec") or {}).get("limits") or ():
        if item.get("type") != CONTAINER:
            continue
        limits = {**(item.get("max") or {}), **(item.get("default") or {})}
        requests = {**(item.get("min") or {}), **limits, **(item.get("defaultRequest") or {})}
        if limits:
            item["default"] = limits
        if requests:
            item["defaultRequest"] = requests


def validate(limit_range: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    seen: set[str] = set()
    path = Path("spec").child("limits")
    for number, item in enumerate((limit_range.get("spec") or {}).get("limits") or ()):
        at, type_ = path.index(number), item.get("type") or ""
        _type(errors, at.child("type"), type_)
        if type_ in seen:
            errors.append(duplicate(at.child("type"), type_))
        seen.add(type_)
        _item(errors, at, item, type_)
    return errors


def _type(errors: Errors, path: Path, type_: str) -> None:
    before = len(errors)
    check_name(errors, path, type_, qualified_name)
    if len(errors) == before and "/" not in type_ and type_ not in _TYPES:
        errors.append(invalid(path, type_, "must be a standard limit type or fully qualified"))


def _item(errors: Errors, path: Path, item: Mapping[str, Any], type_: str) -> None:
    amounts: dict[str, dict[str, Quantity]] = {}
    for which in _LISTS:
        values = item.get(which) or {}
        if type_ == POD and which.startswith("default"):
            if values:
                errors.append(field_forbidden(path.child(which), "may not be specified when `type` is 'Pod'"))
            continue
        parsed = amounts[which] = {}
        for name, text in values.items():
            at = path.child(which).key(name)
            (container_resource_name if type_ in (POD, CONTAINER) else standard_resource_name)(errors, at, name)
            try:
                parsed[name] = quantity.parse(text)
            except QuantityError as error:
                errors.append(invalid(at, text, str(error)))
    if type_ == CLAIM and "storage" not in amounts["min"] and "storage" not in amounts["max"]:
        why = "either minimum or maximum storage value is required, but neither was provided"
        errors.append(required(path.child("limits"), why))
    for name in dict.fromkeys(name for values in amounts.values() for name in values):
        _bounds(errors, path, name, {which: values.get(name) for which, values in amounts.items()})


def _bounds(errors: Errors, path: Path, name: str, of: Mapping[str, Quantity | None]) -> None:
    low, high, limit, request = of["min"], of["max"], of.get("default"), of.get("defaultRequest")
    ratio = of["maxLimitRequestRatio"]

    def wrong(which: str, value: Quantity, why: str) -> None:
        errors.append(invalid(path.child(which).key(name), str(value), why))

    if low is not None and high is not None and low > high:
        wrong("min", low, f"min value {low} is greater than max value {high}")
    if request is not None and low is not None and low > request:
        wrong("defaultRequest", request, f"min value {low} is greater than default request value {request}")
    if request is not None and high is not None and request > high:
        wrong("defaultRequest", request, f"default request value {request} is greater than max value {high}")
    if request is not None and limit is not None and request > limit:
        wrong("defaultRequest", request, f"default request value {request} is greater than default limit value {limit}")
    if limit is not None and low is not None and low > limit:
        wrong("default", low, f"min value {low} is greater than default value {limit}")
    if limit is not None and high is not None and limit > high:
        wrong("default", high, f"default value {limit} is greater than max value {high}")
    if ratio is not None and ratio < _ONE:
        wrong("maxLimitRequestRatio", ratio, f"ratio {ratio} is less than 1")
    if ratio is not None and low is not None and high is not None and low:
        most = high.nanos / low.nanos
        if ratio.nanos / 10**9 > most:
            wrong("maxLimitRequestRatio", ratio, f"ratio {ratio} is greater than max/min = {most:f}")
    if not can_overcommit(name) and limit is not None and request is not None and limit != request:
        why = f"default value {limit} must equal to defaultRequest value {request} in {name}"
        wrong("defaultRequest", request, why)


KIND = Kind(
    group="",
    version="v1",
    kind="LimitRange",
    plural="limitranges",
    singular="limitrange",
    namespaced=True,
    schema="io.k8s.api.core.v1.LimitRange",
    short_names=("limits",),
    default=default,
    validate=validate,
    generation=False,
    columns=(column("Created At", lambda obj: obj["metadata"].get("creationTimestamp") or "", type="date"),),
)
