"""ComponentStatuses: the parts of a control plane that `kubectl get cs` asks for. All of them are this process.

`handlers` gives the get and list of the kind to `app.py`. The names are upstream's; the store stands in the place of etcd.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from minik.api import meta
from minik.api.core_v1.componentstatus import KIND, component_status
from minik.api.errors import not_found
from minik.api.meta import Obj
from minik.server.core import Core, Verb
from minik.server.health import Check
from minik.server.request import EntryList, Request, Response
from minik.server.selection import selection
from minik.storage.base import Revision
from minik.storage.cache import Entry


def handlers(checks: Mapping[str, Check]) -> Mapping[str, Mapping[str, Verb]]:
    """`checks`: component → its check."""

    def statuses() -> Sequence[Obj]:
        return [component_status(name, check()) for name, check in sorted(checks.items())]

    async def get(_core: Core, request: Request) -> Response:
        for status in statuses():
            if meta.name(status) == request.info.name:
                return Response(obj=status)
        raise not_found(KIND.plural, "", request.info.name)

    async def list_all(core: Core, request: Request) -> Response:
        holds = selection(request, KIND).holds
        entries = [
            Entry(KIND.key("", meta.name(status)), Revision(0), Revision(0), orjson.dumps(status))
            for status in statuses()
            if holds is None or holds(status)
        ]
        return Response(entries=EntryList(KIND, entries, core.cache.revision))

    return {KIND.resource: {"get": get, "list": list_all}}
