"""`HttpTransport`: the client transport over HTTPS, for agents, the command line and controllers outside the server.

Authenticates with a client certificate or a bearer token and trusts one CA. Failures of the connection become ServiceUnavailable;
answers that are a `Status` become the `StatusError` they stand for. Reconnects by itself: aiohttp keeps a pool, and a watch is
opened anew by its informer. A peer that vanished without a word is found by TCP keep-alive within half a minute, which costs
nobody a wake-up; so no time-out bounds a quiet watch.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from minik.api import errors
from minik.api.errors import InternalError, ServiceUnavailable, StatusError
from minik.api.meta import ROObj
from minik.client.transport import JSON, ListResult, Transport, WatchEvent

CONNECT_TIMEOUT = 10.0
REQUEST_TIMEOUT = 60.0
_KEEPALIVE = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 30_000))


def client_ssl(
    *, ca: bytes | None = None, certificate: Path | None = None, key: Path | None = None, verify: bool = True
) -> ssl.SSLContext:
    """A TLS context: `ca` in PEM (None: the system's), a client certificate and key as files.

    `verify` False trusts anyone: only for fetching what is then checked against a pin."""
    context = ssl.create_default_context(cadata=ca.decode() if ca else None)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


def _socket(address: Any) -> socket.socket:
    """A socket on which a peer that vanished is noticed."""
    family, type_, proto, _, _ = address
    made = socket.socket(family, type_, proto)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made


class HttpTransport:
    """Speaks to the API server at `server` (`https://HOST:PORT`). Make it inside the running loop."""

    def __init__(
        self,
        server: str,
        *,
        ssl_context: ssl.SSLContext | None = None,
        token: str | Callable[[], str] = "",
        user_agent: str = "minik",
    ) -> None:
        """`token` may be a function, called for each request, for tokens that are renewed."""
        self.server = server.rstrip("/")
        self._ssl = ssl_context
        self._token = token
        self._user_agent = user_agent
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    def session(self) -> aiohttp.ClientSession:
        """The connection pool, for callers that need raw HTTP (the agent's link). Owned by the transport."""
        if self._closed:
            raise ServiceUnavailable("the transport is closed")
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=0, ssl=self._ssl if self._ssl is not None else True, socket_factory=_socket, keepalive_timeout=60
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                headers={"User-Agent": self._user_agent, "Accept": JSON},
                auto_decompress=True,
                json_serialize=lambda value: orjson.dumps(value).decode(),
            )
        return self._session

    def headers(self) -> dict[str, str]:
        """Authorization, if there is a token."""
        token = self._token() if callable(self._token) else self._token
        return {"Authorization": f"Bearer {token}"} if token else {}

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON,
    ) -> ROObj:
        answer = await self.raw(method, path, query=query, body=body, content_type=content_type)
        if not answer:
            return {}
        try:
            decoded: ROObj = orjson.loads(answer)
        except orjson.JSONDecodeError as error:
            raise InternalError(f"the answer to {method} {path} is not JSON: {error}") from error
        return decoded

    async def raw(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON,
        accept: str = "",
    ) -> bytes:
        """As `request`, but the answer's bytes. `accept`: another media type than JSON."""
        data = None if body is None else orjson.dumps(body)
        headers = self.headers()
        if accept:
            headers["Accept"] = accept
        if data is not None:
            headers["Content-Type"] = content_type
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT, sock_connect=CONNECT_TIMEOUT)
        try:
            async with self.session().request(
                method, self.server + path, params=query, data=data, headers=headers, timeout=timeout
            ) as response:
                answer = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _out_of_reach(self.server, error) from error
        if response.status >= 400:
            raise _failure(response.status, answer)
        return answer

    async def list(self, path: str, *, query: Mapping[str, str] | None = None) -> ListResult:
        answer = await self.request("GET", path, query=query)
        metadata = answer.get("metadata") or {}
        return ListResult(
            _typed(answer), metadata.get("resourceVersion") or "", continue_=metadata.get("continue") or ""
        )

    async def watch(self, path: str, *, query: Mapping[str, str] | None = None) -> AsyncIterator[WatchEvent]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT)
        try:
            async with self.session().get(
                self.server + path, params={**(query or {}), "watch": "true"}, headers=self.headers(), timeout=timeout
            ) as response:
                if response.status >= 400:
                    raise _failure(response.status, await response.read())
                lines = _Lines()
                async for chunk in response.content.iter_any():
                    for line in lines.feed(chunk):
                        yield _event(line)
        except aiohttp.ClientPayloadError:
            return  # the stream was cut: an end like any other; the watcher goes on from its last revision
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _out_of_reach(self.server, error) from error

    async def close(self) -> None:
        """Close all connections. Requests under way fail with ServiceUnavailable."""
        self._closed = True
        if self._session is not None:
            await self._session.close()
            self._session = None


class _Lines:
    """Cuts a stream of chunks into lines. Linear in the bytes, however large a line and however small the chunks."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        first, *rest = chunk.split(b"\n")
        self._parts.append(first)
        for part in rest:
            line = b"".join(self._parts)
            self._parts = [part]
            if line.strip():
                yield line


def _event(line: bytes) -> WatchEvent:
    try:
        decoded = orjson.loads(line)
        type_, obj = decoded["type"], decoded["object"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise InternalError(f"the watch sent something that is no event: {error}") from error
    if type_ == "ERROR":
        raise errors.from_status(obj)
    return WatchEvent(type_, obj)


def _typed(answer: ROObj) -> Sequence[ROObj]:
    """The items of a list, each with its apiVersion and kind: Kubernetes leaves them out of built-in kinds' lists."""
    items: Sequence[dict[str, Any]] = answer.get("items") or ()
    kind = str(answer.get("kind") or "").removesuffix("List")
    for item in items:
        item.setdefault("apiVersion", answer.get("apiVersion"))
        item.setdefault("kind", kind)
    return items


def _failure(code: int, answer: bytes) -> StatusError:
    try:
        status = orjson.loads(answer)
    except orjson.JSONDecodeError:
        status = None
    if isinstance(status, dict) and status.get("kind") == "Status":
        return errors.from_status(status, code=code)
    text = answer[:200].decode(errors="replace").strip()
    return errors.from_status({"code": code, "message": text or f"the server answered {code}"}, code=code)


def _out_of_reach(server: str, error: Exception) -> ServiceUnavailable:
    why = str(error) or type(error).__name__
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        why = "no answer in time"
    return ServiceUnavailable(f"{server} is out of reach: {why}")


def _check(transport: HttpTransport) -> Transport:
    """Static: an HttpTransport is a Transport."""
    return transport
