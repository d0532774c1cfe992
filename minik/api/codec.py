"""Bytes ↔ values: request bodies in JSON, YAML and protobuf, and the stored form of objects.

The server calls `decode_body` on what comes in and `encode` on what it stores; the storage cache calls `render` once per revision.
What the values mean is `minik.api.schema`'s business.

The stored form is JSON with `apiVersion`, `kind`, `metadata` first and an empty `resourceVersion` first in metadata, so that the
revision, which is known only after the commit, can be spliced in without decoding.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from minik.api import protobuf
from minik.api.errors import BadRequest, UnsupportedMediaType
from minik.api.meta import ROObj
from minik.api.yaml import YamlError, load_yaml

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"

dumps = orjson.dumps
loads = orjson.loads


@dataclass(frozen=True, slots=True)
class Body:
    """A decoded request body. `duplicates`: what strict decoding says of keys given twice, as whole sentences
    (`duplicate field "spec.replicas"`); empty unless asked for."""

    value: Any
    duplicates: tuple[str, ...] = ()


class SyntaxProblem(ValueError):
    """A body that cannot be read at all. The text is what Go's decoders would say of it."""


def media_type(content_type: str) -> str:
    """`application/json; charset=utf-8` → `application/json`; "" → JSON, as the API server assumes."""
    return content_type.partition(";")[0].strip().lower() or JSON


def decode_body(body: bytes, content_type: str, *, kind: str = "object", duplicates: bool = False) -> Body:
    """The value of a request body, by its content type; `kind` is what the URL expects, for the message.

    Raises UnsupportedMediaType, and BadRequest with the API server's words for what cannot be read.
    """
    type_ = media_type(content_type)
    try:
        if type_ == JSON:
            return parse_json(body, duplicates=duplicates)
        if type_ in (YAML, "application/x-yaml", "text/yaml"):
            return parse_yaml(body)
        if type_ == PROTOBUF:
            return Body(protobuf.decode(body))
    except (SyntaxProblem, protobuf.ProtobufError) as error:
        raise unrecognized(kind, str(error), body) from error
    raise unsupported_media_type(JSON, YAML, PROTOBUF)


def unsupported_media_type(*accepted: str) -> UnsupportedMediaType:
    """The 415 that names what would have been accepted."""
    return UnsupportedMediaType(
        f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}"
    )


def unrecognized(kind: str, why: str, body: bytes) -> BadRequest:
    """The 400 for a body without a readable apiVersion and kind (apiserver `transformDecodeError`)."""
    return BadRequest(f"the object provided is unrecognized (must be of type {kind}): {why} ({_summary(body)})")


def _summary(body: bytes, limit: int = 30) -> str:
    if not body:
        return "<empty>"
    more = " ..." if len(body) > limit else ""
    head = body[:limit]
    return (head.decode("utf-8", "replace") if body[:1] == b"{" else head.hex()) + more


# --- JSON ---------------------------------------------------------------------------------------------------------


def parse_json(body: bytes, *, duplicates: bool = False) -> Body:
    """The value of a JSON text and, if asked, the fields given twice. Raises SyntaxProblem.

    Keys given twice are found cheaply: what was read, written out again, has as many `":` as the text unless one was lost. Only
    then (or where a text puts spaces before colons) is it read a second time, slowly, to name them.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise SyntaxProblem(f"couldn't get version/kind; json parse error: {_go_message(body, error)}") from error
    if not duplicates or orjson.dumps(value).count(b'":') == body.count(b'":'):
        return Body(value)
    return Body(value, tuple(_duplicates(body)))


class _Pairs(dict[str, Any]):
    """An object as read by the slow path; `twice` are its repeated keys."""

    twice: tuple[str, ...] = ()
    keys_read: tuple[str, ...] = ()
    """Every key as it was read, repeated ones too."""


def _pairs(pairs: list[tuple[str, Any]]) -> _Pairs:
    found = _Pairs(pairs)
    found.keys_read = tuple(key for key, _ in pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        repeated = [key for key, _ in pairs if key in seen or seen.add(key)]  # type: ignore[func-returns-value]  # add returns None
        found.twice = tuple(dict.fromkeys(repeated))
    return found


def _duplicates(body: bytes) -> Iterator[str]:
    def walk(value: Any, path: str) -> Iterator[str]:
        if isinstance(value, _Pairs):
            for key in value.twice:
                yield f'duplicate field "{path}.{key}"' if path else f'duplicate field "{key}"'
            for key, item in value.items():
                yield from walk(item, f"{path}.{key}" if path else key)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from walk(item, f"{path}[{index}]")

    return walk(json.loads(body, object_pairs_hook=_pairs), "")


def in_document_order(body: bytes, complaints: Sequence[str]) -> list[str]:
    """What strict decoding says of a JSON text, in the order of the text: an unknown field where it stands, a duplicate one where it
    stands again (sigs.k8s.io/json, which reads once). Of a text that is no JSON, a YAML one, the order stays as it is."""
    try:
        document = json.loads(body, object_pairs_hook=_pairs)
    except ValueError:
        return list(complaints)
    places: dict[str, int] = {}

    def walk(value: Any, path: str) -> None:
        if isinstance(value, _Pairs):
            seen: set[str] = set()
            for key in value.keys_read:
                here = f"{path}.{key}" if path else key
                places.setdefault(f'{"duplicate" if key in seen else "unknown"} field "{here}"', len(places))
                if key not in seen:
                    walk(value[key], here)
                seen.add(key)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                walk(item, f"{path}[{index}]")

    walk(document, "")
    return sorted(complaints, key=lambda complaint: places.get(complaint, len(places)))


def _go_message(body: bytes, error: ValueError) -> str:
    """What Go's encoding/json says of a text that is no JSON."""
    text = body.decode("utf-8", "replace")
    if not text.strip():
        return "unexpected end of JSON input"
    try:
        json.loads(text)
    except json.JSONDecodeError as found:
        if found.pos >= len(text.rstrip()) or found.msg.startswith("Unterminated string"):
            return "unexpected end of JSON input"
        char = text[found.pos]
        shown = "'\\''" if char == "'" else "'\"'" if char == '"' else f"'{char}'" if char.isprintable() else repr(char)
        for start, place in _PLACES.items():
            if found.msg.startswith(start):
                return f"invalid character {shown} {place}"
        return f"invalid character {shown}: {found.msg}"
    except RecursionError:
        return "exceeded max depth"
    return str(error)


_PLACES = {
    "Expecting value": "looking for beginning of value",
    "Expecting property name": "looking for beginning of object key string",
    "Illegal trailing comma before end of object": "looking for beginning of object key string",
    "Illegal trailing comma before end of array": "looking for beginning of value",
    "Expecting ':'": "after object key",
    "Expecting ','": "after object key:value pair",
    "Extra data": "after top-level value",
    "Invalid control character": "in string literal",
    "Invalid \\": "in string escape code",
}


# --- YAML ---------------------------------------------------------------------------------------------------------


def parse_yaml(body: bytes) -> Body:
    """The first document of a YAML text, as JSON can say it. Raises SyntaxProblem."""
    try:
        value, twice = load_yaml(body)
    except YamlError as error:
        raise SyntaxProblem(str(error)) from error
    return Body(value, tuple(twice))


# --- the stored form ----------------------------------------------------------------------------------------------

_MARK = b'"metadata":{"resourceVersion":"'


def encode(obj: ROObj) -> bytes:
    """The stored form of an object. Its own resourceVersion is not kept. KeyError without apiVersion, kind or metadata."""
    metadata = {"resourceVersion": ""}
    metadata.update(obj["metadata"])
    metadata["resourceVersion"] = ""
    ordered = {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": metadata}
    for key, value in obj.items():
        if key not in ordered:
            ordered[key] = value
    return orjson.dumps(ordered)


def render(value: bytes, revision: int) -> bytes:
    """The served form: the stored form with its resourceVersion filled in."""
    head, mark, tail = value.partition(_MARK)
    return b"%b%b%d%b" % (head, mark, revision, tail)
