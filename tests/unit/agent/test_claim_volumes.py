"""Claims on a node: what a pod mounts, what it waits for, and how directories go; against an API server in memory and a real directory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from minik.agent.etcfiles import ClusterDns
from minik.agent.fields import PodFacts
from minik.agent.sources import WatchedObjects
from minik.agent.volumes.claims import Directory, PodClaims, directory_of, make, may_have
from minik.agent.volumes.directories import Directories, is_due, path_to_remove, remove_directory
from minik.agent.volumes.manager import HostVolumes
from minik.agent.volumes.payload import VolumeError
from minik.api.core_v1 import volumes
from minik.api.errors import NotFound
from minik.api.meta import ROObj
from minik.client.client import Client
from minik.client.informer import Informers
from tests.support.apiserver import Running, running
from tests.unit.agent.builders import container, pod
from tests.unit.agent.test_volumes import Tokens

FACTS = PodFacts("n1", "192.0.2.1", "10.244.0.5", 4000, 8 << 30)
CLAIMS, VOLUMES = "persistentvolumeclaims", "persistentvolumes"


def pv(name: str, path: Path | str, *, claim: ROObj | None = None, ours: bool = True, **spec: Any) -> dict[str, Any]:
    """A PersistentVolume as the provisioner makes them (`ours`), or an administrator."""
    metadata: dict[str, Any] = {"name": name}
    if ours:
        metadata["labels"] = {volumes.NODE_LABEL: "n1"}
        metadata["annotations"] = {volumes.PROVISIONED_BY: volumes.NODE_DIRECTORY}
        metadata["finalizers"] = [volumes.NODE_DIRECTORY]
        spec.setdefault("persistentVolumeReclaimPolicy", "Delete")
    if claim is not None:
        own = claim["metadata"]
        spec["claimRef"] = {"namespace": "default", "name": own["name"], "uid": own["uid"]}
    if not {"local", "nfs"} & set(spec):
        spec.setdefault("hostPath", {"path": str(path), "type": "DirectoryOrCreate"})
    base = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": {**base, **spec}}


class Node:
    """Node n1: `HostVolumes` on a directory, and `Directories`. `used`: volumes that are said to be in use."""

    def __init__(self, run: Running, root: Path, *, is_real: bool = True) -> None:
        transport = run.local()
        self.client = Client(transport, run.server.registry)
        self.changed = asyncio.Event()
        self.used: set[str] = set()
        self._objects = WatchedObjects(
            self.client, clock=run.clock, entropy=run.entropy, on_change=lambda _: self.changed.set()
        )
        self.claims = PodClaims(self.client, self._objects, node="n1", labels=dict, on_change=self._look_again)
        self.volumes = HostVolumes(
            root / "agent", objects=self._objects, tokens=Tokens(), claims=self.claims, dns=ClusterDns(),
            host_etc=root / "etc",
        )  # fmt: skip
        self.volumes._in_memory = False
        self._informers = Informers(transport, run.server.registry, clock=run.clock, entropy=run.entropy)
        self.directories = Directories(
            self.client, self._informers, node="n1", clock=run.clock, recorder=None,
            in_use=lambda volume: volume["metadata"]["name"] in self.used, is_real=is_real,
        )  # fmt: skip

    def _look_again(self) -> None:
        self.directories.look_again()

    async def close(self) -> None:
        await self.directories.close()
        await self._objects.close()
        await self._informers.close()

    async def claim(self, name: str = "data", volume: str = "", **metadata: Any) -> ROObj:
        """A claim; bound if it has a volume."""
        spec: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        made: dict[str, Any] = {"metadata": {"name": name, "namespace": "default", **metadata}, "spec": spec}
        spec["storageClassName"] = ""
        if volume:
            spec["volumeName"] = volume
            made["metadata"]["annotations"] = {volumes.BIND_COMPLETED: "yes"}
        return await self.client.create(CLAIMS, made)

    async def is_gone(self, name: str) -> bool:
        try:
            await self.client.get(VOLUMES, name)
        except NotFound:
            return True
        return False

    async def until_gone(self, name: str) -> None:
        async with asyncio.timeout(5):
            while not await self.is_gone(name):  # noqa: ASYNC110  # the server is asked: there is nobody to set an event
                await asyncio.sleep(0.005)

    async def release(self, name: str) -> None:
        """As the server's controller does when the claim is gone."""
        found = await self.client.get(VOLUMES, name)
        await self.client.update_status(VOLUMES, found, {"phase": "Released"})
        await self.client.delete(VOLUMES, name)
        rest = [each for each in found["metadata"]["finalizers"] if each != volumes.PV_PROTECTION]
        await self.client.patch(VOLUMES, name, "", {"metadata": {"finalizers": rest}})


@contextlib.asynccontextmanager
async def node_on(root: Path, *, is_real: bool = True) -> AsyncIterator[Node]:
    async with running(namespaces=("default",)) as run:
        made = Node(run, root, is_real=is_real)
        try:
            yield made
        finally:
            await made.close()


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    async with node_on(tmp_path) as made:
        yield made


def user(mount: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A pod with claim `data` at /v."""
    volume = {"name": "v", "persistentVolumeClaim": {"claimName": "data", **more.pop("source", {})}}
    mounts = [{"name": "v", "mountPath": "/v", **(mount or {})}]
    return pod(container(volumeMounts=mounts), volumes=[more.pop("volume", volume)], **more)


def mounted(node: Node, p: ROObj, **env: str) -> Any:
    found = node.volumes.mounts(p, p["spec"]["containers"][0], 0, env, FACTS)
    return next(mount for mount in found if mount.target == "/v")


async def test_a_provisioned_directory_is_made_for_whoever_comes(node: Node, tmp_path: Path) -> None:
    claim = await node.claim(volume="pv-1")
    await node.client.create(VOLUMES, pv("pv-1", tmp_path / "deep/pv-1_x", claim=claim))
    p = user()
    await node.volumes.prepare(p, FACTS)
    directory = tmp_path / "deep/pv-1_x"
    assert (directory.stat().st_mode & 0o777, directory.parent.stat().st_mode & 0o002) == (0o777, 0)
    assert (mounted(node, p).source, mounted(node, p).read_only) == (str(directory), False)
    directory.chmod(0o700)
    await node.volumes.prepare(p, FACTS)
    assert directory.stat().st_mode & 0o777 == 0o700, "what is there is left as it is"
    below = user({"subPathExpr": "of-$(NAME)", "mountPropagation": "HostToContainer"})
    assert mounted(node, below, NAME="x").source == str(directory / "of-x")
    assert mounted(node, below, NAME="x").propagation == "rslave"
    assert node.claims.held("u1") == frozenset({"pv-1"})
    await node.volumes.release("u1")
    assert node.claims.held("u1") == frozenset()
    await node.volumes.remove("u1")
    assert node.claims.held("u1") is None and directory.is_dir()


async def test_read_only_as_a_whole(node: Node, tmp_path: Path) -> None:
    claim = await node.claim(volume="pv-1")
    await node.client.create(VOLUMES, pv("pv-1", tmp_path / "pv-1", claim=claim))
    p = user(source={"readOnly": True})
    await node.volumes.prepare(p, FACTS)
    assert mounted(node, p).read_only
    with pytest.raises(VolumeError, match="does not exist in the volume"):
        mounted(node, user({"subPath": "new"}, source={"readOnly": True}))


async def test_it_waits_for_its_claim_and_hears_of_it(node: Node, tmp_path: Path) -> None:
    p = user()
    with pytest.raises(VolumeError, match=r'^persistentvolumeclaim "data" not found$'):
        await node.volumes.prepare(p, FACTS)
    claim = await node.claim()
    await asyncio.wait_for(node.changed.wait(), 5)
    node.changed.clear()
    with pytest.raises(VolumeError, match=r'^persistentvolumeclaim "data" is not bound$'):
        await node.volumes.prepare(p, FACTS)
    await node.client.create(VOLUMES, pv("pv-1", tmp_path / "pv-1", claim=claim))
    bound = {"metadata": {"annotations": {volumes.BIND_COMPLETED: "yes"}}, "spec": {"volumeName": "pv-1"}}
    await node.client.patch(CLAIMS, "data", "default", bound)
    await asyncio.wait_for(node.changed.wait(), 5)
    await node.volumes.prepare(p, FACTS)
    assert (tmp_path / "pv-1").is_dir()


async def test_a_pod_that_has_its_volume_does_not_mind_its_claim(node: Node, tmp_path: Path) -> None:
    claim = await node.claim(volume="pv-1")
    await node.client.create(VOLUMES, pv("pv-1", tmp_path / "pv-1", claim=claim))
    await node.volumes.prepare(user(), FACTS)
    await node.client.patch(CLAIMS, "data", "default", {"metadata": {"finalizers": []}})
    await node.client.delete(CLAIMS, "data", "default")
    await node.volumes.prepare(user(), FACTS)
    assert mounted(node, user()).source == str(tmp_path / "pv-1")


async def test_an_ephemeral_volume_is_its_own_pods(node: Node, tmp_path: Path) -> None:
    volume = {"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u1", "controller": True}
    claim = await node.claim("p-v", "pv-1", ownerReferences=[owner])
    await node.client.create(VOLUMES, pv("pv-1", tmp_path / "pv-1", claim=claim))
    await node.volumes.prepare(user(volume=volume), FACTS)
    assert mounted(node, user(volume=volume)).source == str(tmp_path / "pv-1")
    other = user(volume=volume, metadata={"uid": "u2"})
    with pytest.raises(VolumeError, match=r"was not created for pod default/p \(pod is not owner\)"):
        await node.volumes.prepare(other, FACTS)


def test_what_a_volume_is_here(tmp_path: Path) -> None:
    claim = {"metadata": {"name": "data", "namespace": "default", "uid": "c1"}}
    assert directory_of(claim, pv("v", "/d", claim=claim)) == Directory("v", "/d", "DirectoryOrCreate", True)
    local = directory_of(claim, pv("v", "", claim=claim, ours=False, local={"path": str(tmp_path / "no")}))
    with pytest.raises(VolumeError, match="does not exist"):
        make(local, gid=None)
    typed = pv("v", "", claim=claim, ours=False, hostPath={"path": str(tmp_path), "type": "File"})
    with pytest.raises(VolumeError, match="is not a file"):
        make(directory_of(claim, typed), gid=None)
    for volume, why in (
        (pv("v", "/d"), "is not bound to"),
        (pv("v", "/d", claim={"metadata": {"name": "data", "uid": "older"}}), "is not bound to"),
        (pv("v", "", claim=claim, nfs={"server": "s", "path": "/"}), "no volumes of type nfs"),
        (pv("v", "/d", claim=claim, volumeMode="Block"), "volumeMode Block"),
    ):
        with pytest.raises(VolumeError, match=why):
            directory_of(claim, volume)


def test_a_local_volume_is_given_to_the_group(tmp_path: Path) -> None:
    import os

    gid = os.getgid() if os.getuid() else 4242
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/file").touch(0o600)
    (tmp_path / "sub/link").symlink_to("/etc/hostname")
    before = Path("/etc/hostname").stat()
    make(Directory("v", str(tmp_path), None, False), gid=gid)
    for path in (tmp_path, tmp_path / "sub", tmp_path / "sub/file"):
        assert path.stat().st_gid == gid and path.stat().st_mode & 0o060 == 0o060
    after = Path("/etc/hostname").stat()
    assert (after.st_gid, after.st_mode) == (before.st_gid, before.st_mode), "links lead elsewhere"


async def test_a_volume_of_another_node(node: Node, tmp_path: Path) -> None:
    claim = await node.claim(volume="pv-1")
    term = {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["fast"]}]}
    affinity = {"required": {"nodeSelectorTerms": [term]}}
    await node.client.create(VOLUMES, pv("pv-1", tmp_path / "pv-1", claim=claim, nodeAffinity=affinity))
    await node.client.create("nodes", {"metadata": {"name": "n1"}})
    with pytest.raises(VolumeError, match="is not on this node"):
        await node.volumes.prepare(user(), FACTS)
    assert not (tmp_path / "pv-1").exists()
    await node.client.patch("nodes", "n1", "", {"metadata": {"labels": {"disk": "fast"}}})
    await node.volumes.prepare(user(), FACTS)


async def test_block_devices_are_refused(node: Node) -> None:
    p = pod(container(volumeDevices=[{"name": "v", "devicePath": "/dev/x"}]), volumes=[])
    with pytest.raises(VolumeError, match="no block volumes"):
        await node.volumes.prepare(p, FACTS)


# --- how directories go ------------------------------------------------------------------------------------------------------


def test_who_may_have_a_volume() -> None:
    volume = pv("pv-1", "/d", claim={"metadata": {"name": "data", "uid": "c1"}})
    assert may_have(user(), volume, None), "not known yet: by its claim"
    assert not may_have(user(metadata={"namespace": "other"}), volume, None)
    assert not may_have(pod(), volume, None)
    assert may_have(pod(), volume, frozenset({"pv-1"})) and not may_have(user(), volume, frozenset({"pv-2"}))
    assert may_have({"metadata": {"name": "lost", "uid": "u"}, "spec": {"containers": []}}, volume, None)


def going(**spec: Any) -> dict[str, Any]:
    volume = pv("pv-1", "/base/pv-1_default_data", **spec)
    volume["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    volume["status"] = {"phase": "Released"}
    return volume


def changed(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    volume = going()
    change(volume)
    return volume


def test_when_a_volume_is_let_go() -> None:
    assert is_due(going())
    assert not is_due(changed(lambda v: v["metadata"].pop("deletionTimestamp")))
    assert not is_due(changed(lambda v: v["status"].update(phase="Bound"))), "somebody deleted it under its claim"
    assert not is_due(changed(lambda v: v["metadata"]["finalizers"].append(volumes.PV_PROTECTION)))
    assert not is_due(changed(lambda v: v["metadata"]["finalizers"].clear()))
    assert not is_due(changed(lambda v: v["metadata"]["annotations"].clear()))


def test_what_is_removed() -> None:
    assert path_to_remove(going()) == Path("/base/pv-1_default_data")
    assert path_to_remove(going(persistentVolumeReclaimPolicy="Retain")) is None
    for path in ("/", "", "pv-1", "base/pv-1", "/base/../pv-1", "/base/pv-1/..", "/base", "/base/pv-2", "/pv-1", "//"):
        with pytest.raises(VolumeError, match="nothing is removed"):
            path_to_remove(going(hostPath={"path": path}))
    with pytest.raises(VolumeError):
        path_to_remove(going(nfs={"server": "s", "path": "/base/pv-1"}))


def test_no_link_is_followed(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    (outside / "kept").touch()
    inside.mkdir()
    (inside / "link").symlink_to(outside)
    remove_directory(inside)
    assert not inside.exists() and (outside / "kept").exists()
    inside.symlink_to(outside)
    remove_directory(inside)
    assert not inside.is_symlink() and (outside / "kept").exists()
    remove_directory(inside)


async def test_a_directory_goes_with_its_volume_once_no_pod_has_it(node: Node, tmp_path: Path) -> None:
    directory = tmp_path / "pv-1_default_data"
    (directory / "deep").mkdir(parents=True)
    other = tmp_path / "other"
    other.mkdir()
    await node.client.create(VOLUMES, pv("pv-1", directory))
    await node.client.create(VOLUMES, pv("pv-2", other))
    await node.client.create(VOLUMES, pv("pv-3", tmp_path / "pv-3_not_there"))
    node.directories.start()
    node.used = {"pv-1"}
    for name in ("pv-1", "pv-2", "pv-3"):
        await node.release(name)
    await node.until_gone("pv-3")
    assert directory.is_dir() and not await node.is_gone("pv-1")
    node.used.clear()
    node.directories.look_again()
    await node.until_gone("pv-1")
    assert not directory.exists()
    assert other.is_dir() and not await node.is_gone("pv-2"), "not a path of the provisioner: refused"


async def test_a_simulated_node_touches_no_disk(tmp_path: Path) -> None:
    async with node_on(tmp_path, is_real=False) as node:
        directory = tmp_path / "pv-1"
        directory.mkdir()
        await node.client.create(VOLUMES, pv("pv-1", directory))
        node.directories.start()
        await node.release("pv-1")
        await node.until_gone("pv-1")
        assert directory.is_dir()
