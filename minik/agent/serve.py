"""What the server asks of this node over the link: logs, exec, attach, port-forward, and what is used (`stats.py`).

`Server.handle` serves one stream; `link/mux.py` calls it. Which container is meant is the pod loop's knowledge (`Lookup`).
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Protocol

import orjson

from minik.agent.containers.base import ContainerInfo, ContainerRuntime, LogOptions, RuntimeFailure, Session
from minik.agent.network.base import PodNetwork
from minik.agent.stats import Stats
from minik.aio import running
from minik.link.mux import LinkClosed, Stream
from minik.link.requests import (
    ERROR,
    RESIZE,
    STDIN,
    STDOUT,
    AttachRequest,
    ExecRequest,
    LogRequest,
    PortForwardRequest,
    StatsRequest,
    parse_request,
)
from minik.link.samples import encode_sample

_CHUNK = 64 * 1024


class NotRunning(Exception):
    """What was asked for is not there; the message goes to the user."""


class Lookup(Protocol):
    """Finds a pod's containers. Both raise LookupError with words for the user."""

    def find_container(
        self, namespace: str, pod: str, uid: str, container: str, *, previous: bool = False
    ) -> ContainerInfo: ...

    def find_sandbox(self, namespace: str, pod: str, uid: str) -> ContainerInfo: ...


class StreamServer:
    """Serves the streams that the server opens."""

    def __init__(
        self, runtime: ContainerRuntime, network: PodNetwork, lookup: Lookup, stats: Stats | None = None
    ) -> None:
        """`stats`: None for a node that does not say what it uses."""
        self._runtime = runtime
        self._network = network
        self._lookup = lookup
        self._stats = stats

    async def handle(self, payload: bytes, stream: Stream) -> None:
        """One stream. What it raises is told to the server, and by it to the user."""
        request = parse_request(payload)
        match request:
            case LogRequest():
                await self._log(request, stream)
            case ExecRequest():
                await self._exec(request, stream)
            case AttachRequest():
                await self._attach(request, stream)
            case PortForwardRequest():
                await self._forward(request, stream)
            case StatsRequest():
                if self._stats is None:
                    raise NotRunning("this node does not measure what it uses")
                await stream.send(STDOUT, encode_sample(await self._stats.sample()))

    def _find(self, request: LogRequest | ExecRequest | AttachRequest, *, previous: bool = False) -> ContainerInfo:
        try:
            return self._lookup.find_container(
                request.namespace, request.pod, request.uid, request.container, previous=previous
            )
        except LookupError as error:
            raise NotRunning(str(error.args[0]) if error.args else "container not found") from error

    def _find_running(self, request: ExecRequest | AttachRequest) -> ContainerInfo:
        container = self._find(request)
        if container.state != "running":
            raise NotRunning(f"unable to upgrade connection: container {request.container} is not running")
        return container

    # --- logs ------------------------------------------------------------------------------------------------------

    async def _log(self, request: LogRequest, stream: Stream) -> None:
        container = self._find(request, previous=request.previous)
        options = LogOptions(
            follow=request.follow and container.state == "running",
            tail=request.tail,
            since=request.since,
            timestamps=request.timestamps,
            stdout=request.stream != "Stderr",
            stderr=request.stream != "Stdout",
        )
        left = request.limit_bytes
        async with running("log") as tasks:
            copy = tasks.start("copy", self._copy_log(self._runtime.logs(container.id, options), stream, left))
            gone = tasks.start("gone", _until_closed(stream))
            await asyncio.wait((copy, gone), return_when=asyncio.FIRST_COMPLETED)
            if copy.done():
                copy.result()

    @staticmethod
    async def _copy_log(lines: AsyncIterator[tuple[int, bytes]], stream: Stream, left: int | None) -> None:
        async with aclosing(lines) as chunks:  # type: ignore[type-var]  # runtimes give asynchronous generators
            async for _, data in chunks:
                part = data if left is None else data[:left]
                await stream.send(STDOUT, part)
                if left is not None:
                    left -= len(part)
                    if left <= 0:
                        return

    # --- exec and attach -------------------------------------------------------------------------------------------

    async def _exec(self, request: ExecRequest, stream: Stream) -> None:
        container = self._find_running(request)
        try:
            session = await self._runtime.exec(container.id, request.command, stdin=request.stdin, tty=request.tty)
        except RuntimeFailure as error:
            await stream.send(ERROR, orjson.dumps(_failure(f"error executing command in container: {error}")))
            return
        await self._run(session, stream)

    async def _attach(self, request: AttachRequest, stream: Stream) -> None:
        container = self._find_running(request)
        await self._run(await self._runtime.attach(container.id, stdin=request.stdin, tty=request.tty), stream)

    @staticmethod
    async def _run(session: Session, stream: Stream) -> None:
        try:
            async with running("session") as tasks:
                incoming = tasks.start("stdin", _feed(session, stream))
                output = tasks.start("output", _drain(session, stream))
                await asyncio.wait((incoming, output), return_when=asyncio.FIRST_COMPLETED)
                if incoming.done() and stream.is_closed:
                    return  # the client went away; the command goes on without it, as with kubelet
                await output
            await stream.send(ERROR, orjson.dumps(_outcome(await session.exit_code())))
        finally:
            await session.close()

    # --- port-forward ----------------------------------------------------------------------------------------------

    async def _forward(self, request: PortForwardRequest, stream: Stream) -> None:
        try:
            sandbox = self._lookup.find_sandbox(request.namespace, request.pod, request.uid)
        except LookupError as error:
            raise NotRunning(str(error.args[0]) if error.args else "pod not found") from error
        family = socket.AF_INET6 if ":" in request.address else socket.AF_INET
        endpoint = self._network.socket(sandbox.pid, family, socket.SOCK_STREAM)
        endpoint.setblocking(False)
        try:
            async with asyncio.timeout(10):
                await asyncio.get_running_loop().sock_connect(endpoint, (request.address, request.port))
        except OSError as error:  # TimeoutError is one, without a number
            endpoint.close()
            where = "localhost" if request.address == "127.0.0.1" else request.address
            reason = os.strerror(error.errno) if error.errno else "timed out"
            raise NotRunning(f"failed to connect to {where}:{request.port} inside the pod: {reason}") from error
        reader, writer = await asyncio.open_connection(sock=endpoint)
        try:
            async with running("forward") as tasks:
                tasks.start("to pod", _stream_to_socket(stream, writer))
                while data := await reader.read(_CHUNK):
                    await stream.send(STDOUT, data)
                await stream.end(STDOUT)
        except ConnectionError:
            return
        finally:
            writer.close()


async def _until_closed(stream: Stream) -> None:
    try:
        while await stream.receive() is not None:
            continue
    except LinkClosed:
        return


async def _feed(session: Session, stream: Stream) -> None:
    """stdin and resizes, until the stream is over."""
    try:
        while (got := await stream.receive()) is not None:
            channel, data = got
            if channel == STDIN:
                if data is None:
                    await session.close_stdin()
                else:
                    await session.write(data)
            elif channel == RESIZE and data:
                size = orjson.loads(data)
                await session.resize(int(size["Width"]), int(size["Height"]))
    except (LinkClosed, ConnectionError):
        return


async def _drain(session: Session, stream: Stream) -> None:
    async for channel, data in session.output():
        await stream.send(channel, data)


async def _stream_to_socket(stream: Stream, writer: asyncio.StreamWriter) -> None:
    try:
        while (got := await stream.receive()) is not None:
            if got[1] is None:
                writer.write_eof()
            else:
                writer.write(got[1])
                await writer.drain()
    except LinkClosed:
        pass
    except ConnectionError:
        return
    writer.close()


def _failure(message: str) -> dict[str, object]:
    return {"metadata": {}, "status": "Failure", "message": message, "reason": "InternalError", "code": 500}


def _outcome(code: int | None) -> dict[str, object]:
    """The Status that ends an exec: success, or the exit code as a cause (remotecommand's NonZeroExitCode)."""
    if not code:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }
