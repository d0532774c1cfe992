"""Reading PersistentVolumes and PersistentVolumeClaims, and which volumes suit a claim. Pure.

Rules: kubernetes `pkg/volume/util`, component-helpers `storage/volume/pv_helpers.go` (FindMatchingVolume).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from minik.api import meta, quantity
from minik.api.core_v1 import node_selectors
from minik.api.meta import ROObj
from minik.api.selectors import matches

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
PROVISIONER = "volume.kubernetes.io/storage-provisioner"
BETA_PROVISIONER = "volume.beta.kubernetes.io/storage-provisioner"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
PVC_PROTECTION = "kubernetes.io/pvc-protection"
PV_PROTECTION = "kubernetes.io/pv-protection"
NODE_DIRECTORY = "minik.io/node-directory"
"""The provisioner of directories on nodes, and the finalizer of its volumes that their node takes away."""
NODE_LABEL = "minik.io/node"
"""Of a volume that is a directory: the node it lies on."""


def storage(resources: Mapping[str, Any] | None) -> int:
    """Bytes of `storage` in a ResourceList; 0 if it says nothing."""
    text = (resources or {}).get("storage")
    return quantity.parse(text).value() if text is not None else 0


def requested(claim: ROObj) -> int:
    """The bytes a claim asks for."""
    return storage(((claim.get("spec") or {}).get("resources") or {}).get("requests"))


def capacity(volume: ROObj) -> int:
    """The bytes a volume has."""
    return storage((volume.get("spec") or {}).get("capacity"))


def class_of(obj: ROObj) -> str:
    """The name of the StorageClass of a claim or a volume; "" for none."""
    old = meta.annotations(obj).get(CLASS_ANNOTATION)
    return old if old is not None else (obj.get("spec") or {}).get("storageClassName") or ""


def has_class(claim: ROObj) -> bool:
    """Whether a claim says of which class it is, and be it of none."""
    return CLASS_ANNOTATION in meta.annotations(claim) or (claim.get("spec") or {}).get("storageClassName") is not None


def access_modes(obj: ROObj) -> Sequence[str]:
    return (obj.get("spec") or {}).get("accessModes") or ()


def phase(obj: ROObj) -> str:
    return (obj.get("status") or {}).get("phase") or "Pending"


def volume_name(claim: ROObj) -> str:
    """The volume a claim is bound to, or wants; "" for none yet."""
    return (claim.get("spec") or {}).get("volumeName") or ""


def claim_ref(volume: ROObj) -> Mapping[str, Any] | None:
    """The claim a volume belongs to, or is meant for (then without a uid)."""
    return (volume.get("spec") or {}).get("claimRef")


def is_for(volume: ROObj, claim: ROObj) -> bool:
    """Whether the volume is bound to this claim, or meant for one of its name."""
    ref = claim_ref(volume)
    return (
        ref is not None
        and (ref.get("namespace"), ref.get("name")) == (meta.namespace(claim), meta.name(claim))
        and ref.get("uid") in (None, "", meta.uid(claim))
    )


def is_bound(claim: ROObj) -> bool:
    """Whether the binding of a claim is complete."""
    return bool(volume_name(claim)) and BIND_COMPLETED in meta.annotations(claim)


def is_on(volume: ROObj, labels: Mapping[str, str], node: str) -> bool:
    """Whether the volume can be used on a node of these labels and this name."""
    required = ((volume.get("spec") or {}).get("nodeAffinity") or {}).get("required")
    return required is None or node_selectors.matches(required, labels, node)


def directory_node(volume: ROObj) -> str:
    """The node on which a volume that is a directory lies; "" for other volumes."""
    return meta.labels(volume).get(NODE_LABEL) or ""


def suits(volume: ROObj, claim: ROObj) -> bool:
    """Whether a volume has what a claim wants: class, access modes, mode, labels, size. Not whether it is free."""
    spec = claim.get("spec") or {}
    return (
        class_of(volume) == class_of(claim)
        and set(access_modes(claim)) <= set(access_modes(volume))
        and (spec.get("volumeMode") or "Filesystem") == ((volume.get("spec") or {}).get("volumeMode") or "Filesystem")
        and (spec.get("volumeAttributesClassName") or "")
        == ((volume.get("spec") or {}).get("volumeAttributesClassName") or "")
        and capacity(volume) >= requested(claim)
        and (spec.get("selector") is None or matches(spec["selector"], meta.labels(volume)))
    )


def best_for(volumes: Iterable[ROObj], claim: ROObj) -> ROObj | None:
    """The volume to bind a claim to: one that is meant for it, else the smallest free one that suits; of equal ones the first by name."""
    best: ROObj | None = None
    rank: tuple[int, int, str] | None = None
    for volume in volumes:
        ref = claim_ref(volume)
        if meta.is_deleting(volume):
            continue
        if ref is not None:
            if not is_for(volume, claim) or not _can_serve(volume, claim):
                continue
            this = (0, 0, meta.name(volume))
        elif phase(volume) == "Available":
            this = (1, capacity(volume), meta.name(volume))
            if (rank is not None and this >= rank) or not suits(volume, claim):
                continue
        else:
            continue
        if rank is None or this < rank:
            best, rank = volume, this
    return best


def _can_serve(volume: ROObj, claim: ROObj) -> bool:
    """Whether a volume meant for the claim is large enough and of its mode; the rest is for who wrote it to answer."""
    mode = (claim["spec"].get("volumeMode") or "Filesystem") == (
        (volume.get("spec") or {}).get("volumeMode") or "Filesystem"
    )
    return mode and capacity(volume) >= requested(claim)


def source_of(volume: ROObj) -> str:
    """The field of the spec that says what the volume is: `hostPath`, `csi`, …; "" for none."""
    return next((name for name in (volume.get("spec") or {}) if name in SOURCES), "")


SOURCES = (
    "awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "csi", "fc", "flexVolume", "flocker", "gcePersistentDisk",
    "glusterfs", "hostPath", "iscsi", "local", "nfs", "photonPersistentDisk", "portworxVolume", "quobyte", "rbd", "scaleIO",
    "storageos", "vsphereVolume",
)  # fmt: skip
