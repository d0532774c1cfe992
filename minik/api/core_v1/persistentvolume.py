"""PersistentVolume, core/v1: a piece of storage, and the claim it belongs to."""

from __future__ import annotations

from minik.api import columns
from minik.api.columns import column
from minik.api.core_v1 import volumes
from minik.api.kind import Kind, status_of
from minik.api.meta import Obj, ROObj
from minik.api.validation_storage import validate_volume, validate_volume_update

SHORT_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def short_modes(modes: object) -> str:
    """`RWO,RWX`: each once, in upstream's order (GetAccessModesAsString)."""
    given = set(modes) if isinstance(modes, (list, tuple)) else set()
    return ",".join(short for mode, short in SHORT_MODES.items() if mode in given)


def default(volume: Obj) -> None:
    host_path = (volume.get("spec") or {}).get("hostPath")
    if host_path is not None and host_path.get("type") is None:
        host_path["type"] = ""


def prepare_create(volume: Obj) -> None:
    volume["status"] = {"phase": "Pending"}


def _claim(volume: ROObj) -> str:
    ref = volumes.claim_ref(volume)
    return f"{ref.get('namespace') or ''}/{ref.get('name') or ''}" if ref is not None else ""


def _status(volume: ROObj) -> str:
    return "Terminating" if volume["metadata"].get("deletionTimestamp") else volumes.phase(volume)


KIND = Kind(
    group="",
    version="v1",
    kind="PersistentVolume",
    plural="persistentvolumes",
    singular="persistentvolume",
    namespaced=False,
    schema="io.k8s.api.core.v1.PersistentVolume",
    short_names=("pv",),
    subresources=(status_of("PersistentVolume"),),
    default=default,
    prepare_create=prepare_create,
    validate=validate_volume,
    validate_update=validate_volume_update,
    columns=(
        column("Capacity", lambda volume: ((volume.get("spec") or {}).get("capacity") or {}).get("storage") or ""),
        column("Access Modes", lambda volume: short_modes(list(volumes.access_modes(volume)))),
        column("Reclaim Policy", lambda volume: (volume.get("spec") or {}).get("persistentVolumeReclaimPolicy") or ""),
        column("Status", _status),
        column("Claim", _claim),
        column("StorageClass", volumes.class_of),
        column(
            "VolumeAttributesClass",
            lambda volume: (volume.get("spec") or {}).get("volumeAttributesClassName") or "<unset>",
        ),
        column("Reason", lambda volume: (volume.get("status") or {}).get("reason") or ""),
        columns.AGE,
        column("VolumeMode", lambda volume: (volume.get("spec") or {}).get("volumeMode") or "<unset>", wide=True),
    ),
    generation=False,
)
