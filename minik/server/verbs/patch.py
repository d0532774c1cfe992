"""PATCH of an object or of its status: JSON patch, merge patch, strategic merge patch; an apply goes on to `apply.py`.

Without a resourceVersion in the patch a lost race is tried again on the newer state.
"""

from __future__ import annotations

from typing import Any

from minik.api import codec, errors
from minik.api.errors import BadRequest, UnsupportedMediaType
from minik.api.kind import Kind
from minik.api.meta import Obj, ROObj
from minik.api.schema import schema_of
from minik.server import resources
from minik.server.core import Core
from minik.server.decode import patched_object
from minik.server.options import field_validation, is_dry_run, patch_options
from minik.server.patch.json import apply_json_patch
from minik.server.patch.merge import apply_merge_patch
from minik.server.patch.strategic import apply_strategic_merge_patch
from minik.server.request import Request, Response
from minik.server.verbs.apply import APPLY_CBOR, APPLY_YAML, apply
from minik.server.verbs.common import answer, attributes, check_name, kind_of

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
_APPLIES = (APPLY_YAML, APPLY_CBOR)
_TYPES = (JSON_PATCH, MERGE_PATCH, STRATEGIC)
_ALWAYS = frozenset({"apiVersion", "kind", "metadata", "status"})


async def patch(core: Core, request: Request) -> Response:
    if codec.media_type(request.content_type) in _APPLIES:
        return await apply(core, request)
    kind = kind_of(request)
    patch_options(request)
    validation = field_validation(request, options="PatchOptions")
    change = parse_patch(request, kind, strict=validation == "Strict", warn=validation == "Warn")

    def changed(old: ROObj) -> Obj:
        value = change(old)
        if request.info.subresource == "status":
            value = _touched(value, old)
        draft = patched_object(request, value, kind, validation)
        check_name(draft, request)
        _keep_identity(draft, old)
        return draft

    dry_run = is_dry_run(request, options="PatchOptions")
    return answer(await resources.update(core, attributes(request, dry_run=dry_run), changed))


def _touched(value: Any, old: ROObj) -> Any:
    """What may count of a patched status: not the parts that the patch left as they are, which were checked when they were stored
    (an update of a status takes them from the stored object anyway)."""
    if not isinstance(value, dict):
        return value
    return {k: v for k, v in value.items() if k in _ALWAYS or v is not old.get(k)}


def _keep_identity(draft: Obj, old: ROObj) -> None:
    """A patch that does not name a revision is not bound to the one it happened to be applied to."""
    if draft["metadata"].get("resourceVersion") == old["metadata"]["resourceVersion"]:
        del draft["metadata"]["resourceVersion"]


class Patch:
    """A parsed patch: call it with the current object."""

    def __init__(self, type_: str, value: Any, kind: Kind) -> None:
        self._type, self._value, self._kind = type_, value, kind

    @property
    def bound(self) -> str:
        """The resourceVersion that a merge patch names, or ""."""
        if not isinstance(self._value, dict):
            return ""
        metadata = self._value.get("metadata")
        return (metadata.get("resourceVersion") or "") if isinstance(metadata, dict) else ""

    def __call__(self, old: ROObj) -> Obj:
        if self.bound and self.bound != old["metadata"]["resourceVersion"]:
            raise errors.conflict(self._kind.plural, self._kind.group, old["metadata"]["name"])
        if self._type == JSON_PATCH:
            return apply_json_patch(old, self._value)
        if self._type == MERGE_PATCH:
            return apply_merge_patch(old, self._value)
        return apply_strategic_merge_patch(old, self._value, schema_of(self._kind.schema))


def parse_patch(request: Request, kind: Kind, *, strict: bool = False, warn: bool = False) -> Patch:
    """Raises UnsupportedMediaType, and BadRequest for a patch that does not parse."""
    type_ = codec.media_type(request.content_type)
    types = _TYPES if kind.custom is None else (JSON_PATCH, MERGE_PATCH)
    if type_ in _APPLIES:
        raise UnsupportedMediaType(
            f"a subresource cannot be applied: use a patch of one of the types {', '.join(types)}"
        )
    if type_ not in types:
        raise codec.unsupported_media_type(*types, *_APPLIES)
    if request.decoded:
        return Patch(type_, request.body, kind)
    try:
        parsed = codec.parse_json(request.body or b"", duplicates=strict or warn)
    except codec.SyntaxProblem as error:
        why = str(error).removeprefix("couldn't get version/kind; json parse error: ")
        raise BadRequest(f"error decoding patch: {why}") from error
    if parsed.duplicates and warn:
        request.warnings += parsed.duplicates
    if parsed.duplicates and strict:
        raise BadRequest(f"strict decoding error: {', '.join(parsed.duplicates)}")
    return Patch(type_, parsed.value, kind)
