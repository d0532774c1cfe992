"""Storage objects as they come in: the default class, protection against going while in use, and who may grow.

kube-apiserver's plugins DefaultStorageClass, StorageObjectInUseProtection and PersistentVolumeClaimResize in one place.
"""

from __future__ import annotations

from minik.api import errors, meta
from minik.api.core_v1 import persistentvolume, persistentvolumeclaim, volumes
from minik.api.meta import Obj, ROObj
from minik.api.storage_v1 import storageclass
from minik.server.core import Attributes, Core

_NOT_EXPANDABLE = (
    "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"
)


def admit_storage(core: Core, draft: Obj, attributes: Attributes) -> None:
    """Fills in, or raises Forbidden."""
    kind = attributes.kind
    if kind is not persistentvolumeclaim.KIND and kind is not persistentvolume.KIND:
        return
    if attributes.subresource:
        return
    if attributes.verb == "create" and attributes.old is None:
        is_claim = kind is persistentvolumeclaim.KIND
        _protect(draft, volumes.PVC_PROTECTION if is_claim else volumes.PV_PROTECTION)
        if is_claim:
            _default_class(core, draft)
    elif kind is persistentvolumeclaim.KIND and attributes.old is not None:
        _check_growth(core, draft, attributes.old)


def _protect(draft: Obj, finalizer: str) -> None:
    metadata = draft["metadata"]
    if finalizer not in (metadata.get("finalizers") or ()):
        metadata["finalizers"] = [*(metadata.get("finalizers") or ()), finalizer]


def _default_class(core: Core, draft: Obj) -> None:
    if volumes.has_class(draft):
        return
    found = storageclass.default_of([entry.obj for entry in core.cache.list(storageclass.RESOURCE)])
    if found is not None:
        draft["spec"]["storageClassName"] = meta.name(found)


def _check_growth(core: Core, draft: Obj, old: ROObj) -> None:
    if volumes.requested(draft) <= volumes.requested(old):
        return
    why = ""
    entry = core.cache.get(storageclass.KIND.key("", volumes.class_of(old)))
    if volumes.phase(old) != "Bound":
        why = "Only bound persistent volume claims can be expanded"
    elif entry is None or not entry.obj.get("allowVolumeExpansion"):
        why = _NOT_EXPANDABLE
    if why:
        name = meta.name(draft)
        raise errors.forbidden("persistentvolumeclaims", "", name, why)
