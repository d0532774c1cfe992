"""VolumeAttributesClass, storage.k8s.io/v1: parameters of volumes that a driver can change while they live."""

from __future__ import annotations

from collections.abc import Sequence

from minik.api import columns
from minik.api.columns import column
from minik.api.errors import FieldError, Path, required
from minik.api.kind import Kind
from minik.api.meta import ROObj
from minik.api.validation import Errors, check_name, immutable_field
from minik.api.validation_names import dns_subdomain


def validate(attributes: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    driver = attributes.get("driverName") or ""
    if not driver:
        errors.append(required(Path("driverName")))
    else:
        check_name(errors, Path("driverName"), driver.lower(), dns_subdomain)
    if not attributes.get("parameters"):
        errors.append(required(Path("parameters"), "must contain at least one key/value pair"))
    return errors


def validate_update(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    for field in ("driverName", "parameters"):
        immutable_field(errors, Path(field), new.get(field), old.get(field))
    return errors


KIND = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="VolumeAttributesClass",
    plural="volumeattributesclasses",
    singular="volumeattributesclass",
    namespaced=False,
    schema="io.k8s.api.storage.v1.VolumeAttributesClass",
    short_names=("vac",),
    validate=validate,
    validate_update=validate_update,
    columns=(column("DriverName", lambda obj: obj.get("driverName") or ""), columns.AGE),
    generation=False,
)
