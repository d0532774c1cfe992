"""What one metric of an autoscaler says: how many replicas, its line in `status.currentMetrics`, or why not. Pure.

Called by `hpa_plan.py` for each metric; the numbers come from `hpa_metrics.py`, the words are upstream's (kubernetes
`pkg/controller/podautoscaler/horizontal.go`, computeReplicasForMetric).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from minik.api import quantity
from minik.api.meta import Obj, ROObj
from minik.controllers.common import hpa_metrics
from minik.controllers.common.hpa_metrics import MetricError, Proposal, Tolerances
from minik.controllers.common.hpa_sources import Reading

NO_STATUS: Obj = {"type": ""}
"""The place of a metric without a value in `status.currentMetrics`."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is scaled: its Scale's replicas, and the pods of its selector."""

    namespace: str
    replicas: int
    status_replicas: int
    pods: Sequence[ROObj]


@dataclass(frozen=True, slots=True)
class Outcome:
    """`name`: of the metric, as messages have it."""

    replicas: int
    name: str
    status: Obj


@dataclass(frozen=True, slots=True)
class Failure:
    """`reason` and `cause`: of the event and the condition; `message`: of the whole."""

    reason: str
    cause: str
    message: str


def propose(
    metric: Mapping[str, Any], reading: Reading, target: Target, *, tolerances: Tolerances, now: datetime
) -> Outcome | Failure:
    match metric.get("type"):
        case "Resource":
            return _resource(metric, "resource", reading, target, tolerances, now)
        case "ContainerResource":
            return _resource(metric, "containerResource", reading, target, tolerances, now)
        case "Pods":
            return _pods(metric["pods"], reading, target, tolerances, now)
        case "Object":
            return _object(metric["object"], reading, target, tolerances)
        case "External":
            return _external(metric["external"], reading, target, tolerances)
    why = f'unknown metric source type "{metric.get("type")}"'
    return Failure("InvalidMetricSourceType", why, why)


def _resource(
    metric: Mapping[str, Any], field: str, reading: Reading, target: Target, tolerances: Tolerances, now: datetime
) -> Outcome | Failure:
    source = metric[field]
    name, container = source["name"], source.get("container") or ""
    wanted = source["target"]
    is_value = wanted.get("averageValue") is not None
    try:
        values = _by_pod(reading, f"unable to get metrics for resource {name}")
        if is_value:
            most = quantity.parse(wanted["averageValue"]).milli()
            found = hpa_metrics.plain_replicas(
                target.replicas, most, name, values, target.pods, tolerances=tolerances, now=now
            )
        else:
            found = hpa_metrics.resource_replicas(
                target.replicas, wanted["averageUtilization"], name, values, target.pods, tolerances=tolerances, now=now,
                container=container,
            )  # fmt: skip
    except MetricError as error:
        cause = f"failed to get {name} {'usage' if is_value else 'utilization'}: {error}"
        if container:
            whole = f"failed to get {container} container metric value: {cause}"
            return Failure("FailedGetContainerResourceMetric", cause, whole)
        return Failure("FailedGetResourceMetric", cause, f"failed to get {name} resource metric value: {cause}")
    current: Obj = {"averageValue": _text(found.value)}
    if found.utilization is not None:
        current["averageUtilization"] = found.utilization
    status: Obj = {"name": name, "current": current}
    if container:
        status["container"] = container
    said = f"{name} resource"
    if not is_value:
        said = f"{name} {'container ' if container else ''}resource utilization (percentage of request)"
    return Outcome(found.replicas, said, {"type": metric["type"], field: status})


def _pods(
    source: Mapping[str, Any], reading: Reading, target: Target, tolerances: Tolerances, now: datetime
) -> Outcome | Failure:
    name = source["metric"]["name"]
    most = quantity.parse(source["target"]["averageValue"]).milli()
    try:
        values = _by_pod(reading, f"unable to get metric {name}")
        found = hpa_metrics.plain_replicas(
            target.replicas, most, "", values, target.pods, tolerances=tolerances, now=now
        )
    except MetricError as error:
        return Failure("FailedGetPodsMetric", str(error), f"failed to get pods metric value: {error}")
    status = {"metric": _identifier(source["metric"]), "current": {"averageValue": _text(found.value)}}
    return Outcome(found.replicas, f"pods metric {name}", {"type": "Pods", "pods": status})


def _object(source: Mapping[str, Any], reading: Reading, target: Target, tolerances: Tolerances) -> Outcome | Failure:
    name, described, wanted = source["metric"]["name"], source["describedObject"], source["target"]
    is_average = wanted.get("type") == "AverageValue" and wanted.get("averageValue") is not None
    try:
        if not is_average and wanted.get("value") is None:
            raise MetricError(
                "invalid object metric source: neither a value target nor an average value target was set"
            )
        if isinstance(reading, MetricError):
            where = f"{described['kind']} {target.namespace}/{described['name']}"
            raise MetricError(f"unable to get metric {name}: {reading} on {where}")
        found = _whole(wanted, is_average, reading, target, tolerances)
    except MetricError as error:
        detail = f"failed to get {name} object metric: {error}" if is_average else str(error)
        return Failure("FailedGetObjectMetric", str(error), f"failed to get object metric value: {detail}")
    status = {"metric": _identifier(source["metric"]), "describedObject": described}
    status["current"] = {"averageValue" if is_average else "value": _text(found.value)}
    said = f"external metric {_shown(source['metric'])}" if is_average else f"{described['kind']} metric {name}"
    return Outcome(found.replicas, said, {"type": "Object", "object": status})


def _external(source: Mapping[str, Any], reading: Reading, target: Target, tolerances: Tolerances) -> Outcome | Failure:
    name, wanted = source["metric"]["name"], source["target"]
    is_average = wanted.get("averageValue") is not None
    try:
        if isinstance(reading, MetricError):
            where = f"{target.namespace}/{name}/{_selector(source['metric'].get('selector'))}"
            raise MetricError(f"unable to get external metric {where}: {reading}")
        found = _whole(wanted, is_average, reading, target, tolerances)
    except MetricError as error:
        detail = f"{name} external metric" if is_average else f"external metric {name}"
        whole = f"failed to get {name} external metric value: failed to get {detail}: {error}"
        return Failure("FailedGetExternalMetric", str(error), whole)
    current = {"averageValue" if is_average else "value": _text(found.value)}
    status = {"metric": _identifier(source["metric"]), "current": current}
    return Outcome(
        found.replicas, f"external metric {_shown(source['metric'])}", {"type": "External", "external": status}
    )


def _whole(
    wanted: Mapping[str, Any], is_average: bool, reading: Reading, target: Target, tolerances: Tolerances
) -> Proposal:
    assert isinstance(reading, int)
    if is_average:
        most = quantity.parse(wanted["averageValue"]).milli()
        return hpa_metrics.per_pod_replicas(target.status_replicas, most, reading, tolerances=tolerances)
    most = quantity.parse(wanted["value"]).milli()
    return hpa_metrics.value_replicas(target.replicas, most, reading, target.pods, tolerances=tolerances)


def _by_pod(reading: Reading, failed: str) -> hpa_metrics.PodMetrics:
    if isinstance(reading, MetricError):
        raise MetricError(f"{failed}: {reading}")
    assert not isinstance(reading, int)
    return reading


def _text(milli: int) -> str:
    return str(quantity.from_milli(milli))


def _identifier(metric: Mapping[str, Any]) -> Obj:
    return {k: metric[k] for k in ("name", "selector") if metric.get(k) is not None}


def _shown(metric: Mapping[str, Any]) -> str:
    return f"{metric['name']}({_selector(metric.get('selector'))})"


def _selector(selector: Mapping[str, Any] | None) -> str:
    """As Go prints a *LabelSelector with %+v."""
    if selector is None:
        return "nil"
    labels = "".join(f"{k}: {v}," for k, v in sorted((selector.get("matchLabels") or {}).items()))
    expressions = "".join(
        f"LabelSelectorRequirement{{Key:{e['key']},Operator:{e['operator']},Values:[{' '.join(e.get('values') or ())}],}},"
        for e in selector.get("matchExpressions") or ()
    )
    return (
        f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},"
        f"MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
