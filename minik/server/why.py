"""Why a pod is where it is, or nowhere: what `minik why` asks.

    GET /minik/v1/why/{namespace}/{name}

The answer is the scheduler's (`sched/explain.py`), which the composition root hands over as a function; who may read the pod may ask
(`routing.py` makes it a `get` of the pod). Called by `app.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from minik.api import errors
from minik.api.meta import Obj, ROObj
from minik.server.request import Handler, Request, Response
from minik.server.routing import WHY as PREFIX
from minik.server.routing import no_such_resource
from minik.storage.cache import Cache

__all__ = ["PREFIX", "endpoint"]


def endpoint(cache: Cache, explain: Callable[[], Callable[[ROObj], Obj] | None], *, otherwise: Handler) -> Handler:
    """The handler of these paths; everything else is for `otherwise`. `explain` gives the function, or None as long as there is none."""

    async def handle(request: Request) -> Response:
        if not request.path.startswith(PREFIX):
            return await otherwise(request)
        info = request.info
        if not info.is_resource:
            raise no_such_resource()
        entry = cache.get(f"pods/{info.namespace}/{info.name}")
        if entry is None:
            raise errors.not_found("pods", "", info.name)
        asked = explain()
        if asked is None:
            raise errors.ServiceUnavailable("the scheduler has not started yet")
        return Response(obj=asked(entry.obj))

    return handle
