"""How failures of the connection to an engine show, against a false engine on TCP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from minik.agent.containers.base import RuntimeUnavailable
from minik.agent.containers.docker_client import Engine, EngineError, engine_url

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FalseEngine:
    """Answers /version truly and everything else by `answer`."""

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/version":
            return web.json_response({"ApiVersion": "1.41"})
        assert self.answer is not None
        return await self.answer(request)


@pytest.fixture
async def false_engine() -> AsyncIterator[FalseEngine]:
    made = FalseEngine()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"tcp://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.fixture
async def engine(false_engine: FalseEngine) -> AsyncIterator[Engine]:
    made = Engine(false_engine.url)
    yield made
    await made.close()


def acquired(engine: Engine) -> int:
    """Connections that are in use."""
    return len(engine.docker.connector._acquired)


def test_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    assert engine_url() == "unix:///var/run/docker.sock"
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.1:2375")
    assert engine_url() == "tcp://10.0.0.1:2375"
    assert engine_url("unix:///x") == "unix:///x"


async def test_answer_and_error_answer(false_engine: FalseEngine, engine: Engine) -> None:
    async def ok(request: web.Request) -> web.StreamResponse:
        return web.json_response({"path": request.path, "body": await request.text()})

    false_engine.answer = ok
    assert await engine.ask("POST", "a/b", body={"x": 1}) == {"path": "/v1.41/a/b", "body": '{"x":1}'}

    async def bad(request: web.Request) -> web.StreamResponse:
        return web.json_response({"message": "No such thing"}, status=404)

    false_engine.answer = bad
    with pytest.raises(EngineError) as caught:
        await engine.ask("GET", "a")
    assert (caught.value.status, caught.value.message) == (404, "No such thing")
    assert acquired(engine) == 0


async def test_nobody_listens() -> None:
    engine = Engine("unix:///nonexistent/docker.sock")
    with pytest.raises(EngineError) as caught:
        await engine.ask("GET", "info")
    assert isinstance(caught.value.meaning(), RuntimeUnavailable)
    await engine.close()
    with pytest.raises(RuntimeUnavailable, match="only unix"):
        await Engine("ssh://host").ask("GET", "info")


async def test_engine_that_is_silent(false_engine: FalseEngine, engine: Engine) -> None:
    async def never(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    false_engine.answer = never
    with pytest.raises(RuntimeUnavailable, match="in time"):
        await engine.ask("GET", "info", total=0.05)
    assert acquired(engine) == 0


async def test_engine_that_dies_while_it_answers(false_engine: FalseEngine, engine: Engine) -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"x")
        assert request.transport is not None
        request.transport.abort()
        return response

    false_engine.answer = half
    with pytest.raises(RuntimeUnavailable, match="broke"):
        await engine.ask("GET", "info")
    assert acquired(engine) == 0


async def test_failure_within_a_progress_stream(false_engine: FalseEngine, engine: Engine) -> None:
    async def progress(request: web.Request) -> web.StreamResponse:
        return web.Response(
            body=b'{"status":"Pulling"}\r\n{"error":"e","errorDetail":{"message":"toomanyrequests"}}\r\n'
        )

    false_engine.answer = progress
    seen: list[dict[str, Any]] = []
    with pytest.raises(EngineError, match="toomanyrequests"):
        async for message in engine.messages("POST", "images/create"):
            seen.append(message)  # what came before the failure is to be kept
    assert seen == [{"status": "Pulling"}]
    assert acquired(engine) == 0
