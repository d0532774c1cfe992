"""PATCH with an apply configuration: server-side apply (KEP-555). What `apply/` makes of it is written as any update is, or created.

Called by `patch.py`. Source: apiserver `endpoints/handlers/patch.go` (applyPatcher).
"""

from __future__ import annotations

from typing import Any

from minik.api import errors, times
from minik.api.codec import SyntaxProblem, media_type, parse_yaml
from minik.api.errors import BadRequest, UnsupportedMediaType
from minik.api.kind import Kind
from minik.api.meta import Obj, ROObj
from minik.server import resources
from minik.server.apply import managers
from minik.server.apply.types import type_of_kind
from minik.server.apply.walk import check
from minik.server.core import Core
from minik.server.decode import patched_object
from minik.server.options import FieldValidation, field_validation, is_dry_run, is_true, patch_options
from minik.server.request import Request, Response
from minik.server.verbs.common import answer, attributes, check_name, kind_of

APPLY_YAML, APPLY_CBOR = "application/apply-patch+yaml", "application/apply-patch+cbor"
_SERVED = frozenset({"", "status"})


async def apply(core: Core, request: Request) -> Response:
    """Raises StatusError: Conflict if others own fields that would change."""
    kind = kind_of(request)
    subresource = request.info.subresource
    if subresource not in _SERVED:
        raise UnsupportedMediaType(
            f"server-side apply of the subresource {subresource} is not served: use another kind of patch"
        )
    if media_type(request.content_type) == APPLY_CBOR:
        raise UnsupportedMediaType(f"the body of an apply must be {APPLY_YAML}")
    patch_options(request, apply=True)
    dry_run = is_dry_run(request, options="PatchOptions")
    validation = field_validation(request, options="PatchOptions")
    config = _parse(request, kind, validation)
    own = attributes(request, dry_run=dry_run)
    own.applied = True

    def applied(old: ROObj | None) -> Obj:
        made = managers.applied(
            old, config, kind, manager=request.one("fieldManager"), subresource=subresource, force=is_true(request.one("force")),
            now=times.format_time(core.clock.now()),
        )  # fmt: skip
        draft = patched_object(request, made.obj, kind, validation)
        check_name(draft, request, must=False)
        draft["metadata"]["managedFields"] = made.entries
        return draft

    def changed(old: ROObj) -> Obj:
        draft = applied(old)
        if not config["metadata"].get("resourceVersion"):
            draft["metadata"].pop("resourceVersion", None)
        return draft

    def new() -> Obj:
        metadata = config["metadata"]
        if metadata.get("uid"):
            why = f"uid mismatch: the provided object specified uid {metadata['uid']}, and no existing object was found"
            raise errors.conflict(kind.plural, kind.group, request.info.name, why)
        if metadata.get("resourceVersion"):
            raise errors.conflict(kind.plural, kind.group, request.info.name)
        return applied(None)

    create = None if subresource else new
    return answer(await resources.update(core, own, changed, create_if_absent=create))


def _parse(request: Request, kind: Kind, validation: FieldValidation) -> Obj:
    """The configuration, which fits the kind. Raises BadRequest."""
    value: Any = request.body
    if not request.decoded:
        try:
            parsed = parse_yaml(request.body or b"")
        except SyntaxProblem as error:
            raise BadRequest(f"error decoding YAML: {error}") from error
        value = parsed.value
        if parsed.duplicates and validation == "Strict":
            raise BadRequest(f"error strict decoding YAML: {_yaml_errors(parsed.duplicates)}")
        if parsed.duplicates and validation == "Warn":
            request.warnings.append(_yaml_errors(parsed.duplicates))
    if not isinstance(value, dict):
        raise BadRequest("error decoding YAML: an apply configuration must be an object")
    if value.get("apiVersion") != kind.api_version:
        raise BadRequest(
            f"Incorrect version specified in apply patch. Specified patch version: {value.get('apiVersion') or ''}, "
            f"expected: {kind.api_version}"
        )
    metadata = value.get("metadata")
    if isinstance(metadata, dict) and metadata.get("managedFields") is not None:
        raise BadRequest("metadata.managedFields must be nil")
    wrong = check(value, type_of_kind(kind))
    if value.get("kind") != kind.kind:
        wrong.insert(0, f".kind: expected {kind.kind}, got {value.get('kind') or ''}")
    if wrong:
        where = f"{request.info.namespace}/{request.info.name}; {kind.api_version}, Kind={kind.kind}"
        what = wrong[0] if len(wrong) == 1 else "errors:\n" + "\n".join(f"  {each}" for each in wrong)
        raise BadRequest(f"failed to create typed patch object ({where}): {what}")
    return {**value, "metadata": metadata or {}}


def _yaml_errors(duplicates: Any) -> str:
    return "error converting YAML to JSON: yaml: unmarshal errors:\n" + "\n".join(f"  {each}" for each in duplicates)
