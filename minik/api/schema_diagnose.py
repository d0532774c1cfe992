"""Says what is wrong with a value, in Kubernetes' words: the second, slow walk, taken only when the first found something.

Called by `minik.api.schema` after a decoder raised `MismatchError` or saw unknown fields. Type errors read as Go's encoding/json
writes them (innermost struct, the path of JSON names without list indexes, the Go type); unknown fields are listed with dots
and `[i]` as sigs.k8s.io/json lists them for strict decoding.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass, field
from typing import Any

from minik.api.quantity import QuantityError, canonical
from minik.api.tables import type_facts
from minik.api.times import is_time

MOST_STRICT_ERRORS = 100
"""sigs.k8s.io/json stops listing strict errors there."""


@dataclass(slots=True)
class Diagnosis:
    """`error`: the first mismatch in document order as (dotted path, message); `unknown`: paths of unknown fields."""

    error: tuple[str, str] | None = None
    unknown: list[str] = field(default_factory=list)


def diagnose(type_: str, value: Any) -> Diagnosis:
    """Walk `value` against a type of the tables."""
    found = Diagnosis()
    _walk(type_, value, "", _Context("", ()), found)
    return found


@dataclass(frozen=True, slots=True)
class _Context:
    """Where Go's decoder is: the innermost struct and the stack of field names."""

    struct: str
    stack: tuple[str, ...]


def go_type(type_: str) -> str:
    """A type of the tables as Go prints it."""
    if type_.startswith("[]"):
        return "[]" + go_type(type_[2:])
    if type_.startswith("map[string]"):
        return "map[string]" + go_type(type_[11:])
    if "." in type_:
        return ".".join(type_.split(".")[-2:])
    return _GO_TYPES.get(type_, type_)


_GO_TYPES = {
    "double": "float64",
    "bytes": "[]uint8",
    "int-or-string": "int32",
    "time": "string",
    "micro-time": "string",
    "quantity": "resource.Quantity",
}
_WORDS = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}


def _mismatch(type_: str, value: Any, path: str, context: _Context, found: Diagnosis, word: str = "") -> None:
    if found.error is not None:
        return
    what = word or _WORDS.get(type(value), type(value).__name__)
    if context.struct:
        where = f"Go struct field {context.struct}.{'.'.join(context.stack)} of type {go_type(type_)}"
    else:
        where = f"Go value of type {go_type(type_)}"
    found.error = (path, f"json: cannot unmarshal {what} into {where}")


def _say(message: str, path: str, found: Diagnosis) -> None:
    if found.error is None:
        found.error = (path, message)


def _walk(type_: str, value: Any, path: str, context: _Context, found: Diagnosis) -> None:
    if value is None or type_ == "raw":
        return
    if type_.startswith("[]"):
        if not isinstance(value, list):
            _mismatch(type_, value, path, context, found)
            return
        for index, item in enumerate(value):
            _walk(type_[2:], item, f"{path}[{index}]", context, found)
    elif type_.startswith("map[string]"):
        if not isinstance(value, dict):
            _mismatch(type_, value, path, context, found)
            return
        for key, item in value.items():
            _walk(type_[11:], item, f"{path}.{key}" if path else key, context, found)
    elif "." in type_:
        _walk_struct(type_, value, path, context, found)
    else:
        _check_scalar(type_, value, path, context, found)


def _walk_struct(type_: str, value: Any, path: str, context: _Context, found: Diagnosis) -> None:
    if not isinstance(value, dict):
        _mismatch(type_, value, path, context, found)
        return
    facts = type_facts(type_)
    types = {f.name: f.type for f in facts.fields}
    if facts.is_kind:
        types.update(apiVersion="string", kind="string")
    for key, item in value.items():
        here = f"{path}.{key}" if path else key
        if key not in types:
            if len(found.unknown) < MOST_STRICT_ERRORS:
                found.unknown.append(here)
            continue
        _walk(types[key], item, here, _Context(facts.short, (*context.stack, key)), found)


def _check_scalar(type_: str, value: Any, path: str, context: _Context, found: Diagnosis) -> None:
    kind = type(value)
    if type_ in ("int32", "int64") or (type_ == "int-or-string" and kind is not str):
        bits = 63 if type_ == "int64" else 31
        if kind is float or (kind is int and not -(2**bits) <= value < 2**bits):
            _mismatch(type_, value, path, context, found, f"number {value!r}")
        elif kind is not int:
            _mismatch(type_, value, path, context, found)
    elif type_ == "double":
        if kind not in (int, float):
            _mismatch(type_, value, path, context, found)
    elif type_ == "bool":
        if kind is not bool:
            _mismatch(type_, value, path, context, found)
    elif type_ == "quantity":
        _check_quantity(value, path, found)
    elif kind is not str:
        _mismatch(type_, value, path, context, found)
    elif type_ == "bytes":
        _check_base64(value, path, found)
    elif type_ in ("time", "micro-time") and not is_time(value):
        layout = "2006-01-02T15:04:05Z07:00" if type_ == "time" else "2006-01-02T15:04:05.000000Z07:00"
        _say(f'parsing time "{value}" as "{layout}": cannot parse "{value}" as "2006"', path, found)


def _check_quantity(value: Any, path: str, found: Diagnosis) -> None:
    text: Any = value if isinstance(value, (str, int, float)) and not isinstance(value, bool) else "{"
    try:
        canonical(text.strip() if isinstance(text, str) else text)
    except QuantityError as error:
        _say(str(error), path, found)


def _check_base64(value: str, path: str, found: Diagnosis) -> None:
    text = value.replace("\n", "").replace("\r", "")
    try:
        binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        _say(f"illegal base64 data at input byte {_first_bad(text)}", path, found)


def _first_bad(text: str) -> int:
    """Where Go's base64 decoder stops."""
    for at, char in enumerate(text):
        if not (char.isascii() and (char.isalnum() or char in "+/")):
            return at
    return max(0, len(text) - len(text) % 4)
