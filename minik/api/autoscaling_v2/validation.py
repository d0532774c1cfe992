"""What makes a HorizontalPodAutoscaler valid. Called by the kinds of both versions, with the object as autoscaling/v2 has it.

Rules and texts: kubernetes `pkg/apis/autoscaling/validation`. minReplicas 0 is allowed with an Object or External metric (upstream:
the gate HPAScaleToZero).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from minik.api import quantity
from minik.api.errors import FieldError, Path, field_forbidden, invalid, not_supported, required
from minik.api.meta import ROObj
from minik.api.quantity import ZERO, QuantityError
from minik.api.validation import Errors, check_name, label_selector, non_negative, path_segment

FIELDS = {
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}
"""Type of a metric → the field that describes it."""
MAX_PERIOD_SECONDS = 1800
MAX_STABILIZATION_SECONDS = 3600
_SELECT = ("Disabled", "Max", "Min")
_POLICIES = ("Percent", "Pods")
_TARGETS = ("Utilization", "Value", "AverageValue")
_SPEC = Path("spec")
_POSITIVE = "must be greater than zero"

Part = Mapping[str, Any]


def validate(hpa: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    spec = hpa.get("spec") or {}
    least, most = spec.get("minReplicas"), spec.get("maxReplicas") or 0
    non_negative(errors, _SPEC.child("minReplicas"), least)
    at = _SPEC.child("maxReplicas")
    if most < 1:
        errors.append(invalid(at, most, "must be greater than 0"))
    if least is not None and most < least:
        errors.append(invalid(at, most, "must be greater than or equal to `minReplicas`"))
    _reference(errors, _SPEC.child("scaleTargetRef"), spec.get("scaleTargetRef") or {})
    metrics = spec.get("metrics") or ()
    for number, metric in enumerate(metrics):
        _metric(errors, _SPEC.child("metrics").index(number), metric)
    if least == 0 and not any(metric.get("type") in ("Object", "External") for metric in metrics):
        why = "must specify at least one Object or External metric to support scaling to zero replicas"
        errors.append(field_forbidden(_SPEC.child("metrics"), why))
    behavior = spec.get("behavior") or {}
    for direction in ("scaleUp", "scaleDown"):
        if behavior.get(direction) is not None:
            _rules(errors, _SPEC.child("behavior", direction), behavior[direction])
    return errors


def validate_status(new: ROObj, _old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    status = new.get("status") or {}
    for name in ("currentReplicas", "desiredReplicas"):
        non_negative(errors, Path("status").child(name), status.get(name))
    return errors


def _reference(errors: Errors, path: Path, reference: Part) -> None:
    for name in ("kind", "name"):
        if not reference.get(name):
            errors.append(required(path.child(name)))
        else:
            check_name(errors, path.child(name), reference[name], path_segment)


def _metric(errors: Errors, path: Path, metric: Part) -> None:
    type_ = metric.get("type") or ""
    if not type_:
        errors.append(required(path.child("type"), "must specify a metric source type"))
    if type_ not in FIELDS:
        errors.append(not_supported(path.child("type"), type_, sorted(FIELDS)))
    expected = FIELDS.get(type_, "")
    present = [name for name in _SOURCES if metric.get(name) is not None]
    if present:
        _SOURCES[present[0]](errors, path.child(present[0]), metric[present[0]])
    if expected and expected not in present:
        errors.append(required(path.child(expected), "must populate information for the given metric source"))
    if len(present) != 1:
        for name in present:
            if name != expected:
                errors.append(field_forbidden(path.child(name), "must populate the given metric source only"))


def _object(errors: Errors, path: Path, source: Part) -> None:
    _reference(errors, path.child("describedObject"), source.get("describedObject") or {})
    _identifier(errors, path.child("metric"), source.get("metric") or {})
    target = _target(errors, path, source)
    if target.get("value") is None and target.get("averageValue") is None:
        why = "must set either a target value or averageValue"
        errors.append(required(path.child("target", "averageValue"), why))


def _external(errors: Errors, path: Path, source: Part) -> None:
    _identifier(errors, path.child("metric"), source.get("metric") or {})
    target = _target(errors, path, source)
    if target.get("value") is None and target.get("averageValue") is None:
        why = "must set either a target value for metric or a per-pod target"
        errors.append(required(path.child("target", "averageValue"), why))
    if target.get("value") is not None and target.get("averageValue") is not None:
        why = "may not set both a target value for metric and a per-pod target"
        errors.append(field_forbidden(path.child("target", "value"), why))


def _pods(errors: Errors, path: Path, source: Part) -> None:
    _identifier(errors, path.child("metric"), source.get("metric") or {})
    target = _target(errors, path, source)
    if not _is_positive(target.get("averageValue")):
        errors.append(required(path.child("target", "averageValue"), "must specify a positive target averageValue"))


def _resource(errors: Errors, path: Path, source: Part) -> None:
    if not source.get("name"):
        errors.append(required(path.child("name"), "must specify a resource name"))
    target = _target(errors, path, source)
    utilization, value = target.get("averageUtilization"), target.get("averageValue")
    if utilization is None and value is None:
        why = "must set either a target raw value or a target utilization"
        errors.append(required(path.child("target", "averageUtilization"), why))
    if utilization is not None and value is not None:
        why = "may not set both a target raw value and a target utilization"
        errors.append(field_forbidden(path.child("target", "averageValue"), why))


def _container_resource(errors: Errors, path: Path, source: Part) -> None:
    if not source.get("container"):
        errors.append(required(path.child("container"), "must specify a container"))
    else:
        check_name(errors, path.child("container"), source["container"], path_segment)
    _resource(errors, path, source)


_SOURCES: Mapping[str, Callable[[Errors, Path, Part], None]] = {
    "object": _object,
    "external": _external,
    "pods": _pods,
    "resource": _resource,
    "containerResource": _container_resource,
}


def _identifier(errors: Errors, path: Path, metric: Part) -> None:
    name = metric.get("name")
    if not name:
        errors.append(required(path.child("name"), "must specify a metric name"))
    else:
        check_name(errors, path.child("name"), name, path_segment)
    label_selector(errors, path.child("selector"), metric.get("selector"))


def _target(errors: Errors, path: Path, source: Part) -> Part:
    target: Part = source.get("target") or {}
    at = path.child("target")
    type_ = target.get("type") or ""
    if not type_:
        errors.append(required(at.child("type"), "must specify a metric target type"))
    if type_ not in _TARGETS:
        errors.append(invalid(at.child("type"), type_, "must be either Utilization, Value, or AverageValue"))
    for name in ("value", "averageValue"):
        if target.get(name) is not None and not _is_positive(target[name]):
            errors.append(invalid(at.child(name), target[name], "must be positive"))
    utilization = target.get("averageUtilization")
    if utilization is not None and utilization < 1:
        errors.append(invalid(at.child("averageUtilization"), utilization, "must be greater than 0"))
    return target


def _is_positive(value: str | None) -> bool:
    if value is None:
        return False
    try:
        return quantity.parse(value) > ZERO
    except QuantityError:
        return False


def _rules(errors: Errors, path: Path, rules: Part) -> None:
    window = rules.get("stabilizationWindowSeconds")
    at = path.child("stabilizationWindowSeconds")
    if window is not None and window < 0:
        errors.append(invalid(at, window, "must be greater than or equal to zero"))
    if window is not None and window > MAX_STABILIZATION_SECONDS:
        errors.append(invalid(at, window, f"must be less than or equal to {MAX_STABILIZATION_SECONDS}"))
    select = rules.get("selectPolicy")
    if select is not None and select not in _SELECT:
        errors.append(not_supported(path.child("selectPolicy"), select, _SELECT))
    policies = rules.get("policies") or ()
    if not policies:
        errors.append(required(path.child("policies"), "must specify at least one Policy"))
    for number, policy in enumerate(policies):
        _policy(errors, path.child("policies").index(number), policy)
    tolerance = rules.get("tolerance")
    if tolerance is not None and quantity.parse(tolerance) < ZERO:
        errors.append(invalid(path.child("tolerance"), tolerance, "must be greater than or equal to 0"))


def _policy(errors: Errors, path: Path, policy: Part) -> None:
    type_, value, period = policy.get("type") or "", policy.get("value") or 0, policy.get("periodSeconds") or 0
    if type_ not in _POLICIES:
        errors.append(not_supported(path.child("type"), type_, _POLICIES))
    if value <= 0:
        errors.append(invalid(path.child("value"), value, _POSITIVE))
    if period <= 0:
        errors.append(invalid(path.child("periodSeconds"), period, _POSITIVE))
    if period > MAX_PERIOD_SECONDS:
        errors.append(
            invalid(path.child("periodSeconds"), period, f"must be less than or equal to {MAX_PERIOD_SECONDS}")
        )
