"""The composition root of a node: the parts of an agent and how they hang together. For `minik agent`, and the server's own node."""

from __future__ import annotations

import logging

from minik.agent.serve import StreamServer

log = logging.getLogger("minik.agent")


class Node:
    """A node's parts. `streams` serves what the server opens over the link."""

    def __init__(self) -> None:
        self.streams: StreamServer
