"""HorizontalPodAutoscaler, autoscaling/v1: the stored autoscaling/v2 objects as older clients know them.

What v1 has no field for it keeps in annotations, so that nothing is lost on the way there and back (kubernetes
`pkg/apis/autoscaling/v1/conversion.go`). `stored` and `shown` are the two ways; the server calls them through `Kind.other`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from minik.api.autoscaling_v2 import horizontalpodautoscaler as v2
from minik.api.autoscaling_v2 import validation
from minik.api.errors import FieldError, Path, invalid
from minik.api.kind import Kind, OtherVersion, status_of
from minik.api.meta import Obj, ROObj
from minik.api.schema import SchemaError, schema_of

METRICS = "autoscaling.alpha.kubernetes.io/metrics"
CURRENT = "autoscaling.alpha.kubernetes.io/current-metrics"
CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"
_OURS = (METRICS, CURRENT, CONDITIONS, BEHAVIOR)


def shown(hpa: ROObj) -> Obj:
    """autoscaling/v2 → v1."""
    spec, status = hpa.get("spec") or {}, hpa.get("status") or {}
    metrics = spec.get("metrics") or ()
    found: Obj = {"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler"}
    kept: dict[str, Any] = {
        METRICS: [metric for metric in metrics if _cpu_utilization(metric, "target") is None],
        CURRENT: status.get("currentMetrics"),
        CONDITIONS: status.get("conditions"),
        BEHAVIOR: spec.get("behavior"),
    }
    annotations = {k: v for k, v in (hpa["metadata"].get("annotations") or {}).items() if k not in _OURS}
    annotations |= {name: orjson.dumps(value).decode() for name, value in kept.items() if value}
    metadata = {k: v for k, v in hpa["metadata"].items() if k != "annotations"}
    found["metadata"] = {**metadata, "annotations": annotations} if annotations else metadata
    found["spec"] = {k: spec[k] for k in ("scaleTargetRef", "minReplicas", "maxReplicas") if k in spec}
    for metric in metrics:
        utilization = _cpu_utilization(metric, "target")
        if utilization is not None:
            found["spec"]["targetCPUUtilizationPercentage"] = utilization
    found["status"] = {k: status[k] for k in ("observedGeneration", "lastScaleTime") if k in status}
    found["status"] |= {k: status.get(k) or 0 for k in ("currentReplicas", "desiredReplicas")}
    for metric in status.get("currentMetrics") or ():
        utilization = _cpu_utilization(metric, "current")
        if utilization is not None:
            found["status"]["currentCPUUtilizationPercentage"] = utilization
    return found


def stored(hpa: ROObj) -> Obj:
    """autoscaling/v1 → v2. Annotations that do not hold what they should count for nothing (`validate` refuses them)."""
    annotations = hpa["metadata"].get("annotations") or {}
    others = {k: v for k, v in annotations.items() if k not in _OURS}
    metadata = {k: v for k, v in hpa["metadata"].items() if k != "annotations"}
    try:
        spec, status = _spec_and_status(hpa, annotations)
    except SchemaError:
        spec, status = _spec_and_status(hpa, {})
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {**metadata, "annotations": others} if others else metadata,
        "spec": spec,
        "status": status,
    }


def _spec_and_status(hpa: ROObj, annotations: Mapping[str, str]) -> tuple[Obj, Obj]:
    """Of autoscaling/v2. Raises SchemaError if an annotation is not of the right shape."""
    spec, status = hpa.get("spec") or {}, hpa.get("status") or {}
    new_spec: Obj = {k: spec[k] for k in ("scaleTargetRef", "minReplicas", "maxReplicas") if k in spec}
    utilization = spec.get("targetCPUUtilizationPercentage")
    metrics = [v2.cpu_metric(utilization)] if utilization is not None else []
    metrics += _list(annotations.get(METRICS))
    new_spec["metrics"] = metrics or [v2.cpu_metric()]
    behavior = _read(annotations.get(BEHAVIOR))
    if isinstance(behavior, dict) and behavior:
        new_spec["behavior"] = behavior
        v2.default_behavior(new_spec)
    names = ("observedGeneration", "lastScaleTime", "currentReplicas", "desiredReplicas")
    new_status: Obj = {k: status[k] for k in names if k in status}
    current = _list(annotations.get(CURRENT))
    if not current and status.get("currentCPUUtilizationPercentage") is not None:
        now = {"averageUtilization": status["currentCPUUtilizationPercentage"]}
        current = [{"type": "Resource", "resource": {"name": "cpu", "current": now}}]
    if current:
        new_status["currentMetrics"] = current
    conditions = _list(annotations.get(CONDITIONS))
    if conditions:
        new_status["conditions"] = conditions
    clean = schema_of(v2.KIND.schema).decode({"spec": new_spec, "status": new_status}).obj
    return clean["spec"], clean["status"]


def _cpu_utilization(metric: Mapping[str, Any], part: str) -> int | None:
    """The percentage of a cpu resource metric (`part`: target or current); None for any other metric."""
    resource = metric.get("resource") or {}
    if metric.get("type") != "Resource" or resource.get("name") != "cpu":
        return None
    found: int | None = (resource.get(part) or {}).get("averageUtilization")
    return found


def _read(text: str | None) -> Any:
    try:
        return orjson.loads(text) if text else None
    except orjson.JSONDecodeError:
        return None


def _list(text: str | None) -> list[Obj]:
    value = _read(text)
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _keep(names: Sequence[str], draft: Obj, old: ROObj) -> None:
    """Put back the annotations `names` as they were."""
    before = old["metadata"].get("annotations") or {}
    given = draft["metadata"].get("annotations") or {}
    annotations = {k: v for k, v in given.items() if k not in names} | {k: before[k] for k in names if k in before}
    draft["metadata"] = {**draft["metadata"], "annotations": annotations}
    if not annotations:
        del draft["metadata"]["annotations"]


def prepare_create(hpa: Obj) -> None:
    hpa["status"] = {"currentReplicas": 0, "desiredReplicas": 0}
    _keep((CURRENT, CONDITIONS), hpa, {"metadata": {}})


def prepare_update(draft: Obj, old: ROObj) -> None:
    """The status is the old one, also where it stands in annotations."""
    _keep((CURRENT, CONDITIONS), draft, old)


def keep_spec(draft: Obj, old: ROObj) -> None:
    _keep((METRICS, BEHAVIOR), draft, old)


def validate(hpa: ROObj) -> Sequence[FieldError]:
    """As v2, of what it is stored as; and annotations must be readable."""
    at = Path("metadata").child("annotations")
    annotations = hpa["metadata"].get("annotations") or {}
    found = [
        invalid(at.key(name), text, "must be the JSON of autoscaling/v2")
        for name, text in annotations.items()
        if name in _OURS and _read(text) is None
    ]
    try:
        _spec_and_status(hpa, annotations)
    except SchemaError as error:
        found.append(invalid(at, "", error.message))
    return [*found, *validation.validate(stored(hpa))]


KIND = Kind(
    group="autoscaling",
    version="v1",
    kind="HorizontalPodAutoscaler",
    plural="horizontalpodautoscalers",
    singular="horizontalpodautoscaler",
    namespaced=True,
    schema="io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler",
    short_names=("hpa",),
    categories=("all",),
    subresources=(status_of("HorizontalPodAutoscaler"),),
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_status=validation.validate_status,
    columns=v2.columns_of(stored),
    generation=False,
    other=OtherVersion(shown=shown, stored=stored, keep_spec=keep_spec),
)
