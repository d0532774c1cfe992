"""DELETE of one object."""

from __future__ import annotations

from minik.api import meta
from minik.api.kind import Kind
from minik.api.meta import Obj, ROObj
from minik.server import resources
from minik.server.core import Core
from minik.server.decode import decode_options
from minik.server.options import delete_options
from minik.server.request import Request, Response
from minik.server.resources import Written
from minik.server.verbs.common import attributes, kind_of

_ANSWERED_WITH_OBJECT = frozenset({"pods", "services", "serviceaccounts"})
"""Kinds whose DELETE answers with the object even when it is gone at once (the registry's ReturnDeletedObject)."""


async def delete(core: Core, request: Request) -> Response:
    kind = kind_of(request)
    options = delete_options(request, decode_options(request))
    written = await resources.delete(core, attributes(request, dry_run=options.dry_run), options)
    if written.removed and kind.resource not in _ANSWERED_WITH_OBJECT:
        return Response(obj=success(kind, written.value))
    return answer_deleted(written)


def answer_deleted(written: Written) -> Response:
    if written.entry is not None:
        return Response(entry=written.entry)
    return Response(obj=written.obj)


def success(kind: Kind, obj: ROObj) -> Obj:
    """The Status that says that an object is gone."""
    details = {"name": meta.name(obj), "group": kind.group, "kind": kind.plural, "uid": meta.uid(obj)}
    return {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": {k: v for k, v in details.items() if v},
    }  # fmt: skip
