"""StorageClass, storage.k8s.io/v1: a sort of storage, who provides it, and when."""

from __future__ import annotations

from collections.abc import Sequence

from minik.api import columns, meta
from minik.api.columns import column
from minik.api.errors import FieldError, Path, duplicate, field_forbidden, invalid, required, too_long
from minik.api.kind import Kind
from minik.api.meta import ROObj
from minik.api.validation import Errors, check_name, enum, immutable_field
from minik.api.validation_names import qualified_name

RESOURCE = "storageclasses.storage.k8s.io"
DEFAULT_ANNOTATION = "storageclass.kubernetes.io/is-default-class"
BETA_DEFAULT_ANNOTATION = "storageclass.beta.kubernetes.io/is-default-class"
NO_PROVISIONER = "kubernetes.io/no-provisioner"
WAITS = "WaitForFirstConsumer"
BINDING_MODES = ("Immediate", WAITS)
RECLAIM_POLICIES = ("Delete", "Retain")
MAX_PARAMETERS, MAX_PARAMETERS_SIZE = 512, 256 * 1024


def is_default(storage_class: ROObj) -> bool:
    """Whether claims that name no class get this one."""
    annotations = meta.annotations(storage_class)
    return "true" in (annotations.get(DEFAULT_ANNOTATION), annotations.get(BETA_DEFAULT_ANNOTATION))


def default_of(classes: Sequence[ROObj]) -> ROObj | None:
    """Of several defaults the youngest, of equally young ones the first by name (GetDefaultClass)."""
    found = sorted(filter(is_default, classes), key=meta.name)
    return max(found, key=lambda obj: str(obj["metadata"]["creationTimestamp"]), default=None)


def waits(storage_class: ROObj) -> bool:
    """Whether volumes of it are bound only when a pod is to use them."""
    return bool(storage_class.get("volumeBindingMode") == WAITS)


def validate(storage_class: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    provisioner = storage_class.get("provisioner") or ""
    if not provisioner:
        errors.append(required(Path("provisioner"), provisioner))
    else:
        check_name(errors, Path("provisioner"), provisioner.lower(), qualified_name)
    parameters = storage_class.get("parameters") or {}
    if len(parameters) > MAX_PARAMETERS:
        errors.append(too_long(Path("parameters"), "Provisioner Parameters exceeded max allowed", MAX_PARAMETERS))
    size = sum(len(name) + len(value) for name, value in parameters.items())
    if size > MAX_PARAMETERS_SIZE:
        errors.append(too_long(Path("parameters"), "", MAX_PARAMETERS_SIZE))
    if "" in parameters:
        errors.append(invalid(Path("parameters"), "", "field can not be empty."))
    enum(errors, Path("reclaimPolicy"), storage_class.get("reclaimPolicy"), RECLAIM_POLICIES)
    enum(errors, Path("volumeBindingMode"), storage_class.get("volumeBindingMode"), BINDING_MODES, optional=False)
    _topologies(errors, storage_class)
    return errors


def _topologies(errors: Errors, storage_class: ROObj) -> None:
    for number, term in enumerate(storage_class.get("allowedTopologies") or ()):
        path = Path("allowedTopologies").index(number).child("matchLabelExpressions")
        seen: set[str] = set()
        for index, expression in enumerate(term.get("matchLabelExpressions") or ()):
            at, key, values = path.index(index), expression.get("key") or "", expression.get("values") or ()
            if not values:
                errors.append(required(at.child("values")))
            for position, value in enumerate(values):
                if value in values[:position]:
                    errors.append(duplicate(at.child("values").index(position), value))
            check_name(errors, at.child("key"), key, qualified_name)
            if key in seen:
                errors.append(duplicate(at.child("key"), key))
            seen.add(key)


def validate_update(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    for field in ("parameters", "provisioner", "reclaimPolicy"):
        if (new.get(field) or {}) != (old.get(field) or {}):
            errors.append(field_forbidden(Path(field), f"updates to {field} are forbidden."))
    mode = new.get("volumeBindingMode"), old.get("volumeBindingMode")
    immutable_field(errors, Path("volumeBindingMode"), *mode)
    return errors


KIND = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="StorageClass",
    plural="storageclasses",
    singular="storageclass",
    namespaced=False,
    schema="io.k8s.api.storage.v1.StorageClass",
    short_names=("sc",),
    validate=validate,
    validate_update=validate_update,
    columns=(
        column("Name", lambda obj: meta.name(obj) + (" (default)" if is_default(obj) else ""), format="name"),
        column("Provisioner", lambda obj: obj.get("provisioner") or ""),
        column("ReclaimPolicy", lambda obj: obj.get("reclaimPolicy") or "Delete"),
        column("VolumeBindingMode", lambda obj: obj.get("volumeBindingMode") or "Immediate"),
        column("AllowVolumeExpansion", lambda obj: "true" if obj.get("allowVolumeExpansion") else "false"),
        columns.AGE,
    ),
    generation=False,
)
