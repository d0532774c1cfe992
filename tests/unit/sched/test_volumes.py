"""Pods and their volumes, through scheduler and binder on a real API server in simulated time; crashes in the midst of it."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from minik.api import meta
from minik.api.core_v1 import volumes
from minik.api.meta import Obj
from minik.client.manager import Manager
from minik.metrics import Metrics
from minik.sched.cycle import schedule
from minik.sched.filters import node_volume_limits, volume_restrictions
from minik.sched.plugins import default_plugins
from minik.sched.snapshot import Cluster, PodInfo
from minik.sched.volumes import Volumes
from tests.support.objects import node, pod
from tests.support.scheduling import Rig, scheduling
from tests.unit.controllers.test_volumes import CLASSES, CONTROLLERS, PVCS, PVS, claim, storage_class, volume

pytestmark = pytest.mark.looptime


@contextlib.asynccontextmanager
async def at_work(*nodes: Obj) -> AsyncIterator[Rig]:
    async with scheduling(nodes or [node("n1"), node("n2")]) as rig:
        manager = Manager(
            CONTROLLERS, rig.server.local(), rig.server.server.registry, clock=rig.clock, entropy=rig.server.entropy, metrics=Metrics()
        )  # fmt: skip
        await manager.start()
        await manager.wait_synced()
        await rig.create(CLASSES, storage_class("standard", mode="WaitForFirstConsumer"))
        try:
            yield rig
        finally:
            await manager.close()


def using(*claims: str) -> dict[str, Any]:
    return {"volumes": [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims]}


def on(name: str) -> Obj:
    terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [name]}]}]
    return {"required": {"nodeSelectorTerms": terms}}


async def test_a_directory_is_made_where_the_pod_goes_and_keeps_it_there() -> None:
    async with at_work() as rig:
        await rig.create(PVCS, claim("a", cls="standard"))
        await rig.pod("p", **using("a"))
        await rig.settle(5)
        first = await rig.node_of("p")
        bound = await rig.client.get(PVCS, "a", "default")
        made = await rig.client.get(PVS, volumes.volume_name(bound))
        assert first and meta.labels(made)[volumes.NODE_LABEL] == first and volumes.phase(bound) == "Bound"
        await rig.client.delete("pods", "p", "default", grace_seconds=0)
        for number in range(4):
            await rig.pod(f"again-{number}", **using("a"))
        await rig.settle(5)
        assert {await rig.node_of(f"again-{number}") for number in range(4)} == {first}
        assert len(await rig.names(PVS)) == 1


async def test_a_local_volume_is_found_on_its_node() -> None:
    async with at_work() as rig:
        local = storage_class("local", mode="WaitForFirstConsumer", provisioner="kubernetes.io/no-provisioner")
        await rig.create(CLASSES, local)
        await rig.create(PVS, volume("v2", cls="local", nodeAffinity=on("n2")))
        for name in ("a", "b"):
            await rig.create(PVCS, claim(name, cls="local"))
        await rig.settle(2)
        assert (await rig.client.get(PVCS, "a", "default"))["status"]["phase"] == "Pending", "it waits for a pod"
        await rig.pod("p", **using("a"))
        await rig.settle(5)
        assert await rig.node_of("p") == "n2"
        await rig.pod("q", **using("b"))
        await rig.settle(5)
        assert await rig.node_of("q") == ""
        assert (
            "2 node(s) didn't find available persistent volumes to bind" in (await rig.events("FailedScheduling"))[-1]
        )
        await rig.create(PVS, volume("v1", cls="local", nodeAffinity=on("n1")))
        await rig.settle(20)
        assert await rig.node_of("q") == "n1", "a new volume helps"


async def test_what_a_pod_waits_for() -> None:
    async with at_work() as rig:
        await rig.create(PVCS, claim("unbound"))
        await rig.pod("p", **using("unbound"))
        await rig.pod("q", **using("missing"))
        await rig.settle(5)
        said = await rig.events("FailedScheduling")
        no_help = "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
        assert f"0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims. {no_help}" in said
        assert f'0/2 nodes are available: persistentvolumeclaim "missing" not found. {no_help}' in said
        await rig.create(PVS, volume("v", nodeAffinity=on("n2")))
        await rig.create(PVCS, claim("missing", cls="standard"))
        await rig.settle(30)
        assert await rig.node_of("p") == "n2" and await rig.node_of("q")


async def test_two_pods_never_share_a_claim_for_one() -> None:
    async with at_work() as rig:
        await rig.create(PVCS, claim("one", cls="standard", modes=("ReadWriteOncePod",)))
        for name in ("p", "q", "r"):
            await rig.pod(name, **using("one"))
        await rig.settle(20)
        running = [name for name in ("p", "q", "r") if await rig.node_of(name)]
        assert len(running) == 1
        assert "ReadWriteOncePod access mode" in (await rig.events("FailedScheduling"))[-1]
        await rig.client.delete("pods", running[0], "default", grace_seconds=0)
        await rig.settle(20)
        assert len([n for n in ("p", "q", "r") if n not in running and await rig.node_of(n)]) == 1


async def test_volume_limits_and_zones() -> None:
    async with at_work(
        node("n1", labels={"topology.kubernetes.io/zone": "z1"}),
        node("n2", labels={"topology.kubernetes.io/zone": "z2"}),
    ) as rig:
        csi = {"driver": "d.example.com", "volumeHandle": "h"}
        allocatable = {"drivers": [{"name": "d.example.com", "nodeID": "n2", "allocatable": {"count": 1}}]}
        await rig.create("csinodes.storage.k8s.io", {"metadata": {"name": "n2"}, "spec": allocatable})
        for name in ("a", "b", "c"):
            made = volume(f"v-{name}", hostPath=None, csi={**csi, "volumeHandle": name})
            await rig.create(PVS, made)
            await rig.create(PVCS, claim(name, volumeName=f"v-{name}"))
        await rig.settle(2)
        await rig.pod("a", nodeSelector={"kubernetes.io/hostname": "n2"}, **using("a"))
        await rig.settle(2)
        await rig.pod("b", nodeSelector={"kubernetes.io/hostname": "n2"}, **using("b"))
        await rig.settle(5)
        assert (await rig.node_of("a"), await rig.node_of("b")) == ("n2", "")
        assert "exceed max volume count" in (await rig.events("FailedScheduling"))[-1]
        labels = {"metadata": {"labels": {"topology.kubernetes.io/zone": "z1"}}}
        await rig.client.patch(PVS, "v-c", "", labels)
        await rig.pod("c", **using("c"))
        await rig.settle(5)
        assert await rig.node_of("c") == "n1"


def limited(*attached: str, limit: int = 1) -> Cluster:
    """A node n to which a driver attaches so many volumes; these are, without a pod. Volumes v0, v1, … and bound claims of those names."""
    cluster = Cluster.of([node("n")])
    known = cluster.part(Volumes)
    rows = [{"name": "d.example.com", "nodeID": "n", "allocatable": {"count": limit}}]
    known.csi_nodes["n"] = {"metadata": {"name": "n"}, "spec": {"drivers": rows}}
    known.classes["late"] = {**storage_class("late", mode="WaitForFirstConsumer"), "provisioner": "d.example.com"}
    for name in ("v0", "v1", "v2"):
        source = {"driver": "d.example.com", "volumeHandle": f"handle-{name}"}
        known.put_volume(volume(name, hostPath=None, csi=source))
        known.put_claim({**claim(name, volumeName=name), "status": {"phase": "Bound"}})
    for name in ("late0", "late1"):
        known.put_claim(claim(name, cls="late"))
    for name in attached:
        spec = {"attacher": "d.example.com", "nodeName": "n", "source": {"persistentVolumeName": name}}
        known.attachments.setdefault("n", {})[name] = {"metadata": {"name": name}, "spec": spec}
    return cluster


@pytest.mark.parametrize(
    ("attached", "there", "wanted", "fits"),
    [
        ([], [], ["v0"], True),
        ([], [], ["v0", "v1"], False),
        ([], ["v0"], ["v1"], False),
        ([], ["v0"], ["v0"], True),  # one volume of two pods
        ([], ["v0", "v1"], ["v0"], True),  # more than the limit, but nothing new
        ([], [], ["late0"], True),  # a volume is made for it
        ([], [], ["late0", "late1"], False),
        ([], ["late0"], ["v0"], False),
        ([], ["late0"], ["late0"], True),
        (["v0"], [], ["v1"], False),  # still being detached
        (["v0"], [], ["v0"], True),
    ],
)
def test_what_is_counted_against_a_limit(attached: list[str], there: list[str], wanted: list[str], fits: bool) -> None:
    cluster = limited(*attached)
    if there:
        cluster.set_pod(PodInfo(pod("there", **using(*there))), "n")
    check = node_volume_limits.prepare(PodInfo(pod("p", **using(*wanted))), cluster)
    assert check is not None
    assert (check(cluster.nodes[0]) is None) is fits


def test_inline_volumes_of_a_driver_are_mounted_and_not_attached() -> None:
    inline = [{"name": str(i), "csi": {"driver": "d.example.com"}} for i in range(3)]
    assert node_volume_limits.prepare(PodInfo(pod("p", volumes=inline)), limited()) is None


def test_a_claim_whose_volume_is_not_there() -> None:
    cluster = Cluster.of([node("n")])
    bound = claim("c", volumeName="gone")
    bound["metadata"]["annotations"] = {volumes.BIND_COMPLETED: "yes"}
    info = PodInfo(pod("p", **using("c")))

    def said(phase: str) -> str:
        cluster.part(Volumes).put_claim({**bound, "status": {"phase": phase}})
        return schedule(info, cluster, default_plugins(), random.Random(1)).summary()

    assert said("Bound") == (
        "0/1 nodes are available: 1 node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)."
    )
    assert said("Lost") == (
        '0/1 nodes are available: persistentvolumeclaim "c" bound to non-existent persistentvolume "gone".'
    )


@pytest.mark.parametrize(
    ("one", "other", "fits"),
    [
        ({"gcePersistentDisk": {"pdName": "d"}}, {"gcePersistentDisk": {"pdName": "d", "readOnly": True}}, False),
        ({"gcePersistentDisk": {"pdName": "d"}}, {"gcePersistentDisk": {"pdName": "e"}}, True),
        ({"iscsi": {"iqn": "q", "readOnly": True}}, {"iscsi": {"iqn": "q", "readOnly": True}}, True),
        ({"iscsi": {"iqn": "q"}}, {"iscsi": {"iqn": "q"}}, False),
        ({"awsElasticBlockStore": {"volumeID": "v", "readOnly": True}},) * 2 + (False,),
        (
            {"rbd": {"image": "i", "monitors": ["a", "b"]}},
            {"rbd": {"image": "i", "pool": "rbd", "monitors": ["b"]}},
            False,
        ),
        ({"rbd": {"image": "i", "monitors": ["a"]}}, {"rbd": {"image": "i", "monitors": ["b"]}}, True),
    ],
)
def test_disks_that_pods_name_themselves(one: Obj, other: Obj, fits: bool) -> None:
    cluster = Cluster.of([node("n")], [pod("there", node_name="n", volumes=[{"name": "v", **one}])])
    check = volume_restrictions.prepare(PodInfo(pod("p", volumes=[{"name": "v", **other}])), cluster)
    assert check is not None
    assert (check(cluster.nodes[0]) is None) is fits


async def test_a_node_without_zones_takes_volumes_of_any() -> None:
    async with at_work() as rig:
        await rig.create(PVS, volume("v"))
        await rig.client.patch(PVS, "v", "", {"metadata": {"labels": {"topology.kubernetes.io/zone": "z1"}}})
        await rig.create(PVCS, claim("a", volumeName="v"))
        await rig.settle(2)
        await rig.pod("p", **using("a"))
        await rig.settle(5)
        assert await rig.node_of("p")


async def test_ephemeral_volumes_are_waited_for() -> None:
    async with at_work() as rig:
        template = {"spec": claim("x", cls="standard")["spec"]}
        await rig.pod("p", volumes=[{"name": "s", "ephemeral": {"volumeClaimTemplate": template}}])
        await rig.settle(10)
        assert await rig.node_of("p")
        assert volumes.phase(await rig.client.get(PVCS, "p-s", "default")) == "Bound"


async def test_preemption_frees_a_claim_for_one() -> None:
    async with at_work() as rig:
        await rig.create("priorityclasses.scheduling.k8s.io", {"metadata": {"name": "high"}, "value": 10})
        await rig.create(PVCS, claim("one", cls="standard", modes=("ReadWriteOncePod",)))
        await rig.pod("low", terminationGracePeriodSeconds=0, **using("one"))
        await rig.settle(5)
        first = await rig.node_of("low")
        await rig.pod("high", priorityClassName="high", **using("one"))
        await rig.settle(30)
        assert "low" not in await rig.names("pods", "default")
        assert await rig.node_of("high") == first != ""


async def test_a_driver_that_tells_its_room() -> None:
    async with at_work() as rig:
        csi = storage_class("csi", mode="WaitForFirstConsumer", provisioner="csi.example.com")
        await rig.create(CLASSES, csi)
        driver = {"metadata": {"name": "csi.example.com"}, "spec": {"storageCapacity": True}}
        await rig.create("csidrivers.storage.k8s.io", driver)
        await rig.create(PVCS, claim("a", "5Gi", cls="csi"))
        await rig.pod("p", **using("a"))
        await rig.settle(5)
        assert "2 node(s) did not have enough free storage" in (await rig.events("FailedScheduling"))[-1]
        for name, size in (("n1", "1Gi"), ("n2", "10Gi")):
            where = {"matchLabels": {"kubernetes.io/hostname": name}}
            told = {
                "metadata": {"name": name, "namespace": "default"},
                "storageClassName": "csi",
                "capacity": size,
                "nodeTopology": where,
            }
            await rig.create("csistoragecapacities.storage.k8s.io", told)
        await rig.settle(30)
        chosen = meta.annotations(await rig.client.get(PVCS, "a", "default")).get(volumes.SELECTED_NODE)
        assert chosen == "n2", "where there is room for it, its driver is asked to make it"
