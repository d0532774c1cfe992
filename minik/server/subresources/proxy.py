"""pods/proxy and services/proxy: any HTTP request, of any method, to a port of a pod or of one of a service's pods.

TLS to it (`https:NAME:PORT`) is not verified, as with kube-apiserver: a pod's certificate names nothing that could be checked.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from functools import lru_cache

from minik.server.core import Core, Verb
from minik.server.proxy import location
from minik.server.proxy.target import Target
from minik.server.request import Request, Response
from minik.server.tunnel import Links
from minik.server.verbs.common import connecting, kind_of

_SEGMENTS = 8
"""Of `/api/v1/namespaces/NAMESPACE/pods/NAME/proxy`, the first empty one counted."""
_ANY = ("create", "delete", "get", "patch", "update", "")
"""Verbs; "" is OPTIONS and whatever else HTTP knows."""


def handlers(links: Links) -> Mapping[tuple[str, str], Mapping[str, Verb]]:
    """(resource, subresource) → verb → its function."""

    async def to_pod(core: Core, request: Request) -> Response:
        info = request.info
        scheme, target = location.of_pod(core, kind_of(request), info.namespace, info.name)
        await connecting(core, request, "PodProxyOptions", {"path": info.rest})
        return await _pass_on(request, scheme, target, links)

    async def to_service(core: Core, request: Request) -> Response:
        info = request.info
        scheme, target = location.of_service(core, kind_of(request), info.namespace, info.name, core.entropy.rng)
        await connecting(core, request, "ServiceProxyOptions", {"path": info.rest})
        return await _pass_on(request, scheme, target, links)

    return {("pods", "proxy"): dict.fromkeys(_ANY, to_pod), ("services", "proxy"): dict.fromkeys(_ANY, to_service)}


async def _pass_on(request: Request, scheme: str, target: Target, links: Links) -> Response:
    """The answer of the target. What follows `proxy` in the URL is the path there."""
    from minik.server.proxy.forward import Destination, forward  # an HTTP client is needed here only

    raw = request.http.raw_path if request.http is not None else request.path
    whole, mark, query = raw.partition("?")
    segments = whole.split("/")
    prefix, path = "/".join(segments[:_SEGMENTS]), "/".join(("", *segments[_SEGMENTS:]))
    if len(segments) == _SEGMENTS and request.method in ("GET", "HEAD") and "Upgrade" not in request.headers:
        # a page's relative links mean nothing unless its address ends in a slash
        return Response(301, {"Location": f"{prefix}/{mark}{query}"}, raw=b"")
    destination = Destination(
        target,
        path + mark + query,
        tls=_unverified() if scheme == "https" else None,
        server_name=target.address,
        prefix=prefix,
    )
    return await forward(request, destination, links=links)


@lru_cache(maxsize=1)
def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
