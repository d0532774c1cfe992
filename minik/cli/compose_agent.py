"""The composition root of `minik agent`: identity, connection to the server, and the node (`compose_node.py`)."""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

from minik.agent.dial import keep_link
from minik.agent.join import Identity, JoinError, join_apart, load_identity, save_identity
from minik.aio import Tasks
from minik.api.builtin import builtin_registry
from minik.cli.address import primary_address
from minik.cli.compose_node import Node, build_node
from minik.client.transport_http import HttpTransport, client_ssl
from minik.clock import Clock, Entropy
from minik.config import AgentConfig, parse_token

log = logging.getLogger("minik.agent")


class AgentProcess:
    """`minik agent` as an object: `start`, then `close`."""

    def __init__(self, config: AgentConfig, *, clock: Clock, entropy: Entropy) -> None:
        self.config = config
        self.identity: Identity | None = None
        self._clock, self._entropy = clock, entropy
        self._tasks = Tasks("agent process")
        self._transport: HttpTransport | None = None
        self._node: Node | None = None

    async def start(self) -> None:
        """Join if this host has no identity yet, then run the node. Raises JoinError."""
        identity = self.identity = await self._identity()
        directory = self.config.data_dir / "identity"
        context = client_ssl(ca=identity.ca, certificate=directory / "node.crt", key=directory / "node.key")
        self._transport = HttpTransport(
            identity.server, ssl_context=context, user_agent=f"minik-agent/{self.config.name}"
        )
        host = urlsplit(identity.server).hostname or ""
        node_ip = self.config.node_ip or primary_address(host) or "127.0.0.1"
        self._node = build_node(
            self.config,
            self._transport,
            builtin_registry(),
            node_ip=node_ip,
            clock=self._clock,
            entropy=self._entropy,
        )
        link = keep_link(identity.server, context, self._node.streams.handle, clock=self._clock, entropy=self._entropy)
        self._tasks.start("link", link)
        await self._node.start()

    async def _identity(self) -> Identity:
        directory = self.config.data_dir / "identity"
        known = load_identity(directory)
        if known is not None and known.node == self.config.name and self.config.server in ("", known.server):
            return known
        if not self.config.server or not self.config.token:
            raise JoinError(
                "this host has not joined yet: --join https://HOST:PORT and --token are needed the first time"
            )
        try:
            token = parse_token(self.config.token)
        except ValueError as error:
            raise JoinError(str(error)) from error
        identity = await join_apart(self.config.server, token, node=self.config.name)
        save_identity(directory, identity)
        log.info("joined", extra={"server": identity.server, "node": self.config.name})
        return identity

    async def close(self) -> None:
        """Stop; containers go on running. Twice is fine."""
        await self._tasks.close()
        if self._node is not None:
            await self._node.close()
        if self._transport is not None:
            await self._transport.close()
