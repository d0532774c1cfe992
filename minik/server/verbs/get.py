"""GET of one object: its cached bytes."""

from __future__ import annotations

from minik.server.core import Core
from minik.server.crd.reading import view
from minik.server.options import resource_version
from minik.server.request import Request, Response
from minik.server.verbs.common import kind_of, not_found
from minik.server.verbs.list import wait_for_version


async def get(core: Core, request: Request) -> Response:
    """A `resourceVersion` parameter means: at least as new as that."""
    info = request.info
    wanted = request.query.get("resourceVersion")
    if wanted:
        await wait_for_version(core, resource_version(wanted[0]))
    kind = kind_of(request)
    entry = core.cache.get(kind.key(info.namespace, info.name))
    if entry is None:
        raise not_found(request)
    show = view(core, kind)
    return Response(entry=entry if show is None else await show.one(entry))
