"""`kubectl top` and `kubectl autoscale` by stock kubectl, with nothing installed; simulated containers use what `load` tells them to."""

from __future__ import annotations

import itertools
import json
import re

import pytest

from tests.support.kubectl import Kubectl
from tests.support.process import until

pytestmark = pytest.mark.kubectl


@pytest.fixture
def web(kubectl: Kubectl) -> Kubectl:
    """kubectl, with a Deployment `web` of one pod that asks for 200m of cpu and uses 150m and 64 MiB."""
    kubectl("create", "deployment", "web", "--image=registry.test/web:1", "--", "load", "150m", "64Mi")
    kubectl("set", "resources", "deployment", "web", "--requests=cpu=200m,memory=128Mi")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    until(lambda: len(kubectl.get("pods", "-l", "app=web")["items"]) == 1, "one pod")
    return kubectl


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def replicas(kubectl: Kubectl) -> int:
    count: int = kubectl.get("deployment", "web")["spec"]["replicas"]
    return count


def is_about(cpu: str, millis: int) -> bool:
    """A rate is measured over moments that are not exactly those in which it was used."""
    return abs(int(cpu.removesuffix("m")) - millis) <= millis * 0.05


def test_top(web: Kubectl) -> None:
    pod = web.get("pods", "-l", "app=web")["items"][0]["metadata"]["name"]
    until(lambda: web.run("top", "pods").returncode == 0, "metrics of a young pod")
    header, row = rows(web("top", "pods"))
    assert (header, row[0], row[2]) == (["NAME", "CPU(cores)", "MEMORY(bytes)"], pod, "64Mi")
    assert is_about(row[1], 150)
    [row] = rows(web("top", "pod", pod, "--containers", "--no-headers"))
    assert (row[:2], row[3]) == ([pod, "web"], "64Mi")
    assert is_about(row[2], 150)
    web("run", "other", "--image=registry.test/o:1", "--labels=app=other", "--", "load", "1500m", "1Gi")
    web("wait", "--for=condition=Ready", "pod/other", "--timeout=60s")

    def both() -> bool:
        return len(rows(web("top", "pods", "--no-headers"))) == 2

    until(both, "metrics of both pods")
    assert [row[0] for row in rows(web("top", "pods", "--sort-by=cpu", "--no-headers"))] == ["other", pod]
    [row] = rows(web("top", "pods", "-l", "app=other", "--no-headers"))
    assert (row[0], row[2]) == ("other", "1024Mi")
    assert is_about(row[1], 1500)
    everywhere = rows(web("top", "pods", "--containers", "-A", "--sort-by=memory"))
    assert everywhere[0] == ["NAMESPACE", "POD", "NAME", "CPU(cores)", "MEMORY(bytes)"]
    assert "other" in [row[1] for row in everywhere]


def test_top_nodes(kubectl: Kubectl) -> None:
    header, *nodes = rows(kubectl("top", "nodes"))
    assert header == ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"] or header[2:] == [
        "CPU%", "MEMORY(bytes)", "MEMORY%",
    ]  # fmt: skip
    assert [row[0] for row in nodes] == ["sim-0", "sim-1", "sim-2"]
    for _, cpu, _, memory, _ in nodes:
        assert int(cpu.removesuffix("m")) >= 50
        assert int(memory.removesuffix("Mi")) >= 512
    assert len(rows(kubectl("top", "node", "sim-1", "--no-headers"))) == 1
    assert 'nodemetrics.metrics.k8s.io "none" not found' in kubectl.fails("top", "node", "none")


def test_metrics_are_objects(web: Kubectl, namespace: str) -> None:
    until(lambda: len(rows(web("get", "pods.metrics.k8s.io"))) == 2, "metrics of the pod")
    header, row = rows(web("get", "pods.metrics.k8s.io"))
    assert header == ["NAME", "CPU", "MEMORY", "WINDOW"]
    assert row[2] == "64Mi"
    found = json.loads(web("get", "--raw", f"/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods"))
    assert (found["kind"], found["apiVersion"]) == ("PodMetricsList", "metrics.k8s.io/v1beta1")
    (pod,) = found["items"]
    assert pod["metadata"]["labels"]["app"] == "web"
    assert re.fullmatch(r"(\d+m)?[\d.]+m?s", pod["window"])
    assert "KIND:       PodMetrics" in web("explain", "pods", "--api-version=metrics.k8s.io/v1beta1")
    listed = web("api-resources", "--api-group=metrics.k8s.io", "--no-headers", "-o", "name").split()
    assert sorted(listed) == ["nodes.metrics.k8s.io", "pods.metrics.k8s.io"]


def test_autoscale(web: Kubectl, namespace: str) -> None:
    until(lambda: web.run("top", "pods").returncode == 0, "metrics of a young pod")
    printed = web("autoscale", "deployment", "web", "--min=1", "--max=5", "--cpu-percent=50")
    assert "horizontalpodautoscaler.autoscaling/web autoscaled" in printed
    bounds = itertools.cycle((5, 6))

    def scaled() -> bool:
        """Each change of its spec has it look again, so that the test need not wait until it does so by itself. Not too often: as long
        as it misses metrics it says so in two Events each time, and after 25 it has to be silent for minutes."""
        web("patch", "hpa", "web", "--type=merge", "-p", json.dumps({"spec": {"maxReplicas": next(bounds)}}))
        return replicas(web) == 2

    until(scaled, "150m of 200m with 50 % wanted is for two", every=5)
    shown = until(lambda: "/50%" in web("get", "hpa") and rows(web("get", "hpa")), "a row")
    assert shown[0] == ["NAME", "REFERENCE", "TARGETS", "MINPODS", "MAXPODS", "REPLICAS", "AGE"]
    assert shown[1][:3] == ["web", "Deployment/web", "cpu:"]
    described = until(lambda: "SuccessfulRescale" in (text := web("describe", "hpa", "web")) and text, "the event")
    assert "New size: 2; reason: cpu resource utilization (percentage of request) above target" in described
    assert "resource cpu on pods  (as a percentage of request):" in described
    for condition in ("AbleToScale", "ScalingActive", "ScalingLimited"):
        assert condition in described
    older = json.loads(web("get", "--raw", f"/apis/autoscaling/v1/namespaces/{namespace}/horizontalpodautoscalers/web"))
    assert older["spec"]["targetCPUUtilizationPercentage"] == 50
    web("patch", "hpa", "web", "--type=merge", "-p", '{"spec":{"maxReplicas":1}}')
    until(lambda: replicas(web) == 1, "a changed autoscaler is looked at at once")
    assert "Current number of replicas above Spec.MaxReplicas" in web("describe", "hpa", "web")
    assert web("delete", "hpa", "web").startswith('horizontalpodautoscaler.autoscaling "web" deleted')


def test_autoscale_by_a_metric_that_nobody_serves(web: Kubectl) -> None:
    web.apply(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web"},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "maxReplicas": 3,
                "metrics": [
                    {
                        "type": "Pods",
                        "pods": {"metric": {"name": "hits"}, "target": {"type": "AverageValue", "averageValue": "1"}},
                    }
                ],
            },
        }
    )
    why = "no custom metrics API (custom.metrics.k8s.io) registered"
    described = until(lambda: why in (text := web("describe", "hpa", "web")) and text, "the reason")
    assert "FailedGetPodsMetric" in described
    assert "unable to get metric hits: unable to fetch metrics from custom metrics API" in described
