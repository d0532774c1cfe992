"""Writes protobuf messages as client-go does, for tests: minik itself only reads them (`minik.api.protobuf`).

`envelope` writes, as Go does, the zero values of all plain scalars and times too; `encode` only what an object has.
"""

from __future__ import annotations

import base64
import struct
from datetime import datetime
from typing import Any

import orjson

from minik.api.meta import parse_api_version
from minik.api.protobuf import MAGIC
from minik.api.tables import type_facts, type_name_for


def envelope(api_version: str, kind: str, obj: dict[str, Any]) -> bytes:
    """The body of a request: the magic number and a `runtime.Unknown` around the object."""
    meta = _value("string", api_version, 1) + _value("string", kind, 2)
    held = {name: value for name, value in obj.items() if name not in ("apiVersion", "kind")}
    if kind not in ("DeleteOptions", "Eviction"):
        held.setdefault("status", {})  # a plain struct in Go, and so always there
    raw = encode(type_name_for(*parse_api_version(api_version), kind), held, zeros=True)
    return MAGIC + tag(1, 2) + size(meta) + tag(2, 2) + size(raw)


def varint(number: int) -> bytes:
    number &= 2**64 - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def tag(number: int, wire: int) -> bytes:
    return varint(number << 3 | wire)


def size(data: bytes) -> bytes:
    return varint(len(data)) + data


def _time(text: str) -> bytes:
    moment = datetime.fromisoformat(text)
    seconds = int(moment.replace(microsecond=0).timestamp())
    return tag(1, 0) + varint(seconds) + tag(2, 0) + varint(moment.microsecond * 1000)


def _value(type_: str, value: Any, number: int, zeros: bool = False) -> bytes:
    """One occurrence of a field, tag included."""
    if type_ in ("int32", "int64", "bool"):
        return tag(number, 0) + varint(int(value))
    if type_ == "double":
        return tag(number, 1) + struct.pack("<d", value)
    if type_.startswith("[]"):
        return b"".join(_value(type_[2:], item, number, zeros) for item in value)
    if type_.startswith("map[string]"):
        inner = type_[11:]
        entries = b""
        for key, item in value.items():
            held = _value("string", key, 1)
            if inner.startswith("[]"):
                held += tag(2, 2) + size(_value(inner, item, 1, zeros))
            else:
                held += _value(inner, item, 2, zeros)
            entries += tag(number, 2) + size(held)
        return entries
    return tag(number, 2) + size(_bytes(type_, value, zeros))


def _bytes(type_: str, value: Any, zeros: bool = False) -> bytes:
    if type_ == "string":
        return str(value).encode()
    if type_ == "bytes":
        return base64.b64decode(value)
    if type_ == "quantity":
        return _value("string", value, 1)
    if type_ == "int-or-string":
        parts = (0, value, "") if isinstance(value, int) else (1, 0, value)
        return b"".join(
            _value(t, v, n) for n, (t, v) in enumerate(zip(("int64", "int32", "string"), parts, strict=True), 1)
        )
    if type_ in ("time", "micro-time"):
        return _time(value) if value else b""
    if type_ == "raw":
        return tag(1, 2) + size(orjson.dumps(value))
    return encode(type_, value, zeros=zeros)


_ZEROS: dict[str, Any] = {"string": "", "bool": False, "int32": 0, "int64": 0, "time": None}


def encode(type_name: str, obj: dict[str, Any], *, zeros: bool = False) -> bytes:
    """One message of a type of the tables, without an envelope. `zeros`: with what Go writes for plain scalars that are not set."""
    tree: dict[int, Any] = {}
    for field in type_facts(type_name).fields:
        filled = zeros and field.number and not field.pointer and field.type in _ZEROS
        if field.name in obj or filled:
            level = tree
            for number in field.number[:-1]:
                level = level.setdefault(number, {})
            value = obj[field.name] if field.name in obj else _ZEROS[field.type]
            level[field.number[-1]] = _value(field.type, value, field.number[-1], zeros)
    return _flat(tree)


def _flat(tree: dict[int, Any]) -> bytes:
    return b"".join(tag(n, 2) + size(_flat(v)) if isinstance(v, dict) else v for n, v in tree.items())
