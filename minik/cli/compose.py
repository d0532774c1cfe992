"""The composition root of `minik server`: builds the one process, top to bottom. No other module builds its collaborators.

Order of start: files and store, cache, API server (it answers from here on), initial objects, controllers and scheduler, own
node. `close` goes the other way round; what was acknowledged is on disk at every moment.
"""

from __future__ import annotations

import logging

from minik import pki
from minik.aio import Tasks
from minik.api.builtin import builtin_registry
from minik.api.registry import Registry
from minik.cli.address import primary_address
from minik.cli.compose_node import Node, build_node
from minik.cli.files import ServerFiles, server_names
from minik.client.client import Client
from minik.client.informer import Informers
from minik.client.manager import Manager
from minik.client.recorder import Recorder
from minik.clock import Clock, Entropy
from minik.config import AgentConfig, ServerConfig, join_address
from minik.controllers import built_in
from minik.link.mux import Mux
from minik.link.pipe import memory_pipe
from minik.metrics import Metrics
from minik.sched.loop import Scheduler
from minik.server import bootstrap
from minik.server.app import ApiServer, ServerSettings
from minik.server.http import HttpServer, server_ssl
from minik.server.local import LocalTransport
from minik.server.request import User
from minik.server.tunnel import Links
from minik.storage.base import Store
from minik.storage.cache import Cache
from minik.storage.open import open_store

log = logging.getLogger("minik")

_MASTERS = frozenset({"system:masters", "system:authenticated"})
_NODES = frozenset({"system:nodes", "system:authenticated"})


class Server:
    """`minik server` as an object: `start`, then `close`."""

    def __init__(self, config: ServerConfig, *, clock: Clock, entropy: Entropy) -> None:
        self.config = config
        self.files = ServerFiles(config.data_dir)
        self.metrics = Metrics()
        self.registry: Registry = builtin_registry()
        self.links = Links()
        self._clock, self._entropy = clock, entropy
        self._tasks = Tasks("server")
        self._store: Store | None = None
        self._cache: Cache | None = None
        self._api: ApiServer | None = None
        self._http: HttpServer | None = None
        self._manager: Manager | None = None
        self._scheduler: Scheduler | None = None
        self._informers: Informers | None = None
        self._recorder: Recorder | None = None
        self.nodes: list[Node] = []

    @property
    def url(self) -> str:
        """Where the administrator reaches the server."""
        host, _ = self.config.address
        assert self._http is not None
        reach = "127.0.0.1" if host in ("0.0.0.0", "::", "127.0.0.1", "localhost") else host
        return f"https://{join_address(reach, self._http.port)}"

    def transport(self, user: str, groups: frozenset[str] = _MASTERS) -> LocalTransport:
        """A client's way into the API server, within the process."""
        assert self._api is not None
        return LocalTransport(self._api.handler, User(user, groups))

    async def start(self) -> None:
        """Bring everything up. Raises DataDirError, StoreError, OSError (address taken)."""
        host, port = self.config.address
        self.files.prepare(now=self._clock.now(), names=server_names(host, self.config.tls_names))
        self._store = await open_store(self.config.data_dir, clock=self._clock)
        self._cache = Cache(self._store)
        await self._cache.start()
        self._api = self._build_api(self._store, self._cache)
        pki_dir = self.files.pki
        tls = server_ssl(str(pki_dir / "server.crt"), str(pki_dir / "server.key"), client_ca=str(pki_dir / "ca.crt"))
        self._http = HttpServer(self._api.handler, host=host, port=port, ssl_context=tls, entropy=self._entropy)
        await self._http.start()
        self.files.write_kubeconfig(self.url)
        admin = Client(self.transport("system:apiserver"), self.registry)
        address = host if host not in ("0.0.0.0", "::") else primary_address() or "127.0.0.1"
        await bootstrap.ensure(admin, address=address, port=self._http.port)
        await self._start_control_loops()
        self._api.ready = True
        for agent in self.config.agents:
            await self._start_node(agent)

    def _build_api(self, store: Store, cache: Cache) -> ApiServer:
        ca = self.files.pair("ca")
        settings = ServerSettings(
            ca_certificate=ca.certificate,
            token_signing_key=self.files.signing_key_path.read_bytes(),
            sign_node_csr=lambda request, node: pki.sign_node_request(ca, request, node=node, now=self._clock.now()),
        )
        return ApiServer(
            store=store,
            cache=cache,
            registry=self.registry,
            clock=self._clock,
            entropy=self._entropy,
            metrics=self.metrics,
            links=self.links,
            settings=settings,
        )

    async def _start_control_loops(self) -> None:
        transport = self.transport("system:kube-controller-manager")
        self._informers = Informers(transport, self.registry, clock=self._clock, entropy=self._entropy)
        self._manager = Manager(
            built_in(ca_certificate=self.files.pair("ca").certificate.decode(), cluster_cidr=self.config.cluster_cidr),
            transport,
            self.registry,
            clock=self._clock,
            entropy=self._entropy,
            metrics=self.metrics,
            informers=self._informers,
        )
        await self._manager.start()
        client = Client(self.transport("system:kube-scheduler"), self.registry)
        self._recorder = Recorder(client, component="default-scheduler", clock=self._clock, entropy=self._entropy)
        self._scheduler = Scheduler(
            client, self._informers, self._recorder, clock=self._clock, entropy=self._entropy, metrics=self.metrics
        )
        await self._scheduler.start()
        await self._manager.wait_synced()

    async def _start_node(self, config: AgentConfig) -> None:
        """A node of this process: the same agent as on any host, over a transport and a link within the process."""
        transport = self.transport(f"system:node:{config.name}", _NODES)
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

    async def close(self) -> None:
        """Stop everything in order. Containers go on running; twice is fine."""
        for node in self.nodes:
            await node.close()
        if self._scheduler is not None:
            await self._scheduler.close()
        if self._manager is not None:
            await self._manager.close()
        if self._recorder is not None:
            await self._recorder.close()
        if self._informers is not None:
            await self._informers.close()
        await self._tasks.close()
        await self.links.close()
        if self._http is not None:
            await self._http.close()
        if self._cache is not None:
            await self._cache.close()
        if self._store is not None:
            await self._store.close()
