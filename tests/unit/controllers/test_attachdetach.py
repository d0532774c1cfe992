"""CSI volumes are attached where pods use them, to one node at a time, and stay as long as the node holds them."""

from __future__ import annotations

from typing import Any

import pytest

from minik.api import meta
from minik.api.meta import Obj, ROObj
from minik.controllers import attachdetach, persistentvolume, persistentvolumeclaim
from minik.controllers.common.attach_plan import (
    NodeState,
    Wanted,
    attachment_name,
    is_ours,
    new_attachment,
    plan_attach,
)
from tests.support.cluster import ControlPlane, control_plane, named, pod
from tests.unit.controllers.test_volumes import PVCS, PVS, claim, ready_node, volume

pytestmark = pytest.mark.looptime

CONTROLLERS = (attachdetach.CONTROLLER, persistentvolume.CONTROLLER, persistentvolumeclaim.CONTROLLER)
ATTACHMENTS, DRIVERS = "volumeattachments.storage.k8s.io", "csidrivers.storage.k8s.io"
DRIVER = "csi.example.com"
UNIQUE = f"kubernetes.io/csi/{DRIVER}^disk-v"


def csi_volume(name: str, driver: str = DRIVER, **more: Any) -> Obj:
    made = volume(name, csi={"driver": driver, "volumeHandle": f"disk-{name}"}, **more)
    del made["spec"]["hostPath"]
    return made


def user(name: str, claim_name: str, node: str) -> Obj:
    uses = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim_name}}]}
    return pod(name, node=node, spec=uses)


async def attachments(c: ControlPlane) -> dict[str, str]:
    """Node → volume."""
    found = (await c.client.list(ATTACHMENTS)).items
    return {each["spec"]["nodeName"]: each["spec"]["source"]["persistentVolumeName"] for each in found}


async def attached(c: ControlPlane, node: str) -> list[str]:
    found = await c.client.get("nodes", node)
    return [each["name"] for each in (found.get("status") or {}).get("volumesAttached") or ()]


async def the_driver_attaches(c: ControlPlane) -> None:
    for each in (await c.client.list(ATTACHMENTS)).items:
        await c.client.patch_status(ATTACHMENTS, meta.name(each), "", {"status": {"attached": True}})
    await c.settle()


async def messages(c: ControlPlane, about: str) -> list[str]:
    found = (await c.client.list("events", "default")).items
    return [e["message"] for e in found if e["involvedObject"]["name"] == about]


async def _with_pair(c: ControlPlane) -> None:
    for name in ("n1", "n2"):
        await ready_node(c, name)
    await c.create(PVS, csi_volume("v"))
    await c.create(PVCS, claim("a"))
    await c.settle()


async def test_attached_while_a_pod_uses_it() -> None:
    async with control_plane(*CONTROLLERS) as c:
        await _with_pair(c)
        assert await attachments(c) == {}
        await c.create("pods", user("p", "a", "n1"))
        await c.settle()
        assert await attachments(c) == {"n1": "v"} and await attached(c, "n1") == []
        await the_driver_attaches(c)
        assert await attached(c, "n1") == [UNIQUE]
        assert await messages(c, "p") == ['AttachVolume.Attach succeeded for volume "v" ']
        in_use = {"status": {"volumesInUse": [UNIQUE]}}
        await c.client.patch_status("nodes", "n1", "", in_use)
        await c.client.delete("pods", "p", "default", grace_seconds=0)
        await c.settle(4000)
        assert await attachments(c) == {"n1": "v"}, "a node that is alive still has it mounted"
        await c.client.patch_status("nodes", "n1", "", {"status": {"volumesInUse": None}})
        await c.settle()
        assert await attachments(c) == {} and await attached(c, "n1") == []


async def test_one_node_at_a_time() -> None:
    async with control_plane(*CONTROLLERS) as c:
        await _with_pair(c)
        await c.create("pods", user("p", "a", "n1"))
        await c.create("pods", user("q", "a", "n2"))
        await c.settle(5)
        (first,) = await attachments(c)
        loser, winner = ("q", "p") if first == "n1" else ("p", "q")
        assert any(m.startswith('Multi-Attach error for volume "v"') for m in await messages(c, loser))
        await the_driver_attaches(c)
        await c.client.delete("pods", winner, "default", grace_seconds=0)
        await c.settle(5)
        assert list(await attachments(c)) == [{"n1": "n2", "n2": "n1"}[first]], "the other's turn"


async def test_many_nodes_may_share() -> None:
    async with control_plane(*CONTROLLERS) as c:
        for name in ("n1", "n2"):
            await ready_node(c, name)
        await c.create(PVS, csi_volume("v", modes=("ReadWriteMany",)))
        await c.create(PVCS, claim("a", modes=("ReadWriteMany",)))
        for number in (1, 2):
            await c.create("pods", user(f"p{number}", "a", f"n{number}"))
        await c.settle()
        assert await attachments(c) == {"n1": "v", "n2": "v"}


async def test_what_is_not_attached() -> None:
    async with control_plane(*CONTROLLERS) as c:
        await ready_node(c, "n1")
        await c.create(DRIVERS, named("no.example.com", spec={"attachRequired": False}))
        await c.create(PVS, csi_volume("v", "no.example.com"))
        await c.create(PVS, volume("directory", "2Gi"))
        for name, size in (("a", "1Gi"), ("b", "2Gi")):
            await c.create(PVCS, claim(name, size))
            await c.create("pods", user(name, name, "n1"))
        source = {"persistentVolumeName": "v"}
        await c.create(ATTACHMENTS, named("mine", spec={"attacher": "x", "nodeName": "n1", "source": source}))
        await c.settle()
        assert [meta.name(each) for each in (await c.client.list(ATTACHMENTS)).items] == ["mine"], (
            "somebody else's stays"
        )


async def test_nodes_that_are_gone_or_silent_let_go() -> None:
    async with control_plane(*CONTROLLERS) as c:
        await _with_pair(c)
        await c.create("pods", user("p", "a", "n1"))
        await c.settle()
        await the_driver_attaches(c)
        status = {"status": {"volumesInUse": [UNIQUE], "conditions": [{"type": "Ready", "status": "Unknown"}]}}
        await c.client.patch_status("nodes", "n1", "", status)
        await c.client.delete("pods", "p", "default", grace_seconds=0)
        await c.create("pods", user("q", "a", "n2"))
        await c.settle(300)
        assert await attachments(c) == {"n1": "v"}
        await c.settle(100)
        assert await attachments(c) == {"n2": "v"}, "after six minutes"
        await the_driver_attaches(c)
        await c.client.patch_status("nodes", "n2", "", {"status": {"volumesInUse": [UNIQUE]}})
        await c.client.delete("nodes", "n2")
        await c.client.delete("pods", "q", "default", grace_seconds=0)
        await c.settle()
        assert await attachments(c) == {}


def _node(**status: Any) -> ROObj:
    return named("n", status={"conditions": [{"type": "Ready", "status": "True"}], **status})


def test_planning_is_pure_and_says_what_the_node_may_use() -> None:
    disk = csi_volume("v")
    made = new_attachment(disk, "n")
    assert meta.name(made) == attachment_name(DRIVER, "disk-v", "n") and is_ours(made)
    wanted = Wanted(disk, ())
    assert plan_attach(NodeState("n", _node()), [wanted], {}).create == (made,)
    assert plan_attach(NodeState("n", None), [wanted], {}).create == ()
    done = {**made, "status": {"attached": True}}
    plan = plan_attach(NodeState("n", _node(), [done]), [wanted], {"v": disk})
    assert plan.create == () and plan.report == ({"name": UNIQUE, "devicePath": meta.name(made)},)
    plan = plan_attach(NodeState("n", _node(volumesAttached=list(plan.report), volumesInUse=[UNIQUE]), [done]), [], {})
    assert plan.held == (meta.name(made),), "the node knows it, although the volume's object is gone"
    plan = plan_attach(NodeState("n", _node(), [done]), [], {"v": disk})
    assert (plan.detach, plan.report) == ((done,), ())
    broken = {**made, "status": {"attached": False, "attachError": {"message": "no such disk"}}}
    assert plan_attach(NodeState("n", _node(), [broken]), [wanted], {"v": disk}).failed == ((wanted, "no such disk"),)
