"""The control plane over an open store: cache, API server, controllers, scheduler. What remains of a server without files, sockets
and nodes.

`compose.Server` puts it into a process; the simulation (`tests/support/simulation`) puts many of them, one after the other, over
one file. Order of start: `serve` (it answers from here on), then `start` (initial objects, controllers, scheduler); `close` goes the
other way round and leaves the store to its owner.
"""

from __future__ import annotations

from collections.abc import Callable

from minik.aio import Tasks
from minik.api.registry import Registry
from minik.client.client import Client
from minik.client.informer import Informers
from minik.client.manager import Manager
from minik.client.recorder import Recorder
from minik.client.transport import Transport
from minik.clock import Clock, Entropy
from minik.config import CLUSTER_CIDR
from minik.controllers import built_in
from minik.metrics import Metrics
from minik.sched.loop import Scheduler
from minik.sched.profiles import Configuration, default_profiles
from minik.server import bootstrap
from minik.server.aggregation import authentication
from minik.server.app import ApiServer, ServerSettings
from minik.server.event_ttl import EventTtl
from minik.server.local import LocalTransport
from minik.server.request import User
from minik.server.tunnel import Links
from minik.storage.base import Store
from minik.storage.cache import Cache

MASTERS = frozenset({"system:masters", "system:authenticated"})
NODES = frozenset({"system:nodes", "system:authenticated"})


class ControlPlane:
    """`serve`, `start`, then `close`."""

    def __init__(
        self,
        store: Store,
        *,
        registry: Registry,
        settings: ServerSettings,
        links: Links,
        metrics: Metrics,
        clock: Clock,
        entropy: Entropy,
        cluster_cidr: str = CLUSTER_CIDR,
        way: Callable[[LocalTransport], Transport] = lambda transport: transport,
        scheduling: Configuration | None = None,
    ) -> None:
        """`scheduling`: what the scheduler is told, if anything. `way`: what lies between the controllers and the scheduler and the API
        server: nothing, but in simulations."""
        self.registry = registry
        self.metrics = metrics
        self.cache = Cache(store)
        self.api = ApiServer(
            store=store,
            cache=self.cache,
            registry=registry,
            clock=clock,
            entropy=entropy,
            metrics=metrics,
            links=links,
            settings=settings,
        )
        self._event_ttl = EventTtl(store, self.cache, clock)
        self._tasks = Tasks("control plane")
        self.manager: Manager | None = None
        self._ca_certificate, self._sign = settings.ca_certificate, settings.sign_csr
        front_proxy = settings.front_proxy
        self._authentication = authentication(settings.ca_certificate, front_proxy) if front_proxy is not None else None
        self._cluster_cidr = cluster_cidr
        self._clock, self._entropy, self._way = clock, entropy, way
        self._informers: Informers | None = None
        self._recorders: dict[str, Recorder] = {}
        self._scheduling = scheduling or Configuration(default_profiles())
        self._scheduler: Scheduler | None = None

    def transport(self, user: str, groups: frozenset[str] = MASTERS) -> LocalTransport:
        """A client's way into the API server, within the process."""
        return LocalTransport(self.api.handler, User(user, groups))

    async def serve(self) -> None:
        """Load the store; `api.handler` answers afterwards. Raises StoreError."""
        await self.cache.start()
        self._tasks.start("event ttl", self._event_ttl.run())

    async def start(self, *, address: str, port: int) -> None:
        """Initial objects, controllers, scheduler; returns when all of them work. `address`, `port`: see `bootstrap.ensure`."""
        await bootstrap.ensure(
            Client(self.transport("system:apiserver"), self.registry, manager="kube-apiserver"),
            address=address,
            port=port,
            authentication=self._authentication,
        )
        clock, entropy, metrics = self._clock, self._entropy, self.metrics
        transport = self._way(self.transport("system:kube-controller-manager"))
        self._informers = Informers(transport, self.registry, clock=clock, entropy=entropy)
        self.manager = Manager(
            built_in(
                ca_certificate=self._ca_certificate.decode(),
                sign=self._sign,
                sign_token=self.api.tokens.sign_legacy,
                cluster_cidr=self._cluster_cidr,
                api_port=port,
            ),
            transport,
            self.registry,
            clock=clock,
            entropy=entropy,
            metrics=metrics,
            informers=self._informers,
        )
        await self.manager.start()
        client = Client(self._way(self.transport("system:kube-scheduler")), self.registry, manager="kube-scheduler")
        names = [profile.name for profile in self._scheduling.profiles]
        self._recorders = {name: Recorder(client, component=name, clock=clock, entropy=entropy) for name in names}
        self._scheduler = Scheduler(
            client,
            self._informers,
            self._recorders,
            configuration=self._scheduling,
            clock=clock,
            entropy=entropy,
            metrics=metrics,
        )
        self.api.explain = self._scheduler.why
        await self._scheduler.start()
        await self.manager.wait_synced()
        self.api.ready = True

    async def close_loops(self) -> None:
        """Stop controllers and scheduler."""
        for part in (self._scheduler, self.manager, *self._recorders.values(), self._informers):
            if part is not None:
                await part.close()

    async def close(self) -> None:
        """Stop everything; the store stays open. Twice is fine."""
        await self.close_loops()
        await self._tasks.close()
        await self.cache.close()
