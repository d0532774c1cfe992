"""What makes a CustomResourceDefinition valid, its schemas excepted (those: `validation_schema.py`).

Rules and words: apiextensions-apiserver `pkg/apis/apiextensions/validation`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.api import meta
from minik.api.admissionregistration_v1.webhooks import validate_client, validate_versions
from minik.api.apiextensions_v1.names import APPROVAL, ESTABLISHED, approval, is_protected, is_true
from minik.api.apiextensions_v1.validation_schema import validate_schema
from minik.api.errors import FieldError, Path, field_forbidden, invalid, not_supported, required
from minik.api.jsonpath import JsonPathError, parse
from minik.api.meta import ROObj
from minik.api.structural import JsonSchema
from minik.api.validation import METADATA, Errors, immutable_field
from minik.api.validation_names import dns_1035_label, dns_subdomain

SPEC = Path("spec")
MOST_SELECTABLE_FIELDS = 8
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")


def validate(crd: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    spec = crd.get("spec") or {}
    names = spec.get("names") or {}
    group = spec.get("group") or ""
    wanted = f"{names.get('plural') or ''}.{group}"
    if meta.name(crd) != wanted:
        errors.append(invalid(METADATA.child("name"), meta.name(crd), 'must be spec.names.plural+"."+spec.group'))
    _group(errors, group)
    _scope(errors, spec.get("scope") or "")
    _versions(errors, spec.get("versions") or ())
    _names(errors, names)
    _conversion(errors, spec.get("conversion") or {})
    if spec.get("preserveUnknownFields"):
        why = "must be false in order to use defaults in the schema"
        if not any(_has_defaults(each) for each in spec.get("versions") or ()):
            why = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
        errors.append(invalid(SPEC.child("preserveUnknownFields"), True, why))
    if is_protected(group):
        state, reason = approval(crd)
        path = METADATA.child("annotations").key(APPROVAL)
        if state == "missing":
            errors.append(required(path, reason))
        elif state == "invalid":
            errors.append(invalid(path, meta.annotations(crd)[APPROVAL], reason))
    return [*errors, *validate_status(crd)]


def validate_update(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    before, after = old["spec"], new["spec"]
    if is_true(old, ESTABLISHED):
        for field in ("group", "scope"):
            immutable_field(errors, SPEC.child(field), after.get(field), before.get(field))
        for field in ("kind", "plural"):
            path = SPEC.child("names", field)
            immutable_field(errors, path, after["names"].get(field), before["names"].get(field))
    return errors


def validate_status(crd: ROObj) -> Sequence[FieldError]:
    """Versions that objects are stored in cannot be dropped."""
    errors: Errors = []
    path = Path("status").child("storedVersions")
    stored = (crd.get("status") or {}).get("storedVersions") or []
    versions = (crd.get("spec") or {}).get("versions") or ()
    names = [version.get("name") for version in versions]
    if not stored:
        errors.append(invalid(path, stored, "must have at least one stored version"))
    for index, version in enumerate(stored):
        if version not in names:
            why = f"missing from spec.versions; {version} was previously a storage version, and must remain in spec.versions "
            why += (
                f"until a storage migration ensures no data remains persisted in {version} and removes {version} from "
            )
            errors.append(invalid(path.index(index), version, why + "status.storedVersions"))
    current = next((v.get("name") for v in versions if v.get("storage")), None)
    if stored and current is not None and current not in stored:
        errors.append(invalid(path, stored, f"must have the storage version {current}"))
    return errors


def warnings(crd: ROObj) -> Sequence[str]:
    """What is accepted and not (yet) done."""
    from minik.api.apiextensions_v1.validation_schema import unenforced_rules

    found: list[str] = []
    for index, version in enumerate(crd["spec"].get("versions") or ()):
        path = SPEC.child("versions").index(index).child("schema", "openAPIV3Schema")
        for where, why in unenforced_rules((version.get("schema") or {}).get("openAPIV3Schema") or {}, path):
            found.append(f"{where}: this rule is not enforced: {why}")
    return found


def _group(errors: Errors, group: str) -> None:
    path = SPEC.child("group")
    if not group:
        errors.append(required(path))
        return
    problems = dns_subdomain(group)
    if problems:
        errors.append(invalid(path, group, ",".join(problems)))
    elif "." not in group:
        errors.append(invalid(path, group, "should be a domain with at least one dot"))


def _scope(errors: Errors, scope: str) -> None:
    path = SPEC.child("scope")
    if not scope:
        errors.append(required(path))
    elif scope not in ("Cluster", "Namespaced"):
        errors.append(not_supported(path, scope, ("Cluster", "Namespaced")))


def _names(errors: Errors, names: Mapping[str, Any]) -> None:
    path = SPEC.child("names")
    for field in ("plural", "singular", "kind", "listKind"):
        value = names.get(field) or ""
        if not value:
            errors.append(required(path.child(field)))
            continue
        mixed = field in ("kind", "listKind")
        problems = dns_1035_label(value.lower() if mixed else value)
        if problems:
            why = ",".join(problems)
            text = f"may have mixed case, but should otherwise match: {why}" if mixed else why
            errors.append(invalid(path.child(field), value, text))
    if names.get("kind") and names.get("kind") == names.get("listKind"):
        why = "kind and listKind may not be the same"
        errors.append(invalid(path.child("listKind"), names["listKind"], why))
    for field in ("shortNames", "categories"):
        for index, value in enumerate(names.get(field) or ()):
            problems = dns_1035_label(value)
            if problems:
                errors.append(invalid(path.child(field).index(index), value, ",".join(problems)))


def _versions(errors: Errors, versions: Sequence[Mapping[str, Any]]) -> None:
    path = SPEC.child("versions")
    if not versions:
        errors.append(required(path))
        return
    given = [version.get("name") or "" for version in versions]
    if len(set(given)) != len(given):
        errors.append(invalid(path, given, "must contain unique version names"))
    if sum(bool(version.get("storage")) for version in versions) != 1:
        errors.append(invalid(path, given, "must have exactly one version marked as storage version"))
    for index, version in enumerate(versions):
        _version(errors, path.index(index), version)


def _version(errors: Errors, path: Path, version: Mapping[str, Any]) -> None:
    name = version.get("name") or ""
    problems = dns_1035_label(name)
    if problems:
        errors.append(invalid(path.child("name"), name, ",".join(problems)))
    warning = version.get("deprecationWarning")
    if warning is not None:
        at = path.child("deprecationWarning")
        if not version.get("deprecated"):
            errors.append(invalid(at, warning, "can only be set for deprecated versions"))
        if not warning:
            errors.append(invalid(at, warning, "must not be empty"))
        elif len(warning) > 256:
            errors.append(invalid(at, warning, "must be <= 256 UTF-8 bytes"))
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    at = path.child("schema", "openAPIV3Schema")
    if schema is None:
        errors.append(required(at, "schemas are required"))
        schema = {}
    else:
        validate_schema(errors, at, schema)
    _subresources(errors, path.child("subresources"), version.get("subresources") or {})
    columns = version.get("additionalPrinterColumns") or ()
    for index, column in enumerate(columns):
        _column(errors, path.child("additionalPrinterColumns").index(index), column)
    _selectable(errors, path.child("selectableFields"), version.get("selectableFields") or (), schema)


def _has_defaults(version: Mapping[str, Any]) -> bool:
    def any_default(schema: Any) -> bool:
        if not isinstance(schema, Mapping):
            return False
        below = [*(schema.get("properties") or {}).values(), schema.get("items"), schema.get("additionalProperties")]
        return "default" in schema or any(map(any_default, below))

    return any_default((version.get("schema") or {}).get("openAPIV3Schema"))


def _subresources(errors: Errors, path: Path, subresources: Mapping[str, Any]) -> None:
    scale = subresources.get("scale")
    if not scale:
        return
    at = path.child("scale")
    for field, roots, needed in (
        ("specReplicasPath", ("spec",), True),
        ("statusReplicasPath", ("status",), True),
        ("labelSelectorPath", ("spec", "status"), False),
    ):
        value = scale.get(field) or ""
        if not value:
            if needed:
                errors.append(required(at.child(field)))
            continue
        names = _simple(errors, at.child(field), value)
        if names is not None and (names[0] not in roots or len(names) < 2):
            words = {1: f"under .{roots[0]}", 2: "under either .spec or .status"}[len(roots)]
            errors.append(invalid(at.child(field), value, f"should be a json path {words}"))


def _simple(errors: Errors, path: Path, value: str) -> Sequence[str] | None:
    """The names of a path that is nothing but fields (validateSimpleJSONPath)."""
    if not value.startswith("."):
        errors.append(invalid(path, value, "must be a simple json path starting with ."))
        return None
    try:
        names = parse(value).names
    except JsonPathError as error:
        errors.append(invalid(path, value, str(error)))
        return None
    if not names:
        errors.append(invalid(path, value, "must be a dot notation JSON path"))
        return None
    return names


def _column(errors: Errors, path: Path, column: Mapping[str, Any]) -> None:
    if not column.get("name"):
        errors.append(required(path.child("name")))
    type_ = column.get("type") or ""
    allowed = f"must be one of {','.join(_COLUMN_TYPES)}"
    if not type_:
        errors.append(required(path.child("type"), allowed))
    elif type_ not in _COLUMN_TYPES:
        errors.append(invalid(path.child("type"), type_, allowed))
    format_ = column.get("format") or ""
    if format_ and format_ not in _COLUMN_FORMATS:
        errors.append(invalid(path.child("format"), format_, f"must be one of {','.join(_COLUMN_FORMATS)}"))
    given = column.get("jsonPath") or ""
    if not given:
        errors.append(required(path.child("jsonPath")))
        return
    if not given.startswith(("[", ".")):
        errors.append(invalid(path.child("jsonPath"), given, "does not begin with a dot"))
        return
    try:
        parse(given)
    except JsonPathError as error:
        errors.append(invalid(path.child("jsonPath"), given, f"is an invalid path: {error}"))


def _selectable(errors: Errors, path: Path, fields: Sequence[Mapping[str, Any]], schema: JsonSchema) -> None:
    if len(fields) > MOST_SELECTABLE_FIELDS:
        body = f"Too many: {len(fields)}: must have at most {MOST_SELECTABLE_FIELDS} items"
        errors.append(FieldError("FieldValueTooMany", path, body))
    seen: set[str] = set()
    for index, field in enumerate(fields):
        at, given = path.index(index).child("jsonPath"), field.get("jsonPath") or ""
        if not given:
            errors.append(required(at))
            continue
        names = _simple(errors, at, given)
        if names is None:
            continue
        if given in seen:
            errors.append(FieldError("FieldValueDuplicate", at, f'Duplicate value: "{given}"'))
        seen.add(given)
        if names[0] == "metadata":
            errors.append(invalid(at, given, "must not point to fields in metadata"))
        elif not _is_plain(schema, names):
            why = "is an invalid path: must point to a field of type string, boolean or integer. Enum string fields and strings "
            errors.append(invalid(at, given, why + "with formats are allowed."))


def _is_plain(schema: JsonSchema, names: Sequence[str]) -> bool:
    for name in names:
        below = (schema.get("properties") or {}).get(name)
        if not isinstance(below, Mapping):
            return False
        schema = below
    return schema.get("type") in ("string", "boolean", "integer")


def _conversion(errors: Errors, conversion: Mapping[str, Any]) -> None:
    path = SPEC.child("conversion")
    strategy = conversion.get("strategy") or ""
    if not strategy:
        errors.append(required(path.child("strategy")))
        return
    if strategy not in ("None", "Webhook"):
        errors.append(not_supported(path.child("strategy"), strategy, ("None", "Webhook")))
        return
    webhook = conversion.get("webhook")
    if strategy == "None":
        if webhook is not None:
            errors.append(
                field_forbidden(path.child("webhook"), "should not be set when strategy is not set to Webhook")
            )
        return
    client = (webhook or {}).get("clientConfig")
    if client is None:
        why = "required when strategy is set to Webhook"
        errors.append(required(path.child("webhook", "clientConfig"), why))
    else:
        validate_client(errors, path.child("webhook", "clientConfig"), client)
    versions = (webhook or {}).get("conversionReviewVersions")
    if not versions:
        errors.append(required(path.child("webhook", "conversionReviewVersions")))
    else:
        validate_versions(errors, path.child("webhook", "conversionReviewVersions"), versions)
