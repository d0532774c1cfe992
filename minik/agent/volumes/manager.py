"""`HostVolumes`: pods' volumes as directories of this host, bound into containers.

Everything is below `<data_dir>/pods/<uid>`. Secrets and tokens live in memory (tmpfs) where the agent is root. What a ConfigMap
or Secret holds is asked of `Objects`, which also wakes the pod's worker when it changes; `prepare` then writes the new files. What
lies behind claims is told by `PodClaims`.
Files are written in a thread, one hop a pod.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from minik.agent import etcfiles
from minik.agent.containers.base import Mount
from minik.agent.env import Reference, expand
from minik.agent.fields import PodFacts
from minik.agent.names import PodDirs
from minik.agent.volumes import claims as of_claims
from minik.agent.volumes import mounting
from minik.agent.volumes.atomic import write_payload
from minik.agent.volumes.claims import PodClaims, claim_of
from minik.agent.volumes.host_path import check_host_path
from minik.agent.volumes.payload import Payload, TokenRef, VolumeError, is_projection, payload, references, token_refs
from minik.api import meta, quantity
from minik.api.meta import ROObj

DEFAULT_TERMINATION_PATH = "/dev/termination-log"
MESSAGE_BYTES = 4096
_VARIABLE = re.compile(r"\$\$|\$\(([^)]*)\)")
_PROPAGATION = {"HostToContainer": "rslave", "Bidirectional": "rshared"}


class Objects(Protocol):
    """ConfigMaps and Secrets."""

    async def get(self, namespace: str, reference: Reference, *, pod_uid: str) -> ROObj | None:
        """The object or None; `pod_uid`'s worker is woken when it changes, until `release`."""
        ...

    def release(self, pod_uid: str) -> None: ...


class Tokens(Protocol):
    """Service account tokens bound to pods."""

    async def get(self, pod: ROObj, ref: TokenRef) -> tuple[str, datetime]:
        """(token, when to renew it); the same one again until then."""
        ...

    def release(self, pod_uid: str) -> None: ...


class HostVolumes:
    """See `volumes.base.Volumes`."""

    def __init__(
        self,
        data_dir: Path,
        *,
        objects: Objects,
        tokens: Tokens,
        claims: PodClaims,
        dns: etcfiles.ClusterDns,
        host_etc: Path = Path("/etc"),
    ) -> None:
        self._data_dir, self._dns, self._host_etc = data_dir, dns, host_etc
        self._objects, self._tokens, self._claims = objects, tokens, claims
        self._in_memory = mounting.can_mount()

    async def prepare(self, pod: ROObj, facts: PodFacts) -> datetime | None:
        """See `Volumes.prepare`."""
        volumes = pod["spec"].get("volumes") or ()
        payloads: dict[str, Payload] = {}
        renew_at: datetime | None = None
        of_claims.check_devices(pod)
        await self._claims.find(pod)
        for volume in volumes:
            if is_projection(volume):
                found = await self._fetch(pod, references(volume))
                tokens: dict[str, str] = {}
                for ref in token_refs(volume):
                    tokens[ref.path], at = await self._tokens.get(pod, ref)
                    renew_at = at if renew_at is None else min(renew_at, at)
                payloads[volume["name"]] = payload(pod, volume, found=found, tokens=tokens, facts=facts)
        try:
            await asyncio.to_thread(self._write, pod, volumes, payloads, facts)
        except OSError as error:
            raise VolumeError(str(error)) from error
        return renew_at

    async def _fetch(self, pod: ROObj, wanted: set[Reference]) -> dict[Reference, ROObj]:
        found: dict[Reference, ROObj] = {}
        for reference in wanted:
            obj = await self._objects.get(meta.namespace(pod), reference, pod_uid=meta.uid(pod))
            if obj is not None:
                found[reference] = obj
        return found

    def _write(
        self, pod: ROObj, volumes: Sequence[Mapping[str, Any]], payloads: Mapping[str, Payload], facts: PodFacts
    ) -> None:
        dirs = PodDirs(self._data_dir, meta.uid(pod))
        dirs.root.mkdir(parents=True, exist_ok=True, mode=0o750)
        gid = (pod["spec"].get("securityContext") or {}).get("fsGroup")
        self._write_etc(pod, dirs, facts)
        for volume in volumes:
            if claim_of(pod, volume):
                is_given = gid is not None and not of_claims.is_read_only(volume)
                of_claims.make(self._claims.of(meta.uid(pod), volume["name"]), gid=gid if is_given else None)
            else:
                self._write_volume(volume, dirs, payloads.get(volume["name"]), gid)

    def _write_etc(self, pod: ROObj, dirs: PodDirs, facts: PodFacts) -> None:
        host_hosts = _read_text(self._host_etc / "hosts") if pod["spec"].get("hostNetwork") else ""
        host = etcfiles.parse_resolv_conf(_read_text(self._host_etc / "resolv.conf"))
        _write_in_place(dirs.hosts, etcfiles.hosts_file(pod, facts.pod_ip, self._dns, host_hosts))
        _write_in_place(dirs.resolv_conf, etcfiles.resolver(pod, self._dns, host).text())

    def _write_volume(self, volume: Mapping[str, Any], dirs: PodDirs, files: Payload | None, gid: int | None) -> None:
        root = dirs.volume(volume["name"])
        if files is not None:
            root.mkdir(parents=True, exist_ok=True, mode=0o755)
            is_secret = volume.get("secret") is not None or volume.get("projected") is not None
            if is_secret and self._in_memory:
                mounting.mount_tmpfs(root, noexec=True)
            write_payload(root, files, gid=gid)
            _give_to_group(root, gid, 0o750)
        elif (empty := volume.get("emptyDir")) is not None:
            self._make_empty_dir(root, empty, gid)
        elif (host := volume.get("hostPath")) is not None:
            check_host_path(host["path"], host.get("type") or "")
        else:
            kinds = ", ".join(key for key in volume if key != "name")
            raise VolumeError(f"volume {volume['name']!r}: this node has no volumes of type {kinds}")

    def _make_empty_dir(self, root: Path, empty: Mapping[str, Any], gid: int | None) -> None:
        medium = empty.get("medium") or ""
        if medium not in ("", "Memory"):
            raise VolumeError(f"this node has no emptyDir of medium {medium}")
        if root.exists() and (medium != "Memory" or root.is_mount() or not self._in_memory):
            return
        root.mkdir(parents=True, exist_ok=True)
        if medium == "Memory" and self._in_memory:
            limit = empty.get("sizeLimit")
            mounting.mount_tmpfs(root, size=quantity.parse(limit).value() if limit else 0, mode=0o777)
        root.chmod(0o777)
        _give_to_group(root, gid, 0o770)

    def mounts(
        self, pod: ROObj, container: Mapping[str, Any], attempt: int, env: Mapping[str, str], facts: PodFacts
    ) -> Sequence[Mount]:
        """See `Volumes.mounts`."""
        dirs = PodDirs(self._data_dir, meta.uid(pod))
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes") or ()}
        try:
            own = [self._mount(pod, volumes, mount, env) for mount in container.get("volumeMounts") or ()]
            log = dirs.termination_log(container["name"], attempt)
            log.parent.mkdir(parents=True, exist_ok=True)
            log.touch(0o666)
            log.chmod(0o666)
        except OSError as error:
            raise VolumeError(str(error)) from error
        made = [
            Mount(source=str(dirs.hosts), target="/etc/hosts"),
            Mount(source=str(dirs.resolv_conf), target="/etc/resolv.conf"),
            Mount(source=str(log), target=container.get("terminationMessagePath") or DEFAULT_TERMINATION_PATH),
        ]
        taken = {mount.target for mount in own}
        return [*own, *(mount for mount in made if mount.target not in taken)]

    def _mount(
        self, pod: ROObj, volumes: Mapping[str, Mapping[str, Any]], mount: Mapping[str, Any], env: Mapping[str, str]
    ) -> Mount:
        volume = volumes.get(mount["name"])
        if volume is None:
            raise VolumeError(f'mount "{mount["name"]}" names no volume of the pod')
        root = self._root(pod, volume)
        is_read_only = is_projection(volume) or of_claims.is_read_only(volume)
        sub_path = mount.get("subPath") or ""
        if mount.get("subPathExpr"):
            sub_path = _expanded(mount["subPathExpr"], env)
        source = sub_path_of(root, sub_path, is_writable=not is_read_only) if sub_path else root
        propagation = _PROPAGATION.get(mount.get("mountPropagation") or "", "private")
        return Mount(
            source=str(source),
            target=mount["mountPath"] if mount["mountPath"].startswith("/") else f"/{mount['mountPath']}",
            read_only=bool(mount.get("readOnly")) or is_read_only,
            propagation=propagation,  # type: ignore[arg-type]  # mypy does not narrow a dict's values to the Literal
        )

    def _root(self, pod: ROObj, volume: Mapping[str, Any]) -> Path:
        """Where one of the pod's volumes lies."""
        if (host := volume.get("hostPath")) is not None:
            return Path(host["path"])
        if claim_of(pod, volume):
            return Path(self._claims.of(meta.uid(pod), volume["name"]).path)
        return PodDirs(self._data_dir, meta.uid(pod)).volume(volume["name"])

    def termination_message(self, pod_uid: str, container: str, attempt: int) -> str:
        """See `Volumes.termination_message`."""
        path = PodDirs(self._data_dir, pod_uid).termination_log(container, attempt)
        try:
            with path.open("rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - MESSAGE_BYTES))
                return file.read(MESSAGE_BYTES).decode(errors="replace")
        except OSError:
            return ""

    async def release(self, pod_uid: str) -> None:
        """See `Volumes.release`."""
        self._objects.release(pod_uid)
        self._tokens.release(pod_uid)
        self._claims.release(pod_uid)
        await asyncio.to_thread(self._unmount, pod_uid)

    async def remove(self, pod_uid: str) -> None:
        """See `Volumes.remove`."""
        await self.release(pod_uid)
        self._claims.forget(pod_uid)
        await asyncio.to_thread(shutil.rmtree, PodDirs(self._data_dir, pod_uid).root, ignore_errors=True)

    def _unmount(self, pod_uid: str) -> None:
        root = PodDirs(self._data_dir, pod_uid).root
        if self._in_memory and root.exists():
            for point in mounting.mounts_below(root):
                mounting.unmount(point)

    def pods(self) -> Sequence[str]:
        """See `Volumes.pods`."""
        root = self._data_dir / "pods"
        return [entry.name for entry in root.iterdir()] if root.is_dir() else []


def sub_path_of(root: Path, sub_path: str, *, is_writable: bool) -> Path:
    """The real path of `sub_path` in a volume; made as a directory where it is missing. VolumeError if it leads out of it."""
    base = root.resolve()
    target = (base / sub_path).resolve()
    if sub_path.startswith("/") or (target != base and base not in target.parents):
        raise VolumeError(f"subPath {sub_path!r} leads out of its volume")
    if not target.exists():
        if not is_writable:
            raise VolumeError(f"subPath {sub_path!r} does not exist in the volume")
        target.mkdir(parents=True)
        if base.stat().st_mode & 0o002:
            target.chmod(base.stat().st_mode & 0o7777)
    return target


def _expanded(expression: str, env: Mapping[str, str]) -> str:
    """A `subPathExpr`. VolumeError for a variable without a value: the path would be another one (kubelet ExpandContainerVolumeMounts)."""
    missing = {name for name in _VARIABLE.findall(expression) if name and not env.get(name)}
    if missing:
        raise VolumeError(f"missing value for {', '.join(sorted(missing))}")
    return expand(expression, env)


def _give_to_group(path: Path, gid: int | None, mode: int) -> None:
    if gid is not None:
        os.chown(path, -1, gid)
        path.chmod((path.stat().st_mode & 0o7777) | mode | 0o2000)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _write_in_place(path: Path, text: str) -> None:
    """Bound files must keep their inode: containers would not see a new one."""
    if _read_text(path) != text or not path.exists():
        with path.open("w") as file:
            file.write(text)
        path.chmod(0o644)
