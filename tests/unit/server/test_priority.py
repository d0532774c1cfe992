"""Priority classes, and the numbers that pods get from them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from minik.api.errors import Forbidden, Invalid, StatusError
from minik.api.scheduling_v1 import priorityclass
from minik.client.client import Client
from minik.server import bootstrap
from minik.server.local import LocalTransport
from tests.support.apiserver import Running
from tests.unit.server.objects import MERGE, PODS, pod

CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses"


async def made(api: LocalTransport, name: str, value: int = 5, **more: Any) -> Any:
    return await api.request("POST", CLASSES, body={"metadata": {"name": name}, "value": value, **more})


async def test_pods_get_what_their_class_says(api: LocalTransport) -> None:
    await made(api, "high", 1000, preemptionPolicy="Never")
    got = (await api.request("POST", PODS, body=pod("a", priorityClassName="high", priority=1000)))["spec"]
    assert (got["priority"], got["preemptionPolicy"]) == (1000, "Never")
    with pytest.raises(Forbidden) as refused:
        await api.request("POST", PODS, body=pod("b", priorityClassName="high", priority=7))
    assert refused.value.message == (
        'pods "b" is forbidden: the integer value of priority (7) must not be provided in pod spec; '
        "priority admission controller computed 1000 from the given PriorityClass name"
    )
    with pytest.raises(
        Forbidden, match=r"the string value of PreemptionPolicy \(PreemptLowerPriority\) must not be provided"
    ):
        await api.request(
            "POST", PODS, body=pod("b", priorityClassName="high", preemptionPolicy="PreemptLowerPriority")
        )


async def test_a_global_default(api: LocalTransport) -> None:
    await made(api, "usual", 10, globalDefault=True)
    got = (await api.request("POST", PODS, body=pod("a")))["spec"]
    assert (got["priorityClassName"], got["priority"]) == ("usual", 10)
    with pytest.raises(Forbidden) as refused:
        await made(api, "other", globalDefault=True)
    assert refused.value.message.endswith(
        "PriorityClass usual is already marked as default. Only one default can exist"
    )
    await made(api, "other")
    with pytest.raises(Forbidden):
        await api.request("PATCH", CLASSES + "/other", body={"globalDefault": True}, content_type=MERGE)
    await api.request("PATCH", CLASSES + "/usual", body={"description": "x"}, content_type=MERGE)  # its own default
    await api.request("DELETE", CLASSES + "/usual")
    assert "priorityClassName" not in (await api.request("POST", PODS, body=pod("b")))["spec"]
    assert (await api.request("GET", PODS + "/a"))["spec"]["priority"] == 10


async def test_of_many_at_once_one_becomes_the_default(api: LocalTransport) -> None:
    answers = await asyncio.gather(*(made(api, f"c{n}", globalDefault=True) for n in range(20)), return_exceptions=True)
    assert sum(isinstance(answer, StatusError) for answer in answers) == 19


async def test_built_in_classes(run: Running, api: LocalTransport) -> None:
    for _ in range(2):
        await bootstrap.ensure(Client(api, run.server.registry), address="127.0.0.1", port=1)
    found = {item["metadata"]["name"]: item["value"] for item in (await api.request("GET", CLASSES))["items"]}
    assert found == priorityclass.SYSTEM_VALUES
    got = (await api.request("POST", PODS, body=pod("a", priorityClassName="system-node-critical")))["spec"]
    assert got["priority"] == 2000001000
    for name, value, why in (
        ("system-mine", 5, "system-mine is not a known system priority class"),
        ("system-node-critical", 5, "value of system-node-critical PriorityClass must be 2000001000"),
    ):
        with pytest.raises(Invalid) as refused:
            await made(api, name, value)
        prefix = "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: "
        assert prefix + why in refused.value.message
    with pytest.raises(Invalid, match="maximum allowed value of a user defined priority is 1000000000"):
        await made(api, "huge", 1_000_000_001)


async def test_what_may_change(api: LocalTransport) -> None:
    await made(api, "a", 0)
    assert (await api.request("GET", CLASSES + "/a"))["value"] == 0
    changed = await api.request("PATCH", CLASSES + "/a", body={"description": "new"}, content_type=MERGE)
    assert (changed["description"], changed["metadata"]["generation"]) == ("new", 2)
    for patch, field in (
        ({"value": 6}, "value: Forbidden: may not be changed"),
        ({"preemptionPolicy": "Never"}, "preemptionPolicy"),
    ):
        with pytest.raises(Invalid, match=field):
            await api.request("PATCH", CLASSES + "/a", body=patch, content_type=MERGE)
