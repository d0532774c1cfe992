"""HTTP: aiohttp requests in, `Request`s through the chain, `Response`s out. Nothing about Kubernetes is decided here.

One catch-all handler on aiohttp's low-level server; TLS with an optional client certificate. Made for speed: an object's answer is
its cached bytes, a list is joined from them, a watch writes whatever events are there in one go.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, unquote

import orjson
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from minik.api.errors import RequestTooLarge, StatusError
from minik.clock import Entropy
from minik.server.chain import status_response
from minik.server.request import EntryList, Handler, Request, Response

log = logging.getLogger("minik.server.http")

MAX_BODY = 3 * 1024 * 1024
"""Bytes; kube-apiserver's limit of a request body."""
_SLICE = 256 * 1024
"""Bytes of a list that are sent at a time. Fresh buffers of many megabytes cost more than what is copied into them."""
_TURN = 4
"""Slices after which others get their turn: a millisecond or two."""
_SHUTDOWN_SECONDS = 2.0
_MAX_URL = 64 * 1024
_NO_QUERY: Mapping[str, Sequence[str]] = {}
_NOT_READ: Any = object()


class _Connection(RequestHandler):
    """aiohttp's connection, which also remembers the client certificate: it is the same for all requests on it."""

    __slots__ = ("_certificate",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._certificate: Any = _NOT_READ

    @property
    def certificate(self) -> Mapping[str, Any] | None:
        if self._certificate is _NOT_READ:
            self._certificate = _certificate(self.transport)
        return self._certificate  # type: ignore[no-any-return]  # set just above


def _certificate(transport: asyncio.BaseTransport | None) -> Mapping[str, Any] | None:
    found = transport.get_extra_info("peercert") if transport is not None else None
    if not found:
        return None
    parts = [pair for part in found.get("subject", ()) for pair in part]
    names = [value for name, value in parts if name == "commonName"]
    organizations = [value for name, value in parts if name == "organizationName"]
    return {"cn": names[-1] if names else "", "o": organizations}


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class HttpServer:
    """Serves a handler on one address. `ssl_context` None: plain text, for tests on loopback only."""

    def __init__(
        self, handler: Handler, *, host: str, port: int, ssl_context: ssl.SSLContext | None, entropy: Entropy
    ) -> None:
        self._handler = handler
        self._host, self._port, self._ssl = host, port, ssl_context
        self._entropy = entropy
        self._server: _Server | None = None
        self._listening: asyncio.Server | None = None
        self._streams: set[asyncio.Task[Any]] = set()

    @property
    def port(self) -> int:
        """The port that is listened on (the chosen one, if 0 was asked for)."""
        assert self._listening is not None
        return int(self._listening.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen. Raises OSError if the address is taken."""
        self._server = _Server(
            self._handle,
            request_factory=_make_request,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=600,
            max_line_size=_MAX_URL,
            max_field_size=_MAX_URL,
            auto_decompress=True,
        )
        self._listening = await asyncio.get_running_loop().create_server(
            self._server, self._host, self._port, ssl=self._ssl, backlog=1024, reuse_address=True
        )

    async def close(self) -> None:
        """Stop listening, end all watches, let running requests finish for a moment."""
        if self._listening is None or self._server is None:
            return
        self._listening.close()
        for task in list(self._streams):
            task.cancel()
        await self._server.shutdown(_SHUTDOWN_SECONDS)
        self._listening = self._server = None

    async def _handle(self, http: web.BaseRequest) -> web.StreamResponse:
        request = None
        try:
            request = await _request(http)
            response = await self._handler(request)
        except StatusError as error:
            response = status_response(error)
            response.headers["Connection"] = "close"
        if response.http is not None:
            return response.http
        headers = response.headers
        headers["Audit-Id"] = self._entropy.uid()
        if "Cache-Control" not in headers:
            headers["Cache-Control"] = "no-cache, private"
        if request is not None and request.warnings:
            headers["Warning"] = _warnings(request.warnings)
        if response.watch is not None or response.stream is not None:
            return await self._stream(http, response)
        if response.status == 304:  # caching clients take over whatever headers it has, so it has few
            return web.Response(status=304, headers=headers)
        headers["Content-Type"] = response.content_type
        if response.entries is not None and response.content_type == "application/json":
            pieces, size = list_pieces(response.entries)
            if size > _SLICE:
                return await self._send_slices(http, response, pieces, size)
            return web.Response(body=b",".join(pieces), status=response.status, headers=headers)
        return web.Response(body=_body(response), status=response.status, headers=headers)

    async def _send_slices(
        self, http: web.BaseRequest, response: Response, pieces: Sequence[bytes], size: int
    ) -> web.StreamResponse:
        """A long list, a slice at a time: no buffer of its whole length is made on the way, and others get their turn."""
        out = web.StreamResponse(status=response.status, headers=response.headers)
        out.content_length = size
        try:
            await out.prepare(http)
            for number, chunk in enumerate(_slices(pieces), 1):
                await out.write(chunk)
                if number % _TURN == 0:
                    await asyncio.sleep(0)  # writing to a quick reader does not wait
            await out.write_eof()
        except ConnectionError:
            out.force_close()
        return out

    async def _stream(self, http: web.BaseRequest, response: Response) -> web.StreamResponse:
        """Send chunks until they end, the client goes away or the server closes."""
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        out = web.StreamResponse(status=response.status, headers=response.headers)
        out.content_type = response.content_type
        out.enable_chunked_encoding()
        chunks: AsyncIterator[bytes] | None = response.stream
        if response.watch is not None:
            chunks = response.watch.chunks()
        assert chunks is not None
        try:
            await out.prepare(http)
            async for chunk in chunks:
                await out.write(chunk)
            await out.write_eof()
        except ConnectionError:
            out.force_close()
        except asyncio.CancelledError:
            if http.transport is None:
                raise  # the client went away
            task.uncancel()  # the server closes: end the stream as if it were over
            with contextlib.suppress(ConnectionError):
                await out.write_eof()
            out.force_close()
        finally:
            self._streams.discard(task)
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()
            if response.watch is not None:
                await response.watch.aclose()
        return out


def _make_request(
    message: Any, payload: Any, protocol: RequestHandler, writer: Any, task: asyncio.Task[None]
) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY)


async def _request(http: web.BaseRequest) -> Request:
    """Raises RequestTooLarge."""
    path, _, query = http.raw_path.partition("?")
    if "%" in path:
        path = unquote(path)
    protocol = http.protocol
    method = http.method
    headers = http.headers
    request = Request(
        method,
        path,
        parse_qs(query, keep_blank_values=True) if query else _NO_QUERY,
        headers,
        http=http,  # type: ignore[arg-type]  # what takes connections over needs no more than a BaseRequest
        certificate=protocol.certificate if isinstance(protocol, _Connection) else None,
    )
    if http.body_exists and method != "CONNECT":
        length = http.content_length
        if length is not None and length > MAX_BODY:
            raise _too_large()
        try:
            request.body = await http.read()
        except web.HTTPRequestEntityTooLarge as error:
            raise _too_large() from error
        request.content_type = headers.get("Content-Type", "")
    return request


def _too_large() -> RequestTooLarge:
    return RequestTooLarge(f"Request entity too large: limit is {MAX_BODY}")


def _warnings(texts: Sequence[str]) -> str:
    """A Warning header (RFC 7234) with one `299 - "..."` for each text."""
    quoted = (t.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") for t in dict.fromkeys(texts))
    return ", ".join(f'299 - "{t}"' for t in quoted)


def _body(response: Response) -> bytes:
    if response.content_type == "application/yaml":
        return _yaml(response)
    if response.entry is not None:
        return response.entry.raw
    if response.raw is not None:
        return response.raw
    if response.entries is not None:
        return list_bytes(response.entries)
    return orjson.dumps(response.obj)


def list_bytes(entries: EntryList) -> bytes:
    """A list's JSON."""
    return b",".join(list_pieces(entries)[0])


def list_pieces(entries: EntryList) -> tuple[Sequence[bytes], int]:
    """A list's JSON as pieces that commas go between, made of its items' own bytes; and its length in all."""
    metadata: dict[str, Any] = {"resourceVersion": str(entries.resource_version)}
    if entries.continue_:
        metadata["continue"] = entries.continue_
    if entries.remaining:
        metadata["remainingItemCount"] = entries.remaining
    head = {"kind": entries.kind.list_kind, "apiVersion": entries.kind.api_version, "metadata": metadata}
    start = orjson.dumps(head)[:-1] + b',"items":['
    pieces = [entry.raw for entry in entries.entries]
    if not pieces:
        return [start + b"]}"], len(start) + 2
    pieces[0] = start + pieces[0]
    pieces[-1] += b"]}"
    return pieces, sum(map(len, pieces)) + len(pieces) - 1


def _slices(pieces: Sequence[bytes]) -> Iterator[bytes]:
    """The pieces with commas between, some `_SLICE` bytes at a time."""
    first, size = 0, 0
    for count, piece in enumerate(pieces, 1):
        size += len(piece) + 1
        if size >= _SLICE and count < len(pieces):
            yield b",".join((*pieces[first:count], b""))
            first, size = count, 0
    yield b",".join(pieces[first:])


def list_object(entries: EntryList) -> dict[str, Any]:
    """The same as a value."""
    decoded: dict[str, Any] = orjson.loads(list_bytes(entries))
    return decoded


def _yaml(response: Response) -> bytes:
    import yaml

    if response.entries is not None:
        value: Any = list_object(response.entries)
    else:
        value = response.entry.obj if response.entry is not None else response.obj
    plain = orjson.loads(orjson.dumps(value))
    return yaml.dump(plain, Dumper=yaml.CSafeDumper, allow_unicode=True).encode()


def server_ssl(certificate: str, key: str, *, client_ca: str | None) -> ssl.SSLContext:
    """TLS for the server, from PEM files. Clients may show a certificate of `client_ca`; one that does not verify fails."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context
