"""The agents' links: `GET /minik/v1/link` takes a node's connection over; streaming subresources open streams on it.

A node has one link at a time: a newer one replaces an older one (the agent reconnected before the server noticed).
"""

from __future__ import annotations

import logging

from aiohttp import web
from pydantic import BaseModel

from minik.api.errors import BadRequest, Forbidden, ServiceUnavailable
from minik.link.mux import LinkClosed, Mux, Stream
from minik.link.pipe import Pipe, WebSocketPipe
from minik.server.request import Request, Response

log = logging.getLogger("minik.server.tunnel")

PATH = "/minik/v1/link"
NODE_USER = "system:node:"


class Links:
    """Node name → its link."""

    def __init__(self) -> None:
        self._links: dict[str, Mux] = {}

    def connected(self) -> list[str]:
        return sorted(self._links)

    async def open(self, node: str, request: BaseModel) -> Stream:
        """Open a stream to the agent of `node`. Raises ServiceUnavailable if it is not connected."""
        mux = self._links.get(node)
        if mux is None:
            raise ServiceUnavailable(f"error dialing backend: node {node} is not connected")
        try:
            return await mux.open(request.model_dump_json().encode())
        except LinkClosed as error:
            raise ServiceUnavailable(f"error dialing backend: {error}") from error

    async def serve(self, node: str, pipe: Pipe, *, keepalive: bool = True) -> None:
        """Run a node's link until it ends."""
        mux = Mux(pipe, is_server=True, keepalive=keepalive)
        older = self._links.get(node)
        self._links[node] = mux
        if older is not None:
            await older.close()
        log.info("node connected", extra={"node": node})
        try:
            await mux.run()
        finally:
            if self._links.get(node) is mux:
                del self._links[node]
            log.info("node disconnected", extra={"node": node})

    async def handle(self, request: Request) -> Response:
        """`GET /minik/v1/link` of an agent. Raises Forbidden for anybody who is no node."""
        if not request.user.name.startswith(NODE_USER) or "system:nodes" not in request.user.groups:
            raise Forbidden(f"User {request.user.name!r} is not a node")
        if request.http is None:
            raise BadRequest("Upgrade request required")
        socket = web.WebSocketResponse(max_msg_size=1 << 22, compress=False)
        await socket.prepare(request.http)
        await self.serve(request.user.name.removeprefix(NODE_USER), WebSocketPipe(socket))
        return Response(http=socket)

    async def close(self) -> None:
        for mux in list(self._links.values()):
            await mux.close()
