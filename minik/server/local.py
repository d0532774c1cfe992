"""`LocalTransport`: a client inside the process. The same chain as over HTTP, with drafts in and shared objects out: no bytes between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import orjson

from minik.api.errors import from_status
from minik.api.meta import ROObj
from minik.client.transport import JSON, ListResult, Transport, WatchEvent
from minik.server.http import list_object
from minik.server.request import Handler, Request, Response, User

_NO_QUERY: Mapping[str, Sequence[str]] = {}
_NO_HEADERS: Mapping[str, str] = {}


class LocalTransport:
    """Requests of `user` straight to the API server's handler."""

    def __init__(self, handler: Handler, user: User) -> None:
        self._handler = handler
        self.user = user

    async def _call(
        self, method: str, path: str, query: Mapping[str, str] | None, body: Any = None, content_type: str = JSON
    ) -> Response:
        request = Request(
            method,
            path,
            {name: (value,) for name, value in query.items()} if query else _NO_QUERY,
            _NO_HEADERS,
            body,
            True,
            content_type,
            self.user,
        )
        response = await self._handler(request)
        if response.status >= 400:
            raise from_status(response.obj or {}, code=response.status)
        return response

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON,
    ) -> ROObj:
        """The object, or a list's or discovery's value."""
        return _value(await self._call(method, path, query, body, content_type))

    async def list(self, path: str, *, query: Mapping[str, str] | None = None) -> ListResult:
        response = await self._call("GET", path, query)
        found = response.entries
        if found is None:  # of somebody else's, behind an APIService
            whole = _value(response)
            assert "items" in whole, f"{path} is no collection"
            metadata = whole.get("metadata") or {}
            return ListResult(
                whole["items"] or [], metadata.get("resourceVersion") or "", metadata.get("continue") or ""
            )
        return ListResult([e.obj for e in found.entries], str(found.resource_version), found.continue_)

    async def watch(self, path: str, *, query: Mapping[str, str] | None = None) -> AsyncIterator[WatchEvent]:
        response = await self._call("GET", path, {**(query or {}), "watch": "true"})
        assert response.watch is not None
        stream = response.watch
        try:
            async for event in stream:
                if event.type == "ERROR":
                    raise from_status(event.object)
                yield WatchEvent(event.type, event.object)
        finally:
            await stream.aclose()

    async def close(self) -> None:
        """Nothing is held open."""


def _value(response: Response) -> ROObj:
    if response.entry is not None:
        return response.entry.obj
    if response.obj is not None:
        return response.obj
    if response.entries is not None:
        return list_object(response.entries)
    decoded: ROObj = orjson.loads(response.raw or b"{}")
    return decoded


_: type[Transport] = LocalTransport
