"""The link of a node whose pods' ports are ports of this host: connections to pods without an agent, a network and containers.

async with forwarding(run, "n1") as dialed:
    ...                                    # pods on n1 answer with whatever listens on 127.0.0.1
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from minik.aio import running
from minik.link.mux import LinkClosed, Mux, Stream
from minik.link.pipe import memory_pipe
from minik.link.requests import STDOUT, PortForwardRequest, parse_request
from tests.support.apiserver import Running


@dataclass(frozen=True, slots=True)
class Dialed:
    """One connection to a pod."""

    uid: str
    address: str
    port: int


@contextlib.asynccontextmanager
async def forwarding(server: Running, node: str) -> AsyncIterator[list[Dialed]]:
    """A link of `node` while the block runs; gives the list of what was dialed over it."""
    dialed: list[Dialed] = []
    ours, theirs = memory_pipe()
    agent = Mux(
        theirs, is_server=False, handler=lambda payload, stream: _forward(payload, stream, dialed), keepalive=False
    )
    async with running("forwarding") as tasks:
        tasks.start("server", server.links.serve(node, ours, keepalive=False))
        tasks.start("agent", agent.run())
        await asyncio.sleep(0)
        yield dialed


async def _forward(payload: bytes, stream: Stream, dialed: list[Dialed]) -> None:
    """As the agent's port-forward does (`agent/serve.py`)."""
    request = parse_request(payload)
    assert isinstance(request, PortForwardRequest)
    dialed.append(Dialed(request.uid, request.address, request.port))
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", request.port)
    except OSError as error:
        raise RuntimeError(f"failed to connect to {request.address}:{request.port} inside the pod") from error

    async def there() -> None:
        with contextlib.suppress(LinkClosed, ConnectionError):
            while (got := await stream.receive()) is not None and got[1] is not None:
                writer.write(got[1])
        writer.close()

    async with running("pod") as tasks:
        tasks.start("there", there())
        with contextlib.suppress(LinkClosed, ConnectionError):
            while data := await reader.read(65536):
                await stream.send(STDOUT, data)
    writer.close()
