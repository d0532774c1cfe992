"""CSINode, storage.k8s.io/v1: the CSI drivers of a node, and how many volumes each can have there."""

from __future__ import annotations

from collections.abc import Sequence

from minik.api import columns
from minik.api.columns import column
from minik.api.errors import FieldError, Path, duplicate, invalid, required, too_long
from minik.api.kind import Kind
from minik.api.meta import ROObj
from minik.api.validation import NOT_NEGATIVE, Errors, check_name
from minik.api.validation_names import dns_subdomain, qualified_name

RESOURCE = "csinodes.storage.k8s.io"
MAX_NODE_ID = 192
DRIVERS = Path("spec").child("drivers")


def validate(node: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    seen: set[str] = set()
    for number, driver in enumerate((node.get("spec") or {}).get("drivers") or ()):
        at, name, identity = DRIVERS.index(number), driver.get("name") or "", driver.get("nodeID") or ""
        if not name:
            errors.append(required(at.child("name")))
        elif name in seen:
            errors.append(duplicate(at.child("name"), name))
        else:
            if len(name) > 63:
                errors.append(too_long(at.child("name"), name, 63))
            check_name(errors, at.child("name"), name.lower(), dns_subdomain)
        seen.add(name)
        if not identity:
            errors.append(required(at.child("nodeID")))
        elif len(identity) > MAX_NODE_ID:
            errors.append(invalid(at.child("nodeID"), identity, f"must be {MAX_NODE_ID} characters or less"))
        keys = driver.get("topologyKeys") or ()
        for index, key in enumerate(keys):
            if key in keys[:index]:
                errors.append(duplicate(at.child("topologyKeys"), key))
            check_name(errors, at.child("topologyKeys"), key, qualified_name)
        count = (driver.get("allocatable") or {}).get("count")
        if count is not None and count < 0:
            errors.append(invalid(at.child("allocatable").child("count"), count, NOT_NEGATIVE))
    return errors


def validate_update(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    """A driver that stays keeps its node ID and topology."""
    errors: Errors = []
    before = {driver["name"]: driver for driver in (old.get("spec") or {}).get("drivers") or ()}
    for number, driver in enumerate((new.get("spec") or {}).get("drivers") or ()):
        had = before.get(driver.get("name") or "")
        same = ("nodeID", "topologyKeys")
        if had is not None and any((driver.get(field) or None) != (had.get(field) or None) for field in same):
            errors.append(invalid(DRIVERS.index(number), dict(driver), "field is immutable"))
    return errors


KIND = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="CSINode",
    plural="csinodes",
    singular="csinode",
    namespaced=False,
    schema="io.k8s.api.storage.v1.CSINode",
    validate=validate,
    validate_update=validate_update,
    columns=(
        column("Drivers", lambda obj: len((obj.get("spec") or {}).get("drivers") or ()), type="integer"),
        columns.AGE,
    ),
    generation=False,
)
