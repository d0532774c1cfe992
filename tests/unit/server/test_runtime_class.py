"""What a pod gets from its RuntimeClass and its service account, and what is computed when asked for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from minik.api.core_v1 import tolerations
from minik.api.errors import Forbidden, Invalid
from minik.server.local import LocalTransport
from tests.support.apiserver import Running
from tests.unit.server.objects import PODS, pod, send, status

CLASSES = "/apis/node.k8s.io/v1/runtimeclasses"
OVERHEAD = {"podFixed": {"cpu": "250m", "memory": "120Mi"}}


async def made(api: LocalTransport, name: str, **more: Any) -> Any:
    return await api.request("POST", CLASSES, body={"metadata": {"name": name}, "handler": "kata", **more})


async def test_overhead_and_scheduling(api: LocalTransport) -> None:
    here = {"key": "kata", "operator": "Exists", "effect": "NoSchedule"}
    await made(api, "kata", overhead=OVERHEAD, scheduling={"nodeSelector": {"kata": "yes"}, "tolerations": [here]})
    body = pod("a", runtimeClassName="kata", nodeSelector={"disk": "ssd"})
    got = (await api.request("POST", PODS, body=body))["spec"]
    assert got["overhead"] == OVERHEAD["podFixed"]
    assert got["nodeSelector"] == {"disk": "ssd", "kata": "yes"}
    assert here in got["tolerations"]
    assert len(got["tolerations"]) == 3, "with the two that every pod has"
    same = {"cpu": "0.25", "memory": "120Mi"}
    assert await api.request("POST", PODS, body=pod("b", runtimeClassName="kata", overhead=same))


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"runtimeClassName": "no"}, 'pod rejected: RuntimeClass "no" not found'),
        ({"runtimeClassName": "kata", "overhead": {"cpu": "1"}}, "Pod's Overhead doesn't match RuntimeClass's defined Overhead"),
        ({"runtimeClassName": "runc", "overhead": {"cpu": "1"}}, "Pod Overhead set without corresponding RuntimeClass defined Overhead"),
        ({"overhead": {"cpu": "1"}}, "Pod Overhead set without corresponding RuntimeClass defined Overhead"),
        (
            {"runtimeClassName": "kata", "nodeSelector": {"kata": "no"}},
            "conflict: runtimeClass.scheduling.nodeSelector[kata] = yes; pod.spec.nodeSelector[kata] = no",
        ),
    ],
)  # fmt: skip
async def test_pods_that_are_refused(api: LocalTransport, spec: dict[str, Any], why: str) -> None:
    await made(api, "runc")
    await made(api, "kata", overhead=OVERHEAD, scheduling={"nodeSelector": {"kata": "yes"}})
    with pytest.raises(Forbidden) as refused:
        await api.request("POST", PODS, body=pod("a", **spec))
    assert refused.value.message.endswith(why)


async def test_a_class_is_checked(api: LocalTransport) -> None:
    with pytest.raises(Invalid) as refused:
        await made(api, "bad", handler="Not A Label", overhead={"podFixed": {"cpu": "-1"}})
    causes = (refused.value.details or {})["causes"]
    assert [cause["field"] for cause in causes] == ["handler", "overhead.limits[cpu]"]
    kept = await made(api, "good", overhead={"podFixed": {"cpu": "0.5"}})
    assert kept["overhead"]["podFixed"] == {"cpu": "500m"}
    with pytest.raises(Invalid, match="field is immutable"):
        await api.request("PUT", f"{CLASSES}/good", body={**kept, "handler": "other"})


def test_tolerations_are_merged() -> None:
    every = {"operator": "Exists"}
    a, b = {"key": "a", "operator": "Exists", "effect": "NoSchedule"}, {"key": "b", "value": "x", "effect": "NoExecute"}
    short, long = {**b, "tolerationSeconds": 5}, {**b, "tolerationSeconds": 50}
    assert tolerations.merged([a], [a, b]) == [a, b]
    assert tolerations.merged([a, b], [every]) == [every]
    assert tolerations.merged([short], [long]) == [long]
    assert tolerations.merged([b], [long]) == [b]
    assert tolerations.merged([{**b, "value": "y"}], [b]) == [{**b, "value": "y"}, b]


async def test_the_first_pod_waits_for_the_default_account(api: LocalTransport) -> None:
    await api.request("POST", "/api/v1/namespaces", body={"metadata": {"name": "new"}})
    pods = "/api/v1/namespaces/new/pods"
    first = asyncio.create_task(api.request("POST", pods, body=pod("a")))  # awaited below
    await asyncio.sleep(0)
    await api.request("POST", "/api/v1/namespaces/new/serviceaccounts", body={"metadata": {"name": "default"}})
    assert (await first)["spec"]["serviceAccountName"] == "default"
    with pytest.raises(Forbidden, match='serviceaccount "other" not found'):
        await api.request("POST", pods, body=pod("b", serviceAccountName="other"))


async def test_component_statuses(run: Running, api: LocalTransport) -> None:
    path = "/api/v1/componentstatuses"
    response, request = await send(run, "GET", path)
    assert response.entries is not None
    found = {entry.obj["metadata"]["name"]: entry.obj["conditions"] for entry in response.entries.entries}
    assert set(found) == {"controller-manager", "etcd-0", "scheduler"}
    assert found["etcd-0"] == [{"type": "Healthy", "status": "True", "message": "ok"}]
    assert request.warnings == ["v1 ComponentStatus is deprecated in v1.19+"]
    run.server.ready = False
    [condition] = (await api.request("GET", f"{path}/scheduler"))["conditions"]
    assert (condition["status"], condition["message"]) == ("False", "still starting")
    assert (await status(run, "GET", f"{path}/nobody"))["reason"] == "NotFound"
    assert (await status(run, "DELETE", f"{path}/scheduler"))["code"] == 405
