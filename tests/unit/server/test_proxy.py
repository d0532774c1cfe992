"""pods/proxy and services/proxy: requests over HTTPS to the server, over a node's link to a program, and back."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from minik import pki
from minik.client.client import Client
from minik.clock import SystemClock
from minik.server.proxy.html import rewritten, through
from tests.support.apiserver import Running, serving
from tests.support.forwarding import Dialed, forwarding

IP = "10.42.0.9"
GONE = web.AppKey("gone", asyncio.Event)
PAGE = b'<!DOCTYPE html><!-- c --><p>&amp;1 &#50;<a HREF="/rewriteme?a=1&amp;b">t</a><a href="rel">u</a><img src=/i.png></p>'


@dataclass
class World:
    run: Running
    client: Client
    session: aiohttp.ClientSession
    base: str
    port: int
    tls_port: int
    gone: asyncio.Event
    """A client of /drip went away."""
    dialed: list[Dialed]

    def url(self, rest: str, *, kind: str = "pods", name: str = "") -> str:
        return f"{self.base}/api/v1/namespaces/default/{kind}/{name or f'web:{self.port}'}/proxy{rest}"


async def say(request: web.Request) -> web.StreamResponse:
    """What has been asked, for the test to compare."""
    value = {
        "method": request.method, "path": request.raw_path, "body": (await request.read()).decode(),
        "headers": {name: ", ".join(request.headers.getall(name)) for name in request.headers},
    }  # fmt: skip
    return web.json_response(
        value, status=int(request.query.get("status", "200")), headers={"X-Own": "1", "Keep-Alive": "timeout=5"}
    )


async def page(request: web.Request) -> web.Response:
    headers = {"Content-Type": "text/html; charset=utf-8", "Access-Control-Allow-Origin": "*"}
    if "bomb" in request.query:
        return web.Response(body=gzip.compress(bytes(64 << 20)), headers={**headers, "Content-Encoding": "gzip"})
    if "long" in request.query:
        return web.Response(body=PAGE + bytes(9 << 20), headers=headers)
    if "packed" in request.query:
        return web.Response(body=gzip.compress(PAGE), headers={**headers, "Content-Encoding": "gzip"})
    return web.Response(body=PAGE, headers=headers)


async def moved(_request: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": "/elsewhere/"})


async def drip(request: web.Request) -> web.StreamResponse:
    """One line, and the next when the client has gone."""
    out = web.StreamResponse()
    await out.prepare(request)
    await out.write(b"first\n")
    try:
        await asyncio.sleep(60)
    finally:
        request.app[GONE].set()
    return out


async def echo(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse(protocols=("chat",))
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(f"echo {message.data}")
    return socket


def program(gone: asyncio.Event) -> web.Application:
    app = web.Application()
    app[GONE] = gone
    app.router.add_get("/page", page)
    app.router.add_get("/moved", moved)
    app.router.add_get("/drip", drip)
    app.router.add_get("/socket", echo)
    app.router.add_route("*", "/{rest:.*}", say)
    return app


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with serving(tmp_path) as (run, base), forwarding(run, "n1") as dialed:
        gone = asyncio.Event()
        runner = web.AppRunner(program(gone), handler_cancellation=True)
        await runner.setup()
        own = pki.new_server_certificate(run.ca, now=SystemClock().now(), names=["somebody.else"])
        (tmp_path / "pod.pem").write_bytes(own.certificate + own.key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "pod.pem")
        ports = []
        for tls in (None, context):
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
            await site.start()
            ports.append(runner.addresses[-1][1])
        client = Client(run.local(), run.server.registry)
        await _objects(client, *ports)
        trust = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
        trust.load_cert_chain(tmp_path / "admin.crt", tmp_path / "admin.key")
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session:
            yield World(run, client, session, base, ports[0], ports[1], gone, dialed)
        await runner.cleanup()


async def _objects(client: Client, port: int, tls_port: int) -> None:
    """A running pod, and a service whose endpoints somebody has written."""
    spec = {"nodeName": "n1", "containers": [{"name": "c", "image": "i", "ports": [{"containerPort": port}]}]}
    await client.create("pods", {"metadata": {"name": "web", "namespace": "default"}, "spec": spec})
    status = {"phase": "Running", "podIP": IP, "podIPs": [{"ip": IP}]}
    made = await client.patch_status("pods", "web", "default", {"status": status})
    named = [{"name": "plain", "port": 80}, {"name": "tls", "port": 443}]
    await client.create("services", {"metadata": {"name": "svc", "namespace": "default"}, "spec": {"ports": named}})
    target = {"kind": "Pod", "name": "web", "namespace": "default", "uid": made["metadata"]["uid"]}
    stale = {"ip": "10.42.0.8", "targetRef": {**target, "name": "gone", "uid": "x"}}
    subset = {
        "addresses": [{"ip": IP, "targetRef": target}, stale],
        "ports": [{"name": "plain", "port": port}, {"name": "tls", "port": tls_port}],
    }
    away = {"addresses": [{"ip": "192.0.2.1"}], "ports": subset["ports"]}
    await client.create("endpoints", {"metadata": {"name": "svc", "namespace": "default"}, "subsets": [subset, away]})
    await client.create("services", {"metadata": {"name": "empty", "namespace": "default"}, "spec": {"ports": named}})


async def test_every_method_gets_through_as_it_was_said(world: World) -> None:
    for method in ("DELETE", "GET", "OPTIONS", "PATCH", "POST", "PUT"):
        body = b"hello" if method in ("PATCH", "POST", "PUT") else None
        headers = {"Accept": "image/png", "Cookie": "a=b"}
        async with world.session.request(
            method,
            world.url(
                "/a%2Fb/c?x=1&x=%20",
            ),
            data=body,
            headers=headers,
        ) as answer:
            said = await answer.json()
            assert answer.status == 200
            assert answer.headers["X-Own"] == "1" and "Keep-Alive" not in answer.headers
        assert (said["method"], said["path"], said["body"]) == (method, "/a%2Fb/c?x=1&x=%20", "hello" if body else "")
        assert said["headers"]["Accept"] == "image/png" and said["headers"]["Cookie"] == "a=b"
        assert said["headers"]["X-Forwarded-For"] == "127.0.0.1"
        assert said["headers"]["X-Forwarded-Uri"].startswith("/api/v1/namespaces/default/pods/")
    async with world.session.head(world.url("/x")) as answer:
        assert answer.status == 200 and await answer.read() == b""
    assert {(d.address, d.port) for d in world.dialed} == {(IP, world.port)}
    assert world.dialed[0].uid == (await world.client.get("pods", "web", "default"))["metadata"]["uid"]


async def test_the_credentials_of_the_client_stay_here(world: World) -> None:
    async with world.session.get(world.url("/"), headers={"Impersonate-User": "somebody"}) as answer:
        assert answer.status == 403, "impersonation counts for who may"
    token = await world.client.transport.request(
        "POST", "/api/v1/namespaces/kube-system/serviceaccounts/default/token", body={"spec": {}}
    )
    headers = {"Authorization": f"Bearer {token['status']['token']}"}
    async with world.session.get(world.url("/"), headers=headers) as answer:
        assert "Authorization" not in (await answer.json())["headers"]


async def test_failures_of_the_program_are_answers(world: World) -> None:
    async with world.session.get(world.url("/?status=503")) as answer:
        assert answer.status == 503 and (await answer.json())["method"] == "GET"


async def test_without_a_path_the_client_is_sent_to_the_slash(world: World) -> None:
    for method in ("GET", "HEAD"):
        async with world.session.request(method, world.url("?method=GET"), allow_redirects=False) as answer:
            assert answer.status == 301
            assert answer.headers["Location"].endswith("/proxy/?method=GET")
    async with world.session.post(world.url("?method=POST")) as answer:
        assert (await answer.json())["path"] == "/?method=POST"


async def test_ports_schemes_and_services(world: World) -> None:
    names = ["web", f"web:{world.port}", f"http:web:{world.port}", f":web:{world.port}", f"https:web:{world.tls_port}"]
    for name in names:
        async with world.session.get(world.url("/x", name=name)) as answer:
            assert answer.status == 200, name
    for name in ("svc:plain", "svc:80", "http:svc:plain", "https:svc:tls", "https:svc:443"):
        async with world.session.get(world.url("/x", kind="services", name=name)) as answer:
            assert answer.status == 200, name
    assert {d.address for d in world.dialed} == {IP}


@pytest.mark.parametrize(
    ("kind", "name", "status", "words"),
    [
        ("pods", "a:b:c:d", 400, 'invalid pod request "a:b:c:d"'),
        ("pods", "ftp:web:1", 400, "invalid pod request"),
        ("pods", "nobody:1", 404, 'pods "nobody" not found'),
        ("pods", "web:name", 400, "invalid pod request"),
        ("pods", "web:1", 503, f"error trying to reach service: failed to connect to {IP}:1 inside the pod"),
        ("services", "svc:81", 503, 'no service port 81 found for service "svc"'),
        ("services", "svc:other", 503, 'no endpoints available for service "svc:other"'),
        ("services", "empty:80", 503, 'no endpoints available for service "empty:80"'),
    ],
)
async def test_refusals(world: World, kind: str, name: str, status: int, words: str) -> None:
    async with world.session.get(world.url("/", kind=kind, name=name)) as answer:
        said = await answer.json()
        assert (answer.status, said["kind"], said["code"]) == (status, "Status", status)
        assert words in said["message"]


async def test_a_pod_without_an_address_is_not_reached(world: World) -> None:
    for number, address in enumerate(("", "127.0.0.1", "169.254.1.1")):
        name = f"p{number}"
        spec = {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]}
        await world.client.create("pods", {"metadata": {"name": name, "namespace": "default"}, "spec": spec})
        status = {"podIP": address, "podIPs": [{"ip": address}]} if address else {}
        await world.client.patch_status("pods", name, "default", {"status": status})
        async with world.session.get(world.url("/", name=name)) as answer:
            assert (answer.status, (await answer.json())["message"]) == (400, "address not allowed")
    assert not world.dialed


async def test_links_and_redirects_stay_in_the_proxy(world: World) -> None:
    prefix = f"/api/v1/namespaces/default/pods/web:{world.port}/proxy"
    for query in ("", "?packed"):
        async with world.session.get(world.url(f"/page{query}")) as answer:
            text = await answer.text()
            assert f'<a href="{prefix}/rewriteme?a=1&amp;b">t</a><a href="rel">u</a>' in text
            assert text.startswith("<!DOCTYPE html><!-- c --><p>&amp;1 &#50;") and f'src="{prefix}/i.png"' in text
            assert "Access-Control-Allow-Origin" not in answer.headers
    async with world.session.get(world.url("/moved"), allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, f"{prefix}/elsewhere/")


async def test_long_pages_pass_as_they_are(world: World) -> None:
    async with world.session.get(world.url("/page?long")) as answer:
        assert await answer.read() == PAGE + bytes(9 << 20)
    async with world.session.get(world.url("/page?bomb"), auto_decompress=False) as answer:
        assert gzip.decompress(await answer.read()) == bytes(64 << 20)


async def test_a_stream_comes_as_it_is_made_and_ends_with_its_client(world: World) -> None:
    async with world.session.get(world.url("/drip")) as answer:
        assert await answer.content.readline() == b"first\n"
    async with asyncio.timeout(10):
        await world.gone.wait()


async def test_websockets(world: World) -> None:
    async with world.session.ws_connect(world.url("/socket"), protocols=("chat",)) as socket:
        assert socket.protocol == "chat"
        await socket.send_str("a" * 100_000)
        assert (await socket.receive()).data == "echo " + "a" * 100_000
    with pytest.raises(aiohttp.WSServerHandshakeError) as failed:
        await world.session.ws_connect(world.url("/nowhere?status=404"))
    assert failed.value.status == 404


async def test_a_client_inside_the_process(world: World) -> None:
    transport: Any = world.client.transport
    path = f"/api/v1/namespaces/default/pods/web:{world.port}/proxy/x"
    assert (await transport.request("POST", path, body={"a": 1}))["body"] == '{"a":1}'


def test_links() -> None:
    hosts = frozenset({"10.0.0.1:80"})
    cases = {
        "/x": "/p/proxy/x", "/x/": "/p/proxy/x/", "x": "x", "http://10.0.0.1:80/x#f": "/p/proxy/x#f", "http://other/x": "http://other/x",
        "/p/proxy/x": "/p/proxy/x", "//[": "//[", "#f": "#f", "javascript:go()": "javascript:go()",
    }  # fmt: skip
    assert {url: through(url, prefix="/p/proxy", hosts=hosts) for url in cases} == cases
    untouched = (
        '<script>if (a < "/b") { x = "<a href=/y>" }</script><![CDATA[z]]><?php?><br/></P ><A data="/x" disabled>'
    )
    assert rewritten(untouched, prefix="/p", hosts=hosts) == untouched
