"""Whether a value fits its structural schema, in the words of Kubernetes (kube-openapi `pkg/validation`, turned into field errors by
apiextensions `pkg/apiserver/validation`).

Called by `structural.CustomSchema.validate`. An update is not blamed for what the old object has too at the same place (KEP-4008):
wherever old and new are equal the walk stops.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from minik.api.errors import FieldError, Path, duplicate, invalid, required, show, too_many
from minik.api.meta import ROObj
from minik.api.structural import EMBEDDED, INT_OR_STRING, LIST_MAP_KEYS, LIST_TYPE, JsonSchema, Structural
from minik.api.structural_formats import FORMATS
from minik.api.validation import Errors, labels

_ABSENT: Any = object()
"""There is no old value to compare with."""
_IMPLICIT = frozenset({"apiVersion", "kind", "metadata"})


def validate(new: ROObj, old: ROObj | None, root: Structural) -> Sequence[FieldError]:
    """Everything wrong with a custom object, its metadata excepted."""
    errors: Errors = []
    _object(errors, Path(""), new, old if old is not None else _ABSENT, root.schema, skip=_IMPLICIT)
    _lists(errors, Path(""), new, old if old is not None else _ABSENT, root)
    if root.has_rules and not errors:
        from minik.api.structural_rules import check_rules

        errors += check_rules(new, old, root)
    return errors


def validate_default(value: Any, schema: JsonSchema, path: Path) -> Sequence[FieldError]:
    """Everything wrong with the default of a field of that schema; errors are put at `path`."""
    errors: Errors = []
    node = Structural(schema)
    _value(errors, Path(""), value, _ABSENT, schema)
    _lists(errors, Path(""), value, _ABSENT, node)
    return [FieldError(each.reason, f"{path}.{each.field}" if each.field else path, each.body) for each in errors]


def child(path: Path, name: str) -> Path:
    return path.child(name) if path else Path(name)


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _says(path: Path, what: str) -> str:
    return f"{path or '.'} in body {what}".lstrip(". ") if not path else f"{path} in body {what}"


def _wrong_type(path: Path, expected: str, shown: str) -> FieldError:
    why = _says(path, f"must be of type {expected}: {show(shown)}")
    return FieldError("FieldValueTypeInvalid", path, f"Invalid value: {show(shown)}: {why}")


def _value(errors: Errors, path: Path, value: Any, old: Any, schema: JsonSchema) -> None:
    if old is not _ABSENT and old == value and type(old) is type(value):
        return
    if value is None and schema.get("nullable"):
        return
    expected = schema.get("type")
    actual = _type_of(value)
    if schema.get(INT_OR_STRING):
        if actual not in ("integer", "string"):
            errors.append(_wrong_type(path, "integer,string", actual))
            return
    elif expected and actual != expected and not (expected == "number" and actual == "integer"):
        errors.append(_wrong_type(path, expected, actual))
        return
    if schema.get("enum"):
        _enum(errors, path, value, schema["enum"])
    if isinstance(value, str):
        _string(errors, path, value, schema)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        _number(errors, path, value, schema)
    elif isinstance(value, list):
        _list(errors, path, value, old, schema)
    elif isinstance(value, dict):
        _object(errors, path, value, old, schema)
    if not isinstance(value, dict):
        _junctors(errors, path, value, schema)


def _enum(errors: Errors, path: Path, value: Any, allowed: Sequence[Any]) -> None:
    if any(value == each and isinstance(value, bool) == isinstance(each, bool) for each in allowed):
        return
    words = ", ".join(show(each if isinstance(each, str) else show(each)) for each in allowed)
    body = f"Unsupported value: {show(value)}: supported values: {words}"
    errors.append(FieldError("FieldValueNotSupported", path, body))


def _string(errors: Errors, path: Path, value: str, schema: JsonSchema) -> None:
    longest, shortest, pattern = schema.get("maxLength"), schema.get("minLength"), schema.get("pattern")
    if longest is not None and len(value) > longest:
        unit = "byte" if longest == 1 else "bytes"
        errors.append(FieldError("FieldValueTooLong", path, f"Too long: may not be more than {longest} {unit}"))
    if shortest is not None and len(value) < shortest:
        errors.append(invalid(path, value, _says(path, f"should be at least {shortest} chars long")))
    if pattern and not matches(pattern, value):
        errors.append(invalid(path, value, _says(path, f"should match '{pattern}'")))
    format_ = schema.get("format")
    check = FORMATS.get(format_.replace("-", "")) if format_ else None
    if check is not None and not check(value):
        why = _says(path, f"must be of type {format_}: {show(value)}")
        errors.append(FieldError("FieldValueTypeInvalid", path, f"Invalid value: {show(value)}: {why}"))


@lru_cache(maxsize=1024)
def go_pattern(pattern: str) -> re.Pattern[str]:
    r"""A pattern of Go's RE2 as Python reads it: `\z` and POSIX classes have other names. Raises re.error."""
    text = pattern.replace(r"\z", r"\Z")
    for name, chars in _POSIX.items():
        text = text.replace(f"[:{name}:]", chars)
    text = re.sub(r"\(\?P?<(?![=!])", "(?P<", text)
    text = re.sub(r"(?<!\\)\$$", r"\\Z", text)
    return re.compile(text)


_POSIX = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "digit": "0-9", "lower": "a-z", "upper": "A-Z", "space": r"\t\n\v\f\r ",
    "xdigit": "0-9A-Fa-f", "word": r"0-9A-Za-z_", "punct": r"!-/:-@\[-`{-~",
}  # fmt: skip


def matches(pattern: str, value: str) -> bool:
    """Whether a pattern is found in a text. One that cannot be read here holds nobody up: CustomResourceDefinitions with it are refused."""
    try:
        return go_pattern(pattern).search(value) is not None
    except re.error:
        return True


def _number(errors: Errors, path: Path, value: float, schema: JsonSchema) -> None:
    lowest, highest, step = schema.get("minimum"), schema.get("maximum"), schema.get("multipleOf")
    if highest is not None:
        exclusive = bool(schema.get("exclusiveMaximum"))
        if value > highest or (exclusive and value == highest):
            words = "should be less than" if exclusive else "should be less than or equal to"
            errors.append(invalid(path, value, _says(path, f"{words} {_plain(highest)}")))
    if lowest is not None:
        exclusive = bool(schema.get("exclusiveMinimum"))
        if value < lowest or (exclusive and value == lowest):
            words = "should be greater than" if exclusive else "should be greater than or equal to"
            errors.append(invalid(path, value, _says(path, f"{words} {_plain(lowest)}")))
    if step and (value / step) != int(value / step):
        errors.append(invalid(path, value, _says(path, f"should be a multiple of {_plain(step)}")))
    bits = {"int32": 31, "int64": 63}.get(schema.get("format") or "")
    if bits is not None and _type_of(value) == "integer" and not -(2**bits) <= value < 2**bits:
        why = _says(path, f"must be of type {schema['format']}: {show(str(_plain(value)))}")
        errors.append(FieldError("FieldValueTypeInvalid", path, f"Invalid value: {_plain(value)}: {why}"))


def _plain(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else str(number)


def _list(errors: Errors, path: Path, value: list[Any], old: Any, schema: JsonSchema) -> None:
    most, least = schema.get("maxItems"), schema.get("minItems")
    if most is not None and len(value) > most:
        errors.append(too_many(path, len(value), most))
    if least is not None and len(value) < least:
        errors.append(invalid(path, len(value), _says(path, f"should have at least {least} items")))
    items = schema.get("items")
    if isinstance(items, Mapping):
        before = old_items(old, schema)
        for index, item in enumerate(value):
            _value(errors, path.index(index), item, before(item), items)


def old_items(old: Any, schema: JsonSchema) -> Callable[[Any], Any]:
    """item → what it was before, in a list whose items have keys; in other lists nothing was before."""
    keys = tuple(schema.get(LIST_MAP_KEYS) or ())
    if schema.get(LIST_TYPE) != "map" or not keys or not isinstance(old, list):
        return lambda _item: _ABSENT
    found = {_identity(item, keys): item for item in old if isinstance(item, dict)}
    return lambda item: found.get(_identity(item, keys), _ABSENT) if isinstance(item, dict) else _ABSENT


def is_absent(value: Any) -> bool:
    """Whether `old_items` found nothing."""
    return value is _ABSENT


def _identity(item: Mapping[str, Any], keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(show(item.get(key)) for key in keys)


def _object(
    errors: Errors, path: Path, value: Mapping[str, Any], old: Any, schema: JsonSchema,
    *, skip: frozenset[str] = frozenset(),
) -> None:  # fmt: skip
    most, least = schema.get("maxProperties"), schema.get("minProperties")
    if most is not None and len(value) > most:
        errors.append(too_many(path, len(value), most))
    if least is not None and len(value) < least:
        errors.append(invalid(path, len(value), _says(path, f"should have at least {least} properties")))
    for name in schema.get("required") or ():
        if name not in value:
            errors.append(required(child(path, name)))
    properties = schema.get("properties") or {}
    additional = schema.get("additionalProperties")
    embedded = bool(schema.get(EMBEDDED))
    if embedded:
        _embedded(errors, path, value)
    before = old if isinstance(old, Mapping) else {}
    for name, item in value.items():
        known = properties.get(name, additional)
        if name in skip or (embedded and name in _IMPLICIT):
            if name == "metadata" and known:
                _narrowed(errors, child(path, name), item, known)
            continue
        if isinstance(known, Mapping):
            _value(errors, child(path, name), item, before.get(name, _ABSENT), known)
    _junctors(errors, path, value, schema)


def _narrowed(errors: Errors, path: Path, metadata: Mapping[str, Any], schema: JsonSchema) -> None:
    """What a definition may demand of metadata: of the names."""
    for name in ("name", "generateName"):
        known = (schema.get("properties") or {}).get(name)
        if known and metadata.get(name) is not None:
            _value(errors, child(path, name), metadata[name], _ABSENT, known)


def _embedded(errors: Errors, path: Path, value: Mapping[str, Any]) -> None:
    for name in ("apiVersion", "kind"):
        given = value.get(name)
        if not given:
            errors.append(required(child(path, name), "must not be empty"))
        elif not isinstance(given, str):
            errors.append(_wrong_type(child(path, name), "string", _type_of(given)))
    metadata = value.get("metadata")
    if metadata is not None and not isinstance(metadata, Mapping):
        errors.append(_wrong_type(child(path, "metadata"), "object", _type_of(metadata)))
    elif metadata and metadata.get("labels"):
        labels(errors, child(child(path, "metadata"), "labels"), metadata["labels"])


def _failures(path: Path, value: Any, schema: JsonSchema) -> Errors:
    """What a branch of a junctor has against a value. Branches speak of fields that the schema itself has."""
    errors: Errors = []
    _value(errors, path, value, _ABSENT, schema)
    return errors


def _junctors(errors: Errors, path: Path, value: Any, schema: JsonSchema) -> None:
    all_of, any_of, one_of = schema.get("allOf"), schema.get("anyOf"), schema.get("oneOf")
    if all_of:
        found = [each for branch in all_of for each in _failures(path, value, branch)]
        if found:
            errors += found
            errors.append(_composite(path, "must validate all the schemas (allOf)"))
    if any_of and not (schema.get(INT_OR_STRING) and _is_int_or_string(any_of)):
        tries = [_failures(path, value, branch) for branch in any_of]
        if all(tries):
            errors.append(_composite(path, "must validate at least one schema (anyOf)"))
            errors += tries[0]
    if one_of:
        tries = [_failures(path, value, branch) for branch in one_of]
        valid = sum(not each for each in tries)
        if valid == 0:
            errors.append(_composite(path, "must validate one and only one schema (oneOf). Found none valid"))
            errors += tries[0]
        elif valid > 1:
            text = f"must validate one and only one schema (oneOf). Found {valid} valid alternatives"
            errors.append(_composite(path, text))
    negated = schema.get("not")
    if negated is not None and not _failures(path, value, negated):
        errors.append(_composite(path, "must not validate the schema (not)"))


def _is_int_or_string(any_of: Sequence[JsonSchema]) -> bool:
    return [dict(each) for each in any_of] == [{"type": "integer"}, {"type": "string"}]


def _composite(path: Path, what: str) -> FieldError:
    """Upstream loses the field of such an error, and shows it as `<nil>`."""
    return FieldError("FieldValueInvalid", "<nil>", f'Invalid value: "": {show(str(path))} {what}')


def _lists(errors: Errors, path: Path, value: Any, old: Any, node: Structural) -> None:
    """Lists that are sets or maps hold nothing twice (`pkg/apiserver/schema/listtype`)."""
    if not node.has_keys or (old is not _ABSENT and old == value):
        return
    if isinstance(value, Mapping):
        before = old if isinstance(old, Mapping) else {}
        for name, item in value.items():
            known = node.properties.get(name, node.additional)
            if isinstance(known, Structural) and isinstance(item, (dict, list)):
                _lists(errors, child(path, name), item, before.get(name, _ABSENT), known)
    elif isinstance(value, list):
        _unique(errors, path, value, node.schema)
        if node.items is not None:
            former = old_items(old, node.schema)
            for index, item in enumerate(value):
                if isinstance(item, (dict, list)):
                    _lists(errors, path.index(index), item, former(item), node.items)


def _unique(errors: Errors, path: Path, value: list[Any], schema: JsonSchema) -> None:
    kind = schema.get(LIST_TYPE)
    if kind not in ("set", "map"):
        return
    keys = tuple(schema.get(LIST_MAP_KEYS) or ())
    seen: set[Any] = set()
    for index, item in enumerate(value):
        if kind == "map" and not isinstance(item, dict):
            continue
        shown = item if kind == "set" else {key: item[key] for key in keys if key in item}
        identity = show(shown)
        if identity in seen:
            errors.append(duplicate(path.index(index), shown))
        seen.add(identity)
