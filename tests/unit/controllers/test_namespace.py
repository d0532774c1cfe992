from __future__ import annotations

from dataclasses import replace

import pytest

from minik.api.core_v1.configmap import KIND
from minik.api.errors import NotFound, StatusError
from minik.api.meta import Obj
from minik.controllers import namespace, rootca, serviceaccount
from minik.controllers.namespace import plan_conditions, plan_content
from tests.support.cluster import control_plane, named, pod

pytestmark = pytest.mark.looptime


async def test_every_namespace_gets_its_account_and_ca_and_gets_them_back() -> None:
    async with control_plane(serviceaccount.CONTROLLER, rootca.controller("PEM"), namespaces=()) as c:
        await c.create("namespaces", named("a"))
        await c.settle()
        assert await c.names("serviceaccounts", "a") == ["default"]
        await c.client.delete("serviceaccounts", "default", "a")
        await c.client.patch("configmaps", "kube-root-ca.crt", "a", {"data": {"ca.crt": "forged", "more": "x"}})
        await c.settle()
        assert await c.names("serviceaccounts", "a") == ["default"]
        configmap = await c.get("configmaps", "kube-root-ca.crt", "a")
        assert configmap is not None and configmap["data"] == {"ca.crt": "PEM"}


async def test_deleting_a_namespace_deletes_all_of_it_and_nothing_else() -> None:
    async with control_plane(namespace.CONTROLLER, serviceaccount.CONTROLLER, rootca.controller("PEM")) as c:
        await c.create("namespaces", named("a"))
        await c.settle()
        for space in ("a", "default"):
            for number in range(3):
                await c.create("pods", pod(f"p{number}", space))
                await c.create("configmaps", named(f"m{number}", space))
            await c.create("services", named("s", space, spec={"ports": [{"port": 80}]}))
        await c.client.delete("namespaces", "a")
        await c.settle(10)
        assert await c.get("namespaces", "a") is None
        assert await c.names("configmaps", "a") == await c.names("pods", "a") == await c.names("services", "a") == []
        assert len(await c.names("pods", "default")) == 3
        await c.create("namespaces", named("a"))
        await c.settle()
        assert await c.names("serviceaccounts", "a") == ["default"]


async def test_pods_go_first_and_what_is_waited_for_is_told() -> None:
    async with control_plane(namespace.CONTROLLER) as c:
        await c.create("namespaces", named("a"))
        await c.create("serviceaccounts", named("default", "a"))
        await c.create("pods", pod("held", "a", finalizers=["example.com/hold"]))
        await c.create("configmaps", named("m", "a"))
        await c.client.delete("namespaces", "a")
        await c.settle(60)
        assert await c.names("configmaps", "a") == ["m"]
        space = await c.get("namespaces", "a")
        assert space is not None and space["status"]["phase"] == "Terminating"
        said = {cond["type"]: (cond["status"], cond["message"]) for cond in space["status"]["conditions"]}
        assert said["NamespaceContentRemaining"][0] == "True"
        assert "pods. has 1 resource instances" in said["NamespaceContentRemaining"][1]
        assert "example.com/hold in 1 resource instances" in said["NamespaceFinalizersRemaining"][1]
        with pytest.raises(StatusError):
            await c.create("configmaps", named("late", "a"))
        before = space["metadata"]["resourceVersion"]
        await c.settle(600)
        again = await c.get("namespaces", "a")
        assert again is not None and again["metadata"]["resourceVersion"] == before
        await c.client.patch("pods", "held", "a", {"metadata": {"finalizers": None}})
        await c.settle(10)
        with pytest.raises(NotFound):
            await c.client.get("namespaces", "a")


async def test_a_kind_that_appears_at_run_time_is_emptied_and_one_that_goes_is_not_waited_for() -> None:
    widget = replace(KIND, group="example.com", kind="Widget", plural="widgets", singular="widget", short_names=())
    gadget = replace(widget, kind="Gadget", plural="gadgets", singular="gadget")
    async with control_plane(namespace.CONTROLLER) as c:
        registry = c.server.server.registry
        await c.create("namespaces", named("a"))
        registry.add(widget)
        registry.add(gadget)
        await c.create("widgets.example.com", named("w", "a"))
        await c.create("gadgets.example.com", named("g", "a", finalizers=["example.com/hold"]))
        await c.client.delete("namespaces", "a")
        await c.settle(10)
        assert await c.names("widgets.example.com", "a") == []
        assert await c.get("namespaces", "a") is not None
        registry.remove(gadget)
        await c.settle(10)
        assert await c.get("namespaces", "a") is None


def test_the_conditions_are_upstreams() -> None:
    content = {"pods": [named("p", finalizers=["b/x", "a/x"])], "widgets.example.com": [named("w")] * 2, "secrets": []}
    said = {c["type"]: c for c in plan_conditions(named("a"), content, failures=["two", "one"], now="")}
    assert {type_: (c["status"], c["reason"], c["message"]) for type_, c in said.items()} == {
        "NamespaceDeletionDiscoveryFailure": ("False", "ResourcesDiscovered", "All resources successfully discovered"),
        "NamespaceDeletionGroupVersionParsingFailure": (
            "False", "ParsedGroupVersions", "All legacy kube types successfully parsed",
        ),
        "NamespaceDeletionContentFailure": (
            "True", "ContentDeletionFailed", "Failed to delete all resource types, 2 remaining: one, two",
        ),
        "NamespaceContentRemaining": (
            "True", "SomeResourcesRemain",
            "Some resources are remaining: pods. has 1 resource instances, widgets.example.com has 2 resource instances",
        ),
        "NamespaceFinalizersRemaining": (
            "True", "SomeFinalizersRemain",
            "Some content in the namespace has finalizers remaining: a/x in 1 resource instances, b/x in 1 resource instances",
        ),
    }  # fmt: skip


def test_the_plan_deletes_pods_alone_while_there_are_any() -> None:
    going = {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}
    there: Obj = {"metadata": {}}
    assert plan_content({"pods": [there], "secrets": [there]}).delete == ["pods"]
    assert plan_content({"pods": [going], "secrets": [there]}).delete == []
    assert plan_content({"pods": [], "secrets": [there, going], "services": [going]}).delete == ["secrets"]
    assert not plan_content({"pods": [], "secrets": []}).remaining
