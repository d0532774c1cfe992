"""One hook, or a converter of custom objects, asked over HTTPS: at a pod of its Service, by way of that pod's node, or at its URL.

Each call has a connection of its own: nothing is kept open while nobody writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from minik.api.errors import StatusError
from minik.api.meta import Obj
from minik.server.core import Core
from minik.server.proxy.service import backend, trust
from minik.server.proxy.target import Target
from minik.server.request import Request
from minik.server.tunnel import Links
from minik.server.webhooks.hooks import Hook
from minik.server.webhooks.review import Answer, BadAnswer, read, review

if TYPE_CHECKING:
    from minik.server.proxy.forward import Destination

_PORT = 443


class CallFailed(Exception):
    """There is no answer. The message is for a person."""


async def call(core: Core, links: Links, hook: Hook, request: Obj) -> Answer:
    """The hook's answer to `request`, within its own time. Raises CallFailed."""
    body = await post(core, links, hook.client, review(hook, request), hook.seconds)
    try:
        return read(hook, request, body)
    except BadAnswer as error:
        raise CallFailed(f"received invalid webhook response: {error}") from error


async def post(core: Core, links: Links, client: Mapping[str, Any], body: bytes, seconds: int) -> bytes:
    """What whoever `client` (a clientConfig) names answers to `body`. Raises CallFailed."""
    from minik.server.proxy.forward import forward  # an HTTP client is needed here only

    url = url_of(client, seconds)
    message = Request(
        method="POST",
        path=url,
        query={},
        headers={"Accept": "application/json", "Content-Type": "application/json"},
        body=body,
        content_type="application/json",
    )
    try:
        async with asyncio.timeout(seconds):
            response = await forward(message, _destination(core, client, url), links=links)
    except TimeoutError as error:
        raise CallFailed(f'failed to call webhook: Post "{url}": context deadline exceeded') from error
    except StatusError as error:
        raise CallFailed(f'failed to call webhook: Post "{url}": {error.message}') from error
    if response.status != 200:
        why = (response.obj or {}).get("message") or f"the server answered {response.status}"
        raise CallFailed(f"failed to call webhook: {why}")
    return response.raw or b""


def url_of(client: Mapping[str, Any], seconds: int) -> str:
    """As upstream shows it: with the time that it has."""
    if url := client.get("url"):
        return f"{url}?timeout={seconds}s"
    service = client["service"]
    port, path = service.get("port") or _PORT, service.get("path") or ""
    slash = "" if path.startswith("/") else "/"
    return f"https://{service['name']}.{service['namespace']}.svc:{port}{slash}{path}?timeout={seconds}s"


def _destination(core: Core, client: Mapping[str, Any], url: str) -> Destination:
    """Raises ServiceUnavailable."""
    from minik.server.proxy.forward import Destination

    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORT
    service = client.get("service")
    target = backend(core, service["namespace"], service["name"], port) if service else Target(host, port)
    bundle = client.get("caBundle") or ""
    return Destination(
        target, f"{parts.path or '/'}?{parts.query}", tls=trust(bundle), server_name=host, host=parts.netloc
    )
