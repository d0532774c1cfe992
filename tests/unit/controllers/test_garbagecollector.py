from __future__ import annotations

from typing import Any

import pytest

from minik.api.kind import Kind
from minik.api.meta import Obj, ROObj
from minik.controllers import garbagecollector
from tests.support.cluster import ControlPlane, control_plane, named, owned

pytestmark = pytest.mark.looptime

GC = garbagecollector.CONTROLLER


async def _map(c: ControlPlane, name: str, *owners: Obj, namespace: str = "default", **more: Any) -> ROObj:
    return await c.create("configmaps", named(name, namespace, ownerReferences=list(owners), **more))


async def test_dependents_of_a_deleted_owner_go_in_the_background() -> None:
    async with control_plane(GC) as c:
        a = await _map(c, "a")
        b = await _map(c, "b", owned(a))
        await _map(c, "c", owned(b))
        await _map(c, "free")
        await c.settle()
        await c.client.delete("configmaps", "a", "default", propagation="Background")
        await c.settle()
        assert await c.names("configmaps") == ["free"]


async def test_absent_owners_were_never_there_or_are_somebody_else_now() -> None:
    async with control_plane(GC) as c:
        real = await _map(c, "real")
        never = {**owned(real), "name": "never", "uid": "11111111-0000-4000-8000-000000000000"}
        other = {**owned(real), "uid": "22222222-0000-4000-8000-000000000000"}
        await _map(c, "x", never)
        await _map(c, "y", other)
        await _map(c, "z", owned(real))
        await c.settle()
        assert await c.names("configmaps") == ["real", "z"]


async def test_an_owner_that_lives_keeps_it_and_references_to_the_others_go() -> None:
    async with control_plane(GC) as c:
        a, b = await _map(c, "a"), await _map(c, "b")
        await _map(c, "child", owned(a), owned(b))
        await c.settle()
        await c.client.delete("configmaps", "a", "default", propagation="Background")
        await c.settle()
        child = await c.get("configmaps", "child", "default")
        assert child is not None
        assert [ref["name"] for ref in child["metadata"]["ownerReferences"]] == ["b"]
        await c.client.delete("configmaps", "b", "default", propagation="Foreground")
        await c.settle()
        assert await c.names("configmaps") == []


async def test_foreground_waits_for_what_blocks_and_only_for_that() -> None:
    async with control_plane(GC) as c:
        a = await _map(c, "a")
        await _map(c, "blocks", owned(a, block=True), finalizers=["example.com/hold"])
        await _map(c, "does-not", owned(a), finalizers=["example.com/hold"])
        await c.settle()
        await c.client.delete("configmaps", "a", "default", propagation="Foreground")
        await c.settle(5)
        names = await c.names("configmaps")
        assert names == ["a", "blocks", "does-not"]
        for name in names[1:]:
            held = await c.get("configmaps", name, "default")
            assert held is not None and held["metadata"].get("deletionTimestamp"), name
        await c.client.patch("configmaps", "blocks", "default", {"metadata": {"finalizers": None}})
        await c.settle()
        assert await c.names("configmaps") == ["does-not"]


async def test_foreground_goes_down_the_tree_leaves_first() -> None:
    async with control_plane(GC) as c:
        a = await _map(c, "a")
        b = await _map(c, "b", owned(a, block=True))
        await _map(c, "c", owned(b, block=True), finalizers=["example.com/hold"])
        await c.settle()
        await c.client.delete("configmaps", "a", "default", propagation="Foreground")
        await c.settle(5)
        assert await c.names("configmaps") == ["a", "b", "c"]
        await c.client.patch("configmaps", "c", "default", {"metadata": {"finalizers": None}})
        await c.settle(5)
        assert await c.names("configmaps") == []


async def test_a_blocking_dependent_that_is_set_free_ends_the_waiting() -> None:
    async with control_plane(GC) as c:
        a = await _map(c, "a")
        await _map(c, "child", owned(a, block=True), finalizers=["example.com/hold"])
        await c.settle()
        await c.client.delete("configmaps", "a", "default", propagation="Foreground")
        await c.settle()
        await c.client.patch("configmaps", "child", "default", {"metadata": {"ownerReferences": None}})
        await c.settle()
        assert await c.names("configmaps") == ["child"]


async def test_orphan_sets_dependents_free() -> None:
    async with control_plane(GC) as c:
        a, b = await _map(c, "a"), await _map(c, "b")
        await _map(c, "one", owned(a))
        await _map(c, "two", owned(a), owned(b))
        await c.settle()
        await c.client.delete("configmaps", "a", "default", propagation="Orphan")
        await c.settle()
        assert await c.names("configmaps") == ["b", "one", "two"]
        one, two = await c.get("configmaps", "one", "default"), await c.get("configmaps", "two", "default")
        assert one is not None and "ownerReferences" not in one["metadata"]
        assert two is not None and [r["name"] for r in two["metadata"]["ownerReferences"]] == ["b"]


@pytest.mark.parametrize("policy", ["Foreground", "Background"])
async def test_a_cycle_ends(policy: Any) -> None:
    """The conformance behaviour "dependency cycle": three objects that own one another, each blocking."""
    async with control_plane(GC) as c:
        objects = [await _map(c, name) for name in ("one", "two", "three")]
        for obj, owner in zip(objects, objects[-1:] + objects[:-1], strict=True):
            refs = {"metadata": {"ownerReferences": [owned(owner, controller=True, block=True)]}}
            await c.client.patch("configmaps", obj["metadata"]["name"], "default", refs)
        await c.settle()
        assert len(await c.names("configmaps")) == 3
        await c.client.delete("configmaps", "one", "default", propagation=policy)
        await c.settle(10)
        assert await c.names("configmaps") == []


async def test_cluster_scoped_owners_and_owners_of_the_wrong_scope() -> None:
    async with control_plane(GC) as c:
        node = await c.create("nodes", named("n1"))
        lease = named("n1", "default", ownerReferences=[owned(node)])
        await c.create("leases.coordination.k8s.io", lease)
        m = await _map(c, "m")
        await c.create("nodes", named("odd", ownerReferences=[owned(m)]))
        await c.settle()
        await c.client.delete("nodes", "n1")
        await c.client.delete("configmaps", "m", "default")
        await c.settle()
        assert await c.names("leases.coordination.k8s.io") == []
        assert await c.names("nodes") == ["odd"], "a cluster-scoped object cannot have a namespaced owner: left alone"
        events = (await c.client.list("events")).items
        assert [event["reason"] for event in events] == ["OwnerRefInvalidNamespace"]


async def test_what_appears_beside_its_owners_costs_nothing() -> None:
    async with control_plane(GC) as c:
        a, b = await _map(c, "a"), await _map(c, "b")
        for number in range(10):
            await _map(c, f"child-{number}", owned(a), owned(b))
        await c.settle()
        assert c.manager.statistics()["controllers"]["garbage-collector"]["adds"] == 0
        await c.client.delete("configmaps", "a", "default")
        await c.settle()
        child = await c.get("configmaps", "child-3", "default")
        assert child is not None and [ref["name"] for ref in child["metadata"]["ownerReferences"]] == ["b"]
        await c.client.delete("configmaps", "b", "default")
        await c.settle()
        assert await c.names("configmaps") == []


async def test_an_owner_in_another_namespace_is_absent() -> None:
    async with control_plane(GC, namespaces=("default", "other")) as c:
        a = await _map(c, "a", namespace="other")
        await _map(c, "child", owned(a))
        await c.settle()
        assert await c.names("configmaps") == ["a"]
        (event,) = (await c.client.list("events", "default")).items
        assert (event["reason"], event["message"]) == (
            "OwnerRefInvalidNamespace",
            f"ownerRef [v1/ConfigMap, namespace: default, name: a, uid: {a['metadata']['uid']}] "
            'does not exist in namespace "default"',
        )


async def test_an_owner_of_a_kind_that_is_not_served_is_not_judged_until_it_is() -> None:
    widget = Kind(
        group="example.com", version="v1", kind="Widget", plural="widgets", singular="widget", namespaced=True,
        schema="io.k8s.api.core.v1.ConfigMap",
    )  # fmt: skip
    ref = {"apiVersion": "example.com/v1", "kind": "Widget", "name": "w", "uid": "33333333-0000-4000-8000-000000000000"}
    async with control_plane(GC) as c:
        await _map(c, "child", ref)
        await c.settle(100)
        assert await c.names("configmaps") == ["child"]
        c.client.registry.add(widget)
        await c.settle(10)
        assert await c.names("configmaps") == []


async def test_deletions_of_before_the_start_are_caught_up_with() -> None:
    async with control_plane(namespaces=("default",)) as c:
        a = await _map(c, "a")
        await _map(c, "child", owned(a))
        await c.client.delete("configmaps", "a", "default")
        from minik.client.manager import Manager
        from minik.metrics import Metrics

        late = Manager(
            [GC], c.server.local(), c.client.registry, clock=c.clock, entropy=c.server.entropy, metrics=Metrics()
        )
        await late.start()
        await c.settle()
        assert await c.names("configmaps") == []
        await late.close()
