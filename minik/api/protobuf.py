"""Reads protobuf request bodies: `kubectl create` (1.33 on) and Helm send them and give up on a 415.

Called by `minik.api.codec`. A decoder only: minik answers JSON, which every client accepts. The messages' field numbers are in the
API tables; the result is the JSON shape as Python values, zero values included: `Schema.decode` drops those afterwards by the same
rules as for JSON. Embedded messages that JSON shows inline are flattened (dotted numbers in the tables).

Wire format: protocol buffers encoding guide; envelope: apimachinery `pkg/runtime/serializer/protobuf` (the magic `k8s\\0`, then a
`runtime.Unknown` with apiVersion, kind and the raw message).
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import orjson

from minik.api.meta import parse_api_version
from minik.api.tables import SCALARS, TypeFacts, type_facts, type_name_for
from minik.api.times import format_micro_time, format_time

MAGIC = b"k8s\x00"
MOST_NESTED = 100
"""Messages inside one another; JSONSchemaProps is recursive."""


class ProtobufError(ValueError):
    """A body that is not what its content type says, or names a type that no table has."""


Read = Callable[[Any, int, Any], Any]
"""(wire value: int or bytes, nesting depth, what the field holds so far or None) → what it holds now."""


def decode(body: bytes) -> dict[str, Any]:
    """The object in a `k8s\\0` envelope. Raises ProtobufError."""
    if not body.startswith(MAGIC):
        raise ProtobufError("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    api_version = kind = encoding = ""
    raw = b""
    for number, value in _fields(body[len(MAGIC) :]):
        if number == 1:
            meta = {n: _text(v) for n, v in _fields(_bytes_of(value))}
            api_version, kind = meta.get(1, ""), meta.get(2, "")
        elif number == 2:
            raw = _bytes_of(value)
        elif number == 3:
            encoding = _text(value)
    if encoding:
        raise ProtobufError(f"the content encoding {encoding!r} is not supported")
    if not kind:
        raise ProtobufError("Object 'Kind' is missing in the protobuf envelope")
    try:
        type_name = type_name_for(*parse_api_version(api_version), kind)
    except KeyError:
        raise ProtobufError(f'no kind "{kind}" is registered for version "{api_version}"') from None
    return {"apiVersion": api_version, "kind": kind, **decode_message(type_name, raw)}


def decode_message(type_name: str, data: bytes) -> dict[str, Any]:
    """One message of a type of the tables, without an envelope. Raises ProtobufError."""
    out: dict[str, Any] = {}
    _message(_readers(type_name), data, 0, out)
    return out


# --- the wire -----------------------------------------------------------------------------------------------------


def _fields(data: bytes) -> list[tuple[int, Any]]:
    """(field number, value) pairs in order; the value is an int for varints, else bytes."""
    found: list[tuple[int, Any]] = []
    at, end = 0, len(data)
    try:
        while at < end:
            tag = data[at]
            at += 1
            if tag & 0x80:
                tag, at = _varint(data, at - 1)
            wire = tag & 7
            if wire == 2:
                size = data[at]
                at += 1
                if size & 0x80:
                    size, at = _varint(data, at - 1)
                if size > end - at:
                    raise ProtobufError("unexpected EOF")
                found.append((tag >> 3, data[at : at + size]))
                at += size
            elif wire == 0:
                value = data[at]
                at += 1
                if value & 0x80:
                    value, at = _varint(data, at - 1)
                found.append((tag >> 3, value))
            elif wire in (1, 5):
                size = 8 if wire == 1 else 4
                if size > end - at:
                    raise ProtobufError("unexpected EOF")
                found.append((tag >> 3, data[at : at + size]))
                at += size
            else:
                raise ProtobufError(f"proto: illegal wireType {wire}")
            if not tag >> 3:
                raise ProtobufError(f"proto: illegal tag 0 (wire type {wire})")
    except IndexError:
        raise ProtobufError("unexpected EOF") from None
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return result & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
        if shift > 63:
            raise ProtobufError("proto: integer overflow")


def _bytes_of(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    raise ProtobufError("proto: wrong wireType = 0")


def _text(value: Any) -> str:
    try:
        return _bytes_of(value).decode()
    except UnicodeDecodeError:
        raise ProtobufError("proto: a string is not valid UTF-8") from None


def _signed(value: Any) -> int:
    if not isinstance(value, int):
        raise ProtobufError("proto: wrong wireType = 2")
    return value - 2**64 if value >= 2**63 else value


# --- fields -------------------------------------------------------------------------------------------------------

_SKIP: Any = object()
"""What a reader returns for a value that JSON leaves out: the zero time."""


def _read_bool(value: Any, _depth: int, _held: Any) -> bool:
    return _signed(value) != 0


def _read_int(value: Any, _depth: int, _held: Any) -> int:
    return _signed(value)


def _read_int32(value: Any, _depth: int, _held: Any) -> int:
    number = _signed(value) & 0xFFFFFFFF
    return number - 2**32 if number >= 2**31 else number


def _read_double(value: Any, _depth: int, _held: Any) -> float:
    data = _bytes_of(value)
    if len(data) != 8:
        raise ProtobufError("proto: wrong wireType = 5")
    number: float = struct.unpack("<d", data)[0]
    return number


def _read_string(value: Any, _depth: int, _held: Any) -> str:
    return _text(value)


def _read_bytes(value: Any, _depth: int, _held: Any) -> str:
    return base64.b64encode(_bytes_of(value)).decode()


def _read_quantity(value: Any, _depth: int, _held: Any) -> str:
    return next((_text(v) for n, v in reversed(_fields(_bytes_of(value))) if n == 1), "") or "0"


def _read_int_or_string(value: Any, _depth: int, _held: Any) -> int | str:
    parts = dict(_fields(_bytes_of(value)))
    return _text(parts.get(3, b"")) if parts.get(1, 0) else _read_int32(parts.get(2, 0), 0, None)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _moment(value: Any) -> datetime | None:
    data = _bytes_of(value)
    if not data:
        return None
    parts = dict(_fields(data))
    try:
        return _EPOCH + timedelta(seconds=_signed(parts.get(1, 0)), microseconds=_signed(parts.get(2, 0)) // 1000)
    except OverflowError:
        raise ProtobufError("proto: a time is out of range") from None


def _read_time(value: Any, _depth: int, _held: Any) -> Any:
    moment = _moment(value)
    return _SKIP if moment is None else format_time(moment)


def _read_micro_time(value: Any, _depth: int, _held: Any) -> Any:
    moment = _moment(value)
    return _SKIP if moment is None else format_micro_time(moment)


def _read_raw(value: Any, _depth: int, _held: Any) -> Any:
    """RawExtension, FieldsV1, JSON: one bytes field of JSON text."""
    text = next((_bytes_of(v) for n, v in reversed(_fields(_bytes_of(value))) if n == 1), b"")
    if not text:
        return _SKIP
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ProtobufError(f"an embedded value is not JSON: {error}") from error


_READ_SCALAR: dict[str, Read] = {
    "string": _read_string,
    "bool": _read_bool,
    "int32": _read_int32,
    "int64": _read_int,
    "double": _read_double,
    "bytes": _read_bytes,
    "quantity": _read_quantity,
    "int-or-string": _read_int_or_string,
    "time": _read_time,
    "micro-time": _read_micro_time,
    "raw": _read_raw,
}


class _Inline:
    """An embedded message whose fields belong to the message around it."""

    __slots__ = ("readers",)

    def __init__(self) -> None:
        self.readers: dict[int, tuple[str, Read] | _Inline] = {}


Readers = dict[int, tuple[str, Read] | _Inline]


def _message(readers: Readers, data: bytes, depth: int, out: dict[str, Any]) -> None:
    """Read a message into `out`. Fields that the tables do not know are skipped, as protobuf does."""
    if depth > MOST_NESTED:
        raise ProtobufError("proto: messages are nested too deeply")
    for number, value in _fields(data):
        reader = readers.get(number)
        if reader is None:
            continue
        if type(reader) is tuple:
            name, read = reader
            result = read(value, depth + 1, out.get(name))
            if result is not _SKIP:
                out[name] = result
        else:
            _message(reader.readers, _bytes_of(value), depth + 1, out)  # type: ignore[union-attr]  # not a tuple: _Inline


@cache
def _readers(type_name: str) -> Readers:
    facts: TypeFacts = type_facts(type_name)
    readers: Readers = {}
    for field in facts.fields:
        if not field.number:
            continue
        level = readers
        for number in field.number[:-1]:
            inline = level.setdefault(number, _Inline())
            if not isinstance(inline, _Inline):
                raise ValueError(f"{type_name}: {field.name} is inside field {number}, which is no embedded message")
            level = inline.readers
        level[field.number[-1]] = (field.name, _reader(field.type))
    return readers


def _reader(type_: str) -> Read:
    if type_.startswith("[]"):
        return _list_reader(type_[2:])
    if type_.startswith("map[string]"):
        return _map_reader(type_[11:])
    if type_ in SCALARS:
        return _READ_SCALAR[type_]

    def read(value: Any, depth: int, held: Any) -> dict[str, Any]:
        out: dict[str, Any] = held if held is not None else {}
        _message(_readers(type_), _bytes_of(value), depth, out)
        return out

    return read


_VARINTS = frozenset({"bool", "int32", "int64"})


def _list_reader(element: str) -> Read:
    read = _reader(element)
    may_be_packed = element in _VARINTS

    def read_item(value: Any, depth: int, held: Any) -> list[Any]:
        items: list[Any] = held if held is not None else []
        if may_be_packed and isinstance(value, bytes):
            at = 0
            while at < len(value):
                try:
                    number, at = _varint(value, at)
                except IndexError:
                    raise ProtobufError("unexpected EOF") from None
                items.append(read(number, depth, None))
        else:
            items.append(read(value, depth, None))
        return items

    return read_item


def _map_reader(element: str) -> Read:
    is_wrapped_list = element.startswith("[]")  # a message with the items as field 1: ExtraValue
    read = _reader(element[2:] if is_wrapped_list else element)

    def read_entry(value: Any, depth: int, held: Any) -> dict[str, Any]:
        entries: dict[str, Any] = held if held is not None else {}
        key, given = "", None
        for number, part in _fields(_bytes_of(value)):
            if number == 1:
                key = _text(part)
            elif number == 2:
                given = part
        if is_wrapped_list:
            entries[key] = [read(v, depth, None) for n, v in _fields(_bytes_of(given or b"")) if n == 1]
        else:
            item = read(given if given is not None else (0 if element in _VARINTS else b""), depth, None)
            entries[key] = None if item is _SKIP else item
        return entries

    return read_entry
