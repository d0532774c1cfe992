"""A stream of bytes that a client reads over a WebSocket: logs in a browser, and in clients that have nothing else.

Source: apiserver `pkg/util/wsstream` (Reader): `binary.k8s.io` or no protocol for messages of bytes, `base64.binary.k8s.io` for text.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

from minik.aio import running
from minik.api.errors import BadRequest
from minik.server.request import Request
from minik.server.streams.upgrade import choose, offered_websocket_protocols, open_websocket

_BINARY, _BASE64 = "binary.k8s.io", "base64.binary.k8s.io"


async def send_frames(
    request: Request, chunks: AsyncIterator[bytes], left: Callable[[], Awaitable[None]]
) -> web.WebSocketResponse:
    """Send every chunk as a message, and close. `left` is called when the client is gone, and has to end the chunks."""
    offered = offered_websocket_protocols(request)
    protocol = choose(offered, (_BINARY, _BASE64)) if offered else ""
    if protocol is None:
        raise BadRequest(f"unable to upgrade: client supports {offered}, server accepts {[_BINARY, _BASE64]}")
    socket = await open_websocket(request, protocol)
    async with running("frames") as tasks:
        tasks.start("from client", _until_left(socket, left))
        try:
            async for chunk in chunks:
                if protocol == _BASE64:
                    await socket.send_str(base64.b64encode(chunk).decode())
                else:
                    await socket.send_bytes(chunk)
        except ConnectionError:
            await left()
    await socket.close()
    return socket


async def _until_left(socket: web.WebSocketResponse, left: Callable[[], Awaitable[None]]) -> None:
    async for _ in socket:
        pass  # nothing is to be said
    await left()
