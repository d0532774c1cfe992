"""Validation of PersistentVolumes and PersistentVolumeClaims (core validation, ValidatePersistentVolume*)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.api import meta
from minik.api.core_v1 import volumes
from minik.api.errors import Path, duplicate, field_forbidden, invalid, not_supported, required
from minik.api.meta import ROObj
from minik.api.validation import Errors, check_name, enum, immutable_field, label_selector
from minik.api.validation_names import dns_label, dns_subdomain
from minik.api.validation_resources import quantity_value
from minik.api.validation_scheduling import node_selector
from minik.api.validation_security import no_backsteps

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
RECLAIM_POLICIES = ("Delete", "Recycle", "Retain")
VOLUME_MODES = ("Block", "Filesystem")
HOST_PATH_TYPES = ("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket")
SPEC = Path("spec")
_CLAIM_MAY_CHANGE = (
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
)


def _access_modes(errors: Errors, path: Path, modes: Sequence[str], missing: str) -> None:
    if not modes:
        errors.append(required(path, missing))
    for number, mode in enumerate(modes):
        if mode not in ACCESS_MODES:
            errors.append(not_supported(path, mode, ACCESS_MODES))
        elif mode in modes[:number]:
            errors.append(duplicate(path.index(number), mode))
    if "ReadWriteOncePod" in modes and len(set(modes)) > 1:
        errors.append(field_forbidden(path, "may not use ReadWriteOncePod with other access modes"))


def _positive(errors: Errors, path: Path, text: Any) -> None:
    before = len(errors)
    value = quantity_value(errors, path, "storage", text)
    if value is not None and len(errors) == before and value.nanos <= 0:
        errors.append(invalid(path, text, "must be greater than zero"))


# --- volumes -----------------------------------------------------------------------------------------------------------------


def validate_volume(volume: ROObj) -> Errors:
    errors: Errors = []
    volume_spec(errors, SPEC, volume.get("spec") or {})
    return errors


def volume_spec(errors: Errors, path: Path, spec: Mapping[str, Any], *, inline: bool = False) -> None:
    """A PersistentVolumeSpec. `inline`: in a VolumeAttachment."""
    if inline:
        for field in ("claimRef", "capacity", "persistentVolumeReclaimPolicy", "storageClassName"):
            if spec.get(field) and not (field == "persistentVolumeReclaimPolicy" and spec[field] == "Retain"):
                errors.append(
                    field_forbidden(path.child(field), "may not be specified in the context of inline volumes")
                )
    _access_modes(errors, path.child("accessModes"), spec.get("accessModes") or (), "")
    if not inline:
        held = spec.get("capacity") or {}
        if not held:
            errors.append(required(path.child("capacity")))
        elif set(held) != {"storage"}:
            errors.append(not_supported(path.child("capacity"), dict(held), ("storage",)))
        for name, text in held.items():
            _positive(errors, path.child("capacity", name), text)
        policy = spec.get("persistentVolumeReclaimPolicy")
        enum(errors, path.child("persistentVolumeReclaimPolicy"), policy, RECLAIM_POLICIES)
    _affinity(errors, path.child("nodeAffinity"), spec.get("nodeAffinity"))
    _source(errors, path, spec)
    if spec.get("storageClassName"):
        check_name(errors, path.child("storageClassName"), spec["storageClassName"], dns_subdomain)
    if spec.get("volumeMode") is not None:
        enum(errors, path.child("volumeMode"), spec["volumeMode"], VOLUME_MODES)


def _affinity(errors: Errors, path: Path, affinity: Mapping[str, Any] | None) -> None:
    if affinity is None:
        return
    if affinity.get("required") is None:
        errors.append(required(path.child("required"), "must specify required node constraints"))
    else:
        node_selector(errors, path.child("required"), affinity["required"])


def _source(errors: Errors, path: Path, spec: Mapping[str, Any]) -> None:
    given = [name for name in volumes.SOURCES if spec.get(name) is not None]
    if not given:
        errors.append(required(path, "must specify a volume type"))
    for name in given[1:]:
        errors.append(field_forbidden(path.child(name), "may not specify more than 1 volume type"))
    for name in given[:1]:
        check = _SOURCES.get(name)
        if check is not None:
            check(errors, path, spec[name])
    host_path = spec.get("hostPath") or {}
    if host_path.get("path") == "/" and spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        where = path.child("persistentVolumeReclaimPolicy")
        errors.append(field_forbidden(where, "may not be 'recycle' for a hostPath mount of '/'"))
    if "local" in given and spec.get("nodeAffinity") is None:
        errors.append(required(path.child("nodeAffinity"), "Local volume requires node affinity"))


def _host_path(errors: Errors, path: Path, source: Mapping[str, Any]) -> None:
    at = path.child("hostPath")
    if not source.get("path"):
        errors.append(required(at.child("path")))
    else:
        no_backsteps(errors, at.child("path"), source["path"])
    if source.get("type") is not None and source["type"] not in HOST_PATH_TYPES:
        errors.append(not_supported(at.child("type"), source["type"], HOST_PATH_TYPES))


def _local(errors: Errors, path: Path, source: Mapping[str, Any]) -> None:
    at = path.child("local").child("path")
    if not source.get("path"):
        errors.append(required(at))
    else:
        no_backsteps(errors, at, source["path"])


def _nfs(errors: Errors, path: Path, source: Mapping[str, Any]) -> None:
    at = path.child("nfs")
    for field in ("server", "path"):
        if not source.get(field):
            errors.append(required(at.child(field)))
    if source.get("path") and not source["path"].startswith("/"):
        errors.append(invalid(at.child("path"), source["path"], "must be an absolute path"))


def _csi(errors: Errors, path: Path, source: Mapping[str, Any]) -> None:
    at = path.child("csi")
    if not source.get("driver"):
        errors.append(required(at.child("driver")))
    if not source.get("volumeHandle"):
        errors.append(required(at.child("volumeHandle")))


_SOURCES = {"hostPath": _host_path, "local": _local, "nfs": _nfs, "csi": _csi}


def validate_volume_update(new: ROObj, old: ROObj) -> Errors:
    errors: Errors = []
    after, before = new.get("spec") or {}, old.get("spec") or {}
    changed = any(after.get(name) != before.get(name) for name in volumes.SOURCES)
    if changed:
        why = "spec.persistentvolumesource is immutable after creation"
        errors.append(field_forbidden(SPEC.child("persistentvolumesource"), why))
    immutable_field(errors, SPEC.child("volumeMode"), after.get("volumeMode"), before.get("volumeMode"))
    if before.get("nodeAffinity") is not None:
        immutable_field(errors, SPEC.child("nodeAffinity"), after.get("nodeAffinity"), before["nodeAffinity"])
    return errors


# --- claims ------------------------------------------------------------------------------------------------------------------


def validate_claim(claim: ROObj) -> Errors:
    errors: Errors = []
    claim_spec(errors, SPEC, claim.get("spec") or {})
    return errors


def claim_spec(errors: Errors, path: Path, spec: Mapping[str, Any]) -> None:
    """A PersistentVolumeClaimSpec, also that of a template."""
    modes = spec.get("accessModes") or ()
    _access_modes(errors, path.child("accessModes"), modes, "at least 1 access mode is required")
    label_selector(errors, path.child("selector"), spec.get("selector"))
    requests = (spec.get("resources") or {}).get("requests") or {}
    at = path.child("resources", "storage")
    if "storage" not in requests:
        errors.append(required(at))
    else:
        _positive(errors, at, requests["storage"])
    if spec.get("storageClassName"):
        check_name(errors, path.child("storageClassName"), spec["storageClassName"], dns_subdomain)
    if spec.get("volumeMode") is not None:
        enum(errors, path.child("volumeMode"), spec["volumeMode"], VOLUME_MODES)
    for field in ("dataSource", "dataSourceRef"):
        if spec.get(field) is not None:
            _data_source(errors, path.child(field), spec[field])
    if spec.get("volumeAttributesClassName"):
        at = path.child("volumeAttributesClassName")
        check_name(errors, at, spec["volumeAttributesClassName"], dns_subdomain)


def _data_source(errors: Errors, path: Path, source: Mapping[str, Any]) -> None:
    for field in ("name", "kind"):
        if not source.get(field):
            errors.append(required(path.child(field)))
    if not source.get("apiGroup") and source.get("kind") != "PersistentVolumeClaim":
        errors.append(
            invalid(path, source.get("kind"), "must be 'PersistentVolumeClaim' when referencing the default apiGroup")
        )
    if source.get("namespace"):
        check_name(errors, path.child("namespace"), source["namespace"], dns_label)


def validate_claim_update(new: ROObj, old: ROObj) -> Errors:
    errors: Errors = []
    after, before = new.get("spec") or {}, old.get("spec") or {}
    if _kept(after, new, old) != _kept(before, old, old):
        errors.append(field_forbidden(SPEC, _CLAIM_MAY_CHANGE))
        return errors
    wanted, had = volumes.requested(new), volumes.requested(old)
    at = SPEC.child("resources", "requests", "storage")
    if wanted != had and not volumes.is_bound(old) and volumes.phase(old) != "Bound":
        errors.append(field_forbidden(SPEC, _CLAIM_MAY_CHANGE))
    elif wanted < had and wanted <= volumes.storage((old.get("status") or {}).get("capacity")):
        shown = ((after.get("resources") or {}).get("requests") or {}).get("storage")
        errors.append(field_forbidden(at, f"field can not be less than status.capacity ({shown})"))
    return errors


def _kept(spec: Mapping[str, Any], claim: ROObj, old: ROObj) -> dict[str, Any]:
    """What an update may not change: all but the size, the attributes' class, and what is filled in once."""
    kept = {name: value for name, value in spec.items() if value is not None}
    kept.pop("volumeAttributesClassName", None)
    resources = dict(kept.pop("resources", None) or {})
    requests = dict(resources.pop("requests", None) or {})
    requests.pop("storage", None)
    kept["resources"] = (resources, requests)
    before = old.get("spec") or {}
    if not before.get("volumeName"):
        kept.pop("volumeName", None)
    if before.get("storageClassName") is None and volumes.CLASS_ANNOTATION not in meta.annotations(claim):
        kept.pop("storageClassName", None)
    return kept
