"""The multiplexer: streams are independent, flow-controlled, and end with the link."""

from __future__ import annotations

import asyncio

import pytest

from minik.aio import running
from minik.link.mux import WINDOW, LinkClosed, Mux, Stream
from minik.link.pipe import memory_pipe
from minik.link.requests import STDIN, STDOUT, ExecRequest, parse_request


async def echo(request: bytes, stream: Stream) -> None:
    await stream.send(STDOUT, b"asked:" + request)
    while (got := await stream.receive()) is not None:
        channel, data = got
        if data is None:
            await stream.end(STDOUT)
            return
        assert channel == STDIN
        await stream.send(STDOUT, data)


async def read_all(stream: Stream) -> bytes:
    out = b""
    while (got := await stream.receive()) is not None:
        out += got[1] or b""
    return out


async def test_a_stream_carries_data_both_ways_and_closes() -> None:
    ours, theirs = memory_pipe()
    async with running("test") as tasks:
        server, agent = Mux(ours, is_server=True), Mux(theirs, is_server=False, handler=echo)
        tasks.start("server", server.run())
        tasks.start("agent", agent.run())
        stream = await server.open(b"hello")
        await stream.send(STDIN, b" world")
        await stream.end(STDIN)
        assert await read_all(stream) == b"asked:hello world"


async def test_more_than_a_window_flows_and_a_stuck_stream_does_not_stop_another() -> None:
    ours, theirs = memory_pipe()
    async with running("test") as tasks:
        server, agent = Mux(ours, is_server=True), Mux(theirs, is_server=False, handler=echo)
        tasks.start("server", server.run())
        tasks.start("agent", agent.run())
        stuck = await server.open(b"stuck")
        big = b"x" * (3 * WINDOW)
        blocked = tasks.start("blocked", stuck.send(STDIN, big))  # its echo is not read, so in the end it waits
        other = await server.open(b"other")
        await other.end(STDIN)
        assert await read_all(other) == b"asked:other"
        assert not blocked.done()
        reader = tasks.start("reader", read_all(stuck))
        await blocked
        await stuck.end(STDIN)
        assert await reader == b"asked:stuck" + big


async def test_a_failing_handler_and_a_lost_link_are_told() -> None:
    async def fail(_request: bytes, _stream: Stream) -> None:
        raise ValueError("no such container")

    ours, theirs = memory_pipe()
    async with running("test") as tasks:
        server, agent = Mux(ours, is_server=True), Mux(theirs, is_server=False, handler=fail)
        tasks.start("server", server.run())
        tasks.start("agent", agent.run())
        with pytest.raises(LinkClosed, match="no such container"):
            await (await server.open(b"")).receive()
        agent._handler = echo
        stream = await server.open(b"x")
        assert await stream.receive() == (STDOUT, b"asked:x")
        await agent.close()
        with pytest.raises(LinkClosed, match="link"):
            await asyncio.wait_for(stream.receive(), 5)
        with pytest.raises(LinkClosed):
            await server.open(b"y")


def test_requests_are_told_apart_by_their_type() -> None:
    request = ExecRequest(namespace="default", pod="web", uid="1", container="c", command=["ls"])
    assert parse_request(request.model_dump_json().encode()) == request
    with pytest.raises(ValueError, match="type"):
        parse_request(b'{"type": "reboot"}')
