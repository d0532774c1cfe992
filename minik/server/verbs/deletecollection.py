"""DELETE of a collection: one delete for each object that the selectors select, some of them at a time, so that they share commits."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

from minik.api.errors import NotFound
from minik.server import resources
from minik.server.core import Core
from minik.server.decode import decode_options
from minik.server.options import delete_options
from minik.server.request import EntryList, Request, Response
from minik.server.selection import selection
from minik.server.verbs.common import attributes, kind_of
from minik.server.verbs.list import select
from minik.storage.cache import Entry

AT_A_TIME = 64


async def deletecollection(core: Core, request: Request) -> Response:
    kind = kind_of(request)
    options = delete_options(request, decode_options(request))
    namespace = request.info.namespace if kind.namespaced else ""
    entries = await select(core, kind, namespace, selection(request, kind))
    own = attributes(request, dry_run=options.dry_run)

    async def remove(entry: Entry) -> None:
        with contextlib.suppress(NotFound):  # somebody else was quicker
            await resources.delete(core, replace(own, name=entry.name, namespace=entry.namespace, done=[]), options)

    for start in range(0, len(entries), AT_A_TIME):
        done = await asyncio.gather(*map(remove, entries[start : start + AT_A_TIME]), return_exceptions=True)
        for outcome in done:
            if outcome is not None:
                raise outcome
    return Response(entries=EntryList(kind, entries, core.cache.revision))
