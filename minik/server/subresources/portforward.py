"""pods/portforward: TCP connections of the client to ports of a pod.

Three protocols: SPDY (`portforward.k8s.io`, kubectl), the same inside a WebSocket (KEP-4006, kubectl 1.31 on), and plain WebSocket
channels (`v4.channel.k8s.io`, the Python client): two channels for each port named in the query, data and error.
"""

from __future__ import annotations

import logging

from aiohttp import WSMsgType, web

from minik.aio import Tasks, running
from minik.api import meta
from minik.api.errors import BadRequest, StatusError
from minik.api.meta import ROObj
from minik.link.mux import LinkClosed, Stream
from minik.link.requests import STDIN, STDOUT, PortForwardRequest
from minik.server.request import Request, Response
from minik.server.streams.bytes import ByteStream, TakenOver, WebSocketBytes
from minik.server.streams.spdy import SpdyConnection, SpdyError, SpdyStream
from minik.server.streams.target import node_name
from minik.server.streams.upgrade import (
    choose,
    http_request,
    is_websocket,
    offered_websocket_protocols,
    open_spdy,
    open_websocket,
)
from minik.server.tunnel import Links

log = logging.getLogger("minik.server.portforward")

SPDY_PROTOCOL = "portforward.k8s.io"
TUNNEL_PROTOCOL = "SPDY/3.1+portforward.k8s.io"
CHANNEL_PROTOCOLS = ("v4.channel.k8s.io", "portforward.k8s.io")


class Forwarder:
    """Opens connections to one pod."""

    def __init__(self, pod: ROObj, links: Links) -> None:
        self._pod = pod
        self._node = node_name(pod)
        self._links = links

    async def connect(self, port: int) -> Stream:
        """Raises StatusError or ValueError."""
        return await self._links.open(
            self._node,
            PortForwardRequest(
                namespace=meta.namespace(self._pod), pod=meta.name(self._pod), uid=meta.uid(self._pod), port=port
            ),
        )


async def run(request: Request, pod: ROObj, *, links: Links) -> Response:
    """Serve the client until it goes away."""
    http_request(request)
    phase = (pod.get("status") or {}).get("phase")
    if phase in ("Succeeded", "Failed"):
        raise BadRequest(f"unable to forward port because pod is not running. Current status={phase}")
    forwarder = Forwarder(pod, links)
    if not is_websocket(request):
        stream, _ = open_spdy(request, (SPDY_PROTOCOL,))
        await _serve_spdy(stream, forwarder)
        return Response(http=TakenOver())
    offered = offered_websocket_protocols(request)
    protocol = choose(offered, (TUNNEL_PROTOCOL, *CHANNEL_PROTOCOLS)) if offered else CHANNEL_PROTOCOLS[0]
    if protocol is None:
        raise BadRequest(f"unable to upgrade: client supports {offered}")
    if protocol == TUNNEL_PROTOCOL:
        socket = await open_websocket(request, protocol)
        await _serve_spdy(WebSocketBytes(socket), forwarder)
        return Response(http=socket)
    ports = _ports(request)
    socket = await open_websocket(request, protocol if offered else "")
    await _serve_channels(socket, ports, forwarder)
    return Response(http=socket)


def _ports(request: Request) -> list[int]:
    texts = [text for value in request.query.get("ports", ()) for text in value.split(",") if text]
    try:
        ports = [int(text) for text in texts]
    except ValueError as error:
        raise BadRequest(f"unable to parse ports: {error}") from error
    if not ports or not all(0 < port < 65536 for port in ports):
        raise BadRequest("query parameter ports must name at least one port between 1 and 65535")
    return ports


# --- SPDY --------------------------------------------------------------------------------------------------------


async def _serve_spdy(stream: ByteStream, forwarder: Forwarder) -> None:
    connection = SpdyConnection(stream)
    async with running("portforward") as tasks:
        reader = tasks.start("frames", connection.run())
        waiting: dict[str, SpdyStream] = {}
        while (opened := await connection.accept()) is not None:
            request_id = opened.headers.get("requestid", "")
            kind = opened.headers.get("streamtype", "")
            if kind == "error":
                waiting[request_id] = opened
            elif kind == "data" and request_id in waiting:
                tasks.start(f"forward {request_id}", _forward(opened, waiting.pop(request_id), forwarder, tasks))
            else:
                await opened.reset()
        await connection.close()
        try:
            await reader
        except SpdyError as error:
            log.info("port-forward client broke the protocol", extra={"error": str(error)})


async def _forward(data: SpdyStream, error: SpdyStream, forwarder: Forwarder, tasks: Tasks) -> None:
    """One connection: bytes both ways; what goes wrong is told on the error stream."""
    try:
        stream = await forwarder.connect(int(data.headers.get("port", "0")))
        tasks.start("to pod", _spdy_to_pod(data, stream))
        while (got := await stream.receive()) is not None:
            if got[1]:
                await data.write(got[1])
        await data.end()
        await error.end()
    except (StatusError, LinkClosed, ValueError) as failure:
        try:
            await error.write(f"error forwarding port {data.headers.get('port')}: {failure}".encode())
            await error.end()
            await data.end()
        except ConnectionError:
            return
    except ConnectionError:
        return
    finally:
        data.connection.forget(data)
        data.connection.forget(error)


async def _spdy_to_pod(data: SpdyStream, stream: Stream) -> None:
    try:
        while chunk := await data.read():
            await stream.send(STDIN, chunk)
        await stream.end(STDIN)
        await data.connection.wait_closed()
        await stream.close("the client went away")
    except LinkClosed:
        return


# --- WebSocket channels ----------------------------------------------------------------------------------------------


async def _serve_channels(socket: web.WebSocketResponse, ports: list[int], forwarder: Forwarder) -> None:
    async with running("portforward") as tasks:
        streams: list[Stream | None] = []
        for index, port in enumerate(ports):
            for channel in (2 * index, 2 * index + 1):  # each channel begins with its port number, little-endian
                await socket.send_bytes(bytes((channel,)) + port.to_bytes(2, "little"))
            try:
                stream = await forwarder.connect(port)
            except StatusError as error:
                await socket.send_bytes(bytes((2 * index + 1,)) + error.message.encode())
                streams.append(None)
                continue
            streams.append(stream)
            tasks.start(f"from pod {port}", _pod_to_channel(socket, 2 * index, stream))
        while (message := await socket.receive()).type is WSMsgType.BINARY:
            channel, payload = message.data[0], message.data[1:]
            target = streams[channel // 2] if channel // 2 < len(streams) else None
            if target is not None and channel % 2 == 0 and payload:
                try:
                    await target.send(STDIN, payload)
                except LinkClosed:
                    streams[channel // 2] = None
        for open_stream in streams:
            if open_stream is not None:
                await open_stream.close("the client went away")


async def _pod_to_channel(socket: web.WebSocketResponse, channel: int, stream: Stream) -> None:
    try:
        while (got := await stream.receive()) is not None:
            if got[0] == STDOUT and got[1]:
                await socket.send_bytes(bytes((channel,)) + got[1])
    except LinkClosed as error:
        await socket.send_bytes(bytes((channel + 1,)) + str(error).encode())
