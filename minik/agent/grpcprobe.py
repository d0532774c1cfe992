"""The gRPC health check (`grpc.health.v1.Health/Check`) as a probe asks it: one unary call over clear-text HTTP/2.

Enough of HTTP/2 for that and no more: request headers are sent as literals, of the answer only the DATA frame is read (the
answer's headers need not be understood to know whether it says SERVING). RFC 9113, RFC 7541, the gRPC health checking protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct

from minik.agent.httpget import HttpFailure, MakeSocket, connect

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY = 0, 1, 3, 4, 6, 7
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
SERVING = 1
_NAMES = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def _literal(name: str, value: str) -> bytes:
    """A header field without indexing; both strings shorter than 127 bytes."""
    return bytes((0, len(name))) + name.encode() + bytes((len(value),)) + value.encode()


def request(host: str, port: int, service: str, user_agent: str) -> bytes:
    """All that the client sends."""
    message = b"" if not service else b"\x0a" + bytes((len(service.encode()),)) + service.encode()
    headers = b"".join(
        _literal(name, value)
        for name, value in (
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/grpc.health.v1.Health/Check"),
            (":authority", f"{host}:{port}"),
            ("content-type", "application/grpc"),
            ("user-agent", user_agent),
            ("te", "trailers"),
        )
    )
    return (
        _PREFACE
        + _frame(_SETTINGS, 0, 0, b"")
        + _frame(_HEADERS, _END_HEADERS, 1, headers)
        + _frame(_DATA, _END_STREAM, 1, b"\0" + struct.pack(">I", len(message)) + message)
    )


def serving_status(message: bytes) -> int:
    """`HealthCheckResponse.status` of a length-prefixed gRPC message; 0 where the field is left out."""
    body = message[5:]
    return body[1] if len(body) >= 2 and body[0] == 0x08 else 0


async def check(make: MakeSocket, host: str, port: int, service: str, user_agent: str) -> tuple[bool, str]:
    """Ask once: (serving, what was said)."""
    if len(service.encode()) > 120:
        return False, f"service name {service!r} is too long"
    sock = await connect(make, host, port)
    reader, writer = await asyncio.open_connection(sock=sock)
    try:
        writer.write(request(host, port, service, user_agent))
        data = b""
        while True:
            head = await reader.readexactly(9)
            length, kind, flags = int.from_bytes(head[:3]), head[3], head[4]
            stream = int.from_bytes(head[5:]) & 0x7FFFFFFF
            payload = await reader.readexactly(length)
            if kind == _SETTINGS and not flags & _ACK:
                writer.write(_frame(_SETTINGS, _ACK, 0, b""))
            elif kind == _PING and not flags & _ACK:
                writer.write(_frame(_PING, _ACK, 0, payload))
            elif kind == _DATA and stream == 1:
                data += payload[1 : length - payload[0]] if flags & 8 else payload
            elif kind in (_RST_STREAM, _GOAWAY):
                break
            if len(data) >= 5 and len(data) >= 5 + int.from_bytes(data[1:5]):
                status = serving_status(data)
                return status == SERVING, f'service unhealthy (responded with "{_NAMES.get(status, status)}")'
            if flags & _END_STREAM and stream == 1 and kind in (_DATA, _HEADERS):
                break
    except (OSError, asyncio.IncompleteReadError) as error:
        raise HttpFailure(str(error)) from error
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            writer.transport.abort()
    return False, "rpc error: the server does not answer health checks"
