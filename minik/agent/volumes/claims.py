"""From a pod's claims to directories of this host: `persistentVolumeClaim` and generic `ephemeral` volumes, for `manager.py`.

A claim is asked for once; only one that is missing or not bound yet is watched, by its name, until it is. What a volume turned out to be
is kept while the pod is here: a pod that runs does not mind what becomes of its claim. Upstream: kubelet
`pkg/kubelet/volumemanager/populator` (which texts come from there), `pkg/volume/{hostpath,local}`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from minik.agent.env import Reference
from minik.agent.volumes.host_path import check_host_path
from minik.agent.volumes.payload import VolumeError
from minik.api import meta
from minik.api.core_v1 import pods, volumes
from minik.api.errors import Forbidden, NotFound
from minik.api.meta import ROObj
from minik.client.client import Client

CLAIMS, VOLUMES = "persistentvolumeclaims", "persistentvolumes"


class Watched(Protocol):
    """Where a claim that is not ready is waited for; `sources.WatchedObjects`."""

    async def get(self, namespace: str, reference: Reference, *, pod_uid: str) -> ROObj | None: ...


@dataclass(frozen=True, slots=True)
class Directory:
    """What a claim of a pod stands for on this host."""

    volume: str
    """The PersistentVolume's name."""
    path: str
    host_path_type: str | None
    """The `type` of a hostPath; None for a local volume, which must be there."""
    is_provisioned: bool
    """Whether it is one of ours, to be made for whoever comes."""


def claim_of(pod: ROObj, volume: Mapping[str, Any]) -> str:
    """The name of the claim behind one of the pod's volumes; "" for other volumes."""
    if (source := volume.get("persistentVolumeClaim")) is not None:
        return source.get("claimName") or ""
    return pods.ephemeral_claim(pod, volume["name"]) if volume.get("ephemeral") is not None else ""


def is_read_only(volume: Mapping[str, Any]) -> bool:
    """Whether the pod asks for the volume as a whole to be read only."""
    return bool((volume.get("persistentVolumeClaim") or {}).get("readOnly"))


def check_claim(pod: ROObj, volume: Mapping[str, Any], claim: ROObj | None) -> None:
    """VolumeError while the pod has to wait for its claim. Pure."""
    name = claim_of(pod, volume)
    if claim is None:
        raise VolumeError(f'persistentvolumeclaim "{name}" not found')
    if volume.get("ephemeral") is not None:
        owner = meta.controller_of(claim)
        if owner is None or owner.get("uid") != meta.uid(pod):
            key, own = meta.key(claim), meta.key(pod)
            raise VolumeError(f"PVC {key} was not created for pod {own} (pod is not owner)")
    if not volumes.is_bound(claim):
        raise VolumeError(f'persistentvolumeclaim "{name}" is not bound')


def directory_of(claim: ROObj, volume: ROObj) -> Directory:
    """What the PersistentVolume of a bound claim is here. VolumeError if this node cannot have it. Pure."""
    name = meta.name(volume)
    ref = volumes.claim_ref(volume)
    if ref is None or ref.get("uid") != meta.uid(claim):
        raise VolumeError(f'persistentvolume "{name}" is not bound to persistentvolumeclaim "{meta.name(claim)}"')
    spec = volume["spec"]
    if spec.get("volumeMode") == "Block":
        raise VolumeError(f'persistentvolume "{name}" has volumeMode Block: this node has no block volumes')
    is_provisioned = meta.annotations(volume).get(volumes.PROVISIONED_BY) == volumes.NODE_DIRECTORY
    if (host := spec.get("hostPath")) is not None:
        return Directory(name, host["path"], host.get("type") or "", is_provisioned)
    if (local := spec.get("local")) is not None:
        return Directory(name, local["path"], None, is_provisioned=False)
    raise VolumeError(f'persistentvolume "{name}": this node has no volumes of type {volumes.source_of(volume) or "?"}')


def may_have(pod: ROObj, volume: ROObj, held: frozenset[str] | None) -> bool:
    """Whether a pod here may have the PersistentVolume. `held`: those it is known to have; before that its claims tell. Pure."""
    if held is not None:
        return meta.name(volume) in held
    if not pods.node_name(pod):
        return True  # containers without a pod (`podloop.orphan`): nobody knows what they have
    ref = volumes.claim_ref(volume) or {}
    return meta.namespace(pod) == ref.get("namespace") and ref.get("name") in pods.claim_names(pod)


def check_devices(pod: ROObj) -> None:
    """VolumeError if a container wants a volume as a block device. Pure."""
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for container in pod["spec"].get(field) or ():
            for device in container.get("volumeDevices") or ():
                text = f"volume {device['name']} is specified in volumeDevices: this node has no block volumes"
                raise VolumeError(text)


def make(directory: Directory, *, gid: int | None) -> None:
    """Make or check it on disk; blocks. VolumeError, OSError. `gid`: who is to have a local volume, as for kubelet not a hostPath."""
    path = Path(directory.path)
    if directory.host_path_type is None:
        if not path.exists():
            raise VolumeError(f'local volume "{directory.volume}": path "{directory.path}" does not exist')
        if gid is not None:
            _give(path, gid)
        return
    is_new = directory.is_provisioned and not path.exists()
    check_host_path(directory.path, directory.host_path_type)
    if is_new:
        path.chmod(0o777)  # as Rancher's local-path does: whoever the container runs as


def _give(root: Path, gid: int) -> None:
    """All of it to the group, unless the root is already (fsGroupChangePolicy OnRootMismatch: the quick one for everybody)."""
    found = root.stat()
    if found.st_gid == gid and found.st_mode & 0o2060 == 0o2060:
        return
    for parent, directories, files in os.walk(root, topdown=False):
        for name in (*directories, *files):
            _give_one(Path(parent, name), gid, 0o060 if name in files else 0o2070)
    _give_one(root, gid, 0o2070)  # last: a death in between begins anew


def _give_one(path: Path, gid: int, mode: int) -> None:
    os.chown(path, -1, gid, follow_symlinks=False)
    if not path.is_symlink():
        path.chmod((path.stat().st_mode & 0o7777) | mode)


class PodClaims:
    """The claims of this node's pods, and what they are here."""

    def __init__(
        self,
        client: Client,
        watched: Watched,
        *,
        node: str,
        labels: Callable[[], Mapping[str, str]],
        on_change: Callable[[], None],
    ) -> None:
        """`labels`: of the node, as far as known. `on_change`: what `held` says may have changed."""
        self._client, self._watched, self._node, self._labels = client, watched, node, labels
        self._on_change = on_change
        self._found: dict[str, dict[str, Directory]] = {}
        """By pod uid and name of the pod's volume."""
        self._complete: set[str] = set()

    async def find(self, pod: ROObj) -> None:
        """Learn what each of the pod's claims is. Raises VolumeError while one is not ready; then the pod's worker is woken as soon
        as that changes. StatusError of a server that does not answer."""
        uid = meta.uid(pod)
        for volume in pod["spec"].get("volumes") or ():
            if (name := claim_of(pod, volume)) and volume["name"] not in self._found.get(uid, {}):
                claim = await self._claim(pod, volume, name)
                found = directory_of(claim, await self._volume(volumes.volume_name(claim)))
                self._found.setdefault(uid, {})[volume["name"]] = found
        if uid in self._found and uid not in self._complete:
            self._complete.add(uid)
            self._on_change()

    async def _claim(self, pod: ROObj, volume: Mapping[str, Any], name: str) -> ROObj:
        namespace, claim = meta.namespace(pod), None
        try:
            claim = await self._client.get(CLAIMS, name, namespace)
            check_claim(pod, volume, claim)
        except (NotFound, VolumeError):
            claim = await self._watched.get(namespace, Reference(CLAIMS, name), pod_uid=meta.uid(pod))
            check_claim(pod, volume, claim)
        return cast("ROObj", claim)  # there, or refused above

    async def _volume(self, name: str) -> ROObj:
        try:
            volume = await self._client.get(VOLUMES, name)
        except (NotFound, Forbidden):  # a node may not ask for just any
            raise VolumeError(f'persistentvolume "{name}" not found') from None
        if not volumes.is_on(volume, self._labels(), self._node):
            node = await self._client.get("nodes", self._node)  # its labels may have changed
            if not volumes.is_on(volume, meta.labels(node), self._node):
                raise VolumeError(f'persistentvolume "{name}" is not on this node: its node affinity does not match')
        return volume

    def of(self, pod_uid: str, volume: str) -> Directory:
        """What one of the pod's volumes is, after `find`. VolumeError before."""
        found = self._found.get(pod_uid, {}).get(volume)
        if found is None:
            raise VolumeError(f"volume {volume!r} is not ready")
        return found

    def held(self, pod_uid: str) -> frozenset[str] | None:
        """The PersistentVolumes that the pod has; None if that is not known yet."""
        if pod_uid not in self._complete:
            return None
        return frozenset(each.volume for each in self._found.get(pod_uid, {}).values())

    def release(self, pod_uid: str) -> None:
        """Nothing of the pod runs any more."""
        self._found.pop(pod_uid, None)
        self._complete.add(pod_uid)
        self._on_change()

    def forget(self, pod_uid: str) -> None:
        """The pod is gone."""
        self.release(pod_uid)
        self._complete.discard(pod_uid)
