"""Which volumes are to be attached to a node, and what is to be done about it. Pure; `attachdetach.py` acts on it.

Only volumes of CSI drivers that want it are attached: everything else is mounted where it lies. What to attach follows from the pods of
the node, what is attached is what VolumeAttachments say. Upstream: `pkg/controller/volume/attachdetach/reconciler`,
`pkg/volume/csi/csi_attacher.go`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from minik.api import meta
from minik.api.core_v1 import nodes, volumes
from minik.api.meta import Obj, ROObj

PATIENCE = 360.0
"""Seconds that a node which is not Ready may hold a volume that no pod of it uses (maxWaitForUnmountDuration)."""
_OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
_OURS = re.compile(r"csi-[0-9a-f]{64}")
_SHARED = frozenset({"ReadOnlyMany", "ReadWriteMany"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """A volume that pods of a node use."""

    volume: ROObj
    pods: tuple[ROObj, ...]


@dataclass(frozen=True, slots=True)
class Blocked:
    """A volume that is attached elsewhere, and cannot be twice."""

    wanted: Wanted
    others: tuple[str, ...]
    """The nodes that have it."""


@dataclass(frozen=True, slots=True)
class AttachPlan:
    create: tuple[Obj, ...] = ()
    report: tuple[Mapping[str, str], ...] = ()
    """What `status.volumesAttached` of the node is to say, before anything is detached."""
    detach: tuple[ROObj, ...] = ()
    held: tuple[str, ...] = ()
    """Attachments that go as soon as the node lets go of them, or when its time is up."""
    blocked: tuple[Blocked, ...] = ()
    attached: tuple[Wanted, ...] = ()
    failed: tuple[tuple[Wanted, str], ...] = ()


@dataclass(frozen=True, slots=True)
class NodeState:
    """What is known of a node. `node` None: it is gone."""

    name: str
    node: ROObj | None
    attachments: Sequence[ROObj] = ()
    """Those of this node that are ours to delete: `is_ours`."""
    elsewhere: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By volume: the other nodes that have it, or are about to."""
    unused_for: Mapping[str, float] = field(default_factory=dict)
    """By attachment: how many seconds no pod has used it."""


def attachment_name(driver: str, handle: str, node: str) -> str:
    """The same for the same three, so that it is not made twice; csi_attacher.getAttachmentName."""
    return f"csi-{hashlib.sha256(f'{handle}{driver}{node}'.encode()).hexdigest()}"


def is_ours(attachment: ROObj) -> bool:
    """Whether this controller made it: others may make VolumeAttachments, of other names."""
    return _OURS.fullmatch(meta.name(attachment)) is not None and bool(volume_of(attachment))


def volume_of(attachment: ROObj) -> str:
    """The name of its PersistentVolume; "" for one that is written into a pod."""
    source: Mapping[str, Any] = attachment["spec"].get("source") or {}
    return source.get("persistentVolumeName") or ""


def is_attached(attachment: ROObj) -> bool:
    return bool((attachment.get("status") or {}).get("attached"))


def unique_name(driver: str, handle: str) -> str:
    """As nodes call it in `status.volumesInUse` and `status.volumesAttached`."""
    return f"kubernetes.io/csi/{driver}^{handle}"


def is_exclusive(volume: ROObj) -> bool:
    """Whether one node at a time may have it: it has modes, and none of them is for many nodes (IsMultiAttachAllowed)."""
    modes = set(volumes.access_modes(volume))
    return bool(modes) and not modes & _SHARED


def new_attachment(volume: ROObj, node: str) -> Obj:
    csi = volume["spec"]["csi"]
    name = attachment_name(csi["driver"], csi["volumeHandle"], node)
    spec = {"attacher": csi["driver"], "nodeName": node, "source": {"persistentVolumeName": meta.name(volume)}}
    return {"apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment", "metadata": {"name": name}, "spec": spec}


def plan_attach(state: NodeState, wanted: Sequence[Wanted], known: Mapping[str, ROObj]) -> AttachPlan:
    """`wanted`: the attachable volumes of the node's pods; `known`: every volume by name that an attachment names."""
    there = {meta.name(each): each for each in state.attachments}
    names = {_name_of(each.volume, state.name): each for each in wanted}
    create: list[Obj] = []
    blocked: list[Blocked] = []
    attached: list[Wanted] = []
    failed: list[tuple[Wanted, str]] = []
    if state.node is not None:
        for name, each in names.items():
            current = there.get(name)
            if current is None:
                others = tuple(state.elsewhere.get(meta.name(each.volume), ()))
                if others and is_exclusive(each.volume):
                    blocked.append(Blocked(each, others))
                else:
                    create.append(new_attachment(each.volume, state.name))
            elif is_attached(current):
                attached.append(each)
            elif (current.get("status") or {}).get("attachError"):
                failed.append((each, current["status"]["attachError"].get("message") or ""))
    unused = [each for name, each in there.items() if name not in names]
    held = [each for each in unused if not meta.is_deleting(each) and _is_held(state, each, known)]
    going = {meta.name(each) for each in unused} - {meta.name(each) for each in held}
    report = tuple(
        {"name": unique, "devicePath": meta.name(each)}
        for each in sorted(state.attachments, key=meta.name)
        if is_attached(each)
        and meta.name(each) not in going
        and not meta.is_deleting(each)
        and (unique := _unique_name(state, each, known))
    )
    return AttachPlan(
        create=tuple(create),
        report=report,
        detach=tuple(each for each in unused if meta.name(each) in going and not meta.is_deleting(each)),
        held=tuple(map(meta.name, held)),
        blocked=tuple(blocked),
        attached=tuple(attached),
        failed=tuple(failed),
    )


def _name_of(volume: ROObj, node: str) -> str:
    csi = volume["spec"]["csi"]
    return attachment_name(csi["driver"], csi["volumeHandle"], node)


def _unique_name(state: NodeState, attachment: ROObj, known: Mapping[str, ROObj]) -> str:
    """How the node calls it; for a volume that is gone, as the node was told."""
    volume = known.get(volume_of(attachment))
    csi = volume["spec"].get("csi") if volume is not None else None
    if csi is not None:
        return unique_name(csi["driver"], csi["volumeHandle"])
    told = ((state.node or {}).get("status") or {}).get("volumesAttached") or ()
    return next((each["name"] for each in told if each["devicePath"] == meta.name(attachment)), "")


def _is_held(state: NodeState, attachment: ROObj, known: Mapping[str, ROObj]) -> bool:
    """Whether the node still has it mounted, and there is no reason not to wait for it."""
    if state.node is None:
        return False
    in_use = (state.node.get("status") or {}).get("volumesInUse") or ()
    if _unique_name(state, attachment, known) not in in_use:
        return False
    if any(taint["key"] == _OUT_OF_SERVICE for taint in (state.node.get("spec") or {}).get("taints") or ()):
        return False
    return nodes.is_ready(state.node) or state.unused_for.get(meta.name(attachment), 0.0) < PATIENCE
