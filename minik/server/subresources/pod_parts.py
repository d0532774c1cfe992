"""pods/ephemeralcontainers and pods/resize: updates of the one part of a pod's spec that the subresource names.

ephemeralcontainers: debug containers are added, never changed or removed (KEP-277). resize: the containers' resources (KEP-1287).
"""

from __future__ import annotations

from typing import Any

from minik.api import errors
from minik.api.core_v1.pod_defaults import default_pod
from minik.api.errors import Path
from minik.api.meta import Obj, ROObj
from minik.api.validation_pod_resize import validate_pod_resize
from minik.server import resources
from minik.server.core import Core
from minik.server.decode import decode_kind, patched_object
from minik.server.options import field_validation, is_dry_run
from minik.server.request import Request, Response
from minik.server.verbs.common import answer, attributes, check_name, kind_of
from minik.server.verbs.patch import parse_patch

_EPHEMERAL = "ephemeralcontainers"
_OF_RESIZE = ("resources", "resizePolicy")


async def update(core: Core, request: Request) -> Response:
    kind = kind_of(request)
    draft = decode_kind(request, kind, validation=field_validation(request, options="UpdateOptions"))
    check_name(draft, request)
    revision = draft["metadata"].get("resourceVersion")
    return await _write(core, request, lambda old: _merged(old, draft, request.info.subresource, revision))


async def patch(core: Core, request: Request) -> Response:
    kind = kind_of(request)
    validation = field_validation(request, options="PatchOptions")
    change = parse_patch(request, kind)

    def changed(old: ROObj) -> Obj:
        draft = patched_object(request, change(old), kind, validation)
        check_name(draft, request)
        return _merged(old, draft, request.info.subresource, None)

    return await _write(core, request, changed)


async def _write(core: Core, request: Request, change: resources.Change) -> Response:
    dry_run = is_dry_run(request, options="UpdateOptions")
    return answer(await resources.update(core, attributes(request, dry_run=dry_run), change))


def _merged(old: ROObj, draft: Obj, subresource: str, revision: str | None) -> Obj:
    """`old` with the draft's part. Raises Invalid for a change that the part does not allow."""
    default_pod(draft)
    spec: dict[str, Any] = dict(old["spec"])
    wanted = draft.get("spec") or {}
    if subresource == _EPHEMERAL:
        spec["ephemeralContainers"] = _only_added(old, wanted.get("ephemeralContainers") or [])
    else:
        if wrong := validate_pod_resize(draft, old):
            raise errors.invalid_object(group="", kind="Pod", name=old["metadata"]["name"], errors=wrong)
        for field in ("initContainers", "containers"):
            if field in spec:
                spec[field] = _resized(spec[field], wanted[field])
    metadata = {k: v for k, v in old["metadata"].items() if k != "resourceVersion"}
    if revision:
        metadata["resourceVersion"] = revision
    return {**old, "metadata": metadata, "spec": spec}


def _only_added(old: ROObj, wanted: list[Obj]) -> list[Obj]:
    before = old["spec"].get("ephemeralContainers") or []
    by_name = {c.get("name"): c for c in wanted}
    path = Path("spec").child("ephemeralContainers")
    for number, container in enumerate(before):
        if by_name.get(container["name"]) != container:
            why = f'existing ephemeral containers "{container["name"]}" may not be changed'
            raise errors.invalid_object(
                group="", kind="Pod", name=old["metadata"]["name"],
                errors=[errors.field_forbidden(path.index(number) if container["name"] in by_name else path, why + "\n")],
            )  # fmt: skip
    return wanted


def _resized(containers: list[Obj], wanted: list[Obj]) -> list[Obj]:
    """`containers` with the resources and the resizePolicy of `wanted`, which has the same ones."""
    return [
        {key: value for key, value in container.items() if key not in _OF_RESIZE}
        | {key: resized[key] for key in _OF_RESIZE if key in resized}
        for container, resized in zip(containers, wanted, strict=True)
    ]
