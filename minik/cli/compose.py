"""The composition root of `minik server`: builds the one process, top to bottom. No other module builds its collaborators.

Order of start: files and store, cache, API server (it answers from here on), initial objects, controllers and scheduler, own
node. `close` goes the other way round; what was acknowledged is on disk at every moment.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from minik import pki
from minik.aio import Tasks
from minik.api.builtin import builtin_registry
from minik.api.registry import Registry
from minik.cli.address import primary_address
from minik.cli.controlplane import MASTERS, NODES, ControlPlane
from minik.cli.files import ServerFiles, server_names
from minik.clock import Clock, Entropy
from minik.config import AgentConfig, ServerConfig, join_address
from minik.link.mux import Mux
from minik.link.pipe import memory_pipe
from minik.metrics import Metrics
from minik.sched.profiles import read_configuration
from minik.server.aggregation import FrontProxy
from minik.server.app import ServerSettings
from minik.server.http import HttpServer, server_ssl
from minik.server.local import LocalTransport
from minik.server.tunnel import Links
from minik.storage.compactor import Retention
from minik.storage.open import open_store
from minik.storage.sqlite import SqliteStore

if TYPE_CHECKING:
    from minik.cli.compose_node import Node
    from minik.sdk.hosting import Host
    from minik.sdk.loading import Loaded

log = logging.getLogger("minik")


class Server:
    """`minik server` as an object: `start`, then `close`."""

    def __init__(self, config: ServerConfig, *, clock: Clock, entropy: Entropy, own: Loaded | None = None) -> None:
        """`own`: users' controllers and definitions, to run in this process."""
        self.config = config
        self._own = own
        self._host: Host | None = None
        self.files = ServerFiles(config.data_dir)
        self.metrics = Metrics()
        self.registry: Registry = builtin_registry()
        self.links = Links()
        self._clock, self._entropy = clock, entropy
        self._tasks = Tasks("server")
        self._store: SqliteStore | None = None
        self._plane: ControlPlane | None = None
        self._http: HttpServer | None = None
        self.nodes: list[Node] = []

    @property
    def url(self) -> str:
        """Where the administrator reaches the server."""
        host, _ = self.config.address
        assert self._http is not None
        reach = "127.0.0.1" if host in ("0.0.0.0", "::", "127.0.0.1", "localhost") else host
        return f"https://{join_address(reach, self._http.port)}"

    def transport(self, user: str, groups: frozenset[str] = MASTERS) -> LocalTransport:
        """A client's way into the API server, within the process."""
        assert self._plane is not None
        return self._plane.transport(user, groups)

    async def start(self) -> None:
        """Bring everything up. Raises ConfigError (of the scheduler), DataDirError, StoreError, OSError (address taken)."""
        scheduling = read_configuration(self.config.scheduler_config) if self.config.scheduler_config else None
        if self.config.agents:  # before it is ready: nodes register at once then
            import minik.cli.compose_node  # noqa: F401  # for `_start_node`
        host, port = self.config.address
        self.files.prepare(now=self._clock.now(), names=server_names(host, self.config.tls_names))
        age = self.config.history_age
        retention = Retention(age=age, revisions=self.config.history_revisions, at_least=min(age, 300.0))
        store = self._store = await open_store(self.config.data_dir, clock=self._clock, retention=retention)
        plane = self._plane = ControlPlane(
            self._store,
            registry=self.registry,
            settings=self._settings(store),
            links=self.links,
            metrics=self.metrics,
            clock=self._clock,
            entropy=self._entropy,
            cluster_cidr=self.config.cluster_cidr,
            scheduling=scheduling,
        )
        await plane.serve()
        pki_dir = self.files.pki
        tls = server_ssl(str(pki_dir / "server.crt"), str(pki_dir / "server.key"), client_ca=str(pki_dir / "ca.crt"))
        self._http = HttpServer(plane.api.handler, host=host, port=port, ssl_context=tls, entropy=self._entropy)
        await self._http.start()
        self.files.write_kubeconfig(self.url)
        address = host if host not in ("0.0.0.0", "::") else primary_address() or "127.0.0.1"
        await plane.start(address=address, port=self._http.port)
        if self._own is not None:
            await self._start_own(self._own)
        for agent in self.config.agents:
            await self._start_node(agent)

    async def _start_own(self, own: Loaded) -> None:
        """Users' controllers: clients like all others, with informers of their own, and nothing waits for them."""
        from minik.sdk.hosting import Host

        self._host = Host(
            own.controllers,
            own.crds,
            self.transport("system:minik:controllers"),
            self.registry,
            clock=self._clock,
            entropy=self._entropy,
            metrics=self.metrics,
        )
        await self._host.start()

    def _settings(self, store: SqliteStore) -> ServerSettings:
        ca = self.files.pair("ca")
        return ServerSettings(
            ca_certificate=ca.certificate,
            token_signing_key=self.files.signing_key_path.read_bytes(),
            front_proxy=FrontProxy(
                self.files.pair("front-proxy-ca").certificate,
                self.files.pki / "front-proxy-client.crt",
                self.files.pki / "front-proxy-client.key",
            ),
            data_dir=self.config.data_dir,
            ready_checks={"storage": lambda: store.problem or ""},
            sign_node_csr=lambda request, node: pki.sign_node_request(ca, request, node=node, now=self._clock.now()),
            sign_csr=lambda request, usages, lifetime: pki.sign_request(
                ca, request, usages=usages, lifetime=lifetime, now=self._clock.now()
            ),
        )

    async def _start_node(self, config: AgentConfig) -> None:
        """A node of this process: the same agent as on any host, over a transport and a link within the process."""
        from minik.cli.compose_node import build_node

        transport = self.transport(f"system:node:{config.name}", NODES)
        node = build_node(
            config,
            transport,
            self.registry,
            node_ip=config.node_ip or primary_address() or "127.0.0.1",
            clock=self._clock,
            entropy=self._entropy,
        )
        ours, theirs = memory_pipe()
        agent_end = Mux(theirs, is_server=False, handler=node.streams.handle, keepalive=False)
        self._tasks.start(f"link {config.name}", self.links.serve(config.name, ours, keepalive=False))
        self._tasks.start(f"link agent {config.name}", agent_end.run())
        self.nodes.append(node)
        await node.start()

    async def ended(self) -> str:
        """Wait until this process is of no use any more although nobody stopped it (the store's writer has ended), and say why."""
        assert self._store is not None
        return await self._store.stopped()

    async def close(self) -> None:
        """Stop everything in order. Containers go on running; twice is fine."""
        for node in self.nodes:
            await node.close()
        if self._host is not None:
            await self._host.close()
        if self._plane is not None:
            await self._plane.close_loops()
        await self._tasks.close()
        await self.links.close()
        if self._http is not None:
            await self._http.close()
        if self._plane is not None:
            await self._plane.close()
        if self._store is not None:
            await self._store.close()
