"""The way of the server to its agents, as far as it asks them what their pods use: without a connection, over the node's cable."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Protocol, cast

from pydantic import BaseModel

from minik.api.errors import ServiceUnavailable
from minik.link.mux import LinkClosed, Stream
from minik.server.tunnel import Links


class Answer:
    """A stream on which everything has been said already."""

    def __init__(self) -> None:
        self._parts: deque[tuple[int, bytes]] = deque()

    async def send(self, channel: int, data: bytes) -> None:
        self._parts.append((channel, data))

    async def receive(self) -> tuple[int, bytes] | None:
        return self._parts.popleft() if self._parts else None

    async def close(self, error: str = "") -> None:
        """Nobody waits for that."""
        del error


class Asked(Protocol):
    """A node."""

    async def answer(self, payload: bytes, stream: Stream) -> None:
        """Raises whatever keeps it from answering."""
        ...


class NodeLinks(Links):
    """To nodes by their names."""

    def __init__(self, nodes: Mapping[str, Asked]) -> None:
        super().__init__()
        self._nodes = nodes

    async def open(self, node: str, request: BaseModel) -> Stream:
        asked = self._nodes.get(node)
        if asked is None:
            raise ServiceUnavailable(f"error dialing backend: node {node} is not connected")
        stream = cast(Stream, Answer())
        try:
            await asked.answer(request.model_dump_json().encode(), stream)
        except ServiceUnavailable:
            raise
        except Exception as error:  # whatever the agent says, its end of a link sends as text
            raise LinkClosed(str(error)) from error
        return stream
