"""One request passed on to a target, and its answer passed back as it comes; connections that are upgraded (WebSocket, SPDY) too.

`forward` is the whole of it. The answer goes straight to the client's connection; for a client inside the process it is read whole.
Source of what is done to headers: Go's `httputil.ReverseProxy`, apimachinery `util/proxy/upgradeaware.go`.
"""

from __future__ import annotations

import asyncio
import io
import ssl
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPMessage, parse_headers
from typing import Any

import aiohttp
import orjson
from aiohttp import web
from multidict import CIMultiDict

from minik.aio import running
from minik.api.errors import InternalError
from minik.server.proxy.html import rewritten, through
from minik.server.proxy.target import Connection, Target, connect, unreachable
from minik.server.request import Request, Response
from minik.server.streams.bytes import SocketBytes, TakenOver, take_over
from minik.server.streams.upgrade import is_spdy, is_websocket
from minik.server.tunnel import Links

_CHUNK = 64 * 1024
_HOP_BY_HOP = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade",
    }
)  # fmt: skip
_OURS = frozenset({"authorization", "content-length", "content-encoding"})
"""Headers of a request that were meant for this server, or that are made anew: its body is here, and decompressed."""
_CORS = frozenset(f"access-control-allow-{what}" for what in ("credentials", "headers", "methods", "origin"))
_MAX_PAGE = 8 << 20
"""Bytes of a page whose links are led through the proxy, packed or not; a longer one passes as it is."""
_MAX_REFUSAL = 1 << 20
"""Bytes of the answer of a target that does not upgrade."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A target with what is said to it."""

    target: Target
    path: str
    """With the query, escaped as in a URL; begins with "/"."""
    tls: ssl.SSLContext | None = None
    server_name: str = ""
    """For TLS."""
    host: str = ""
    """The Host header; "" for the client's own."""
    headers: Mapping[str, list[str]] = field(default_factory=dict)
    """More headers; they replace the client's of the same name."""
    prefix: str | None = None
    """The path at which clients see "/" of the target: links and redirects are led through there. None: they are left alone."""


async def forward(request: Request, destination: Destination, *, links: Links) -> Response:
    """The target's answer, whatever it is. Raises ServiceUnavailable if there is none."""
    async with connect(destination.target, links) as connection:
        try:
            if request.http is not None and (is_websocket(request) or is_spdy(request)):
                return await _upgraded(request, destination, connection)
            return await _answered(request, destination, connection)
        except (aiohttp.ClientError, OSError, EOFError) as error:
            raise unreachable(connection.failure or error or type(error).__name__) from error


# --- requests ------------------------------------------------------------------------------------------------------


def _headers(request: Request, destination: Destination, *, upgrade: bool = False) -> CIMultiDict[str]:
    named = {n.strip().lower() for n in request.headers.get("Connection", "").split(",")}
    dropped = _OURS | {name.lower() for name in destination.headers}
    if not upgrade:
        dropped |= _HOP_BY_HOP | named
    kept = ((n, v) for n, v in request.headers.items() if n.lower() not in dropped and not _is_identity(n))
    headers = CIMultiDict(kept)
    if destination.host:
        headers["Host"] = destination.host
    elif "Host" not in headers:
        headers["Host"] = _authority(destination.target)
    if request.decoded:
        headers["Accept"] = "application/json"
        if request.body is not None:
            headers["Content-Type"] = request.content_type
    peer = request.http.remote if request.http is not None else None
    if peer:
        headers["X-Forwarded-For"] = ", ".join((*request.headers.getall("X-Forwarded-For", ()), peer))  # type: ignore[attr-defined]  # from HTTP it is a multidict
    if destination.prefix is not None:
        headers["X-Forwarded-Uri"] = destination.prefix + destination.path.partition("?")[0]
    for name, values in destination.headers.items():
        for value in values:
            headers.add(name, value)
    return headers


def _is_identity(name: str) -> bool:
    """Whether a header says who somebody is: to be believed from nobody but this server."""
    return name.lower().startswith(("impersonate-", "x-remote-"))


def _authority(target: Target) -> str:
    address = f"[{target.address}]" if ":" in target.address else target.address
    return f"{address}:{target.port}"


class _Connected(aiohttp.BaseConnector):
    """Gives a client session the one connection that there is already."""

    def __init__(self, connection: Connection, destination: Destination) -> None:
        super().__init__(force_close=True)
        self._endpoint, self._destination = connection.socket, destination

    async def _create_connection(self, *request: Any) -> Any:
        del request
        tls = self._destination.tls
        try:
            _, protocol = await self._loop.create_connection(
                self._factory,
                sock=self._endpoint,
                ssl=tls,
                server_hostname=self._destination.server_name if tls is not None else None,
            )
        except OSError as error:  # ssl.SSLError is one
            raise aiohttp.ClientConnectionError(str(error)) from error
        return protocol


async def _answered(request: Request, destination: Destination, connection: Connection) -> Response:
    url = f"http://{_authority(destination.target)}"  # of the scheme only what `_Connected` does with it counts
    async with (
        aiohttp.ClientSession(
            connector=_Connected(connection, destination),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            requote_redirect_url=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        ) as session,
        session.request(
            request.method,
            _exactly(url, destination.path),
            headers=_headers(request, destination),
            data=_body(request),
            allow_redirects=False,
        ) as answer,
    ):
        headers = _answer_headers(answer.headers, destination)
        if request.http is None:
            return _value(answer.status, headers, await answer.read())
        if destination.prefix is not None and answer.content_type == "text/html" and request.method != "HEAD":
            return await _page(request, answer, headers, destination)
        return await _stream(request.http, answer, headers, b"")


def _exactly(base: str, path: str) -> Any:
    """A URL whose path and query go out as they came in."""
    from yarl import URL

    return URL(base + path, encoded=True)


def _body(request: Request) -> bytes | None:
    if request.body is None or isinstance(request.body, bytes):
        return request.body
    return orjson.dumps(request.body)


# --- answers -------------------------------------------------------------------------------------------------------


def _answer_headers(given: Any, destination: Destination) -> CIMultiDict[str]:
    named = {n.strip().lower() for n in given.get("Connection", "").split(",")}
    dropped = _HOP_BY_HOP | named | (_CORS if destination.prefix is not None else frozenset())
    headers = CIMultiDict((n, v) for n, v in given.items() if n.lower() not in dropped)
    if destination.prefix is not None and "Location" in headers:
        headers["Location"] = through(headers["Location"], prefix=destination.prefix, hosts=_hosts(destination))
    return headers


def _hosts(destination: Destination) -> frozenset[str]:
    """Whom the target may mean by itself."""
    return frozenset({_authority(destination.target), destination.target.address})


async def _stream(
    client: web.Request, answer: aiohttp.ClientResponse, headers: CIMultiDict[str], begun: bytes
) -> Response:
    """The body chunk by chunk, after what has been read of it. When it breaks off, so does what the client gets."""
    out = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
    await out.prepare(client)
    try:
        if begun:
            await out.write(begun)
        async for chunk in answer.content.iter_any():
            await out.write(chunk)
        await out.write_eof()
    except (aiohttp.ClientError, ConnectionError):
        out.force_close()
        if client.transport is not None:
            client.transport.abort()
    return Response(answer.status, http=out)


async def _page(
    request: Request, answer: aiohttp.ClientResponse, headers: CIMultiDict[str], destination: Destination
) -> Response:
    """A page whose links lead through the proxy."""
    assert request.http is not None and destination.prefix is not None
    packed = b""
    while len(packed) <= _MAX_PAGE and (chunk := await answer.content.readany()):
        packed += chunk
    content = _unpacked(packed, headers.get("Content-Encoding", ""))
    if content is None:
        return await _stream(request.http, answer, headers, packed)
    hosts = _hosts(destination) | {request.headers.get("Host", "")}
    page = rewritten(content.decode("utf-8", "surrogateescape"), prefix=destination.prefix, hosts=hosts)
    for name in ("Content-Encoding", "Content-Length"):
        headers.popall(name, None)
    body = page.encode("utf-8", "surrogateescape")
    out = web.Response(status=answer.status, reason=answer.reason, headers=headers, body=body)
    return Response(answer.status, http=out)


def _unpacked(content: bytes, encoding: str) -> bytes | None:
    """A page's text; None if it is too long, or packed in a way that is not known here."""
    if len(content) > _MAX_PAGE or encoding not in ("", "gzip", "deflate"):
        return None
    if not encoding:
        return content
    forms = (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS)  # `deflate` is zlib's form by the book, and bare in practice
    for form in forms[: 1 if encoding == "gzip" else 2]:
        unpack = zlib.decompressobj(form)
        try:
            text = unpack.decompress(content, _MAX_PAGE)
        except zlib.error:
            continue
        return text if unpack.eof else None
    return None


def _value(status: int, headers: CIMultiDict[str], body: bytes) -> Response:
    """An answer as a value, for a client inside the process: a failure is a Status."""
    content_type = headers.get("Content-Type", "application/json")
    if status < 400:
        return Response(status, raw=body, content_type=content_type)
    try:
        decoded = orjson.loads(body)
    except orjson.JSONDecodeError:
        decoded = None
    if not isinstance(decoded, dict) or decoded.get("kind") != "Status":
        text = body[:1024].decode(errors="replace")
        decoded = {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": status,
            "message": text or f"an error on the server ({status}) has prevented the request from succeeding",
        }  # fmt: skip
    return Response(status, obj=decoded)


# --- upgraded connections ------------------------------------------------------------------------------------------


async def _upgraded(request: Request, destination: Destination, connection: Connection) -> Response:
    """The handshake as it is, then bytes both ways until one side is done."""
    tls = destination.tls
    reader, writer = await asyncio.open_connection(
        sock=connection.socket, ssl=tls, server_hostname=destination.server_name if tls is not None else None
    )
    try:
        lines = "".join(f"{n}: {v}\r\n" for n, v in _headers(request, destination, upgrade=True).items())
        writer.write(f"{request.method} {destination.path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1", "replace"))
        head = await _head(reader)
        status, headers = _parsed(head)
        if status != 101:
            if status < 400:
                raise InternalError(f"invalid upgrade response: status code {status}")
            return await _refusal(reader, status, headers)
        assert request.http is not None
        client = take_over(request.http, head=head)
        async with running("proxy") as tasks:
            there = tasks.start("to target", _to_target(client, writer))
            back = tasks.start("from target", _from_target(reader, client))
            await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
        await client.close()
        return Response(101, http=TakenOver())
    finally:
        writer.close()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise ConnectionError("the head of the answer is too long") from error


def _parsed(head: bytes) -> tuple[int, HTTPMessage]:
    """Status and headers of an answer's head. Raises ConnectionError."""
    first, _, rest = head.partition(b"\r\n")
    parts = first.split(b" ", 2)
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/1.") or not parts[1].isdigit():
        raise ConnectionError("malformed HTTP response")
    try:
        return int(parts[1]), parse_headers(io.BytesIO(rest))
    except HTTPException as error:
        raise ConnectionError("malformed HTTP response") from error


async def _refusal(reader: asyncio.StreamReader, status: int, headers: HTTPMessage) -> Response:
    length = headers.get("Content-Length", "")
    body = await (reader.readexactly(min(int(length), _MAX_REFUSAL)) if length.isdigit() else reader.read(_MAX_REFUSAL))
    return Response(status, raw=body, content_type=headers.get("Content-Type", "text/plain"))


async def _to_target(client: SocketBytes, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await client.read_some(_CHUNK):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        return


async def _from_target(reader: asyncio.StreamReader, client: SocketBytes) -> None:
    try:
        while data := await reader.read(_CHUNK):
            await client.write(data)
    except ConnectionError:
        return
