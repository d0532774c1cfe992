"""HorizontalPodAutoscaler in two versions over one stored object: every verb of either sees the same, and nothing gets lost between."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from minik.api.autoscaling_v1.horizontalpodautoscaler import METRICS, shown, stored
from minik.api.autoscaling_v2.horizontalpodautoscaler import KIND, default
from minik.api.errors import Invalid
from minik.api.meta import Obj, draft
from minik.api.schema import schema_of
from minik.server.local import LocalTransport
from tests.support.apiserver import Running
from tests.unit.server.objects import send

V1 = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers"
V2 = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
PODS_METRIC = {
    "type": "Pods",
    "pods": {"metric": {"name": "requests"}, "target": {"type": "AverageValue", "averageValue": "10"}},
}


def hpa(name: str = "web", **spec: Any) -> Obj:
    return {"metadata": {"name": name}, "spec": {"scaleTargetRef": TARGET, "maxReplicas": 5, **spec}}


async def test_v1_is_stored_as_v2(api: LocalTransport) -> None:
    made = await api.request("POST", V1, body=hpa(targetCPUUtilizationPercentage=50))
    assert made["apiVersion"] == "autoscaling/v1"
    assert made["spec"]["minReplicas"] == 1
    as_v2 = await api.request("GET", f"{V2}/web")
    assert as_v2["apiVersion"] == "autoscaling/v2"
    target = {"type": "Utilization", "averageUtilization": 50}
    assert as_v2["spec"]["metrics"] == [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    assert as_v2["metadata"]["uid"] == made["metadata"]["uid"]
    patch = {"spec": {"targetCPUUtilizationPercentage": 60}}
    patched = await api.request("PATCH", f"{V1}/web", body=patch, content_type="application/merge-patch+json")
    assert patched["spec"]["targetCPUUtilizationPercentage"] == 60
    assert [item["apiVersion"] for item in (await api.list(V1)).items] == ["autoscaling/v1"]
    assert [item["apiVersion"] for item in (await api.list(V2)).items] == ["autoscaling/v2"]
    await api.request("DELETE", f"{V1}/web")
    assert not (await api.list(V2)).items


async def test_a_put_in_v1_keeps_what_only_v2_can_say(api: LocalTransport) -> None:
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 7}}
    await api.request("POST", V2, body=hpa(metrics=[PODS_METRIC], behavior=behavior))
    status = {"currentReplicas": 1, "desiredReplicas": 2, "conditions": [{"type": "AbleToScale", "status": "True"}]}
    reported = await api.request(
        "PATCH", f"{V2}/web/status", body={"status": status}, content_type="application/merge-patch+json"
    )
    as_v1 = draft(await api.request("GET", f"{V1}/web"))
    assert orjson.loads(as_v1["metadata"]["annotations"][METRICS]) == [PODS_METRIC]
    assert "targetCPUUtilizationPercentage" not in as_v1["spec"]
    as_v1["spec"]["maxReplicas"] = 9
    del as_v1["metadata"]["annotations"][
        "autoscaling.alpha.kubernetes.io/conditions"
    ]  # of the status: not theirs to drop
    await api.request("PUT", f"{V1}/web", body=as_v1)
    after = await api.request("GET", f"{V2}/web")
    assert after["spec"] == {**reported["spec"], "maxReplicas": 9}
    assert after["status"] == reported["status"]
    assert "annotations" not in after["metadata"]


async def test_a_status_in_v1_leaves_the_spec_alone(api: LocalTransport) -> None:
    made = await api.request("POST", V2, body=hpa(metrics=[PODS_METRIC]))
    body = {"metadata": {"name": "web"}, "spec": {}, "status": {"currentReplicas": 3, "desiredReplicas": 3}}
    await api.request("PUT", f"{V1}/web/status", body=body)
    after = await api.request("GET", f"{V2}/web")
    assert after["spec"] == made["spec"]
    assert after["status"]["currentReplicas"] == 3


async def test_watch_in_both_versions(api: LocalTransport) -> None:
    await api.request("POST", V2, body=hpa())
    for path, version in ((V1, "autoscaling/v1"), (V2, "autoscaling/v2")):
        async for event in api.watch(path):
            assert (event.type, event.object["apiVersion"]) == ("ADDED", version)
            break


async def test_discovery_prefers_v2(run: Running) -> None:
    response, _ = await send(run, "GET", "/apis/autoscaling")
    group = orjson.loads(response.raw or b"")
    assert [v["version"] for v in group["versions"]] == ["v2", "v1"]
    assert group["preferredVersion"]["version"] == "v2"


async def test_table(run: Running) -> None:
    await run.local().request("POST", V2, body=hpa(metrics=[PODS_METRIC] * 3))
    for path in (V1, V2):
        accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
        response, _ = await send(run, "GET", path, headers=accept)
        assert response.obj is not None
        assert response.obj["rows"][0]["cells"][1:6] == [
            "Deployment/web", "<unknown>/10, <unknown>/10 + 1 more...", "1", 5, 0,
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "field", "why"),
    [
        ({"maxReplicas": 0}, "spec.maxReplicas", "must be greater than 0"),
        ({"minReplicas": 6}, "spec.maxReplicas", "must be greater than or equal to `minReplicas`"),
        ({"minReplicas": 0}, "spec.metrics", "must specify at least one Object or External metric"),
        ({"scaleTargetRef": {"kind": "A/B", "name": "x"}}, "spec.scaleTargetRef.kind", "may not contain '/'"),
        ({"metrics": [{"type": "Resource"}]}, "spec.metrics[0].resource", "must populate information"),
        ({"metrics": [{**PODS_METRIC, "type": "Object"}]}, "spec.metrics[0].object", "must populate information"),
        (
            {"metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}}]},
            "spec.metrics[0].resource.target.averageUtilization",
            "must set either a target raw value or a target utilization",
        ),
        (
            {"behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 1801}]}}},
            "spec.behavior.scaleUp.policies[0].periodSeconds",
            "must be less than or equal to 1800",
        ),
        (
            {"behavior": {"scaleUp": {"policies": [{"type": "Many", "value": 0, "periodSeconds": 1}]}}},
            "spec.behavior.scaleUp.policies[0].type",
            'supported values: "Percent", "Pods"',
        ),
        ({"behavior": {"scaleDown": {"selectPolicy": "Any"}}}, "spec.behavior.scaleDown.selectPolicy", "Unsupported value"),
        ({"behavior": {"scaleDown": {"tolerance": "-1"}}}, "spec.behavior.scaleDown.tolerance", "greater than or equal to 0"),
    ],
)  # fmt: skip
async def test_what_is_invalid(api: LocalTransport, spec: Obj, field: str, why: str) -> None:
    with pytest.raises(Invalid) as error:
        await api.request("POST", V2, body=hpa(**spec))
    causes = error.value.to_status()["details"]["causes"]
    assert any(cause["field"] == field and why in cause["message"] for cause in causes), causes


def test_there_and_back() -> None:
    whole = hpa(metrics=[PODS_METRIC], behavior={"scaleUp": {"tolerance": "50m", "selectPolicy": "Disabled"}})
    whole["metadata"]["annotations"] = {"mine": "1"}
    current = {"current": {"averageValue": "3", "averageUtilization": 3}, "name": "cpu"}
    whole["status"] = {"desiredReplicas": 1, "currentMetrics": [{"type": "Resource", "resource": current}]}
    made = schema_of(KIND.schema).decode({"apiVersion": "autoscaling/v2", "kind": KIND.kind, **whole}).obj
    default(made)
    as_v1 = shown(made)
    assert as_v1["status"]["currentCPUUtilizationPercentage"] == 3
    assert stored(as_v1) == made


def test_annotations_that_are_not_ours_to_read_break_nothing() -> None:
    odd = {**hpa(), "metadata": {"name": "a", "annotations": {METRICS: '[{"type": 3}]'}}}
    assert stored(odd)["spec"]["metrics"][0]["resource"]["name"] == "cpu"
