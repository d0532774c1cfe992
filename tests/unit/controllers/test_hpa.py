"""HorizontalPodAutoscaler against the real API server and metrics.k8s.io, in simulated time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from minik.api.core_v1 import pods
from minik.api.meta import Obj, ROObj, condition
from minik.controllers import deployment, horizontalpodautoscaler, replicaset
from tests.support.cluster import ControlPlane, control_plane, named
from tests.support.kubelet import Kubelet
from tests.support.meter import Meter, metered

pytestmark = pytest.mark.looptime

HPA = "horizontalpodautoscalers.autoscaling"


def a_deployment(name: str = "web", replicas: int = 1) -> Obj:
    labels = {"app": name}
    container = {"name": "c", "image": "x", "resources": {"requests": {"cpu": "200m"}}}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    return named(
        name, "default", spec={"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    )


def an_hpa(name: str = "web", target: str = "web", most: int = 10, **spec: Any) -> Obj:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    return named(name, "default", spec={"scaleTargetRef": reference, "maxReplicas": most, **spec})


def cpu(percent: int) -> list[Obj]:
    target = {"type": "Utilization", "averageUtilization": percent}
    return [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]


def controllers() -> tuple[Any, ...]:
    kubelet = Kubelet()
    return deployment.CONTROLLER, replicaset.CONTROLLER, horizontalpodautoscaler.CONTROLLER, kubelet.controller


async def replicas(c: ControlPlane, name: str = "web") -> int:
    found = await c.client.get("deployments.apps", name, "default")
    count: int = found["spec"]["replicas"]
    return count


async def hpa(c: ControlPlane, name: str = "web") -> ROObj:
    return await c.client.get(HPA, name, "default")


async def shared(c: ControlPlane, meter: Meter, total: int) -> None:
    """`total` thousandths of a core of work, spread evenly over the ready pods at any time."""

    def ready() -> int:
        entries = c.server.cache.list("pods", "default")
        return max(1, sum(1 for entry in entries if pods.is_ready(entry.obj)))

    await meter.use(lambda _pod: total // ready())


def said(found: ROObj, type_: str) -> tuple[str, str]:
    entry = condition(found, type_)
    assert entry is not None, f"{type_} in {found.get('status')}"
    return entry["status"], entry["reason"]


async def events(c: ControlPlane) -> set[str]:
    return {event["reason"] for event in (await c.client.list("events", "default")).items}


async def test_up_at_once_and_down_after_five_minutes() -> None:
    async with control_plane(*controllers()) as c, metered(c.server, c.client) as meter:
        await shared(c, meter, 100)
        await c.create("deployments.apps", a_deployment())
        await c.create("horizontalpodautoscalers.autoscaling", an_hpa(metrics=cpu(50)))
        await c.settle(60)
        assert await replicas(c) == 1
        found = await hpa(c)
        assert found["status"]["currentMetrics"][0]["resource"]["current"] == {
            "averageUtilization": 50, "averageValue": "100m",
        }  # fmt: skip
        assert said(found, "ScalingActive") == ("True", "ValidMetricFound")
        await shared(c, meter, 600)
        await c.settle(120)
        assert await replicas(c) == 6
        assert "SuccessfulRescale" in await events(c)
        await shared(c, meter, 60)
        await c.settle(270)
        assert await replicas(c) == 6
        assert said(await hpa(c), "AbleToScale") == ("True", "ScaleDownStabilized")
        await c.settle(60)
        assert await replicas(c) == 1
        await c.settle(20)
        assert said(await hpa(c), "ScalingLimited") == ("False", "DesiredWithinRange")


async def test_no_faster_than_twofold() -> None:
    async with control_plane(*controllers()) as c, metered(c.server, c.client) as meter:
        await meter.use(lambda _pod: 5000)
        await c.create("deployments.apps", a_deployment())
        await c.settle(5)
        await c.create(HPA, an_hpa(most=50, metrics=cpu(50)))
        await c.settle(5)
        assert await replicas(c) == 4
        assert said(await hpa(c), "ScalingLimited") == ("True", "ScaleUpLimit")
        await c.settle(15)
        assert await replicas(c) == 8


async def test_what_does_not_change_is_not_written_and_without_autoscalers_nothing_is_asked() -> None:
    async with control_plane(*controllers()) as c, metered(c.server, c.client) as meter:
        await c.create("deployments.apps", a_deployment(replicas=2))
        await shared(c, meter, 200)
        await c.settle(300)
        assert meter.asked == 0
        assert c.manager.statistics()["controllers"]["horizontal-pod-autoscaler"]["adds"] == 0
        await c.create(HPA, an_hpa(metrics=cpu(50)))
        await c.settle(60)
        before, asked = await c.server.store.current_revision(), meter.asked
        await c.settle(150)
        assert await c.server.store.current_revision() == before
        assert meter.asked == asked + 10, "once in 15 seconds"
        await c.client.delete(HPA, "web", "default")
        await c.settle(20)
        asked = meter.asked
        await c.settle(300)
        assert meter.asked == asked


async def test_a_behaviour_sets_the_pace() -> None:
    one_a_minute = {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}], "stabilizationWindowSeconds": 0}
    async with control_plane(*controllers()) as c, metered(c.server, c.client) as meter:
        await c.create("deployments.apps", a_deployment(replicas=2))
        await shared(c, meter, 1600)
        behavior = {"scaleUp": one_a_minute, "scaleDown": one_a_minute}
        await c.create(HPA, an_hpa(metrics=cpu(50), behavior=behavior))
        seen = []
        for _ in range(30):
            await c.settle(10)
            seen.append(await replicas(c))
        assert sorted(set(seen)) == [2, 3, 4, 5, 6, 7][: len(set(seen))]
        assert 5 <= seen[-1] <= 7, "five minutes, one a minute"
        await shared(c, meter, 0)
        await c.settle(61)
        assert await replicas(c) >= seen[-1] - 2


async def test_metrics_that_cannot_be_had() -> None:
    async with control_plane(*controllers()) as c:
        await c.create("deployments.apps", a_deployment())
        await c.create(HPA, an_hpa(metrics=cpu(50)))
        await c.settle(40)
        found = await hpa(c)
        assert said(found, "ScalingActive") == ("False", "FailedGetResourceMetric")
        entry = condition(found, "ScalingActive")
        assert entry is not None
        assert entry["message"] == (
            "the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get metrics for resource "
            "cpu: no metrics returned from resource metrics API"
        )
        assert {"FailedGetResourceMetric", "FailedComputeMetricsReplicas"} <= await events(c)


@pytest.mark.parametrize(
    ("start", "spec", "end", "why"),
    [
        (7, {"maxReplicas": 5}, 5, "Current number of replicas above Spec.MaxReplicas"),
        (1, {"maxReplicas": 5, "minReplicas": 3}, 3, "Current number of replicas below Spec.MinReplicas"),
        (0, {"maxReplicas": 5}, 0, ""),
    ],
)
async def test_bounds_need_no_metrics(start: int, spec: Obj, end: int, why: str) -> None:
    async with control_plane(*controllers()) as c:
        await c.create("deployments.apps", a_deployment(replicas=start))
        await c.settle(5)
        await c.create(HPA, an_hpa(**{"most": spec.pop("maxReplicas"), **spec}))
        await c.settle(5)
        assert await replicas(c) == end
        messages = [e["message"] for e in (await c.client.list("events", "default")).items]
        assert not why or f"New size: {end}; reason: {why}" in messages
        if not end:
            assert said(await hpa(c), "ScalingActive") == ("False", "ScalingDisabled")


async def test_two_autoscalers_of_one_target() -> None:
    async with control_plane(*controllers()) as c, metered(c.server, c.client) as meter:
        await shared(c, meter, 2000)
        await c.create("deployments.apps", a_deployment())
        await c.settle(5)
        await c.create(HPA, an_hpa("one", most=1))
        await c.create(HPA, an_hpa("two", most=1))
        await c.settle(40)
        for name in ("one", "two"):
            found = await hpa(c, name)
            assert said(found, "ScalingActive") == ("False", "AmbiguousSelector")
            entry = condition(found, "ScalingActive")
            assert entry is not None
            assert entry["message"] == (
                "pods by selector app=web are controlled by multiple HPAs: [{one default} {two default}]"
            )


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda r: r | {"kind": "Deploymint"}, 'no matches for kind "Deploymint" in group "apps"'),
        (lambda r: r | {"name": "none"}, '"none" not found'),
        (lambda r: r | {"apiVersion": "v1", "kind": "ConfigMap"}, "the server could not find the requested resource"),
    ],
)
async def test_a_target_without_scale(change: Callable[[Obj], Obj], why: str) -> None:
    async with control_plane(*controllers()) as c:
        wrong = an_hpa()
        wrong["spec"]["scaleTargetRef"] = change(wrong["spec"]["scaleTargetRef"])
        await c.create(HPA, wrong)
        await c.settle(40)
        found = await hpa(c)
        assert said(found, "AbleToScale") == ("False", "FailedGetScale")
        entry = condition(found, "AbleToScale")
        assert entry is not None
        assert why in entry["message"]


async def test_a_custom_kind_with_scale() -> None:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    scale = {
        "specReplicasPath": ".spec.size",
        "statusReplicasPath": ".status.size",
        "labelSelectorPath": ".status.selector",
    }
    version = {
        "name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema},
        "subresources": {"scale": scale},
    }  # fmt: skip
    names = {"plural": "fleets", "singular": "fleet", "kind": "Fleet", "listKind": "FleetList"}
    crd = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]}
    async with control_plane(*controllers()) as c:
        await c.create("customresourcedefinitions.apiextensions.k8s.io", named("fleets.example.com", spec=crd))
        await c.settle(1)
        await c.create("fleets.example.com", named("f", "default", spec={"size": 9}))
        own = an_hpa(most=4)
        own["spec"]["scaleTargetRef"] = {"apiVersion": "example.com/v1", "kind": "Fleet", "name": "f"}
        await c.create(HPA, own)
        await c.settle(5)
        assert (await c.client.get("fleets.example.com", "f", "default"))["spec"]["size"] == 4
