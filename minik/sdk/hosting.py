"""`Host`: a user's controllers at work, with the definitions that they bring. The same in the server's process (`cli/compose.py`) and
outside (`running.py`); what differs is the transport."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from minik.aio import Tasks
from minik.api import meta
from minik.api.apiextensions_v1.customresourcedefinition import KIND as CRD
from minik.api.errors import (
    AlreadyExists,
    Conflict,
    NotFound,
    ServiceUnavailable,
    StatusError,
    Timeout,
    TooManyRequests,
)
from minik.api.meta import Obj, ROObj
from minik.api.registry import Registry
from minik.api.schema import schema_of
from minik.client.client import Client
from minik.client.controller import Controller
from minik.client.manager import Manager
from minik.client.transport import Transport
from minik.clock import Clock, Entropy
from minik.metrics import Metrics
from minik.sdk.helpers import plan_ensure

log = logging.getLogger("minik.sdk")

_PAUSE = 1.0
_PASSING = (ServiceUnavailable, Timeout, TooManyRequests, Conflict)


class Host:
    """`start`, then `close`. The controllers work as soon as their kinds are served, and again after those were away."""

    def __init__(
        self,
        controllers: Sequence[Controller],
        crds: Sequence[Obj],
        transport: Transport,
        registry: Registry,
        *,
        clock: Clock,
        entropy: Entropy,
        metrics: Metrics,
    ) -> None:
        self._crds = crds
        self._clock = clock
        self._client = Client(transport, Registry((CRD,)), manager="minik-sdk")
        self.manager = Manager(controllers, transport, registry, clock=clock, entropy=entropy, metrics=metrics)
        self._tasks = Tasks("sdk")

    async def start(self) -> None:
        """Returns at once: definitions are applied and controllers begin in the background."""
        if self._crds:
            self._tasks.start("crds", self._apply_all())
        await self.manager.start()

    async def close(self) -> None:
        await self._tasks.close()
        await self.manager.close()

    async def _apply_all(self) -> None:
        for crd in self._crds:
            await self._apply(crd)

    async def _apply(self, crd: Obj) -> None:
        """Once it is there as it should be, or it is refused, which is logged: the controllers then go on waiting."""
        while True:
            try:
                await apply_crd(self._client, crd)
            except _PASSING as error:
                log.debug(
                    "a definition could not be applied yet", extra={"definition": meta.name(crd), "error": str(error)}
                )
            except StatusError as error:
                log.error("a definition was refused", extra={"definition": meta.name(crd), "error": error.message})
                return
            else:
                return
            await self._clock.sleep(_PAUSE)


async def apply_crd(client: Client, crd: ROObj) -> ROObj:
    """Create the definition, or make the one that is there say the same. Raises StatusError."""
    try:
        current = await client.get(CRD.resource, meta.name(crd))
    except NotFound:
        try:
            return await client.create(CRD.resource, crd)
        except AlreadyExists as error:
            raise Conflict(error.message) from error  # somebody else was first: look again
    wanted = schema_of(CRD.schema).decode(crd).obj
    CRD.default(wanted)
    patch = plan_ensure({"metadata": wanted["metadata"]}, current) or {}
    if wanted["spec"] != current.get("spec"):
        patch["spec"] = wanted["spec"]
    if not patch:
        return current
    patch.setdefault("metadata", {})["resourceVersion"] = current["metadata"]["resourceVersion"]
    return await client.patch(CRD.resource, meta.name(crd), "", patch)
