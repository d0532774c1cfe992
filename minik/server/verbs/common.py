"""What verbs and subresources share: making `Attributes` of a request, and a `Response` of what was written."""

from __future__ import annotations

from minik.api import errors
from minik.api.errors import BadRequest
from minik.api.kind import Kind
from minik.api.meta import Obj
from minik.server.author import author_of
from minik.server.core import Attributes, Core
from minik.server.request import Request, Response
from minik.server.resources import Written


def kind_of(request: Request) -> Kind:
    """The request's kind; the router has made sure that there is one."""
    kind = request.info.kind
    assert kind is not None
    return kind


def attributes(request: Request, *, dry_run: bool = False, verb: str = "") -> Attributes:
    """Of the request's own object."""
    info = request.info
    kind = kind_of(request)
    return Attributes(
        kind=kind,
        verb=verb or info.verb,
        namespace=info.namespace if kind.namespaced else "",
        user=request.user,
        author=author_of(request),
        subresource=info.subresource,
        name=info.name,
        dry_run=dry_run,
        warnings=request.warnings,
    )


async def connecting(core: Core, request: Request, kind: str, options: Obj) -> None:
    """Have admission webhooks heard before a connection is made: `options`, of that kind, are what they see. Raises what refuses it."""
    await core.webhooks.hear(core, attributes(request), "CONNECT", {"kind": kind, "apiVersion": "v1", **options})


def answer(written: Written) -> Response:
    """The object as written; 201 if it is new."""
    status = 201 if written.created else 200
    if written.entry is not None:
        return Response(status, entry=written.entry)
    return Response(status, obj=written.obj)


def check_name(draft: Obj, request: Request, *, must: bool = True) -> None:
    """The body's name and namespace must be those of the URL (handlers/rest.go checkName). Raises BadRequest."""
    metadata = draft["metadata"]
    name, namespace = request.info.name, request.info.namespace
    given = metadata.get("name")
    if not given and must:
        raise BadRequest(f"the name of the object ({name} based on URL) was undeterminable: name must be provided")
    if given and given != name:
        raise BadRequest(f"the name of the object ({given}) does not match the name on the URL ({name})")
    metadata["name"] = name
    kind = kind_of(request)
    if not kind.namespaced:
        return
    if metadata.get("namespace") and metadata["namespace"] != namespace:
        raise BadRequest(
            f"the namespace of the object ({metadata['namespace']}) does not match the namespace on the request ({namespace})"
        )
    metadata["namespace"] = namespace


def not_found(request: Request) -> errors.NotFound:
    kind = kind_of(request)
    return errors.not_found(kind.plural, kind.group, request.info.name)
