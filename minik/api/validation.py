"""Validation that all kinds share: ObjectMeta, labels, annotations, label selectors, immutable fields.

The server calls `object_meta` and `object_meta_update` for every kind, built-in and custom; the kinds' own checks are in their files and
in `validation_*.py`, by subject. Rules and texts: apimachinery `pkg/api/validation/objectmeta.go` and
`pkg/apis/meta/v1/validation`. Checks append to a list and never raise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.api import meta
from minik.api.errors import (
    FieldError,
    Path,
    field_forbidden,
    invalid,
    not_supported,
    required,
    show,
    too_long,
)
from minik.api.kind import Kind
from minik.api.meta import ROObj
from minik.api.validation_names import (
    NameCheck,
    dns_1035_label,
    dns_label,
    dns_subdomain,
    label_value,
    path_segment,
    prefix,
    qualified_name,
)

Errors = list[FieldError]

ANNOTATIONS_LIMIT = 256 * 1024
IMMUTABLE = "field is immutable"
NOT_NEGATIVE = "must be greater than or equal to 0"
METADATA = Path("metadata")

__all__ = [
    "ANNOTATIONS_LIMIT", "IMMUTABLE", "METADATA", "NOT_NEGATIVE", "Errors", "NameCheck", "annotation_map", "check_name",
    "dns_1035_label", "dns_label", "dns_subdomain", "enum", "immutable_field", "label_key", "label_selector",
    "label_value", "labels", "non_negative", "object_meta", "object_meta_update", "path_segment", "qualified_name",
]  # fmt: skip


def object_meta(obj: ROObj, path: Path, kind: Kind) -> Errors:
    """Everything wrong with the metadata of an object to be created (its name is generated already). `path`: usually `metadata`."""
    metadata = obj.get("metadata") or {}
    errors: Errors = []
    check = kind.validate_name or dns_subdomain
    generate_name = metadata.get("generateName")
    if generate_name:
        check_name(errors, path.child("generateName"), generate_name, prefix(check))
    name = metadata.get("name")
    if not name:
        errors.append(required(path.child("name"), "name or generateName is required"))
    else:
        check_name(errors, path.child("name"), name, check)
    namespace = metadata.get("namespace")
    if kind.namespaced:
        if not namespace:
            errors.append(required(path.child("namespace")))
        else:
            check_name(errors, path.child("namespace"), namespace, dns_label)
    elif namespace:
        errors.append(field_forbidden(path.child("namespace"), "not allowed on this type"))
    _common(errors, metadata, path)
    return errors


def object_meta_update(new: ROObj, old: ROObj, path: Path) -> Errors:
    """What an update may not do to the metadata. The server has already set what a client may leave out
    (resourceVersion, uid, creationTimestamp, generation)."""
    after, before = new.get("metadata") or {}, old.get("metadata") or {}
    errors: Errors = []
    if before.get("deletionTimestamp"):
        added = sorted(set(after.get("finalizers") or ()) - set(before.get("finalizers") or ()))
        if added:
            shown = "[]string{" + ", ".join(show(f) for f in added) + "}"
            why = f"no new finalizers can be added if the object is being deleted, found new finalizers {shown}"
            errors.append(field_forbidden(path.child("finalizers"), why))
    for field in ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"):
        if after.get(field) != before.get(field):
            errors.append(invalid(path.child(field), after.get(field), IMMUTABLE))
    if (after.get("generation") or 0) < (before.get("generation") or 0):
        errors.append(invalid(path.child("generation"), after.get("generation") or 0, "must not be decremented"))
    _common(errors, after, path)
    return errors


def _common(errors: Errors, metadata: Mapping[str, Any], path: Path) -> None:
    if metadata.get("labels"):
        labels(errors, path.child("labels"), metadata["labels"])
    if metadata.get("annotations"):
        annotation_map(errors, path.child("annotations"), metadata["annotations"])
    if metadata.get("ownerReferences"):
        _owner_references(errors, path.child("ownerReferences"), metadata["ownerReferences"])
    if metadata.get("finalizers"):
        _finalizers(errors, path.child("finalizers"), metadata["finalizers"])
    if metadata.get("managedFields"):
        _managed_fields(errors, path.child("managedFields"), metadata["managedFields"])


def check_name(errors: Errors, path: Path, name: str, check: NameCheck) -> None:
    """One error for each thing that `check` has against `name`."""
    for problem in check(name):
        errors.append(invalid(path, name, problem))


def label_key(errors: Errors, path: Path, key: str) -> None:
    check_name(errors, path, key, qualified_name)


def labels(errors: Errors, path: Path, values: Mapping[str, str]) -> None:
    for key, value in values.items():
        check_name(errors, path, key, qualified_name)
        check_name(errors, path, value, label_value)


def annotation_map(errors: Errors, path: Path, values: Mapping[str, str]) -> None:
    size = 0
    for key, value in values.items():
        for problem in qualified_name(key.lower()):
            errors.append(invalid(path, key, problem))
        size += len(key) + (len(value) if value.isascii() else len(value.encode()))
    if size > ANNOTATIONS_LIMIT:
        errors.append(too_long(path, "", ANNOTATIONS_LIMIT))


def _owner_references(errors: Errors, path: Path, references: Sequence[Mapping[str, Any]]) -> None:
    controller = ""
    for reference in references:
        _group, version = meta.parse_api_version(reference.get("apiVersion") or "")
        if not version:
            errors.append(
                invalid(path.child("apiVersion"), reference.get("apiVersion", ""), "version must not be empty")
            )
        for field in ("kind", "name", "uid"):
            if not reference.get(field):
                errors.append(invalid(path.child(field), reference.get(field, ""), "must not be empty"))
        if reference.get("apiVersion") == "v1" and reference.get("kind") == "Event":
            errors.append(invalid(path, reference, "/v1, Kind=Event is disallowed from being an owner"))
        if reference.get("controller"):
            this = f"{reference.get('kind')}/{reference.get('name')}"
            if controller:
                why = 'Only one reference can have Controller set to true. Found "true" in references for'
                errors.append(invalid(path, references, f"{why} {controller} and {this}"))
            controller = controller or this


def _finalizers(errors: Errors, path: Path, finalizers: Sequence[str]) -> None:
    for finalizer in finalizers:
        check_name(errors, path, finalizer, qualified_name)
    if "orphan" in finalizers and "foregroundDeletion" in finalizers:
        errors.append(invalid(path, finalizers, "finalizer orphan and foregroundDeletion cannot be both set"))


def _managed_fields(errors: Errors, path: Path, entries: Sequence[Mapping[str, Any]]) -> None:
    for number, entry in enumerate(entries):
        at = path.index(number)
        if entry.get("operation") not in ("Apply", "Update"):
            errors.append(invalid(at.child("operation"), entry.get("operation", ""), "must be `Apply` or `Update`"))
        if entry.get("fieldsType", "") not in ("", "FieldsV1"):
            errors.append(invalid(at.child("fieldsType"), entry["fieldsType"], "must be `FieldsV1`"))
        if len(entry.get("manager") or "") > 128:
            errors.append(too_long(at.child("manager"), "", 128))


# --- single fields --------------------------------------------------------------------------------------------------


def non_negative(errors: Errors, path: Path, value: int | None) -> None:
    if value is not None and value < 0:
        errors.append(invalid(path, value, NOT_NEGATIVE))


def enum(errors: Errors, path: Path, value: Any, allowed: Sequence[str], *, optional: bool = True) -> None:
    """`value` must be one of `allowed`; an empty one is `required` unless `optional`."""
    if not value:
        if not optional:
            errors.append(required(path))
    elif value not in allowed:
        errors.append(not_supported(path, value, allowed))


def immutable_field(errors: Errors, path: Path, new: Any, old: Any) -> None:
    """apimachinery's ValidateImmutableField; nothing and an empty value are the same (Semantic.DeepEqual)."""
    if new != old and (new or old):
        errors.append(invalid(path, new, IMMUTABLE))


# --- label selectors ------------------------------------------------------------------------------------------------


def label_selector(errors: Errors, path: Path, selector: Mapping[str, Any] | None) -> None:
    """A meta/v1 LabelSelector."""
    if not selector:
        return
    if selector.get("matchLabels"):
        labels(errors, path.child("matchLabels"), selector["matchLabels"])
    for number, expression in enumerate(selector.get("matchExpressions") or ()):
        at = path.child("matchExpressions").index(number)
        operator, values = expression.get("operator", ""), expression.get("values") or ()
        if operator in ("In", "NotIn"):
            if not values:
                errors.append(required(at.child("values"), "must be specified when `operator` is 'In' or 'NotIn'"))
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                errors.append(field_forbidden(at.child("values"), why))
        else:
            errors.append(invalid(at.child("operator"), operator, "not a valid selector operator"))
        label_key(errors, at.child("key"), expression.get("key", ""))
        for index, value in enumerate(values):
            check_name(errors, at.child("values").index(index), value, label_value)
