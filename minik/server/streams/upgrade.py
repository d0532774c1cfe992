"""Which streaming protocol a request asks for, and the answer that begins it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiohttp import web

from minik.api.errors import BadRequest
from minik.server.request import Request
from minik.server.streams.bytes import SocketBytes, take_over

MAX_MESSAGE = 1 << 22
"""Bytes of one WebSocket message from a client."""

_HEARTBEAT = 30.0


def is_websocket(request: Request) -> bool:
    return "websocket" in request.headers.get("Upgrade", "").lower()


def is_spdy(request: Request) -> bool:
    return "spdy/3.1" in request.headers.get("Upgrade", "").lower()


def http_request(request: Request) -> web.BaseRequest:
    """The connection to take over. Raises BadRequest for a request that asks for no upgrade."""
    if request.http is None or not (is_websocket(request) or is_spdy(request)):
        raise BadRequest("Upgrade request required")
    return request.http


def choose(offered: Sequence[str], supported: Sequence[str]) -> str | None:
    """The first of `supported` that the client offers."""
    return next((protocol for protocol in supported if protocol in offered), None)


def offered_websocket_protocols(request: Request) -> list[str]:
    return [p.strip() for p in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if p.strip()]


async def open_websocket(request: Request, protocol: str) -> web.WebSocketResponse:
    """Answer the handshake with `protocol`."""
    socket = web.WebSocketResponse(
        protocols=[protocol] if protocol else (), max_msg_size=MAX_MESSAGE, compress=False, heartbeat=_HEARTBEAT
    )
    await socket.prepare(http_request(request))
    return socket


def open_spdy(request: Request, supported: Sequence[str]) -> tuple[SocketBytes, str]:
    """Answer a SPDY upgrade; (the connection's bytes, the chosen protocol version).

    The client's versions come in X-Stream-Protocol-Version; without any, the oldest is meant. Raises BadRequest.
    """
    http = http_request(request)
    values = http.headers.getall("X-Stream-Protocol-Version", [])
    offered = [v.strip() for value in values for v in value.split(",")]
    chosen = choose(offered, supported) if offered else supported[-1]
    if chosen is None:
        raise BadRequest(f"unable to upgrade: client supports {offered}, server accepts {list(supported)}")
    headers: Mapping[str, str] = {
        "Connection": "Upgrade",
        "Upgrade": "SPDY/3.1",
        "X-Stream-Protocol-Version": chosen,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return take_over(http, head=f"HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n".encode()), chosen
