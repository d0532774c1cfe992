"""ResourceClaim, resource.k8s.io/v1: a wish for devices, and in its status which they are and who uses them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.api import columns, meta
from minik.api.columns import column
from minik.api.errors import FieldError, Path, duplicate, field_forbidden, invalid, required
from minik.api.kind import Kind, status_of
from minik.api.meta import Obj, ROObj
from minik.api.resource_v1.validation import (
    MAX_CONFIGS,
    MAX_RESULTS,
    Names,
    device_claim,
    driver_name,
    label_name,
    limited,
    pool_name,
    reference,
    request_names,
)
from minik.api.validation import Errors, immutable_field
from minik.api.validation_scheduling import node_selector

RESOURCE = "resourceclaims.resource.k8s.io"
MAX_RESERVED = 256
STATUS = Path("status")


def allocation_of(claim: ROObj) -> Mapping[str, Any] | None:
    """What was allocated, or None."""
    return (claim.get("status") or {}).get("allocation")


def reserved_for(claim: ROObj) -> Sequence[Mapping[str, Any]]:
    """Who uses it."""
    return (claim.get("status") or {}).get("reservedFor") or ()


def default_requests(devices: Obj) -> None:
    """One device of each unless it says otherwise."""
    for request in devices.get("requests") or ():
        for wanted in (request.get("exactly"), *(request.get("firstAvailable") or ())):
            if wanted is None:
                continue
            wanted.setdefault("allocationMode", "ExactCount")
            if wanted["allocationMode"] == "ExactCount" and not wanted.get("count"):
                wanted["count"] = 1


def default(claim: Obj) -> None:
    default_requests((claim.get("spec") or {}).get("devices") or {})


def prepare_create(claim: Obj) -> None:
    claim["status"] = {}


def validate(claim: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    device_claim(errors, Path("spec").child("devices"), (claim.get("spec") or {}).get("devices") or {})
    return errors


def validate_update(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    immutable_field(errors, Path("spec"), new.get("spec"), old.get("spec"))
    return errors


def validate_status(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    allocation, before = allocation_of(new), allocation_of(old)
    _reservations(errors, new, old)
    if allocation is not None and before is not None:
        immutable_field(errors, STATUS.child("allocation"), allocation, before)
    elif allocation is not None:
        names = request_names((new.get("spec") or {}).get("devices") or {})
        _allocation(errors, STATUS.child("allocation"), allocation, names)
    _devices(errors, new)
    return errors


def _reservations(errors: Errors, new: ROObj, old: ROObj) -> None:
    path, users = STATUS.child("reservedFor"), reserved_for(new)
    if not limited(errors, path, users, MAX_RESERVED):
        return
    uids = [user.get("uid") or "" for user in users]
    for number, user in enumerate(users):
        for field in ("resource", "name", "uid"):
            if not user.get(field):
                errors.append(required(path.index(number).child(field)))
        if uids[number] in uids[:number]:
            errors.append(duplicate(path.index(number), uids[number]))
    if users and allocation_of(new) is None:
        errors.append(field_forbidden(path, "may not be specified when `allocated` is not set"))
    elif meta.is_deleting(new) and set(uids) - {user.get("uid") for user in reserved_for(old)}:
        why = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"
        errors.append(field_forbidden(path, why))


def _allocation(errors: Errors, path: Path, allocation: Mapping[str, Any], names: Names) -> None:
    devices = allocation.get("devices") or {}
    at = path.child("devices")
    results, configs = devices.get("results") or (), devices.get("config") or ()
    if limited(errors, at.child("results"), results, MAX_RESULTS):
        for number, result in enumerate(results):
            where = at.child("results").index(number)
            reference(errors, where.child("request"), result.get("request") or "", names)
            driver_name(errors, where.child("driver"), result.get("driver") or "")
            pool_name(errors, where.child("pool"), result.get("pool") or "")
            label_name(errors, where.child("device"), result.get("device") or "")
    limited(errors, at.child("config"), configs, 2 * MAX_CONFIGS)
    if allocation.get("nodeSelector") is not None:
        node_selector(errors, path.child("nodeSelector"), allocation["nodeSelector"])


def _devices(errors: Errors, claim: ROObj) -> None:
    """What drivers say of the devices: of allocated ones only, of each once."""
    results = ((allocation_of(claim) or {}).get("devices") or {}).get("results") or ()
    allocated = {_identity(result) for result in results}
    seen: set[tuple[str, ...]] = set()
    for number, device in enumerate((claim.get("status") or {}).get("devices") or ()):
        at, identity = STATUS.child("devices").index(number), _identity(device)
        if identity in seen:
            errors.append(duplicate(at, "/".join(identity)))
        seen.add(identity)
        if identity not in allocated:
            errors.append(invalid(at, "/".join(identity[:3]), "must be an allocated device in the claim"))


def _identity(device: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(device.get(field) or "" for field in ("driver", "pool", "device", "shareID"))


def _state(claim: ROObj) -> str:
    states = []
    if meta.is_deleting(claim):
        states.append("deleted")
    if allocation_of(claim) is None:
        if not meta.is_deleting(claim):
            states.append("pending")
    else:
        states.append("allocated")
        states.append("reserved" if reserved_for(claim) else "")
    return ",".join(filter(None, states))


KIND = Kind(
    group="resource.k8s.io",
    version="v1",
    kind="ResourceClaim",
    plural="resourceclaims",
    singular="resourceclaim",
    namespaced=True,
    schema="io.k8s.api.resource.v1.ResourceClaim",
    subresources=(status_of("ResourceClaim"),),
    default=default,
    prepare_create=prepare_create,
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_status,
    columns=(column("State", _state), columns.AGE),
)
