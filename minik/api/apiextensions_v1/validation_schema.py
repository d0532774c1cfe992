"""Whether a schema is structural, and whether what it says makes sense (apiextensions `pkg/apiserver/schema/validation.go`, and
`pkg/apis/apiextensions/validation` for what is not about structure).

Structural: the type of every field is said once, outside of `allOf`, `anyOf`, `oneOf` and `not`; inside of those there are only
conditions on fields that stand outside.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from minik.api.errors import Path, field_forbidden, invalid, not_supported, required, show
from minik.api.structural import EMBEDDED, INT_OR_STRING, LIST_MAP_KEYS, LIST_TYPE, PRESERVE, RULES, JsonSchema, clean
from minik.api.structural_values import go_pattern, validate_default
from minik.api.validation import Errors

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_MAP_TYPE = "x-kubernetes-map-type"
_REFUSED = {
    "$ref": "$ref is not supported",
    "definitions": "definitions is not supported",
    "dependencies": "dependencies is not supported",
    "patternProperties": "patternProperties is not supported",
    "id": "id is not supported",
    "additionalItems": "additionalItems is not supported",
}
_ONLY_OUTSIDE = (
    "description", "default", "title", "nullable", EMBEDDED, PRESERVE, INT_OR_STRING, LIST_TYPE, LIST_MAP_KEYS, _MAP_TYPE, RULES,
)  # fmt: skip
_IMPLICIT = ("apiVersion", "kind", "metadata")
MOST_DEEP = 64


def validate_schema(errors: Errors, path: Path, schema: JsonSchema) -> None:
    """Everything wrong with the schema of one version."""
    type_ = schema.get("type") or ""
    if not type_:
        errors.append(required(path.child("type"), "must not be empty at the root"))
    elif type_ != "object":
        errors.append(invalid(path.child("type"), type_, "must be object at the root"))
    if schema.get("nullable"):
        errors.append(field_forbidden(path.child("nullable"), "nullable cannot be true at the root"))
    _node(errors, path, schema, "root")
    _metadata(errors, path.child("properties"), (schema.get("properties") or {}).get("metadata"))


def _metadata(errors: Errors, path: Path, metadata: JsonSchema | None) -> None:
    """The server knows metadata; a definition may only narrow name and generateName."""
    if metadata is None:
        return
    allowed = {"type", "description", "properties", "title"}
    properties = metadata.get("properties") or {}
    if set(metadata) - allowed or set(properties) - {"name", "generateName"}:
        why = "must not specify anything other than name and generateName, but metadata is implicitly specified"
        errors.append(field_forbidden(path.key("metadata"), why))


def _node(errors: Errors, path: Path, schema: JsonSchema, level: str, depth: int = 0) -> None:
    if depth > MOST_DEEP:
        errors.append(invalid(path, "", f"schemas may not be more than {MOST_DEEP} levels deep"))
        return
    _type(errors, path, schema, level)
    _common(errors, path, schema)
    _extensions(errors, path, schema)
    properties = schema.get("properties") or {}
    for name, each in properties.items():
        _node(errors, path.child("properties").key(name), each, "field", depth + 1)
    items = schema.get("items")
    if isinstance(items, list):
        errors.append(field_forbidden(path.child("items"), "items must be a schema object and not an array"))
    elif isinstance(items, Mapping):
        _node(errors, path.child("items"), items, "item", depth + 1)
    elif schema.get("type") == "array":
        errors.append(required(path.child("items"), "must be specified"))
    additional = schema.get("additionalProperties")
    if additional is not None:
        at = path.child("additionalProperties")
        if properties:
            errors.append(field_forbidden(at, "additionalProperties and properties are mutual exclusive"))
        if additional is False:
            errors.append(field_forbidden(at, "additionalProperties cannot be set to false"))
        elif level == "root":
            errors.append(field_forbidden(at, "additionalProperties cannot be used at the root"))
        elif isinstance(additional, Mapping):
            _node(errors, at, additional, "field", depth + 1)
    for junctor in ("allOf", "anyOf", "oneOf"):
        for index, branch in enumerate(schema.get(junctor) or ()):
            implicit = bool(schema.get(INT_OR_STRING)) and junctor in ("anyOf", "allOf")
            _branch(errors, path.child(junctor).index(index), branch, schema, typed=implicit)
    if schema.get("not") is not None:
        _branch(errors, path.child("not"), schema["not"], schema, typed=False)
    if "default" in schema:
        _default(errors, path, schema)


def _type(errors: Errors, path: Path, schema: JsonSchema, level: str) -> None:
    type_ = schema.get("type") or ""
    if schema.get(INT_OR_STRING):
        if type_:
            errors.append(field_forbidden(path.child("type"), "must be empty if x-kubernetes-int-or-string is true"))
        return
    if not type_:
        if schema.get(PRESERVE) or level == "root":
            return
        where = "for specified array items" if level == "item" else "for specified object fields"
        errors.append(required(path.child("type"), f"must not be empty {where}"))
    elif type_ not in _TYPES:
        errors.append(not_supported(path.child("type"), type_, _TYPES))


def _common(errors: Errors, path: Path, schema: JsonSchema) -> None:
    for field, why in _REFUSED.items():
        if schema.get(field):
            errors.append(field_forbidden(path.child(field), why))
    if schema.get("uniqueItems"):
        why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        errors.append(field_forbidden(path.child("uniqueItems"), why))
    pattern = schema.get("pattern")
    if pattern:
        try:
            go_pattern(pattern)
        except re.error as error:
            why = f"must be a valid regular expression, but isn't: {error}"
            errors.append(invalid(path.child("pattern"), pattern, why))
    if schema.get("enum") is not None and not schema["enum"]:
        errors.append(required(path.child("enum")))


def _extensions(errors: Errors, path: Path, schema: JsonSchema) -> None:
    type_ = schema.get("type") or ""
    if schema.get(PRESERVE) is False:
        errors.append(invalid(path.child(PRESERVE), False, "must be true or undefined"))
    if schema.get(PRESERVE) and type_ not in ("", "object", "array"):
        errors.append(invalid(path.child("type"), type_, f"must be object or array if {PRESERVE} is true"))
    if schema.get(EMBEDDED):
        if type_ != "object":
            why = f"must be object if {EMBEDDED} is true"
            errors.append(invalid(path.child("type"), type_, why) if type_ else required(path.child("type"), why))
        if not schema.get(PRESERVE) and not schema.get("properties"):
            why = f"must not be empty if {EMBEDDED} is true without {PRESERVE}"
            errors.append(required(path.child("properties"), why))
    map_type = schema.get(_MAP_TYPE)
    if map_type is not None:
        if type_ != "object":
            why = f"must be object if {_MAP_TYPE} is specified"
            errors.append(invalid(path.child("type"), type_, why) if type_ else required(path.child("type"), why))
        if map_type not in ("atomic", "granular"):
            errors.append(not_supported(path.child(_MAP_TYPE), map_type, ("atomic", "granular")))
    _list_type(errors, path, schema, type_)
    _rules(errors, path, schema)


def _list_type(errors: Errors, path: Path, schema: JsonSchema, type_: str) -> None:
    list_type, keys = schema.get(LIST_TYPE), schema.get(LIST_MAP_KEYS) or ()
    if list_type is not None:
        if type_ != "array":
            why = f"must be array if {LIST_TYPE} is specified"
            errors.append(invalid(path.child("type"), type_, why) if type_ else required(path.child("type"), why))
        if list_type not in ("atomic", "map", "set"):
            errors.append(not_supported(path.child(LIST_TYPE), list_type, ("atomic", "map", "set")))
    if keys and list_type != "map":
        why = f"must be map if {LIST_MAP_KEYS} is non-empty"
        at = path.child(LIST_TYPE)
        errors.append(required(at, why) if list_type is None else invalid(at, list_type, why))
    if list_type != "map":
        return
    if not keys:
        errors.append(required(path.child(LIST_MAP_KEYS), f"must not be empty if {LIST_TYPE} is map"))
    items = schema.get("items")
    if not isinstance(items, Mapping):
        return
    if items.get("type") != "object":
        why = f"must be object if parent array's {LIST_TYPE} is map"
        errors.append(invalid(path.child("items", "type"), items.get("type") or "", why))
    properties = items.get("properties") or {}
    seen: set[str] = set()
    for index, key in enumerate(keys):
        at = path.child(LIST_MAP_KEYS).index(index)
        if key in seen:
            errors.append(invalid(path.child(LIST_MAP_KEYS), list(keys), "must not contain duplicate entries"))
        seen.add(key)
        if key not in properties:
            errors.append(invalid(at, key, "entries must all be names of item properties"))
            continue
        below = path.child("items", "properties").key(key)
        if properties[key].get("type") in ("array", "object"):
            errors.append(invalid(below.child("type"), properties[key]["type"], "must be a scalar type if parent array's "
                                  f"{LIST_TYPE} is map"))  # fmt: skip
        if "default" not in properties[key] and key not in (items.get("required") or ()):
            why = f"this property is in {LIST_MAP_KEYS}, so it must have a default or be a required property"
            errors.append(required(below.child("default"), why))


def _rules(errors: Errors, path: Path, schema: JsonSchema) -> None:
    for index, rule in enumerate(schema.get(RULES) or ()):
        at = path.child(RULES).index(index)
        if not (rule.get("rule") or "").strip():
            errors.append(required(at.child("rule"), "rule is not specified"))
        else:
            from minik.api.structural_rules import what_is_wrong

            problem = what_is_wrong(rule)
            if problem:
                errors.append(invalid(at.child("rule"), dict(rule), problem))
        reason = rule.get("reason")
        reasons = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
        if reason is not None and reason not in reasons:
            errors.append(not_supported(at.child("reason"), reason, reasons))
        message = rule.get("message") or ""
        if "\n" in message.strip():
            errors.append(invalid(at.child("message"), message, "message must not contain line breaks"))


def _branch(errors: Errors, path: Path, branch: JsonSchema, outside: JsonSchema, *, typed: bool) -> None:
    """A condition within `allOf`, `anyOf`, `oneOf` or `not`. `typed`: it may speak of types (of an int-or-string)."""
    for field in _ONLY_OUTSIDE:
        if branch.get(field):
            errors.append(field_forbidden(path.child(field), "must be empty to be structural"))
    if branch.get("type") and not typed:
        errors.append(field_forbidden(path.child("type"), "must be empty to be structural"))
    additional = branch.get("additionalProperties")
    if additional is not None and not isinstance(outside.get("additionalProperties"), Mapping):
        errors.append(field_forbidden(path.child("additionalProperties"), "must be undefined to be structural"))
    _common(errors, path, branch)
    properties = outside.get("properties") or {}
    for name, below in (branch.get("properties") or {}).items():
        at = path.child("properties").key(name)
        if name not in properties:
            if name not in _IMPLICIT:
                known = _beside(path, "properties").key(name)
                errors.append(required(known, f"because it is defined in {at}"))
            continue
        _branch(errors, at, below, properties[name], typed=bool(properties[name].get(INT_OR_STRING)))
    if isinstance(branch.get("items"), Mapping):
        if isinstance(outside.get("items"), Mapping):
            _branch(errors, path.child("items"), branch["items"], outside["items"], typed=False)
        else:
            errors.append(required(_beside(path, "items"), f"because it is defined in {path.child('items')}"))
    for junctor in ("allOf", "anyOf", "oneOf"):
        for index, each in enumerate(branch.get(junctor) or ()):
            inner = typed or bool(outside.get(INT_OR_STRING))
            _branch(errors, path.child(junctor).index(index), each, outside, typed=inner)
    if branch.get("not") is not None:
        _branch(errors, path.child("not"), branch["not"], outside, typed=False)


def _beside(path: Path, field: str) -> Path:
    """Where a field of a branch would have to stand outside."""
    return Path(re.sub(r"\.(allOf\[\d+\]|anyOf\[\d+\]|oneOf\[\d+\]|not)", "", path)).child(field)


def _default(errors: Errors, path: Path, schema: JsonSchema) -> None:
    value, at = schema["default"], path.child("default")
    if value is None:
        if not schema.get("nullable"):
            errors.append(invalid(at, None, "default must not be null unless the field is nullable"))
        return
    cleaned, unknown = clean(value, schema)
    if unknown:
        errors.append(invalid(at, value, "must not have unknown fields"))
        return
    errors += validate_default(cleaned, schema, at)


def unenforced_rules(schema: JsonSchema, path: Path) -> Iterator[tuple[Path, str]]:
    """The rules in CEL that cannot be checked here: (where, why)."""
    for where, rule, owner in _all_rules(schema, path):
        from minik.api.structural_rules import why_not

        reason = why_not(rule, owner)
        if reason:
            yield where, f"{show(rule.get('rule') or '')}: {reason}"


def _all_rules(schema: JsonSchema, path: Path) -> Iterator[tuple[Path, Mapping[str, Any], JsonSchema]]:
    for index, rule in enumerate(schema.get(RULES) or ()):
        yield path.child(RULES).index(index), rule, schema
    for name, below in (schema.get("properties") or {}).items():
        yield from _all_rules(below, path.child("properties").key(name))
    for field in ("items", "additionalProperties"):
        below = schema.get(field)
        if isinstance(below, Mapping):
            yield from _all_rules(below, path.child(field))
