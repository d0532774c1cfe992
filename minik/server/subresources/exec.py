"""pods/exec and pods/attach: a command's streams between the client and the node (core/v1 PodExecOptions, PodAttachOptions)."""

from __future__ import annotations

from minik.aio import running
from minik.api import meta
from minik.api.errors import BadRequest
from minik.api.meta import Obj, ROObj
from minik.link.requests import ERROR, RESIZE, STDERR, STDIN, STDOUT, AttachRequest, ExecRequest
from minik.server.request import Request, Response
from minik.server.streams.bridge import bridge
from minik.server.streams.bytes import TakenOver
from minik.server.streams.channels import WebSocketChannels, accept_spdy_channels
from minik.server.streams.spdy import SpdyConnection
from minik.server.streams.target import container_name, node_name
from minik.server.streams.upgrade import (
    choose,
    http_request,
    is_websocket,
    offered_websocket_protocols,
    open_spdy,
    open_websocket,
)
from minik.server.tunnel import Links

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
SPDY_PROTOCOLS = PROTOCOLS[1:4]


def _flag(request: Request, name: str) -> bool:
    return request.one(name).lower() in ("true", "1", "t")


def parse_exec(request: Request, pod: ROObj) -> ExecRequest:
    """Raises BadRequest."""
    command = list(request.query.get("command", ()))
    if not command:
        raise BadRequest("you must specify at least one command for the container")
    tty = _flag(request, "tty")
    options = ExecRequest(
        namespace=meta.namespace(pod),
        pod=meta.name(pod),
        uid=meta.uid(pod),
        container=container_name(pod, request.one("container")),
        command=command,
        stdin=_flag(request, "stdin"),
        stdout=_flag(request, "stdout"),
        stderr=_flag(request, "stderr") and not tty,
        tty=tty,
    )
    _need_a_stream(options)
    return options


def parse_attach(request: Request, pod: ROObj) -> AttachRequest:
    """Raises BadRequest."""
    tty = _flag(request, "tty")
    options = AttachRequest(
        namespace=meta.namespace(pod),
        pod=meta.name(pod),
        uid=meta.uid(pod),
        container=container_name(pod, request.one("container")),
        stdin=_flag(request, "stdin"),
        stdout=_flag(request, "stdout"),
        stderr=_flag(request, "stderr") and not tty,
        tty=tty,
    )
    _need_a_stream(options)
    return options


def shown(options: ExecRequest | AttachRequest) -> Obj:
    """The options as an object, without their kind: as admission webhooks see them."""
    flags = {name: True for name in ("stdin", "stdout", "stderr", "tty") if getattr(options, name)}
    return {**flags, "container": options.container}


def _need_a_stream(options: ExecRequest | AttachRequest) -> None:
    if not (options.stdin or options.stdout or options.stderr):
        raise BadRequest("you must specify at least 1 of stdin, stdout, stderr")


def wanted_channels(options: ExecRequest | AttachRequest) -> frozenset[int]:
    """The streams a SPDY client will open (remotecommand's v4 protocol: error always, resize with a TTY)."""
    wanted = {ERROR}
    wanted |= {STDIN} if options.stdin else set()
    wanted |= {STDOUT} if options.stdout else set()
    wanted |= {STDERR} if options.stderr else set()
    wanted |= {RESIZE} if options.tty else set()
    return frozenset(wanted)


async def run(request: Request, pod: ROObj, options: ExecRequest | AttachRequest, *, links: Links) -> Response:
    """Open the node's stream, upgrade the client's connection, and join the two until either ends."""
    http_request(request)
    protocol: str | None = ""
    if is_websocket(request):
        offered = offered_websocket_protocols(request)
        protocol = choose(offered, PROTOCOLS) if offered else ""
        if protocol is None:
            raise BadRequest(f"unable to upgrade: client supports {offered}, server accepts {list(PROTOCOLS)}")
    stream = await links.open(node_name(pod), options)
    if is_websocket(request):
        socket = await open_websocket(request, protocol or "")
        channels = WebSocketChannels(socket, protocol=protocol or "channel.k8s.io")
        if options.stdout or options.stderr:
            # an empty message tells the client that the connection stands, as kubelet's server does
            await channels.send(STDOUT if options.stdout else STDERR, b"")
        await bridge(channels, stream)
        return Response(http=socket)
    bytes_, version = open_spdy(request, SPDY_PROTOCOLS)
    connection = SpdyConnection(bytes_)
    async with running("spdy") as tasks:
        reader = tasks.start("frames", connection.run())
        try:
            spdy = await accept_spdy_channels(connection, wanted_channels(options), protocol=version)
            await bridge(spdy, stream)
        except (TimeoutError, ConnectionError):
            await stream.close("the client went away")
        await connection.close()
        await reader
    return Response(http=TakenOver())
