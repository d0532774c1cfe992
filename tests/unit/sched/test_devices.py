"""Dynamic resources: which devices claims get (pure), and the way of a pod with claims through scheduler and controllers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from minik.api import meta
from minik.api.meta import Key, Obj
from minik.client.manager import Manager
from minik.controllers import garbagecollector, resourceclaim
from minik.metrics import Metrics
from minik.sched.allocator import AllocationError, allocate
from minik.sched.devices import Devices
from minik.sched.snapshot import NodeInfo
from tests.support.cluster import named
from tests.support.objects import node as node_object
from tests.support.scheduling import Rig, scheduling

DRIVER = "gpu.example.com"
CLAIMS, CLASSES, SLICES, TEMPLATES = (
    f"{plural}.resource.k8s.io"
    for plural in ("resourceclaims", "deviceclasses", "resourceslices", "resourceclaimtemplates")
)


def device(name: str, *, memory: str = "4Gi", **attributes: Any) -> Obj:
    typed = {key: {"int": value} if isinstance(value, int) else {"string": value} for key, value in attributes.items()}
    return {"name": name, "attributes": typed, "capacity": {"memory": {"value": memory}}}


def offer(on: str, *devices: Obj, **more: Any) -> Obj:
    spec = {
        "driver": DRIVER,
        "pool": {"name": on, "generation": 1, "resourceSliceCount": 1},
        "nodeName": on,
        "devices": list(devices),
    }
    return {**named(f"{on}-slice"), "spec": {**spec, **more}}


def wish(name: str = "r", **more: Any) -> Obj:
    return {"name": name, "exactly": {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 1, **more}}


def claim(name: str, *requests: Obj, **devices: Any) -> Obj:
    return named(name, "default", spec={"devices": {"requests": list(requests), **devices}})


def when(expression: str) -> Obj:
    return {"selectors": [{"cel": {"expression": expression}}]}


GPU = {**named("gpu"), "spec": when(f'device.driver == "{DRIVER}"')}


def world(*slices: Obj) -> Devices:
    known = Devices()
    known.classes["gpu"] = GPU
    for each in slices:
        known.put_slice(each)
    return known


def on(name: str, **labels: str) -> NodeInfo:
    found = NodeInfo(name)
    found.set(node_object(name, labels=labels))
    return found


def chosen(claims: list[Obj], known: Devices, node: str = "n1") -> list[list[str]] | None:
    found = allocate(claims, on(node), known)
    return None if found is None else [[r["device"] for r in each["devices"]["results"]] for each in found]


def test_devices_of_the_node_that_match() -> None:
    known = world(offer("n1", device("a", model="x"), device("b", model="y")), offer("n2", device("c", model="y")))
    wants_y = when(f'device.attributes["{DRIVER}"].model == "y"')
    assert chosen([claim("c", wish(**wants_y))], known) == [["b"]]
    assert chosen([claim("c", wish(**wants_y))], known, "n2") == [["c"]]
    assert chosen([claim("c", wish(count=2))], known) == [["a", "b"]]
    assert chosen([claim("c", wish(count=3))], known) is None
    assert chosen([claim("c", wish("all", allocationMode="All", count=0))], known) == [["a", "b"]]
    memory = when(f'device.capacity["{DRIVER}"].memory.isGreaterThan(quantity("4Gi"))')
    assert chosen([claim("c", wish(**memory))], known) is None


def test_a_later_wish_may_need_what_an_earlier_one_took_first() -> None:
    known = world(offer("n1", device("a", model="x"), device("b", model="y")))
    only_a = when(f'device.attributes["{DRIVER}"].model == "x"')
    assert chosen([claim("c", wish("any"), wish("a", **only_a))], known) == [["b", "a"]]
    assert chosen([claim("one", wish()), claim("two", wish("a", **only_a))], known) == [["b"], ["a"]]


def test_the_first_alternative_that_can_be_had() -> None:
    known = world(offer("n1", device("a", model="x")))
    better = {"name": "better", "deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 2}
    plain = {"name": "plain", "deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 1}
    found = allocate([claim("c", {"name": "r", "firstAvailable": [better, plain]})], on("n1"), known)
    assert found is not None and found[0]["devices"]["results"][0]["request"] == "r/plain"


def test_constraints() -> None:
    known = world(offer("n1", device("a", numa=0), device("b", numa=1), device("c", numa=1)))
    same = {"matchAttribute": f"{DRIVER}/numa"}
    other = {"distinctAttribute": f"{DRIVER}/numa"}
    assert chosen([claim("c", wish(count=2), constraints=[same])], known) == [["b", "c"]]
    assert chosen([claim("c", wish(count=3), constraints=[same])], known) is None
    assert chosen([claim("c", wish(count=2), constraints=[other])], known) == [["a", "b"]]


def test_taints_and_what_is_taken() -> None:
    sick = {**device("a"), "taints": [{"key": "sick", "effect": "NoSchedule"}]}
    known = world(offer("n1", sick, device("b")))
    assert chosen([claim("c", wish())], known) == [["b"]]
    assert chosen([claim("c", wish(tolerations=[{"key": "sick", "operator": "Exists"}]))], known) == [["a"]]
    holder = claim("h", wish())
    holder["status"] = {"allocation": {"devices": {"results": [{"driver": DRIVER, "pool": "n1", "device": "b"}]}}}
    known.claims[Key("default", "h")] = holder
    assert chosen([claim("c", wish())], known) is None
    assert chosen([claim("c", wish(adminAccess=True))], known) == [["b"]], "an administrator may look at what is in use"


def test_parts_of_one_card_share_its_memory() -> None:
    def part(name: str, memory: str) -> Obj:
        used = {"counterSet": "card", "counters": {"memory": {"value": memory}}}
        return {**device(name), "consumesCounters": [used]}

    counters = {"driver": DRIVER, "pool": {"name": "n1", "generation": 1, "resourceSliceCount": 2}, "nodeName": "n1",
                "sharedCounters": [{"name": "card", "counters": {"memory": {"value": "8Gi"}}}]}  # fmt: skip
    parts = offer("n1", part("whole", "8Gi"), part("half-1", "4Gi"), part("half-2", "4Gi"))
    parts["spec"]["pool"] = counters["pool"]
    known = world(parts)
    assert chosen([claim("c", wish())], known) is None, "the pool is not complete"
    known.put_slice({**named("n1-counters"), "spec": counters})
    assert chosen([claim("c", wish())], known) == [["whole"]]
    assert chosen([claim("c", wish(count=2))], known) == [["half-1", "half-2"]]


def test_what_can_be_had_nowhere_says_why() -> None:
    known = world(offer("n1", device("a")))
    with pytest.raises(AllocationError, match="device class other does not exist"):
        allocate([claim("c", wish(deviceClassName="other"))], on("n1"), known)
    with pytest.raises(AllocationError, match="no such key: x"):
        allocate([claim("c", wish(**when('device.attributes["x"].y == 1')))], on("n1"), known)


def test_where_an_allocation_is_good() -> None:
    by_label = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "rack", "operator": "In", "values": ["1"]}]}]}
    spread = offer("n1", device("a"))
    spread["spec"] |= {"nodeSelector": by_label, "pool": {"name": "rack", "generation": 1, "resourceSliceCount": 1}}
    del spread["spec"]["nodeName"]
    known = world(spread)
    assert allocate([claim("c", wish())], on("n1"), known) is None
    found = allocate([claim("c", wish())], on("n1", rack="1"), known)
    assert found is not None and found[0]["nodeSelector"] == by_label
    local = allocate([claim("c", wish())], on("n2"), world(offer("n2", device("a"))))
    assert local is not None
    assert local[0]["nodeSelector"]["nodeSelectorTerms"][0]["matchFields"][0]["values"] == ["n2"]


# --- all of it together ------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def at_work() -> AsyncIterator[Rig]:
    """Two nodes, each with one device; the scheduler and the controllers of claims."""
    async with scheduling([node_object("n1"), node_object("n2")]) as rig:
        manager = Manager(
            (resourceclaim.PODS, resourceclaim.CLAIMS, garbagecollector.CONTROLLER),
            rig.server.local(),
            rig.server.server.registry,
            clock=rig.clock,
            entropy=rig.server.entropy,
            metrics=Metrics(),
        )
        await manager.start()
        await manager.wait_synced()
        await rig.create(CLASSES, {**named("gpu"), "spec": GPU["spec"]})
        for each in ("n1", "n2"):
            await rig.create(SLICES, offer(each, device(f"gpu-of-{each}")))
        try:
            yield rig
        finally:
            await manager.close()


def using(**source: str) -> dict[str, Any]:
    return {"resourceClaims": [{"name": "gpu", **source}], "container": {"resources": {"claims": [{"name": "gpu"}]}}}


@pytest.mark.looptime
async def test_pods_get_devices_and_give_them_back() -> None:
    async with at_work() as rig:
        template = {"spec": {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu"}}]}}}
        await rig.create(TEMPLATES, named("one-gpu", "default", spec=template))
        for name in ("a", "b", "c"):
            await rig.pod(name, **using(resourceClaimTemplateName="one-gpu"))
        await rig.settle(20)
        placed = {name: await rig.node_of(name) for name in ("a", "b", "c")}
        waiting = [name for name, node in placed.items() if not node]
        assert len(waiting) == 1 and {placed["a"], placed["b"], placed["c"]} == {"n1", "n2", ""}
        assert "2 cannot allocate all claims" in (await rig.events("FailedScheduling"))[-1]
        claims = (await rig.client.list(CLAIMS, "default")).items
        devices = [
            r["device"]
            for c in claims
            for r in (c["status"].get("allocation") or {"devices": {"results": []}})["devices"]["results"]
        ]
        assert sorted(devices) == ["gpu-of-n1", "gpu-of-n2"]
        holder = next(name for name, node in placed.items() if node)
        await rig.client.delete("pods", holder, "default", grace_seconds=0)
        await rig.settle(30)
        assert await rig.node_of(waiting[0]) == placed[holder], "its device is free again"
        assert len(await rig.names(CLAIMS, "default")) == 2, "the claim made for it is gone"


@pytest.mark.looptime
async def test_pods_that_share_a_claim_run_where_its_device_is() -> None:
    async with at_work() as rig:
        await rig.create(CLAIMS, claim("shared", {"name": "r", "exactly": {"deviceClassName": "gpu"}}))
        await rig.pod("a", **using(resourceClaimName="shared"))
        await rig.settle(5)
        await rig.pod("b", **using(resourceClaimName="shared"))
        await rig.settle(5)
        assert await rig.node_of("a") == await rig.node_of("b") != ""
        shared = await rig.client.get(CLAIMS, "shared", "default")
        assert sorted(user["name"] for user in shared["status"]["reservedFor"]) == ["a", "b"]
        await rig.client.delete(CLAIMS, "shared", "default")
        await rig.client.delete("pods", "a", "default", grace_seconds=0)
        await rig.settle(5)
        shared = await rig.client.get(CLAIMS, "shared", "default")
        assert meta.is_deleting(shared) and [u["name"] for u in shared["status"]["reservedFor"]] == ["b"]
        await rig.client.delete("pods", "b", "default", grace_seconds=0)
        await rig.settle(5)
        assert await rig.names(CLAIMS, "default") == []


@pytest.mark.looptime
async def test_a_claim_that_is_about_to_get_devices_is_left_alone() -> None:
    """The scheduler writes the finalizer first; taken off at once, its next write would be refused, and the pod wait for another turn."""
    async with at_work() as rig:
        wanted = claim("c", {"name": "r", "exactly": {"deviceClassName": "gpu"}})
        wanted["metadata"]["finalizers"] = [resourceclaim.FINALIZER]
        await rig.create(CLAIMS, wanted)
        await rig.settle(5)
        assert meta.finalizers(await rig.client.get(CLAIMS, "c", "default")) == [resourceclaim.FINALIZER]
        await rig.client.delete(CLAIMS, "c", "default")
        await rig.settle(5)
        assert await rig.names(CLAIMS, "default") == []
