"""Request bodies: bytes or a local draft → a clean draft of the expected kind, with upstream's words for everything that is wrong.

Called by the verbs and subresources. Source: apiserver `endpoints/handlers/{create,update,patch}.go` (transformDecodeError,
field validation of KEP-2885).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minik.api import codec, errors
from minik.api.errors import BadRequest
from minik.api.kind import Kind
from minik.api.meta import Obj, parse_api_version
from minik.api.schema import Decoded, Schema, SchemaError, schema_of
from minik.api.structural import CustomSchema
from minik.server.options import FieldValidation
from minik.server.request import Request

_SCHEME = "k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30"


def parse_body(request: Request, expected: str, *, duplicates: bool = False) -> tuple[Any, Sequence[str]]:
    """(value, what strict decoding says of fields given twice). Raises UnsupportedMediaType, and BadRequest for what does not parse."""
    if request.decoded:
        return request.body, ()
    body = codec.decode_body(request.body or b"", request.content_type, kind=expected, duplicates=duplicates)
    return body.value, body.duplicates


def decode_object(
    request: Request,
    *,
    group: str,
    version: str,
    kind: str,
    schema: str | CustomSchema,
    validation: FieldValidation = "Warn",
    default: bool = True,
) -> Obj:
    """The request's body as a draft of `kind`, its apiVersion and kind filled in. Raises BadRequest and UnsupportedMediaType."""
    value, duplicates = parse_body(request, kind, duplicates=validation != "Ignore")
    api_version = f"{group}/{version}" if group else version
    if not isinstance(value, dict):
        what = "array" if isinstance(value, list) else type(value).__name__
        raise BadRequest(
            f"the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse error: "
            f"json: cannot unmarshal {what} into Go value of type struct"
        )
    given_version, given_kind = value.get("apiVersion") or api_version, value.get("kind") or kind
    if not isinstance(given_version, str) or not isinstance(given_kind, str):
        raise BadRequest(
            f"the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse error: "
            "json: cannot unmarshal object into Go struct field .apiVersion of type string"
        )
    prefix = f'{given_kind} in version "{parse_api_version(given_version)[1]}" cannot be handled as a {kind}: '
    if given_kind != kind:
        raise BadRequest(
            f'{prefix}no kind "{given_kind}" is registered for version "{given_version}" in scheme "{_SCHEME}"'
        )
    if given_version != api_version:
        if not known_version(given_version, group):
            raise BadRequest(
                f'{prefix}no kind "{given_kind}" is registered for version "{given_version}" in scheme "{_SCHEME}"'
            )
        raise BadRequest(
            f"the API version in the data ({given_version}) does not match the expected API version ({api_version})"
        )
    try:
        decoder = schema_of(schema) if isinstance(schema, str) else schema
        decoded = decoder.decode(value, default=default)
    except SchemaError as error:
        raise BadRequest(prefix + error.message) from error
    if not request.decoded and (decoded.unknown or duplicates):
        complaints = strictness(decoded, duplicates)
        if decoded.unknown and duplicates and isinstance(schema, str):  # custom kinds: first read, then pruned
            complaints = codec.in_document_order(request.body, complaints)
        if validation == "Strict":
            raise BadRequest(f"{prefix}strict decoding error: {', '.join(complaints)}")
        if validation == "Warn":
            request.warnings += complaints
    return _draft(decoded, value, api_version, kind)


def _draft(decoded: Decoded, value: Obj, api_version: str, kind: str) -> Obj:
    draft = decoded.obj
    draft["apiVersion"], draft["kind"] = api_version, kind
    metadata = draft.setdefault("metadata", {})
    if "managedFields" not in metadata and (value.get("metadata") or {}).get("managedFields") == []:
        metadata["managedFields"] = [{}]  # the other way to say that nobody shall own anything any more
    return draft


def known_version(api_version: str, group: str) -> bool:
    """Whether upstream would know the version, so that the mismatch rather than the kind is what it complains about."""
    return parse_api_version(api_version)[0] == group and parse_api_version(api_version)[1] in ("v1", "v1beta1", "v2")


def strictness(decoded: Decoded, duplicates: Sequence[str]) -> list[str]:
    """What strict decoding complains about, in its words."""
    return [*duplicates, *(f'unknown field "{path}"' for path in decoded.unknown)]


def decode_kind(request: Request, kind: Kind, *, validation: FieldValidation = "Warn") -> Obj:
    """`decode_object` for a served kind."""
    return decode_object(
        request,
        group=kind.group,
        version=kind.version,
        kind=kind.kind,
        schema=kind.custom or kind.schema,
        validation=validation,
    )


def schema_for(kind: Kind) -> Schema | CustomSchema:
    """What decodes objects of a kind."""
    return kind.custom or schema_of(kind.schema)


def decode_options(request: Request) -> Obj | None:
    """A DELETE's DeleteOptions body, or None if there is none."""
    if not request.body:
        return None
    value, _ = parse_body(request, "DeleteOptions")
    if not isinstance(value, dict):
        raise BadRequest("the object provided is unrecognized (must be of type DeleteOptions)")
    given = value.get("kind") or "DeleteOptions"
    if given != "DeleteOptions":
        raise BadRequest(f"decoded object cannot be converted to DeleteOptions: it is a {given}")
    try:
        return schema_of("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions").decode(value).obj
    except SchemaError as error:
        raise BadRequest(
            f'DeleteOptions in version "v1" cannot be handled as a DeleteOptions: {error.message}'
        ) from error


def patched_object(request: Request, value: Any, kind: Kind, validation: FieldValidation) -> Obj:
    """The outcome of a patch as a clean draft. Raises Invalid as apiserver's patch handler does."""
    try:
        decoded = schema_for(kind).decode(value)
    except SchemaError as error:
        raise _bad_patch(value, error.message) from error
    if decoded.unknown and not request.decoded:
        complaints = strictness(decoded, ())
        if validation == "Strict":
            raise _bad_patch(value, f"strict decoding error: {', '.join(complaints)}")
        if validation == "Warn":
            request.warnings += [c for c in complaints if c not in request.warnings]
    return _draft(decoded, value, kind.api_version, kind.kind)


def _bad_patch(value: Any, why: str) -> errors.Invalid:
    return errors.invalid_object(
        group="", kind="", name="", errors=[errors.invalid("patch", codec.dumps(value).decode(), why)]
    )
