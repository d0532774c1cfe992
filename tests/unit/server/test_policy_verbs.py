"""Quotas, limit ranges, budgets and priority classes through all verbs, as the conformance suite goes through them."""

from __future__ import annotations

from typing import Any

import pytest

from minik.api.errors import Invalid, NotFound
from minik.server.local import LocalTransport
from tests.support.apiserver import Running
from tests.unit.server.objects import MERGE

CONDITION = {
    "type": "DisruptionAllowed", "status": "True", "reason": "SufficientPods", "message": "",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}  # fmt: skip
KINDS: dict[str, tuple[str, bool, dict[str, Any], dict[str, Any]]] = {
    "resourcequotas": ("/api/v1", True, {"spec": {"hard": {"cpu": "1"}}}, {"spec": {"hard": {"cpu": "2"}}}),
    "limitranges": (
        "/api/v1", True, {"spec": {"limits": [{"type": "Pod", "max": {"cpu": "1"}}]}},
        {"spec": {"limits": [{"type": "Pod", "max": {"cpu": "2"}}]}},
    ),
    "poddisruptionbudgets": (
        "/apis/policy/v1", True, {"spec": {"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}},
        {"spec": {"minAvailable": "60%"}},
    ),
    "priorityclasses": ("/apis/scheduling.k8s.io/v1", False, {"value": 5}, {"description": "new"}),
}  # fmt: skip


@pytest.mark.parametrize("plural", KINDS)
async def test_every_verb(api: LocalTransport, plural: str) -> None:
    group, namespaced, body, change = KINDS[plural]
    everywhere = f"{group}/{plural}"
    homes = [f"{group}/namespaces/{n}/{plural}" for n in ("default", "kube-system")] if namespaced else [everywhere] * 2
    for number, home in enumerate(homes):
        labels = {"of": "mine", "number": str(number)}
        await api.request("POST", home, body={"metadata": {"name": f"x{number}", "labels": labels}, **body})

    async def names(path: str, selector: str) -> list[str]:
        found = await api.request("GET", path, query={"labelSelector": selector})
        return [item["metadata"]["name"] for item in found["items"]]

    assert sorted(await names(everywhere, "of=mine")) == ["x0", "x1"]
    first = f"{homes[0]}/x0"
    patched = await api.request("PATCH", first, body=change, content_type=MERGE)
    assert all(item in patched.items() for item in change.items() if item[0] != "spec") and patched != body
    put = await api.request("PUT", first, body={**await api.request("GET", first), **body})
    assert put.get("spec", {}) == {**put.get("spec", {}), **body.get("spec", {})}
    await api.request("DELETE", homes[0], query={"labelSelector": "number=0"})
    assert await names(everywhere, "of=mine") == ["x1"]
    await api.request("DELETE", f"{homes[1]}/x1")
    with pytest.raises(NotFound):
        await api.request("GET", f"{homes[1]}/x1")


async def test_status_of_a_budget(api: LocalTransport) -> None:
    path = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
    await api.request("POST", path, body={"metadata": {"name": "b"}, "spec": {"minAvailable": 1}})
    status = {"disruptionsAllowed": 3, "disruptedPods": {"p": "2026-01-01T00:00:00Z"}, "conditions": [CONDITION]}
    got = await api.request(
        "PATCH", f"{path}/b/status", body={"status": status, "spec": {"minAvailable": 7}}, content_type=MERGE
    )
    assert got["spec"] == {"minAvailable": 1} and got["metadata"]["generation"] == 1
    assert got["status"] == {"currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0, **status}
    put = await api.request("PUT", f"{path}/b/status", body={**got, "status": {**got["status"], "disruptedPods": {}}})
    assert "disruptedPods" not in put["status"] or not put["status"]["disruptedPods"]
    for wrong, why in (
        (
            {"disruptionsAllowed": -1},
            "status.disruptionsAllowed: Invalid value: -1: must be greater than or equal to 0",
        ),
        ({"conditions": [{**CONDITION, "reason": "no reason"}]}, "status.conditions[0].reason"),
        ({"conditions": [{**CONDITION, "status": "Maybe"}]}, "status.conditions[0].status: Unsupported value"),
    ):
        with pytest.raises(Invalid) as refused:
            await api.request("PATCH", f"{path}/b/status", body={"status": wrong}, content_type=MERGE)
        assert why in refused.value.message


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"minAvailable": 1, "maxUnavailable": 1}, "minAvailable and maxUnavailable cannot be both set"),
        ({"minAvailable": -1}, "spec.minAvailable: Invalid value: -1: must be greater than or equal to 0"),
        ({"maxUnavailable": "150%"}, "spec.maxUnavailable: Invalid value"),
        ({"unhealthyPodEvictionPolicy": "Perhaps"}, 'supported values: "AlwaysAllow", "IfHealthyBudget"'),
        ({"selector": {"matchExpressions": [{"key": "a", "operator": "Perhaps"}]}}, "not a valid selector operator"),
    ],
)
async def test_budgets_that_make_no_sense(api: LocalTransport, spec: Any, why: str) -> None:
    path = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
    with pytest.raises(Invalid) as refused:
        await api.request("POST", path, body={"metadata": {"name": "b"}, "spec": spec})
    assert why in refused.value.message


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"hard": {"pods": "1500m"}}, "spec.hard[pods]: Invalid value"),
        ({"hard": {"storage": "1"}}, "must be a standard resource for quota"),
        ({"hard": {"rubbish": "1"}}, "must be a standard resource type or fully qualified"),
        ({"hard": {"pods": "1"}, "scopes": ["Terminating", "NotTerminating"]}, "conflicting scopes"),
        ({"hard": {"pods": "1"}, "scopes": ["Nonsense"]}, "unsupported scope"),
        ({"hard": {"secrets": "1"}, "scopes": ["BestEffort"]}, "unsupported scope applied to resource"),
        (
            {
                "hard": {"pods": "1"},
                "scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In"}]},
            },
            "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
        ),
    ],
)
async def test_quotas_that_make_no_sense(run: Running, spec: Any, why: str) -> None:
    with pytest.raises(Invalid) as refused:
        await run.local().request(
            "POST", "/api/v1/namespaces/default/resourcequotas", body={"metadata": {"name": "q"}, "spec": spec}
        )
    assert why in refused.value.message
