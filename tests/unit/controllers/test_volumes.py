"""Volumes and claims: binding, provisioning, release, protection, growth, against the real API server in simulated time."""

from __future__ import annotations

from typing import Any

import pytest

from minik.api import meta
from minik.api.core_v1 import volumes
from minik.api.errors import Forbidden, Invalid
from minik.api.meta import Obj, ROObj
from minik.controllers import (
    claimprotection,
    ephemeralvolume,
    garbagecollector,
    persistentvolume,
    persistentvolumeclaim,
)
from tests.support.cluster import ControlPlane, control_plane, named, pod

pytestmark = pytest.mark.looptime

CONTROLLERS = (
    persistentvolumeclaim.CONTROLLER, persistentvolume.CONTROLLER, claimprotection.CONTROLLER, ephemeralvolume.CONTROLLER,
)  # fmt: skip
PVS, PVCS, CLASSES = "persistentvolumes", "persistentvolumeclaims", "storageclasses.storage.k8s.io"


def volume(
    name: str, size: str = "1Gi", *, cls: str = "", modes: tuple[str, ...] = ("ReadWriteOnce",), **spec: Any
) -> Obj:
    labels = spec.pop("labels", {})
    body = {"capacity": {"storage": size}, "accessModes": list(modes), "storageClassName": cls,
            "hostPath": {"path": f"/data/{name}"}, **spec}  # fmt: skip
    return named(name, spec=body, labels=labels)


def claim(
    name: str, size: str = "1Gi", *, cls: str | None = "", modes: tuple[str, ...] = ("ReadWriteOnce",), **spec: Any
) -> Obj:
    body: Obj = {"accessModes": list(modes), "resources": {"requests": {"storage": size}}, **spec}
    if cls is not None:
        body["storageClassName"] = cls
    return named(name, "default", spec=body)


def storage_class(name: str, *, mode: str = "Immediate", default: bool = False, **more: Any) -> Obj:
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    body = {"provisioner": volumes.NODE_DIRECTORY, "volumeBindingMode": mode, "allowVolumeExpansion": True, **more}
    return named(name, annotations=annotations, **body)


async def ready_node(c: ControlPlane, name: str = "n1") -> None:
    await c.create("nodes", named(name, labels={"kubernetes.io/hostname": name}))
    status = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    await c.client.patch("nodes", name, "", status, subresource="status")


async def found(c: ControlPlane, resource: str, name: str) -> ROObj:
    obj = await c.get(resource, name, "default" if resource == PVCS else "")
    assert obj is not None
    return obj


async def pair(c: ControlPlane, name: str) -> tuple[str, str]:
    """(phase of the claim, its volume)."""
    obj = await found(c, PVCS, name)
    return volumes.phase(obj), volumes.volume_name(obj)


# --- binding -----------------------------------------------------------------------------------------------------------------


async def test_the_smallest_volume_that_suits() -> None:
    async with control_plane(*CONTROLLERS) as c:
        await c.create(PVS, volume("large", "10Gi"))
        await c.create(PVS, volume("small", "1Gi"))
        await c.create(PVS, volume("middle", "5Gi", modes=("ReadWriteOnce", "ReadOnlyMany"), labels={"disk": "ssd"}))
        await c.create(PVS, volume("other", "2Gi", cls="other"))
        await c.settle()
        assert volumes.phase(await found(c, PVS, "large")) == "Available"
        await c.create(PVCS, claim("a", "2Gi", selector={"matchLabels": {"disk": "ssd"}}))
        await c.settle()
        assert await pair(c, "a") == ("Bound", "middle")
        bound, mine = await found(c, PVS, "middle"), await found(c, PVCS, "a")
        assert (volumes.phase(bound), bound["spec"]["claimRef"]["uid"]) == ("Bound", meta.uid(mine))
        assert mine["status"]["capacity"] == {"storage": "5Gi"} and mine["status"]["accessModes"] == [
            "ReadWriteOnce",
            "ReadOnlyMany",
        ]
        assert (
            meta.annotations(mine)[volumes.BIND_COMPLETED]
            == "yes"
            == meta.annotations(bound)[volumes.BOUND_BY_CONTROLLER]
        )
        await c.create(PVCS, claim("b", "2Gi"))
        await c.create(PVCS, claim("c", "20Gi"))
        await c.settle()
        assert await pair(c, "b") == ("Bound", "large")
        assert await pair(c, "c") == ("Pending", "")
        await c.create(PVS, volume("huge", "20Gi"))
        await c.settle()
        assert await pair(c, "c") == ("Bound", "huge"), "a new volume is for who waits"


async def test_many_claims_and_volumes_pair_up_one_to_one() -> None:
    async with control_plane(*CONTROLLERS) as c:
        for number in range(20):
            await c.create(PVCS, claim(f"c{number}", f"{1 + number % 3}Gi"))
        for number in range(20):
            await c.create(PVS, volume(f"v{number}", "3Gi"))
        await c.settle(10)
        pairs = [await pair(c, f"c{number}") for number in range(20)]
        assert all(phase == "Bound" for phase, _ in pairs) and len({name for _, name in pairs}) == 20


async def test_pairs_that_somebody_made_beforehand() -> None:
    async with control_plane(*CONTROLLERS) as c:
        await c.create(PVS, volume("meant", claimRef={"namespace": "default", "name": "a"}))
        await c.create(PVS, volume("asked"))
        await c.create(PVS, volume("tiny", "1Mi"))
        await c.create(PVCS, claim("b", volumeName="asked"))
        await c.create(PVCS, claim("a"))
        await c.create(PVCS, claim("c", volumeName="tiny"))
        await c.create(PVCS, claim("d", volumeName="meant"))
        await c.settle()
        assert (await pair(c, "a"), await pair(c, "b")) == (("Bound", "meant"), ("Bound", "asked"))
        assert (await pair(c, "c"))[0] == (await pair(c, "d"))[0] == "Pending"


async def test_a_claim_that_lost_its_volume() -> None:
    async with control_plane(*CONTROLLERS) as c:
        await c.create(PVS, volume("v"))
        await c.create(PVCS, claim("a"))
        await c.settle()
        await c.client.patch(PVS, "v", "", {"metadata": {"finalizers": None}})
        await c.client.delete(PVS, "v")
        await c.settle()
        assert volumes.phase(await found(c, PVCS, "a")) == "Lost"


async def test_the_default_class_also_for_who_came_before_it() -> None:
    async with control_plane(*CONTROLLERS) as c:
        await ready_node(c)
        await c.create(PVCS, claim("early", cls=None))
        await c.settle()
        assert await pair(c, "early") == ("Pending", "")
        await c.create(CLASSES, storage_class("fast", default=True))
        await c.create(PVCS, claim("late", cls=None))
        await c.settle()
        assert [(await found(c, PVCS, name))["spec"]["storageClassName"] for name in ("early", "late")] == ["fast"] * 2
        assert (await pair(c, "early"))[0] == (await pair(c, "late"))[0] == "Bound"


# --- volumes that are made ---------------------------------------------------------------------------------------------------


async def test_a_directory_on_the_node_that_the_scheduler_chose() -> None:
    async with control_plane(*CONTROLLERS) as c:
        await ready_node(c, "n1")
        await ready_node(c, "n2")
        await c.create(CLASSES, storage_class("standard", mode="WaitForFirstConsumer", parameters={"path": "/srv"}))
        await c.create(PVCS, claim("a", cls="standard"))
        await c.settle(5)
        assert await pair(c, "a") == ("Pending", "")
        await c.client.patch(PVCS, "a", "default", {"metadata": {"annotations": {volumes.SELECTED_NODE: "n2"}}})
        await c.settle()
        uid = meta.uid(await found(c, PVCS, "a"))
        assert await pair(c, "a") == ("Bound", f"pvc-{uid}")
        made = await found(c, PVS, f"pvc-{uid}")
        assert made["spec"]["hostPath"] == {"path": f"/srv/pvc-{uid}_default_a", "type": "DirectoryOrCreate"}
        assert volumes.is_on(made, {"kubernetes.io/hostname": "n2"}, "n2")
        assert not volumes.is_on(made, {"kubernetes.io/hostname": "n1"}, "n1")
        assert meta.labels(made)[volumes.NODE_LABEL] == "n2"
        await c.client.delete(PVCS, "a", "default")
        await c.settle()
        going = await found(c, PVS, f"pvc-{uid}")
        assert meta.is_deleting(going) and list(meta.finalizers(going)) == [volumes.NODE_DIRECTORY], (
            "its node has still to clear it"
        )
        await c.client.delete("nodes", "n2")
        await c.settle()
        assert await c.names(PVS) == [], "and if there is no such node any more, there is nothing to clear"


async def test_a_free_volume_is_not_taken_from_the_scheduler() -> None:
    """On which node a claim that waits for its pod may lie is known to the scheduler alone, also when it has chosen."""
    async with control_plane(*CONTROLLERS) as c:
        await ready_node(c, "n1")
        await c.create(CLASSES, storage_class("standard", mode="WaitForFirstConsumer"))
        elsewhere = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["n2"]}]}
        affinity = {"required": {"nodeSelectorTerms": [elsewhere]}}
        await c.create(PVS, volume("free", "1Gi", cls="standard", nodeAffinity=affinity))
        await c.create(PVCS, claim("a", cls="standard"))
        await c.settle()
        assert await pair(c, "a") == ("Pending", "")
        await c.client.patch(PVCS, "a", "default", {"metadata": {"annotations": {volumes.SELECTED_NODE: "n1"}}})
        await c.settle()
        assert await pair(c, "a") == ("Bound", f"pvc-{meta.uid(await found(c, PVCS, 'a'))}")


async def test_a_claim_says_which_pod_it_waits_for() -> None:
    async with control_plane(*CONTROLLERS) as c:
        await c.create(CLASSES, storage_class("standard", mode="WaitForFirstConsumer"))
        await c.create(PVCS, claim("a", cls="standard"))
        await c.settle()
        user = pod("p", "default")
        user["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "a"}}]
        await c.create("pods", user)
        refused = {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}
        await c.client.patch("pods", "p", "default", {"status": refused}, subresource="status")
        await c.settle()
        events = (await c.client.list("events", "default")).items
        assert [(e["reason"], e["message"]) for e in events if e["involvedObject"]["name"] == "a"] == [
            ("WaitForFirstConsumer", "waiting for first consumer to be created before binding"),
            ("WaitForPodScheduled", "waiting for pod p to be scheduled"),
        ]


async def test_a_node_that_went_meanwhile_is_chosen_anew() -> None:
    async with control_plane(*CONTROLLERS) as c:
        await c.create(CLASSES, storage_class("standard", mode="WaitForFirstConsumer"))
        await c.create(PVCS, claim("a", cls="standard"))
        await c.client.patch(PVCS, "a", "default", {"metadata": {"annotations": {volumes.SELECTED_NODE: "gone"}}})
        await c.settle()
        assert volumes.SELECTED_NODE not in meta.annotations(await found(c, PVCS, "a"))


async def test_what_external_provisioners_need() -> None:
    async with control_plane(*CONTROLLERS) as c:
        await c.create(CLASSES, storage_class("csi", provisioner="csi.example.com"))
        await c.create(PVCS, claim("a", cls="csi"))
        await c.settle()
        assert (
            meta.annotations(await found(c, PVCS, "a"))["volume.kubernetes.io/storage-provisioner"] == "csi.example.com"
        )
        events = (await c.client.list("events", "default")).items
        assert any("csi.example.com" in e["message"] and e["reason"] == "ExternalProvisioning" for e in events)


async def test_growth() -> None:
    async with control_plane(*CONTROLLERS) as c:
        await ready_node(c)
        await c.create(CLASSES, storage_class("grows"))
        await c.create(CLASSES, storage_class("stays", allowVolumeExpansion=False))
        for name in ("grows", "stays"):
            await c.create(PVCS, claim(name, cls=name))
        await c.settle()
        larger = {"spec": {"resources": {"requests": {"storage": "3Gi"}}}}
        with pytest.raises(Forbidden, match="must support resize"):
            await c.client.patch(PVCS, "stays", "default", larger)
        await c.client.patch(PVCS, "grows", "default", larger)
        await c.settle()
        grown = await found(c, PVCS, "grows")
        assert grown["status"]["capacity"] == {"storage": "3Gi"}
        assert (await found(c, PVS, volumes.volume_name(grown)))["spec"]["capacity"] == {"storage": "3Gi"}
        with pytest.raises(Invalid, match=r"can not be less than status\.capacity"):
            await c.client.patch(PVCS, "grows", "default", {"spec": {"resources": {"requests": {"storage": "1Gi"}}}})


async def test_a_claim_of_no_class_takes_a_volume_of_none_that_comes_later() -> None:
    async with control_plane(*CONTROLLERS) as c:
        await c.create(PVCS, claim("a", cls=None))
        await c.settle()
        await c.create(PVS, volume("v"))
        await c.settle()
        assert await pair(c, "a") == ("Bound", "v")


async def test_what_a_provisioner_says_of_its_failure_stays() -> None:
    async with control_plane(*CONTROLLERS) as c:
        made = volume("v", persistentVolumeReclaimPolicy="Delete")
        made["metadata"]["annotations"] = {volumes.PROVISIONED_BY: "csi.example.com"}
        await c.create(PVS, made)
        await c.create(PVCS, claim("a"))
        await c.settle()
        await c.client.delete(PVCS, "a", "default")
        await c.settle()
        assert volumes.phase(await found(c, PVS, "v")) == "Released"
        await c.client.patch_status(PVS, "v", "", {"status": {"phase": "Failed", "message": "in use"}})
        await c.settle()
        assert (await found(c, PVS, "v"))["status"]["message"] == "in use"


# --- the end -----------------------------------------------------------------------------------------------------------------


async def test_released_volumes() -> None:
    async with control_plane(*CONTROLLERS) as c:
        for policy in ("Retain", "Delete", "Recycle"):
            name = policy.lower()
            await c.create(
                PVS, volume(name, persistentVolumeReclaimPolicy=policy, claimRef={"namespace": "default", "name": name})
            )
            await c.create(PVCS, claim(name))
        await c.settle()
        for name in ("retain", "delete", "recycle"):
            assert await pair(c, name) == ("Bound", name)
            await c.client.delete(PVCS, name, "default")
        await c.settle()
        phases = {name: volumes.phase(await found(c, PVS, name)) for name in ("retain", "delete", "recycle")}
        assert phases == {"retain": "Released", "delete": "Failed", "recycle": "Failed"}, (
            "only what was made for it is deleted"
        )
        reasons = {name: (await found(c, PVS, name))["status"].get("reason") for name in ("delete", "recycle")}
        assert reasons == {"delete": "VolumeFailedDelete", "recycle": "VolumeFailedRecycle"}
        await c.create(PVCS, claim("again"))
        await c.settle()
        assert await pair(c, "again") == ("Pending", ""), "what a released volume holds is not for the next one"


async def test_what_is_used_stays() -> None:
    async with control_plane(*CONTROLLERS) as c:
        await c.create(PVS, volume("v"))
        await c.create(PVCS, claim("a"))
        uses = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "a"}}]}
        await ready_node(c)
        await c.create("pods", pod("p", node="n1", spec=uses))
        await c.settle()
        await c.client.delete(PVCS, "a", "default")
        await c.client.delete(PVS, "v")
        await c.settle(5)
        assert meta.is_deleting(await found(c, PVCS, "a")) and meta.is_deleting(await found(c, PVS, "v"))
        await c.client.delete("pods", "p", "default", grace_seconds=0)
        await c.settle(5)
        assert await c.names(PVCS, "default") == [] == await c.names(PVS)


async def test_a_pod_without_a_node_keeps_no_claim() -> None:
    async with control_plane(*CONTROLLERS) as c:
        await c.create(PVCS, claim("a"))
        uses = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "a"}}]}
        await c.create("pods", pod("p", spec=uses))
        await c.settle()
        await c.client.delete(PVCS, "a", "default")
        await c.settle()
        assert await c.names(PVCS, "default") == []


async def test_ephemeral_volumes() -> None:
    async with control_plane(*CONTROLLERS, garbagecollector.CONTROLLER) as c:
        template = {"metadata": {"labels": {"a": "b"}}, "spec": claim("x")["spec"]}
        spec = {"volumes": [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}]}
        await c.create("pods", pod("p", spec=spec))
        await c.create(PVCS, claim("q-scratch"))
        await c.create("pods", pod("q", spec=spec))
        await c.settle()
        mine = await found(c, PVCS, "p-scratch")
        assert meta.labels(mine) == {"a": "b"} and (meta.controller_of(mine) or {})["name"] == "p"
        events = (await c.client.list("events", "default")).items
        said = [(e["reason"], e["message"]) for e in events if e["involvedObject"]["name"] == "q"]
        why = 'PVC "default/q-scratch" was not created for pod "default/q" (pod is not owner)'
        assert said == [("FailedBinding", f"ephemeral volume scratch: {why}")]
        await c.client.delete("pods", "p", "default", grace_seconds=0)
        await c.settle(5)
        assert await c.names(PVCS, "default") == ["q-scratch"]
        await c.client.delete(PVCS, "q-scratch", "default")
        await c.settle(5)
        mine = await found(c, PVCS, "q-scratch")
        assert (meta.controller_of(mine) or {})["name"] == "q", "the name is free at last"
