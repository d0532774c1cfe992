"""`scale` (autoscaling/v1): the number of replicas of a kind that has `Kind.scale`, whatever else it looks like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik.api import errors, meta, selectors
from minik.api.kind import Kind, ScalePaths
from minik.api.meta import Obj, ROObj
from minik.server import resources
from minik.server.core import Core, Shown
from minik.server.decode import decode_object, patched_object
from minik.server.options import field_validation, is_dry_run
from minik.server.request import Request, Response
from minik.server.resources import Written
from minik.server.verbs.common import attributes, check_name, kind_of
from minik.server.verbs.patch import parse_patch

_SCHEMA = "io.k8s.api.autoscaling.v1.Scale"

SCALE = Kind(
    group="autoscaling", version="v1", kind="Scale", plural="scale", singular="scale", namespaced=True, schema=_SCHEMA,
)  # fmt: skip
"""Never registered: it exists only as a subresource."""


async def get(core: Core, request: Request) -> Response:
    entry = await resources.get_shown(core, kind_of(request), request.info.namespace, request.info.name)
    return Response(obj=scale_of(entry.obj, paths(request)))


async def update(core: Core, request: Request) -> Response:
    draft = decode_object(
        request, group="autoscaling", version="v1", kind="Scale", schema=_SCHEMA,
        validation=field_validation(request, options="UpdateOptions"),
    )  # fmt: skip
    check_name(draft, request)
    return await _write(core, request, lambda old: _scaled(old, draft, request))


async def patch(core: Core, request: Request) -> Response:
    change = parse_patch(request, SCALE)
    validation = field_validation(request, options="PatchOptions")

    def changed(old: ROObj) -> Obj:
        draft = patched_object(request, change(scale_of(old, paths(request))), SCALE, validation)
        if draft["metadata"].get("resourceVersion") == old["metadata"]["resourceVersion"]:
            del draft["metadata"]["resourceVersion"]
        return _scaled(old, draft, request)

    return await _write(core, request, changed)


async def _write(core: Core, request: Request, change: resources.Change) -> Response:
    own = attributes(request, dry_run=is_dry_run(request, options="UpdateOptions"))
    own.subresource = ""
    where = paths(request)
    own.shown = Shown("scale", "Scale", "autoscaling/v1", lambda obj: scale_of(obj, where))
    written: Written = await resources.update(core, own, change)
    return Response(obj=scale_of(written.value, paths(request)))


def paths(request: Request) -> ScalePaths:
    return kind_of(request).scale or ScalePaths()


def _at(obj: ROObj, path: str) -> Any:
    value: Any = obj
    for part in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def scale_of(obj: ROObj, where: ScalePaths) -> Obj:
    """The Scale of an object."""
    metadata = obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    status: Obj = {"replicas": _at(obj, where.status_replicas) or 0}
    selector = _at(obj, where.selector)
    if isinstance(selector, str):
        status["selector"] = selector
    elif isinstance(selector, Mapping):
        is_label_selector = "matchLabels" in selector or "matchExpressions" in selector
        text = selectors.format_label_selector(selector) if is_label_selector else str(selectors.from_labels(selector))
        status["selector"] = text
    replicas = _at(obj, where.spec_replicas)
    return {
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {k: metadata[k] for k in kept if k in metadata},
        "spec": {"replicas": replicas} if replicas else {}, "status": status,
    }  # fmt: skip


def _scaled(old: ROObj, scale: Obj, request: Request) -> Obj:
    """`old` with the wanted number of replicas. Raises Invalid and Conflict."""
    metadata = scale["metadata"]
    name = old["metadata"]["name"]
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if replicas < 0:
        why = errors.invalid("spec.replicas", replicas, "must be greater than or equal to 0")
        raise errors.invalid_object(group="autoscaling", kind="Scale", name=name, errors=[why])
    kind = kind_of(request)
    if metadata.get("uid") and metadata["uid"] != old["metadata"]["uid"]:
        why_not = (
            f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta: {old['metadata']['uid']}"
        )
        raise errors.conflict(kind.plural, kind.group, name, why_not)
    draft = meta.draft(old)
    draft["metadata"]["resourceVersion"] = metadata.get("resourceVersion") or ""
    *parents, last = (kind.scale or ScalePaths()).spec_replicas.split(".")
    part = draft
    for parent in parents:
        part = part.setdefault(parent, {})
    part[last] = replicas
    return draft
