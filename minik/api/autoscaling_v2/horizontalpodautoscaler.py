"""HorizontalPodAutoscaler, autoscaling/v2: as many replicas of a target as its metrics ask for.

This is the version that is stored; `autoscaling_v1/horizontalpodautoscaler.py` shows the same objects to older clients. What becomes
of it is `controllers/horizontalpodautoscaler.py`. Defaults: kubernetes `pkg/apis/autoscaling/v2/defaults.go`; columns: its printers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from minik.api import columns
from minik.api.autoscaling_v2.validation import validate, validate_status
from minik.api.columns import UNKNOWN, UNSET, column
from minik.api.kind import Column, Kind, status_of
from minik.api.meta import Obj, ROObj

RESOURCE = "horizontalpodautoscalers.autoscaling"
DEFAULT_CPU_UTILIZATION = 80
_SHOWN_METRICS = 2

_SCALE_UP: Obj = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
_SCALE_DOWN: Obj = {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}


def cpu_metric(utilization: int = DEFAULT_CPU_UTILIZATION) -> Obj:
    """The metric of who names none, and of autoscaling/v1's only field for one."""
    target = {"type": "Utilization", "averageUtilization": utilization}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


def default(hpa: Obj) -> None:
    spec = hpa.setdefault("spec", {})
    if not spec.get("metrics"):
        spec["metrics"] = [cpu_metric()]
    default_behavior(spec)


def default_behavior(spec: Obj) -> None:
    """Both directions have whole rules once one of them has any."""
    if spec.get("behavior") is None:
        return
    behavior = spec["behavior"] = dict(spec["behavior"])
    for direction, rules in (("scaleUp", _SCALE_UP), ("scaleDown", _SCALE_DOWN)):
        given = {name: value for name, value in (behavior.get(direction) or {}).items() if value is not None}
        copied = {**rules, "policies": [dict(policy) for policy in rules["policies"]]}
        behavior[direction] = {**copied, **given}


def prepare_create(hpa: Obj) -> None:
    hpa["status"] = {"desiredReplicas": 0}


# --- columns ---------------------------------------------------------------------------------------------------------


def _targets(hpa: ROObj) -> str:
    specs: Sequence[Mapping[str, Any]] = hpa["spec"].get("metrics") or ()
    if not specs:
        return columns.NONE
    statuses: Sequence[Mapping[str, Any]] = (hpa.get("status") or {}).get("currentMetrics") or ()
    shown = [_shown(spec, statuses[i] if i < len(statuses) else {}) for i, spec in enumerate(specs[:_SHOWN_METRICS])]
    text = ", ".join(shown)
    return f"{text} + {len(specs) - len(shown)} more..." if len(specs) > len(shown) else text


def _shown(spec: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    type_ = spec.get("type") or ""
    name = type_[:1].lower() + type_[1:]
    source = spec.get(name) or {}
    target = source.get("target") or {}
    current = (status.get(name) or {}).get("current") or {}
    if name in ("resource", "containerResource"):
        if target.get("averageValue") is not None:
            return f"{source.get('name')}: {current.get('averageValue') or UNKNOWN}/{target['averageValue']}"
        now, wanted = current.get("averageUtilization"), target.get("averageUtilization")
        return f"{source.get('name')}: {UNKNOWN if now is None else f'{now}%'}/{'<auto>' if wanted is None else f'{wanted}%'}"
    if name == "pods":
        return f"{current.get('averageValue') or UNKNOWN}/{target.get('averageValue')}"
    if name in ("object", "external"):
        if target.get("averageValue") is not None:
            return f"{current.get('averageValue') or UNKNOWN}/{target['averageValue']} (avg)"
        return f"{current.get('value') or UNKNOWN}/{target.get('value')}"
    return "<unknown type>"


def _reference(hpa: ROObj) -> str:
    reference = hpa["spec"].get("scaleTargetRef") or {}
    return f"{reference.get('kind', '')}/{reference.get('name', '')}"


def _least(hpa: ROObj) -> str:
    least = hpa["spec"].get("minReplicas")
    return UNSET if least is None else str(least)


def columns_of(view: Callable[[ROObj], ROObj]) -> tuple[Column, ...]:
    """The columns, for objects that `view` makes autoscaling/v2 of."""
    return (
        column("Reference", lambda hpa: _reference(view(hpa))),
        column("Targets", lambda hpa: _targets(view(hpa))),
        column("MinPods", lambda hpa: _least(view(hpa))),
        columns.number("MaxPods", "spec.maxReplicas"),
        columns.number("Replicas", "status.currentReplicas"),
        columns.AGE,
    )


KIND = Kind(
    group="autoscaling",
    version="v2",
    kind="HorizontalPodAutoscaler",
    plural="horizontalpodautoscalers",
    singular="horizontalpodautoscaler",
    namespaced=True,
    schema="io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
    short_names=("hpa",),
    categories=("all",),
    subresources=(status_of("HorizontalPodAutoscaler"),),
    default=default,
    prepare_create=prepare_create,
    validate=validate,
    validate_status=validate_status,
    columns=columns_of(lambda hpa: hpa),
    generation=False,
)
