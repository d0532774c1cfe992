"""`Target`: where a request is passed on to, and how it is reached.

A pod is reached over the link of its node, like port-forward: the server needs no route to the pods' network. `connect` gives an
ordinary socket either way, so that TLS and HTTP run over it as over any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

from minik.aio import Tasks, running
from minik.api import meta
from minik.api.errors import ServiceUnavailable
from minik.api.meta import ROObj
from minik.link.mux import LinkClosed, Stream
from minik.link.requests import STDIN, PortForwardRequest
from minik.server.streams.target import node_name
from minik.server.tunnel import Links

_CHUNK = 64 * 1024
_CONNECT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Target:
    """A TCP port of an address: of `pod` if there is one, else of a host (by name, too) that this one can reach."""

    address: str
    port: int
    pod: ROObj | None = None


class Connection:
    """A socket to a target."""

    def __init__(self, endpoint: socket.socket) -> None:
        self.socket = endpoint
        self.failure = ""
        """Why it ended, in words for the user, if the node said so."""


def unreachable(reason: object) -> ServiceUnavailable:
    """503 in the words of apimachinery's `util/proxy`."""
    return ServiceUnavailable(f"error trying to reach service: {reason}")


@contextlib.asynccontextmanager
async def connect(target: Target, links: Links) -> AsyncIterator[Connection]:
    """A connection for the length of the block. Raises ServiceUnavailable; BadRequest for a pod without a node.

    To a pod it stands at once: whether its port answers shows in the first read (`Connection.failure`).
    """
    if target.pod is None:
        yield Connection(await _dial(target))
        return
    request = PortForwardRequest(
        namespace=meta.namespace(target.pod),
        pod=meta.name(target.pod),
        uid=meta.uid(target.pod),
        port=target.port,
        address=target.address,
    )
    stream = await links.open(node_name(target.pod), request)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    connection = Connection(ours)
    try:
        async with running("proxy") as tasks:
            tasks.start("carry", _carry(theirs, stream, connection, tasks))
            yield connection
    finally:
        ours.close()
        theirs.close()
        await stream.close("the client went away")


async def _dial(target: Target) -> socket.socket:
    loop = asyncio.get_running_loop()
    endpoint = None
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            family, kind, _, _, where = (await loop.getaddrinfo(target.address, target.port, type=socket.SOCK_STREAM))[
                0
            ]
            endpoint = socket.socket(family, kind)
            endpoint.setblocking(False)
            await loop.sock_connect(endpoint, where)
    except OSError as error:  # TimeoutError is one
        if endpoint is not None:
            endpoint.close()
        raise unreachable(os.strerror(error.errno) if error.errno else "timed out") from error
    return endpoint


async def _carry(theirs: socket.socket, stream: Stream, connection: Connection, tasks: Tasks) -> None:
    """Bytes both ways between a socket and a stream, until one of them ends."""
    reader, writer = await asyncio.open_connection(sock=theirs)
    tasks.start("to pod", _to_pod(reader, stream))
    try:
        while (got := await stream.receive()) is not None:
            if got[1] is None:
                break
            writer.write(got[1])
            await writer.drain()
    except LinkClosed as error:
        connection.failure = str(error)
    except ConnectionError:
        return
    finally:
        writer.close()


async def _to_pod(reader: asyncio.StreamReader, stream: Stream) -> None:
    try:
        while data := await reader.read(_CHUNK):
            await stream.send(STDIN, data)
        await stream.end(STDIN)
    except (LinkClosed, ConnectionError):
        return
