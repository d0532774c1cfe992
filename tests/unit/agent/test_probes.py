"""How probes ask and what their answers come to: over loopback sockets, without containers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import pytest

from minik.agent.actions import Health
from minik.agent.containers.base import ContainerRuntime
from minik.agent.grpcprobe import request, serving_status
from minik.agent.hooks import HookFailure, HostHooks
from minik.agent.httpget import HttpFailure, get
from minik.agent.network.base import PodNetwork
from minik.agent.probes import HostProbes, Tally, Target, http_url, initial_health, port_number
from minik.clock import SystemClock
from tests.unit.agent.builders import container, pod, ran

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[int]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def answering(*answers: bytes, seen: list[bytes] | None = None) -> Serve:
    """A server that gives each connection the next of `answers` (the last one again and again)."""
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if seen is not None:
            seen.append(head)
        writer.write(left.pop(0) if len(left) > 1 else left[0])
        writer.close()

    return serve


def tcp() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM)


def reply(status: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode()


class FakeSession:
    def __init__(self, code: int, output: bytes) -> None:
        self._code, self._output = code, output

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        yield 1, self._output

    async def exit_code(self) -> int:
        return self._code

    async def close(self) -> None:
        pass


class Runtime:
    def __init__(self, code: int = 0, output: bytes = b"") -> None:
        self.code, self.output = code, output

    async def exec(self, container: str, command: Any) -> FakeSession:
        return FakeSession(self.code, self.output)


def probes(code: int = 0, output: bytes = b"") -> HostProbes:
    return HostProbes(cast("ContainerRuntime", Runtime(code, output)), cast("PodNetwork", None))


def target(**more: Any) -> Target:
    return Target(pod(), container(**more), ran(), "127.0.0.1", 0)


# --- verdicts ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "verdicts"),
    [
        ([True], [True]),
        ([False, False, False], [None, None, False]),
        ([True, False, False, True, False, False, False], [True, True, True, True, True, True, False]),
    ],
)
def test_thresholds(answers: list[bool], verdicts: list[bool | None]) -> None:
    tally, got = Tally(), []
    for answer in answers:
        tally = tally.add(answer, {})
        got.append(tally.verdict)
    assert got == verdicts


def test_a_success_threshold() -> None:
    probe = {"successThreshold": 2, "failureThreshold": 1}
    tally = Tally().add(False, probe)
    assert tally.verdict is False
    tally = tally.add(True, probe)
    assert tally.verdict is False
    assert tally.add(True, probe).verdict is True


def test_what_the_server_was_told_still_holds_for_the_same_container() -> None:
    c = container(readinessProbe={})
    assert initial_health(pod(c), c, ran()) == Health(started=True, ready=False)
    known = {"name": "web", "containerID": "docker://web-0", "state": {"running": {}}, "ready": True, "started": True}
    assert initial_health(pod(c, status={"containerStatuses": [known]}), c, ran()) == Health(started=True, ready=True)
    assert initial_health(pod(c, status={"containerStatuses": [known]}), c, ran(attempt=1)).ready is False


def test_ports_and_urls() -> None:
    c = container(ports=[{"name": "http", "containerPort": 8080}])
    assert (port_number("http", c), port_number(5, c), port_number("6", c)) == (8080, 5, 6)
    assert http_url({"port": "http", "path": "ready?x=1"}, c, "10.0.0.1") == "http://10.0.0.1:8080/ready?x=1"
    assert http_url({"port": 1, "scheme": "HTTPS", "host": "h"}, c, "10.0.0.1") == "https://h:1/"


# --- asking ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (reply("200 OK"), (True, "")),
        (reply("399 x"), (True, "")),
        (reply("404 Not Found"), (False, "HTTP probe failed with statuscode: 404")),
        (reply("302 Found", "Location: http://other.example/"), (True, "")),
    ],
)
async def test_http(answer: bytes, expected: tuple[bool, str]) -> None:
    async with listening(answering(answer)) as port:
        assert await probes()({"httpGet": {"port": port, "path": "/"}}, target()) == expected


async def test_http_sends_its_headers_and_follows_redirects() -> None:
    seen: list[bytes] = []
    async with listening(answering(reply("302 Found", "Location: /next"), reply("500 no"), seen=seen)) as port:
        headers = [{"name": "X-A", "value": "1"}, {"name": "Host", "value": "me"}]
        got = await probes()({"httpGet": {"port": port, "path": "/a?b=c", "httpHeaders": headers}}, target())
    assert got == (False, "HTTP probe failed with statuscode: 500")
    assert seen[0].startswith(b"GET /a?b=c HTTP/1.1\r\n") and seen[1].startswith(b"GET /next HTTP/1.1\r\n")
    assert b"X-A: 1\r\n" in seen[0] and b"Host: me\r\n" in seen[0] and seen[0].count(b"Host:") == 1
    assert b"User-Agent: kube-probe/" in seen[0]


async def test_nobody_listens() -> None:
    with tcp() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        is_well, said = await probes()({"httpGet": {"port": port}}, target())
        assert not is_well
        assert said == f'Get "http://127.0.0.1:{port}/": dial tcp 127.0.0.1:{port}: connect: connection refused'
        assert (await probes()({"tcpSocket": {"port": port}}, target()))[0] is False


async def test_a_server_that_says_nothing() -> None:
    async with listening(answering(b"")) as port:
        with pytest.raises(HttpFailure, match="EOF"):
            await get(tcp, f"http://127.0.0.1:{port}/", user_agent="x")


async def test_redirects_have_an_end() -> None:
    async with listening(answering(reply("302 Found", "Location: /again"))) as port:
        with pytest.raises(HttpFailure, match="stopped after 10 redirects"):
            await get(tcp, f"http://127.0.0.1:{port}/", user_agent="x")


async def test_tcp() -> None:
    async with listening(answering(b"")) as port:
        assert await probes()({"tcpSocket": {"port": port}}, target()) == (True, "")


async def test_exec() -> None:
    assert await probes(0, b"fine")({"exec": {"command": ["x"]}}, target()) == (True, "fine")
    assert await probes(1, b"bad")({"exec": {"command": ["x"]}}, target()) == (False, "bad")


@pytest.mark.parametrize(("status", "is_well"), [(1, True), (2, False)])
async def test_grpc(status: int, is_well: bool) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(24 + 9)  # preface, empty SETTINGS
        message = b"\x08" + bytes((status,))
        body = b"\0" + struct.pack(">I", len(message)) + message
        frame = struct.pack(">I", len(body))[1:] + b"\0\0" + struct.pack(">I", 1) + body
        writer.write(b"\0\0\0\4\0\0\0\0\0" + frame)
        writer.close()

    async with listening(serve) as port:
        got = await probes()({"grpc": {"port": port}}, target())
    assert got[0] is is_well
    if not is_well:
        assert got[1] == 'service unhealthy (responded with "NOT_SERVING")'


def test_the_grpc_request_names_its_service() -> None:
    assert request("10.0.0.1", 5, "svc", "x").endswith(b"\0\0\0\0\5\n\3svc")
    assert serving_status(b"\0\0\0\0\0") == 0


# --- hooks -------------------------------------------------------------------------------------------------------------------


async def test_hooks() -> None:
    def hooks(code: int = 0) -> HostHooks:
        runtime = cast("ContainerRuntime", Runtime(code, b"out"))
        return HostHooks(runtime, cast("PodNetwork", None), SystemClock())

    await hooks()({"exec": {"command": ["a", "b"]}}, target())
    with pytest.raises(HookFailure, match="command 'a b' exited with 3: out"):
        await hooks(3)({"exec": {"command": ["a", "b"]}}, target())
    async with listening(answering(reply("500 no"))) as port:
        with pytest.raises(HookFailure, match="unexpected status code 500"):
            await hooks()({"httpGet": {"port": port}}, target())
    await hooks()({"sleep": {"seconds": 0}}, target())
