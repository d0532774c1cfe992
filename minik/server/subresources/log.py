"""GET pods/log: the node's answer as plain text, as it comes, or over a WebSocket (core/v1 PodLogOptions)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Literal

from minik.api import meta, times
from minik.api.core_v1 import pods
from minik.api.errors import BadRequest, invalid, invalid_object
from minik.api.meta import ROObj
from minik.clock import Clock
from minik.link.mux import LinkClosed, Stream
from minik.link.requests import LogRequest
from minik.server.request import Request, Response
from minik.server.streams.reading import send_frames
from minik.server.streams.target import container_name, node_name
from minik.server.streams.upgrade import is_websocket
from minik.server.tunnel import Links


def _flag(request: Request, name: str) -> bool:
    return request.one(name).lower() in ("true", "1", "t")


def _number(request: Request, name: str, *, least: int) -> int | None:
    text = request.one(name)
    if not text:
        return None
    try:
        value = int(text)
    except ValueError as error:
        raise BadRequest(f'strconv.ParseInt: parsing "{text}": invalid syntax') from error
    if value < least:
        bound = "greater than 0" if least else "greater than or equal to 0"
        raise invalid_object(group="", kind="PodLogOptions", name="", errors=[invalid(name, value, f"must be {bound}")])
    return value


def parse_options(request: Request, pod: ROObj, *, clock: Clock) -> LogRequest:
    """The query parameters as a request to the node. Raises BadRequest or Invalid."""
    since_seconds = _number(request, "sinceSeconds", least=1)
    since_time = request.one("sinceTime")
    if since_seconds and since_time:
        raise invalid_object(
            group="",
            kind="PodLogOptions",
            name="",
            errors=[
                invalid("sinceSeconds", since_seconds, "at most one of `sinceTime` or `sinceSeconds` may be specified")
            ],
        )
    since = None
    if since_seconds:
        since = clock.now() - timedelta(seconds=since_seconds)
    elif since_time:
        try:
            since = times.parse_time(since_time)
        except ValueError as error:
            raise BadRequest(f"sinceTime: {error}") from error
    stream: Literal["All", "Stdout", "Stderr"] = "All"
    asked = request.one("stream")
    if asked in ("Stdout", "Stderr"):
        stream = "Stdout" if asked == "Stdout" else "Stderr"
    elif asked not in ("", "All"):
        raise BadRequest(f"stream {asked!r} is not All, Stdout or Stderr")
    return LogRequest(
        namespace=meta.namespace(pod),
        pod=meta.name(pod),
        uid=meta.uid(pod),
        container=container_name(pod, request.one("container"), log=True),
        follow=_flag(request, "follow"),
        previous=_flag(request, "previous"),
        tail=_number(request, "tailLines", least=0),
        since=since,
        timestamps=_flag(request, "timestamps"),
        limit_bytes=_number(request, "limitBytes", least=1),
        stream=stream,
    )


def refuse_without_logs(pod: ROObj, options: LogRequest) -> None:
    """Raises BadRequest where there is nothing to read, in kubelet's words."""
    status = pods.status_of(pod, options.container)
    where = f'container "{options.container}" in pod "{options.pod}"'
    if options.previous:
        if not status or not (status.get("lastState") or {}).get("terminated"):
            raise BadRequest(f"previous terminated {where} not found")
        return
    waiting = ((status or {}).get("state") or {}).get("waiting")
    never_ran = not (status or {}).get("containerID") and not ((status or {}).get("lastState") or {}).get("terminated")
    if waiting and never_ran:
        reason = waiting.get("reason", "ContainerCreating")
        message = f": {waiting['message']}" if reason == "CreateContainerConfigError" and waiting.get("message") else ""
        if reason in ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"):
            raise BadRequest(f"{where} is waiting to start: {_image_words(reason)}")
        raise BadRequest(f"{where} is waiting to start: {reason}{message}")
    if status is None:
        raise BadRequest(f"{where} is waiting to start: ContainerCreating")


def _image_words(reason: str) -> str:
    return "trying and failing to pull image" if reason in ("ErrImagePull", "ImagePullBackOff") else reason


async def read_log(request: Request, pod: ROObj, *, links: Links, clock: Clock) -> Response:
    """Answer with the container's log; ends with the container if `follow` is set, else at the present end."""
    options = parse_options(request, pod, clock=clock)
    node = node_name(pod)
    refuse_without_logs(pod, options)
    stream = await links.open(node, options)
    chunks = _chunks(stream)
    try:
        first = await anext(chunks, b"")  # so that a refusal of the node is an error and not an empty log
    except LinkClosed as error:
        raise BadRequest(str(error)) from error
    text = _with_first(first, chunks, stream)
    if request.http is not None and is_websocket(request):
        return Response(http=await send_frames(request, text, lambda: stream.close("the client went away")))
    return Response(stream=text, content_type="text/plain")


async def _chunks(stream: Stream) -> AsyncIterator[bytes]:
    while (got := await stream.receive()) is not None:
        if got[1]:
            yield got[1]


async def _with_first(first: bytes, rest: AsyncIterator[bytes], stream: Stream) -> AsyncIterator[bytes]:
    try:
        if first:
            yield first
        async for chunk in rest:
            yield chunk
    except LinkClosed as error:
        yield f"\n{error}\n".encode()
    finally:
        await stream.close("the client went away")
