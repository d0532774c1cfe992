"""Metrics of every type: what they ask for, what stands in the status, and upstream's words when they cannot be had."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from minik.api.builtin import builtin_registry
from minik.api.errors import NotFound, ServiceUnavailable
from minik.api.meta import Obj
from minik.client.client import Client
from minik.controllers.common.hpa_limits import Memory
from minik.controllers.common.hpa_metrics import MetricError, PodMetric, Tolerances
from minik.controllers.common.hpa_plan import Plan, plan_autoscale, tolerances_of
from minik.controllers.common.hpa_propose import Failure, Outcome, Target, propose
from minik.controllers.common.hpa_sources import Reading, read_metric
from tests.unit.controllers.test_hpa_metrics import pod

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
PODS = [pod(0), pod(1)]
TARGET = Target("ns", 2, 2, PODS)
SELECTOR = {"matchLabels": {"queue": "q"}}


def metric(type_: str, field: str, **source: Any) -> Obj:
    return {"type": type_, field: source}


def average(value: str) -> Obj:
    return {"type": "AverageValue", "averageValue": value}


def value(text: str) -> Obj:
    return {"type": "Value", "value": text}


CPU_VALUE = metric("Resource", "resource", name="cpu", target=average("100m"))
CONTAINER = metric(
    "ContainerResource", "containerResource", name="cpu", container="c",
    target={"type": "Utilization", "averageUtilization": 50},
)  # fmt: skip
HITS = metric("Pods", "pods", metric={"name": "hits"}, target=average("10"))
INGRESS = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "main"}
OBJECT = metric("Object", "object", metric={"name": "rps"}, describedObject=INGRESS, target=value("10"))
OBJECT_AVERAGE = metric("Object", "object", metric={"name": "rps"}, describedObject=INGRESS, target=average("10"))
QUEUE = metric("External", "external", metric={"name": "depth", "selector": SELECTOR}, target=value("10"))
QUEUE_AVERAGE = metric("External", "external", metric={"name": "depth"}, target=average("10"))


def by_pod(*values: int) -> Reading:
    return {f"pod-{n}": PodMetric(each, NOW) for n, each in enumerate(values)}


@pytest.mark.parametrize(
    ("spec", "reading", "replicas", "name", "current"),
    [
        (CPU_VALUE, by_pod(300, 100), 4, "cpu resource", {"averageValue": "200m"}),
        (
            CONTAINER, by_pod(900, 700), 4, "cpu container resource utilization (percentage of request)",
            {"averageValue": "800m", "averageUtilization": 80},
        ),
        (HITS, by_pod(20_000, 10_500), 4, "pods metric hits", {"averageValue": "15250m"}),
        (OBJECT, 25_000, 5, "Ingress metric rps", {"value": "25"}),
        (OBJECT_AVERAGE, 50_000, 5, "external metric rps(nil)", {"averageValue": "25"}),
        (
            QUEUE, 30_000, 6,
            "external metric depth(&LabelSelector{MatchLabels:map[string]string{queue: q,},"
            "MatchExpressions:[]LabelSelectorRequirement{},})",
            {"value": "30"},
        ),
        (QUEUE_AVERAGE, 30_000, 3, "external metric depth(nil)", {"averageValue": "15"}),
    ],
)  # fmt: skip
def test_outcomes(spec: Obj, reading: Reading, replicas: int, name: str, current: Obj) -> None:
    found = propose(spec, reading, TARGET, tolerances=Tolerances(), now=NOW)
    assert isinstance(found, Outcome)
    assert (found.replicas, found.name) == (replicas, name)
    assert found.status["type"] == spec["type"]
    (line,) = (part for key, part in found.status.items() if key != "type")
    assert line["current"] == current


@pytest.mark.parametrize(
    ("spec", "reason", "cause", "message"),
    [
        (
            CPU_VALUE, "FailedGetResourceMetric", "failed to get cpu usage: unable to get metrics for resource cpu: why",
            "failed to get cpu resource metric value: failed to get cpu usage: unable to get metrics for resource cpu: why",
        ),
        (
            CONTAINER, "FailedGetContainerResourceMetric",
            "failed to get cpu utilization: unable to get metrics for resource cpu: why",
            "failed to get c container metric value: failed to get cpu utilization: unable to get metrics for resource cpu: why",
        ),
        (
            HITS, "FailedGetPodsMetric", "unable to get metric hits: why",
            "failed to get pods metric value: unable to get metric hits: why",
        ),
        (
            OBJECT, "FailedGetObjectMetric", "unable to get metric rps: why on Ingress ns/main",
            "failed to get object metric value: unable to get metric rps: why on Ingress ns/main",
        ),
        (
            QUEUE_AVERAGE, "FailedGetExternalMetric", "unable to get external metric ns/depth/nil: why",
            "failed to get depth external metric value: failed to get depth external metric: unable to get external metric "
            "ns/depth/nil: why",
        ),
    ],
)  # fmt: skip
def test_failures(spec: Obj, reason: str, cause: str, message: str) -> None:
    assert propose(spec, MetricError("why"), TARGET, tolerances=Tolerances(), now=NOW) == Failure(
        reason, cause, message
    )


# --- several metrics -------------------------------------------------------------------------------------------------


def plan(*metrics: tuple[Obj, Reading], **spec: Any) -> Plan:
    hpa = {
        "metadata": {"name": "h"},
        "spec": {"maxReplicas": 10, "metrics": [m for m, _ in metrics], **spec},
        "status": {"desiredReplicas": 2},
    }  # fmt: skip
    return plan_autoscale(hpa, TARGET, [r for _, r in metrics], unusable=None, memory=Memory(), now=NOW)


def test_the_metric_that_wants_most_decides() -> None:
    found = plan((HITS, by_pod(15_000, 15_000)), (OBJECT, 20_000))
    assert (found.replicas, found.reason) == (4, "Ingress metric rps above target")
    assert [line["type"] for line in found.status["currentMetrics"]] == ["Pods", "Object"]


def test_what_is_not_known_does_not_stop_growth_but_shrinking() -> None:
    up = plan((HITS, MetricError("why")), (OBJECT, 20_000))
    assert up.replicas == 4
    assert [event[1] for event in up.events] == ["FailedGetPodsMetric"]
    assert up.status["currentMetrics"][0] == {"type": ""}
    down = plan((HITS, MetricError("why")), (OBJECT, 1_000))
    assert down.replicas is None
    assert down.events[-1] == (
        "Warning", "FailedComputeMetricsReplicas",
        "invalid metrics (1 invalid out of 2), first error is: failed to get pods metric value: unable to get metric hits: why",
    )  # fmt: skip


def test_to_zero_and_from_zero() -> None:
    hpa = {"metadata": {"name": "h"}, "spec": {"minReplicas": 0, "maxReplicas": 5, "metrics": [QUEUE]}}
    long_ago = Memory(((NOW - timedelta(minutes=10), 1),))
    down = plan_autoscale(hpa, Target("ns", 1, 1, PODS[:1]), [0], unusable=None, memory=long_ago, now=NOW)
    assert down.replicas == 0
    up = plan_autoscale(hpa, Target("ns", 0, 0, ()), [25_000], unusable=None, memory=Memory(), now=NOW)
    assert up.replicas == 3


def test_tolerances_come_from_the_behaviour() -> None:
    behavior = {"scaleUp": {"tolerance": "50m"}, "scaleDown": {}}
    assert tolerances_of({"spec": {"behavior": behavior}}) == Tolerances(down=0.1, up=0.05)
    assert tolerances_of({"spec": {}}) == Tolerances()


# --- other metrics APIs ----------------------------------------------------------------------------------------------


class Api:
    """Answers GETs by path; everything else is not found."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, Mapping[str, str] | None]] = []

    async def request(self, method: str, path: str, *, query: Mapping[str, str] | None = None) -> Any:
        assert method == "GET"
        self.asked.append((path, query))
        found = self.answers.get(path)
        if found is None:
            raise NotFound("the server could not find the requested resource")
        if isinstance(found, Exception):
            raise found
        return found


async def read(spec: Obj, answers: Mapping[str, Any]) -> tuple[Reading, Api]:
    api = Api(answers)
    client = Client(api, builtin_registry())  # type: ignore[arg-type]  # all of a transport that is needed
    return await read_metric(client, spec, "ns", "app=web"), api


def metric_value(text: str, name: str = "x") -> Obj:
    return {"describedObject": {"name": name}, "value": text, "timestamp": "2026-01-01T12:00:00Z"}


async def test_custom_metrics_of_pods() -> None:
    path = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/ns/pods/*/hits"
    found, api = await read(HITS, {path: {"items": [metric_value("1500m", "pod-0"), metric_value("2", "pod-1")]}})
    assert found == {"pod-0": PodMetric(1500, NOW, 60.0), "pod-1": PodMetric(2000, NOW, 60.0)}
    assert api.asked == [(path, {"labelSelector": "app=web"})]


async def test_the_older_custom_metrics_api() -> None:
    path = "/apis/custom.metrics.k8s.io/v1beta1/namespaces/ns/ingresses.networking.k8s.io/main/rps"
    assert (await read(OBJECT, {path: {"items": [metric_value("7")]}}))[0] == 7000


async def test_external_metrics_are_summed() -> None:
    path = "/apis/external.metrics.k8s.io/v1beta1/namespaces/ns/depth"
    found, api = await read(QUEUE, {path: {"items": [metric_value("1"), metric_value("500m")]}})
    assert found == 1500
    assert api.asked == [(path, {"labelSelector": "queue=q"})]


@pytest.mark.parametrize(
    ("spec", "answers", "why"),
    [
        (
            HITS, {},
            "unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered",
        ),
        (
            HITS, {"/apis/custom.metrics.k8s.io": {}},
            "unable to fetch metrics from custom metrics API: the server could not find the requested resource",
        ),
        (
            QUEUE, {},
            "unable to fetch metrics from external metrics API: the server could not find the requested resource "
            "(get depth.external.metrics.k8s.io)",
        ),
        (
            QUEUE, {"/apis/external.metrics.k8s.io/v1beta1/namespaces/ns/depth": ServiceUnavailable("away")},
            "unable to fetch metrics from external metrics API: away",
        ),
        (
            QUEUE, {"/apis/external.metrics.k8s.io/v1beta1/namespaces/ns/depth": {"items": []}},
            "no metrics returned from external metrics API",
        ),
    ],
)  # fmt: skip
async def test_metrics_apis_that_do_not_answer(spec: Obj, answers: Mapping[str, Any], why: str) -> None:
    found, _ = await read(spec, answers)
    assert isinstance(found, MetricError)
    assert str(found) == why
