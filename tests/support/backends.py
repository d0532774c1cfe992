"""A program that the API server calls over HTTPS, as webhooks and aggregated API servers are: in this process, behind a Service."""

from __future__ import annotations

import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from minik import pki
from minik.api import meta
from minik.client.client import Client
from minik.clock import SystemClock


def server_tls(directory: Path, *names: str) -> tuple[ssl.SSLContext, str]:
    """TLS for a server of these names, with an authority of its own: the `caBundle` that trusts it (PEM in base64)."""
    now = SystemClock().now()
    authority = pki.new_ca(now=now, common_name="backend")
    own = pki.new_server_certificate(authority, now=now, names=names)
    (directory / "backend.pem").write_bytes(own.certificate + own.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "backend.pem")
    return context, base64.b64encode(authority.certificate).decode()


@contextlib.asynccontextmanager
async def listening(answer: Handler, tls: ssl.SSLContext) -> AsyncIterator[int]:
    """The port on 127.0.0.1 where `answer` has every request."""
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def put_behind_service(client: Client, name: str, ip: str, port: int) -> None:
    """A Service with port 443, and one running pod behind it with that address and port."""
    named = {"name": name, "namespace": "default"}
    await client.create(
        "pods", {"metadata": named, "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]}}
    )
    pod = await client.patch_status("pods", name, "default", {"status": {"podIP": ip, "podIPs": [{"ip": ip}]}})
    await client.create("services", {"metadata": named, "spec": {"ports": [{"name": "https", "port": 443}]}})
    target = {"kind": "Pod", "name": name, "namespace": "default", "uid": meta.uid(pod)}
    subset = {"addresses": [{"ip": ip, "targetRef": target}], "ports": [{"name": "https", "port": port}]}
    await client.create("endpoints", {"metadata": named, "subsets": [subset]})
