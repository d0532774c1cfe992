"""A small image registry for tests: serves images made on the spot to a real `docker pull`, and fails as it is told.

OCI distribution, read-only, schema 2 manifests. Listens in any network namespace from this process, so that the daemons of a rig
can reach it. Docker talks plain HTTP to 127.0.0.0/8 and to its `insecure-registries`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import hashlib
import json
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal

from aiohttp import web

from minik.agent.network.netns import in_namespace
from tests.support.images import image_config

_PREFIX = "application/vnd.docker"
MANIFEST = f"{_PREFIX}.distribution.manifest.v2+json"
_CODES = {401: "UNAUTHORIZED", 403: "DENIED", 404: "MANIFEST_UNKNOWN", 429: "TOOMANYREQUESTS", 503: "UNAVAILABLE"}


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Registry:
    """`fault`: None, an HTTP status that every request for an image gets, or `hang`. `login`: `user:password` to ask for."""

    def __init__(self) -> None:
        self.fault: int | Literal["hang"] | None = None
        self.login = ""
        self.requests: list[str] = []
        self.hanging = asyncio.Event()
        """Set once a request hangs."""
        self._blobs: dict[str, bytes] = {}
        self._manifests: dict[tuple[str, str], bytes] = {}

    def add(self, name: str, tag: str, layer: bytes, config: Mapping[str, Any]) -> str:
        """Offer image `name:tag` of one layer (a tar); its digest."""
        packed, text = gzip.compress(layer, 1, mtime=0), image_config(layer, config)
        self._blobs[_digest(packed)], self._blobs[_digest(text)] = packed, text

        def part(kind: str, content: bytes) -> dict[str, Any]:
            return {"mediaType": f"{_PREFIX}.{kind}", "size": len(content), "digest": _digest(content)}

        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": part("container.image.v1+json", text),
                "layers": [part("image.rootfs.diff.tar.gzip", packed)],
            }
        ).encode()
        digest = _digest(manifest)
        self._manifests[name, tag] = self._manifests[name, digest] = manifest
        return digest

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix("/v2/")
        self.requests.append(f"{request.method} {request.path}")
        expected = "Basic " + base64.b64encode(self.login.encode()).decode()
        if self.login and request.headers.get("Authorization") != expected:
            return self._refuse(401, "authentication required", {"WWW-Authenticate": 'Basic realm="tests"'})
        if not path:
            return web.json_response({})
        if self.fault == "hang":
            self.hanging.set()
            await asyncio.Event().wait()
        elif self.fault is not None:
            return self._refuse(int(self.fault), "injected")
        name, _, digest = path.partition("/blobs/")
        if digest:
            blob = self._blobs.get(digest)
            return web.Response(body=blob) if blob is not None else self._refuse(404, "blob unknown")
        name, _, reference = path.partition("/manifests/")
        manifest = self._manifests.get((name, reference))
        if manifest is None:
            return self._refuse(404, "manifest unknown")
        headers = {"Docker-Content-Digest": _digest(manifest)}
        return web.Response(body=manifest, content_type=MANIFEST, headers=headers)

    @staticmethod
    def _refuse(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
        errors = [{"code": _CODES.get(status, "UNKNOWN"), "message": message}]
        return web.json_response({"errors": errors}, status=status, headers=headers)

    @contextlib.asynccontextmanager
    async def listening(self, *, netns: str = "", address: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Serve in network namespace `netns` ("": this one); gives `address:port`."""

        def listen() -> socket.socket:
            return socket.create_server((address, port))

        listener = in_namespace(netns, listen) if netns else listen()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            yield f"{address}:{listener.getsockname()[1]}"
        finally:
            await runner.cleanup()
