"""What a quota's status says, against the running control plane: the conformance suite's life cycles, and rest afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from minik.api.builtin import builtin_registry
from minik.api.kind import Kind
from minik.api.meta import Obj
from minik.controllers import resourcequota
from tests.support.cluster import ControlPlane, control_plane, named, pod
from tests.support.dying import Dying, run_until_death

pytestmark = pytest.mark.looptime
QUOTAS = "resourcequotas"
_CLAIMS = Kind(
    group="", version="v1", kind="PersistentVolumeClaim", plural="persistentvolumeclaims", singular="persistentvolumeclaim",
    namespaced=True, schema="io.k8s.api.core.v1.PersistentVolumeClaim",
)  # fmt: skip
EXTRA = () if builtin_registry().get(_CLAIMS.resource) else (_CLAIMS,)
"""Claims, if this server has none of its own."""
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "a"}]}}


def quota(name: str = "q", *, hard: dict[str, str], **spec: Any) -> Obj:
    return named(name, "default", spec={"hard": hard, **spec})


async def used(c: ControlPlane, name: str = "q") -> Any:
    """Once the changes have been gathered."""
    await c.settle()
    return (await c.client.get(QUOTAS, name, "default")).get("status", {}).get("used")


@pytest.mark.parametrize(
    ("resource", "spec", "names"),
    [
        ("configmaps", {}, {"configmaps": "1", "count/configmaps": "1"}),
        ("secrets", {}, {"secrets": "1", "count/secrets": "1"}),
        ("services", {"spec": {"ports": [{"port": 80}]}}, {"services": "1", "services.nodeports": "0"}),
        (
            "services", {"spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}},
            {"services": "1", "services.nodeports": "1", "services.loadbalancers": "1", "count/services": "1"},
        ),
        (
            "services", {"spec": {"type": "LoadBalancer", "ports": [{"port": 80}], "allocateLoadBalancerNodePorts": False}},
            {"services.nodeports": "0", "services.loadbalancers": "1"},
        ),
        (
            "replicationcontrollers", {"spec": {"selector": {"a": "b"}, "template": TEMPLATE, "replicas": 0}},
            {"replicationcontrollers": "1", "count/replicationcontrollers": "1"},
        ),
        (
            "replicasets.apps", {"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE, "replicas": 0}},
            {"count/replicasets.apps": "1"},
        ),
        (
            "persistentvolumeclaims",
            {"spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "gold", "resources": {"requests": {"storage": "1Gi"}}}},
            {
                "persistentvolumeclaims": "1", "requests.storage": "1Gi",
                "gold.storageclass.storage.k8s.io/requests.storage": "1Gi",
                "gold.storageclass.storage.k8s.io/persistentvolumeclaims": "1",
                "silver.storageclass.storage.k8s.io/requests.storage": "0",
            },
        ),
    ],
)  # fmt: skip
async def test_the_life_of_an_object(resource: str, spec: Obj, names: dict[str, str]) -> None:
    nothing = dict.fromkeys(names, "0")
    async with control_plane(resourcequota.CONTROLLER, kinds=EXTRA) as c:
        hard = {name: "10Gi" if name.endswith("requests.storage") else "10" for name in names}
        await c.create(QUOTAS, quota(hard=hard | {"resourcequotas": "1"}))
        assert await used(c) == nothing | {"resourcequotas": "1"}
        await c.create(resource, named("x", "default", **spec))
        assert await used(c) == names | {"resourcequotas": "1"}
        await c.client.delete(resource, "x", "default")
        gone = await c.get(resource, "x", "default")
        if gone is not None:  # a claim is protected by a finalizer
            await c.client.patch(resource, "x", "default", {"metadata": {"finalizers": None}})
        assert await used(c) == nothing | {"resourcequotas": "1"}


def working(name: str, **spec: Any) -> Obj:
    amounts = {"cpu": "500m", "memory": "252Mi", "ephemeral-storage": "30Gi", "example.com/dongle": "2"}
    resources = {"requests": amounts, "limits": {"cpu": "1", "memory": "400Mi", "example.com/dongle": "2"}}
    return pod(name, spec={"containers": [{"name": "c", "image": "a", "resources": resources}], **spec})


async def test_the_life_of_a_pod() -> None:
    hard = {
        "pods": "5", "count/pods": "9", "cpu": "1", "requests.cpu": "1", "memory": "500Mi", "limits.cpu": "2", "limits.memory": "1Gi",
        "ephemeral-storage": "50Gi", "requests.example.com/dongle": "3",
    }  # fmt: skip
    taken = {
        "pods": "1", "count/pods": "1", "cpu": "500m", "requests.cpu": "500m", "memory": "252Mi", "limits.cpu": "1",
        "limits.memory": "400Mi", "ephemeral-storage": "30Gi", "requests.example.com/dongle": "2",
    }  # fmt: skip
    nothing = dict.fromkeys(hard, "0")
    async with control_plane(resourcequota.CONTROLLER) as c:
        await c.create(QUOTAS, quota(hard=hard))
        assert await used(c) == nothing
        await c.create("pods", working("a", nodeName="n1"))
        assert await used(c) == taken
        await c.client.patch_status("pods", "a", "default", {"status": {"phase": "Succeeded"}})
        assert await used(c) == nothing | {"count/pods": "1"}
        await c.client.delete("pods", "a", "default", grace_seconds=0)
        assert await used(c) == nothing


async def test_a_pod_that_its_node_does_not_let_go_is_not_counted_for_ever() -> None:
    async with control_plane(resourcequota.CONTROLLER) as c:
        await c.create(QUOTAS, quota(hard={"pods": "1"}))
        await c.create("pods", pod("a", node="n1"))
        await c.client.delete("pods", "a", "default")  # in 30 seconds; nobody does it
        await c.settle(50)
        assert await used(c) == {"pods": "1"}
        await c.settle(15)
        assert await used(c) == {"pods": "0"}
        await c.create("pods", pod("b", node="n1"))
        assert await used(c) == {"pods": "1"}


@pytest.mark.parametrize(
    ("scopes", "inside"),
    [(("BestEffort", "NotBestEffort"), {}), (("Terminating", "NotTerminating"), {"activeDeadlineSeconds": 3600})],
)
async def test_scopes(scopes: tuple[str, str], inside: Obj) -> None:
    async with control_plane(resourcequota.CONTROLLER) as c:
        for name, scope in zip(("in", "out"), scopes, strict=True):
            await c.create(QUOTAS, quota(name, hard={"pods": "5"}, scopes=[scope]))
        await c.create("pods", pod("a", spec=inside))
        assert (await used(c, "in"), await used(c, "out")) == ({"pods": "1"}, {"pods": "0"})
        await c.client.delete("pods", "a", "default", grace_seconds=0)
        await c.create("pods", working("b"))
        assert (await used(c, "in"), await used(c, "out")) == ({"pods": "0"}, {"pods": "1"})


async def test_status_follows_the_spec_whoever_writes_it() -> None:
    async with control_plane(resourcequota.CONTROLLER) as c:
        await c.create(QUOTAS, quota(hard={"cpu": "500m", "memory": "500Mi"}))
        await c.settle()
        await c.client.patch_status(QUOTAS, "q", "default", {"status": {"hard": {"cpu": "1", "memory": "1Gi"}}})
        await c.settle()
        found = await c.client.get(QUOTAS, "q", "default")
        assert found["status"]["hard"] == found["spec"]["hard"] == {"cpu": "500m", "memory": "500Mi"}
        await c.client.patch(QUOTAS, "q", "default", {"spec": {"hard": {"cpu": "2", "pods": "3", "memory": None}}})
        await c.settle()
        found = await c.client.get(QUOTAS, "q", "default")
        assert found["status"] == {"hard": {"cpu": "2", "pods": "3"}, "used": {"cpu": "0", "pods": "0"}}


async def test_kinds_that_come_and_go() -> None:
    widgets = Kind(
        group="example.com", version="v1", kind="Widget", plural="widgets", singular="widget", namespaced=True,
        schema="io.k8s.api.core.v1.ConfigMap",
    )  # fmt: skip
    name = "count/widgets.example.com"
    async with control_plane(resourcequota.CONTROLLER) as c:
        await c.create(QUOTAS, quota(hard={name: "3"}))
        assert await used(c) is None
        c.server.server.registry.add(widgets)
        assert await used(c) == {name: "0"}
        await c.create("widgets.example.com", named("w", "default"))
        assert await used(c) == {name: "1"}
        c.server.server.registry.remove(widgets)
        assert await used(c) is None


async def test_many_changes_are_gathered_and_then_it_rests() -> None:
    async with control_plane(resourcequota.CONTROLLER) as c:
        await c.create(QUOTAS, quota(hard={"configmaps": "1k", "pods": "5"}))
        await c.settle()
        for number in range(200):
            await c.create("configmaps", named(f"c{number}", "default"))
        before = c.server.cache.revision
        assert (await used(c))["configmaps"] == "200"
        assert c.server.cache.revision - before <= 2
        rested = c.server.cache.revision
        await c.create("pods", pod("a", node="n1"))
        await c.settle()
        done = c.manager._runners["resourcequota"].queue.adds
        for phase in ("Running", "Pending", "Running"):  # says nothing about what it uses
            await c.client.patch_status("pods", "a", "default", {"status": {"phase": phase}})
        await c.settle(500)
        assert c.manager._runners["resourcequota"].queue.adds == done and c.server.cache.revision == rested + 5


@pytest.mark.parametrize("before", [True, False])
async def test_a_controller_that_dies_is_followed_by_one_that_knows(before: bool) -> None:
    async with control_plane() as c:
        await c.create(QUOTAS, quota(hard={"configmaps": "100"}))
        for fatal in (1, 2):
            for number in range(5):
                await c.create("configmaps", named(f"c{fatal}-{number}", "default"))
            await run_until_death(c, resourcequota.CONTROLLER, Dying(c.server.local(), fatal, before=before), seconds=5)
        await run_until_death(c, resourcequota.CONTROLLER, Dying(c.server.local(), 0, before=True), seconds=5)
        assert await used(c) == {"configmaps": "10"}
