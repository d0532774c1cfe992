"""`HostVolumes` on a temporary directory: what containers would find, live updates, permissions, and what is refused."""

# ruff: noqa: ASYNC240 -- a test may block

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from minik.agent.env import Reference
from minik.agent.etcfiles import ClusterDns
from minik.agent.fields import PodFacts
from minik.agent.volumes import mounting
from minik.agent.volumes.atomic import write_payload
from minik.agent.volumes.manager import HostVolumes, sub_path_of
from minik.agent.volumes.payload import File, TokenRef, VolumeError, payload, references, token_refs
from tests.unit.agent.builders import NOW, container, pod

FACTS = PodFacts("n1", "192.0.2.1", "10.244.0.5", 4000, 8 << 30)


def config_map(**data: str) -> dict[str, Any]:
    return {"kind": "ConfigMap", "metadata": {"name": "cm", "namespace": "default"}, "data": data}


class Objects:
    def __init__(self) -> None:
        self.found: dict[Reference, Any] = {}
        self.users: set[str] = set()

    async def get(self, namespace: str, reference: Reference, *, pod_uid: str) -> Any:
        self.users.add(pod_uid)
        return self.found.get(reference)

    def release(self, pod_uid: str) -> None:
        self.users.discard(pod_uid)


class Tokens:
    async def get(self, pod: Any, ref: TokenRef) -> Any:
        return f"token for {ref.audience}", NOW + timedelta(minutes=48)

    def release(self, pod_uid: str) -> None:
        pass


NO_CLAIMS: Any = SimpleNamespace(find=AsyncMock(), release=lambda _: None, forget=lambda _: None)
"""For pods that have none; `test_claim_volumes.py` has the others."""


class Host:
    def __init__(self, root: Path) -> None:
        self.root, self.objects = root, Objects()
        self.volumes = HostVolumes(
            root, objects=self.objects, tokens=Tokens(), claims=NO_CLAIMS, dns=ClusterDns(), host_etc=root / "etc"
        )
        self.volumes._in_memory = False  # what a test leaves must not need unmounting

    def path(self, name: str) -> Path:
        return self.root / "pods/u1/volumes" / name

    def mounts(self, p: Any, **env: str) -> dict[str, Any]:
        found = self.volumes.mounts(p, p["spec"]["containers"][0], 0, env, FACTS)
        return {mount.target: mount for mount in found}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def with_volume(volume: dict[str, Any], mount: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    mounts = [{"name": "v", "mountPath": "/v", **(mount or {})}]
    return pod(container(volumeMounts=mounts), volumes=[{"name": "v", **volume}], **more)


async def test_a_config_map_and_its_live_update(host: Host) -> None:
    p = with_volume({"configMap": {"name": "cm"}})
    host.objects.found[Reference("configmaps", "cm")] = config_map(a="1", b="2")
    await host.volumes.prepare(p, FACTS)
    root = host.path("v")
    assert {f.name: f.read_text() for f in root.iterdir() if not f.name.startswith("..")} == {"a": "1", "b": "2"}
    assert (root / "a").readlink() == Path("..data/a")
    data = (root / "..data").readlink()
    await host.volumes.prepare(p, FACTS)
    assert (root / "..data").readlink() == data, "nothing changed, nothing is written"
    host.objects.found[Reference("configmaps", "cm")] = config_map(a="one", c="3")
    await host.volumes.prepare(p, FACTS)
    assert {f.name: f.read_text() for f in root.iterdir() if not f.name.startswith("..")} == {"a": "one", "c": "3"}
    assert not (root / data).exists()
    assert host.mounts(p)["/v"].read_only
    await host.volumes.remove("u1")
    assert not (host.root / "pods/u1").exists() and host.objects.users == set()


async def test_missing_sources_are_said(host: Host) -> None:
    with pytest.raises(VolumeError, match='configmap "cm" not found'):
        await host.volumes.prepare(with_volume({"configMap": {"name": "cm"}}), FACTS)
    await host.volumes.prepare(with_volume({"configMap": {"name": "cm", "optional": True}}), FACTS)
    host.objects.found[Reference("configmaps", "cm")] = config_map(a="1")
    items = {"configMap": {"name": "cm", "items": [{"key": "zzz", "path": "x"}]}}
    with pytest.raises(VolumeError, match="references non-existent config key: zzz"):
        await host.volumes.prepare(with_volume(items), FACTS)
    with pytest.raises(VolumeError, match="no volumes of type nfs"):
        await host.volumes.prepare(with_volume({"nfs": {"path": "/"}}), FACTS)


async def test_items_modes_and_paths(host: Host) -> None:
    host.objects.found[Reference("configmaps", "cm")] = config_map(a="1", b="2")
    items = [{"key": "a", "path": "deep/er/x", "mode": 0o400}, {"key": "b", "path": "y"}]
    await host.volumes.prepare(with_volume({"configMap": {"name": "cm", "items": items, "defaultMode": 0o640}}), FACTS)
    assert (host.path("v") / "deep/er/x").stat().st_mode & 0o777 == 0o400
    assert (host.path("v") / "y").stat().st_mode & 0o777 == 0o640


async def test_projected_volumes_and_tokens(host: Host) -> None:
    volume = {
        "projected": {
            "sources": [
                {"serviceAccountToken": {"path": "token", "audience": "vault"}},
                {"configMap": {"name": "cm"}},
                {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
            ]
        }
    }
    host.objects.found[Reference("configmaps", "cm")] = config_map(a="1")
    renew_at = await host.volumes.prepare(with_volume(volume), FACTS)
    root = host.path("v")
    assert ((root / "token").read_text(), (root / "name").read_text(), (root / "a").read_text()) == (
        "token for vault",
        "p",
        "1",
    )
    assert renew_at == NOW + timedelta(minutes=48)
    assert (references({"name": "v", **volume}), len(token_refs({"name": "v", **volume}))) == (
        {Reference("configmaps", "cm")},
        1,
    )


async def test_etc_files_keep_their_inode(host: Host) -> None:
    p = pod()
    await host.volumes.prepare(p, FACTS)
    source = Path(host.mounts(p)["/etc/hosts"].source)
    inode = source.stat().st_ino
    await host.volumes.prepare(
        {**p, "spec": {**p["spec"], "hostAliases": [{"ip": "1.1.1.1", "hostnames": ["x"]}]}}, FACTS
    )
    assert source.stat().st_ino == inode and "1.1.1.1\tx" in source.read_text()


async def test_empty_dir_and_fs_group(host: Host) -> None:
    gid = os.getgid()
    p = with_volume({"emptyDir": {}}, securityContext={"fsGroup": gid})
    await host.volumes.prepare(p, FACTS)
    root = host.path("v")
    assert root.stat().st_mode & 0o2777 == 0o2777
    (root / "kept").touch()
    await host.volumes.prepare(p, FACTS)
    assert (root / "kept").exists()
    assert not host.mounts(p)["/v"].read_only


async def test_sub_paths(host: Host) -> None:
    p = with_volume({"emptyDir": {}}, {"subPathExpr": "logs/$(NAME)"})
    await host.volumes.prepare(p, FACTS)
    assert host.mounts(p, NAME="x")["/v"].source == str(host.path("v") / "logs/x")
    with pytest.raises(VolumeError, match=r"^missing value for NAME$"):
        host.mounts(p, OTHER="x")
    (host.path("v") / "out").symlink_to("/")
    for bad in ("../x", "/etc", "out/etc"):
        with pytest.raises(VolumeError, match="leads out of its volume"):
            sub_path_of(host.path("v"), bad, is_writable=True)


async def test_host_path_types(host: Host, tmp_path: Path) -> None:
    there = tmp_path / "there"
    await host.volumes.prepare(with_volume({"hostPath": {"path": str(there), "type": "DirectoryOrCreate"}}), FACTS)
    assert there.is_dir()
    with pytest.raises(VolumeError, match="is not a file"):
        await host.volumes.prepare(with_volume({"hostPath": {"path": str(there), "type": "File"}}), FACTS)
    with pytest.raises(VolumeError, match="is not a directory"):
        await host.volumes.prepare(
            with_volume({"hostPath": {"path": str(tmp_path / "no"), "type": "Directory"}}), FACTS
        )


async def test_termination_messages(host: Host) -> None:
    p = pod(container(terminationMessagePath="/tmp/end"))
    await host.volumes.prepare(p, FACTS)
    source = Path(host.mounts(p)["/tmp/end"].source)
    assert source.stat().st_mode & 0o777 == 0o666
    source.write_text("x" * 5000 + "end")
    message = host.volumes.termination_message("u1", "web", 0)
    assert len(message) == 4096 and message.endswith("end")
    assert host.volumes.termination_message("u1", "web", 7) == ""


@pytest.mark.parametrize("path", ["../x", "/x", "..data", "a/../../b", ""])
def test_paths_that_leave_the_volume(tmp_path: Path, path: str) -> None:
    with pytest.raises(VolumeError):
        write_payload(tmp_path, {path: File(b"")})


def test_secrets_are_decoded() -> None:
    secret = {"kind": "Secret", "metadata": {"name": "s"}, "data": {"k": "AAE="}}
    volume = {"name": "v", "secret": {"secretName": "s", "defaultMode": 0o400}}
    got = payload(pod(), volume, found={Reference("secrets", "s"): secret}, tokens={}, facts=FACTS)
    assert got == {"k": File(b"\x00\x01", 0o400)}


@pytest.mark.skipif(not mounting.can_mount(), reason="mounting needs root")
def test_memory_mounts(tmp_path: Path) -> None:
    try:
        mounting.mount_tmpfs(tmp_path, size=1 << 20, mode=0o777)
    except PermissionError:
        pytest.skip("mounting needs CAP_SYS_ADMIN")
    try:
        mounting.mount_tmpfs(tmp_path)
        assert mounting.mounts_below(tmp_path.parent) == [str(tmp_path)]
        with pytest.raises(OSError, match="No space"):
            (tmp_path / "big").write_bytes(b"x" * (2 << 20))
    finally:
        mounting.unmount(tmp_path)
    assert not tmp_path.is_mount()
    mounting.unmount(tmp_path)
