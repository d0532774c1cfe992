"""Against an aiohttp server on the loopback: what goes over the wire, and what becomes of answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import orjson
import pytest
from aiohttp import web

from minik.api import errors
from minik.api.builtin import builtin_registry
from minik.client.client import Client
from minik.client.transport_http import HttpTransport, _Lines

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Served:
    """A transport to a server with one handler."""

    def __init__(self, transport: HttpTransport) -> None:
        self.transport = transport
        self.handler: Handler | None = None
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async def handle(request: web.Request) -> web.StreamResponse:
        found.requests.append((request.method, request.path_qs, dict(request.headers), await request.read()))
        assert found.handler is not None
        return await found.handler(request)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    found = Served(HttpTransport(f"http://127.0.0.1:{port}", token=lambda: "secret"))
    try:
        yield found
    finally:
        await found.transport.close()
        await runner.cleanup()


def _json(value: object, status: int = 200) -> Handler:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, body=orjson.dumps(value), content_type="application/json")

    return answer


async def test_verbs_paths_and_bodies(served: Served) -> None:
    served.handler = _json({"metadata": {"name": "x"}})
    client = Client(served.transport, builtin_registry())
    await client.patch("deployments.apps", "web", "default", {"spec": {}}, type="strategic", subresource="scale")
    await client.delete("pods", "p", "default", uid="u1", grace_seconds=0, propagation="Foreground")
    await client.create("nodes", {"metadata": {"name": "n1"}})
    patch, delete, create = served.requests
    assert patch[:2] == ("PATCH", "/apis/apps/v1/namespaces/default/deployments/web/scale")
    assert patch[2]["Content-Type"] == "application/strategic-merge-patch+json"
    assert patch[2]["Authorization"] == "Bearer secret"
    assert orjson.loads(delete[3]) == {
        "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": "u1"}, "gracePeriodSeconds": 0,
        "propagationPolicy": "Foreground",
    }  # fmt: skip
    assert create[:2] == ("POST", "/api/v1/nodes")


async def test_a_status_becomes_its_error(served: Served) -> None:
    served.handler = _json(errors.not_found("pods", "", "x").to_status(), 404)
    with pytest.raises(errors.NotFound, match='pods "x" not found') as caught:
        await served.transport.request("GET", "/api/v1/namespaces/a/pods/x")
    assert caught.value.details == {"name": "x", "kind": "pods"}


async def test_an_answer_that_is_no_status_still_is_an_error(served: Served) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=502, text="bad gateway")

    served.handler = answer
    with pytest.raises(errors.StatusError, match="bad gateway") as caught:
        await served.transport.request("GET", "/x")
    assert caught.value.status_code == 502


async def test_nobody_there_is_service_unavailable() -> None:
    transport = HttpTransport("http://127.0.0.1:9")
    with pytest.raises(errors.ServiceUnavailable, match="out of reach"):
        await transport.request("GET", "/x")
    with pytest.raises(errors.ServiceUnavailable):
        await anext(aiter(transport.watch("/x")))
    await transport.close()
    with pytest.raises(errors.ServiceUnavailable, match="closed"):
        await transport.request("GET", "/x")


async def test_items_of_a_list_know_their_kind(served: Served) -> None:
    served.handler = _json(
        {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": [{"metadata": {}}]}
    )
    found = await served.transport.list("/api/v1/pods")
    assert (found.items[0]["kind"], found.items[0]["apiVersion"], found.resource_version) == ("Pod", "v1", "7")


async def test_a_watch_stream_of_large_objects_and_odd_chunks(served: Served) -> None:
    big = {"metadata": {"name": "big", "resourceVersion": "1"}, "data": {"x": "y" * 3_000_000}}
    small = {"metadata": {"name": "small", "resourceVersion": "2"}}

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        raw = b"\n".join(orjson.dumps({"type": "ADDED", "object": o}) for o in (big, small)) + b"\n"
        for at in range(0, len(raw), 65_000):
            await response.write(raw[at : at + 65_000])
        return response

    served.handler = answer
    seen = [event async for event in served.transport.watch("/api/v1/configmaps", query={"resourceVersion": "0"})]
    assert [event.object["metadata"]["name"] for event in seen] == ["big", "small"]
    assert seen[0].object == big
    assert served.requests[0][1] == "/api/v1/configmaps?resourceVersion=0&watch=true"


async def test_an_error_event_raises(served: Served) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        status = errors.Expired("too old resource version: 1 (5)").to_status()
        await response.write(orjson.dumps({"type": "ERROR", "object": status}) + b"\n")
        return response

    served.handler = answer
    with pytest.raises(errors.Expired):
        async for _ in served.transport.watch("/api/v1/pods"):
            pass


async def test_a_cut_stream_is_an_end(served: Served) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"type":"ADDED","object":{"metadata":{"name":"a"}}}\n{"type":"ADD')
        await asyncio.sleep(0.02)
        assert request.transport is not None
        request.transport.abort()
        return response

    served.handler = answer
    seen = [event async for event in served.transport.watch("/api/v1/pods")]
    assert len(seen) == 1


def test_lines_are_cut_wherever_the_chunks_are() -> None:
    raw = b"one\n\ntwo\nthree\n"
    for size in range(1, len(raw) + 1):
        lines = _Lines()
        found = [line for at in range(0, len(raw), size) for line in lines.feed(raw[at : at + size])]
        assert found == [b"one", b"two", b"three"]
