"""PersistentVolumeClaim, core/v1: a wish for storage, and the volume that fulfils it."""

from __future__ import annotations

from collections.abc import Mapping

from minik.api import columns
from minik.api.columns import column
from minik.api.core_v1 import volumes
from minik.api.core_v1.persistentvolume import short_modes
from minik.api.kind import Kind, status_of
from minik.api.meta import Obj, ROObj
from minik.api.validation_storage import validate_claim, validate_claim_update


def default(claim: Obj) -> None:
    """Of the two fields that say where the content comes from, one stands for both where they say the same."""
    spec = claim.get("spec")
    if not spec:
        return
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if source is not None and reference is None:
        spec["dataSourceRef"] = dict(source)
    elif reference is not None and source is None and not reference.get("namespace"):
        spec["dataSource"] = dict(reference)


def prepare_create(claim: Obj) -> None:
    claim["status"] = {"phase": "Pending"}


def _status(claim: ROObj) -> str:
    return "Terminating" if claim["metadata"].get("deletionTimestamp") else volumes.phase(claim)


def _held(claim: ROObj, field: str) -> object:
    """Of the bound volume; nothing while there is none."""
    return ((claim.get("status") or {}).get(field)) if volumes.volume_name(claim) else None


def _capacity(claim: ROObj) -> str:
    held = _held(claim, "capacity")
    return str(held.get("storage") or "") if isinstance(held, Mapping) else ""


KIND = Kind(
    group="",
    version="v1",
    kind="PersistentVolumeClaim",
    plural="persistentvolumeclaims",
    singular="persistentvolumeclaim",
    namespaced=True,
    schema="io.k8s.api.core.v1.PersistentVolumeClaim",
    short_names=("pvc",),
    subresources=(status_of("PersistentVolumeClaim"),),
    default=default,
    prepare_create=prepare_create,
    validate=validate_claim,
    validate_update=validate_claim_update,
    columns=(
        column("Status", _status),
        column("Volume", volumes.volume_name),
        column("Capacity", _capacity),
        column("Access Modes", lambda claim: short_modes(_held(claim, "accessModes"))),
        column("StorageClass", volumes.class_of),
        column(
            "VolumeAttributesClass",
            lambda claim: (claim.get("spec") or {}).get("volumeAttributesClassName") or "<unset>",
        ),
        columns.AGE,
        column("VolumeMode", lambda claim: (claim.get("spec") or {}).get("volumeMode") or "<unset>", wide=True),
    ),
    generation=False,
)
