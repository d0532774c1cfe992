"""CSIStorageCapacity, storage.k8s.io/v1: how much a driver could still provide of a class, where."""

from __future__ import annotations

from collections.abc import Sequence

from minik.api.columns import column
from minik.api.errors import FieldError, Path, required
from minik.api.kind import Kind
from minik.api.meta import ROObj
from minik.api.validation import Errors, check_name, immutable_field, label_selector
from minik.api.validation_names import dns_subdomain
from minik.api.validation_resources import quantity_value

RESOURCE = "csistoragecapacities.storage.k8s.io"


def validate(capacity: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    label_selector(errors, Path("nodeTopology"), capacity.get("nodeTopology"))
    if not capacity.get("storageClassName"):
        errors.append(required(Path("storageClassName")))
    else:
        check_name(errors, Path("storageClassName"), capacity["storageClassName"], dns_subdomain)
    for field in ("capacity", "maximumVolumeSize"):
        if capacity.get(field) is not None:
            quantity_value(errors, Path(field), "storage", capacity[field])
    return errors


def validate_update(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    for field in ("nodeTopology", "storageClassName"):
        immutable_field(errors, Path(field), new.get(field), old.get(field))
    return errors


KIND = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="CSIStorageCapacity",
    plural="csistoragecapacities",
    singular="csistoragecapacity",
    namespaced=True,
    schema="io.k8s.api.storage.v1.CSIStorageCapacity",
    validate=validate,
    validate_update=validate_update,
    columns=(
        column("StorageClassName", lambda obj: obj.get("storageClassName") or ""),
        column("Capacity", lambda obj: obj.get("capacity") or "<unset>"),
    ),
    generation=False,
)
