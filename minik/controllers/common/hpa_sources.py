"""Where an autoscaler reads metrics: metrics.k8s.io, custom.metrics.k8s.io and external.metrics.k8s.io, through the API server.

Called by `horizontalpodautoscaler.py`. The first is served by minik itself; the others by whoever serves them through the API server,
and if nobody does, `MetricError` says so in upstream's words. Values are in thousandths. Source: kubernetes
`pkg/controller/podautoscaler/metrics/client.go` and the clients of k8s.io/metrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

from minik.api import meta, quantity, selectors, times
from minik.api.errors import NotFound, StatusError
from minik.api.meta import ROObj
from minik.client.client import Client
from minik.controllers.common.hpa_metrics import MetricError, PodMetric, PodMetrics

PODS = "pods.metrics.k8s.io"
_CUSTOM = "/apis/custom.metrics.k8s.io"
_CUSTOM_VERSIONS = ("v1beta2", "v1beta1")
_EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1"
_WINDOW = 60.0
"""Seconds; of a custom metric that names none."""

Reading: TypeAlias = PodMetrics | int | MetricError
"""Values by pod, one value, or why there is none."""


async def read_metric(client: Client, metric: Mapping[str, Any], namespace: str, selector: str) -> Reading:
    """The present value of one entry of an autoscaler's `spec.metrics`. `selector`: of its pods."""
    try:
        match metric.get("type"):
            case "Resource":
                return await _resource(client, namespace, selector, metric["resource"]["name"])
            case "ContainerResource":
                source = metric["containerResource"]
                return await _resource(client, namespace, selector, source["name"], source["container"])
            case "Pods":
                return await _pods(client, namespace, selector, metric["pods"]["metric"])
            case "Object":
                return await _object(client, namespace, metric["object"])
            case "External":
                return await _external(client, namespace, metric["external"]["metric"])
    except MetricError as error:
        return error
    return MetricError(f'unknown metric source type "{metric.get("type")}"')


# --- metrics.k8s.io --------------------------------------------------------------------------------------------------


async def _resource(client: Client, namespace: str, selector: str, resource: str, container: str = "") -> PodMetrics:
    try:
        found = (await client.list(PODS, namespace, label_selector=selector)).items
    except StatusError as error:
        raise MetricError(f"unable to fetch metrics from resource metrics API: {error}") from error
    if not found:
        raise MetricError("no metrics returned from resource metrics API")
    return container_metrics(found, resource, container) if container else pod_metrics(found, resource)


def pod_metrics(found: Iterable[ROObj], resource: str) -> dict[str, PodMetric]:
    """Sums over the containers of each PodMetrics; a pod with a container that lacks the resource is left out."""
    values: dict[str, PodMetric] = {}
    for pod in found:
        used = [container["usage"].get(resource) for container in pod.get("containers") or ()]
        if used and None not in used:
            values[meta.name(pod)] = _metric(pod, sum(quantity.parse(text).milli() for text in used))
    return values


def container_metrics(found: Iterable[ROObj], resource: str, container: str) -> dict[str, PodMetric]:
    """The values of the one container. Raises MetricError if a pod has none of that name."""
    values: dict[str, PodMetric] = {}
    for pod in found:
        mine = next((each for each in pod.get("containers") or () if each["name"] == container), None)
        if mine is None:
            where = f"{meta.namespace(pod)}/{meta.name(pod)}"
            why = f"container {container} not present in metrics for pod {where}"
            raise MetricError(f"failed to get container metrics: {why}")
        if resource in mine["usage"]:
            values[meta.name(pod)] = _metric(pod, quantity.parse(mine["usage"][resource]).milli())
    return values


def _metric(pod: ROObj, value: int) -> PodMetric:
    return PodMetric(value, times.parse_time(pod["timestamp"]), times.parse_duration(pod["window"]))


# --- custom.metrics.k8s.io -------------------------------------------------------------------------------------------


async def _pods(client: Client, namespace: str, selector: str, metric: Mapping[str, Any]) -> PodMetrics:
    path = f"namespaces/{namespace}/pods/*/{metric['name']}"
    query = {"labelSelector": selector, "metricLabelSelector": selectors_text(metric.get("selector"))}
    found = await _custom(client, path, query)
    values: dict[str, PodMetric] = {}
    for each in found:
        seconds = each.get("windowSeconds")
        values[each["describedObject"]["name"]] = PodMetric(
            _milli(each), _moment(each), _WINDOW if seconds is None else float(seconds)
        )
    return values


async def _object(client: Client, namespace: str, source: Mapping[str, Any]) -> int:
    reference, metric = source["describedObject"], source["metric"]
    group, version = meta.parse_api_version(reference.get("apiVersion") or "")
    if reference["kind"] == "Namespace" and not group:
        path = f"namespaces/{namespace}/metrics/{metric['name']}"  # its own one, whatever name is given
    else:
        kind = client.registry.by_kind(group, version, reference["kind"])
        plural = kind.resource if kind is not None else f"{reference['kind'].lower()}s" + (f".{group}" if group else "")
        path = f"namespaces/{namespace}/{plural}/{reference['name']}/{metric['name']}"
    found = await _custom(client, path, {"metricLabelSelector": selectors_text(metric.get("selector"))})
    if len(found) != 1:
        raise MetricError(
            "unable to fetch metrics from custom metrics API: the custom metrics API server returned "
            f"{len(found)} results when we asked for exactly one"
        )
    return _milli(found[0])


async def _custom(client: Client, path: str, query: Mapping[str, str]) -> list[ROObj]:
    error: StatusError | None = None
    for version in _CUSTOM_VERSIONS:
        try:
            answer = await client.transport.request("GET", f"{_CUSTOM}/{version}/{path}", query=_given(query))
            return _items(answer, "custom")
        except NotFound as why:
            error = error or why
        except StatusError as why:
            raise MetricError(f"unable to fetch metrics from custom metrics API: {why}") from why
    is_served = await _is_served(client, _CUSTOM)
    why_not = error if is_served else "no custom metrics API (custom.metrics.k8s.io) registered"
    raise MetricError(f"unable to fetch metrics from custom metrics API: {why_not}")


async def _is_served(client: Client, path: str) -> bool:
    try:
        await client.transport.request("GET", path)
    except StatusError:
        return False
    return True


# --- external.metrics.k8s.io -----------------------------------------------------------------------------------------


async def _external(client: Client, namespace: str, metric: Mapping[str, Any]) -> int:
    """The sum of all values."""
    path = f"{_EXTERNAL}/namespaces/{namespace}/{metric['name']}"
    query = {"labelSelector": selectors_text(metric.get("selector"))}
    try:
        found = _items(await client.transport.request("GET", path, query=_given(query)), "external")
    except StatusError as error:
        where = f" (get {metric['name']}.external.metrics.k8s.io)" if isinstance(error, NotFound) else ""
        raise MetricError(f"unable to fetch metrics from external metrics API: {error}{where}") from error
    return min(2**63 - 1, sum(_milli(each) for each in found))


def _items(answer: ROObj, api: str) -> list[ROObj]:
    found = list(answer.get("items") or ())
    if not found:
        raise MetricError(f"no metrics returned from {api} metrics API")
    return found


def _milli(value: ROObj) -> int:
    return quantity.parse(value["value"]).milli()


def _moment(value: ROObj) -> datetime:
    return times.parse_time(value["timestamp"])


def _given(query: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in query.items() if text}


def selectors_text(selector: Mapping[str, Any] | None) -> str:
    """A LabelSelector as a query parameter; none selects everything."""
    return str(selectors.from_label_selector(selector)) if selector else ""
