"""Joins a client's channels with a stream of the node's link, until the command or the client is done."""

from __future__ import annotations

import orjson

from minik.aio import running
from minik.api.errors import InternalError, StatusError
from minik.link.mux import LinkClosed, Stream
from minik.link.requests import ERROR
from minik.server.streams.channels import Channels

SUCCESS = {"metadata": {}, "status": "Success"}


async def bridge(channels: Channels, stream: Stream) -> None:
    """Pump both ways. The node says the outcome on the ERROR channel; the client always gets exactly one."""
    async with running("stream") as tasks:
        tasks.start("from client", _from_client(channels, stream))
        outcome = await _from_node(channels, stream)
    await stream.close()
    try:
        await channels.finish(outcome)
    except ConnectionError:
        return  # the client did not wait for the outcome


async def _from_client(channels: Channels, stream: Stream) -> None:
    try:
        while (got := await channels.receive()) is not None:
            channel, data = got
            if data is None:
                await stream.end(channel)
            else:
                await stream.send(channel, data)
    except LinkClosed:
        return
    await stream.close("the client went away")


async def _from_node(channels: Channels, stream: Stream) -> dict[str, object]:
    outcome: dict[str, object] = dict(SUCCESS)
    try:
        while (got := await stream.receive()) is not None:
            channel, data = got
            if data is None:
                continue
            if channel == ERROR:
                outcome = orjson.loads(data)
            else:
                await channels.send(channel, data)
    except LinkClosed as error:
        return InternalError(str(error)).to_status()
    except ConnectionError:
        return InternalError("the client went away").to_status()
    except StatusError as error:
        return error.to_status()
    return outcome
