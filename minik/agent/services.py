"""`NodeServices`: what a real node does for the cluster's network beside running pods: service rules, names, routes to other nodes.

Wires the informers to `proxy/proxy.py`, `dns/server.py` and `network/peers.py`; decides nothing. Starts its work once the pod network
is up (`Agent.ready`).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from minik.agent.agent import Agent
from minik.agent.dns.records import Records
from minik.agent.dns.server import DnsServer
from minik.agent.dns.upstream import Upstream
from minik.agent.network.base import NetworkError
from minik.agent.network.nft import Nft
from minik.agent.network.peers import NodeRoutes
from minik.agent.network.routed import assign_service_address
from minik.agent.proxy.apply import Backend, NftBackend
from minik.agent.proxy.proxy import ServiceProxy
from minik.agent.proxy.rules import NodeView
from minik.agent.proxy.userspace import UserspaceBackend
from minik.aio import Tasks
from minik.api import meta
from minik.api.meta import Key, ROObj
from minik.client.informer import Informer, Informers
from minik.clock import Clock, Entropy
from minik.config import CLUSTER_CIDR, CLUSTER_DOMAIN, DNS_SERVICE_IP, SERVICE_CIDR

log = logging.getLogger("minik.agent")

ZONE_LABEL = "topology.kubernetes.io/zone"
_RETRY_SECONDS = 5.0


def feed(informer: Informer, tell: Callable[[Key, ROObj | None], None]) -> Callable[[], None]:
    """Have `tell(key, object or None)` called for everything that is and that changes. Returns what ends it."""
    return informer.add_handler(
        added=lambda obj: tell(meta.key(obj), obj),
        updated=lambda _old, obj: tell(meta.key(obj), obj),
        deleted=lambda obj: tell(meta.key(obj), None),
    )


class NodeServices:
    """See the module. `nft` None: Services go through a userspace proxy."""

    def __init__(
        self,
        agent: Agent,
        informers: Informers,
        nft: Nft | None,
        *,
        node_name: str,
        node_ip: str,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._agent, self._informers, self._nft, self._clock, self._entropy = agent, informers, nft, clock, entropy
        self._node_name, self._node_ip = node_name, node_ip
        self._tasks = Tasks("node services")
        self._proxy: ServiceProxy | None = None
        self._backend: Backend | None = None
        self._routes: NodeRoutes | None = None
        self._dns: DnsServer | None = None
        self._unsubscribe: list[Callable[[], None]] = []

    def start(self) -> None:
        """Begin in the background."""
        self._tasks.start("start", self._run())

    async def _run(self) -> None:
        await self._agent.ready.wait()
        services = self._informers.of("services")
        slices = self._informers.of("endpointslices.discovery.k8s.io")
        nodes = self._informers.of("nodes")
        own_pods = self._informers.of("pods", field_selector=f"spec.nodeName={self._node_name}")
        view = NodeView(self._node_name, self._agent.pod_cidr, CLUSTER_CIDR, SERVICE_CIDR, local_dns=DNS_SERVICE_IP)
        self._backend = (
            NftBackend(self._nft, view) if self._nft is not None else UserspaceBackend(assign_service_address)
        )
        proxy = self._proxy = ServiceProxy(node=view, backend=self._backend, clock=self._clock)
        routes = self._routes = NodeRoutes(
            node_name=self._node_name, node_ip=self._node_ip, pod_cidr=self._agent.pod_cidr
        )
        dns = self._dns = DnsServer(
            records=Records(CLUSTER_DOMAIN, networks=(SERVICE_CIDR, CLUSTER_CIDR)),
            upstream=Upstream(clock=self._clock, entropy=self._entropy, own=(DNS_SERVICE_IP,)),
            clock=self._clock,
        )
        self._unsubscribe += (
            feed(services, proxy.update_service),
            feed(slices, proxy.update_slice),
            feed(own_pods, proxy.update_pod),
            feed(services, dns.update_service),
            feed(slices, dns.update_slice),
            feed(nodes, lambda key, node: routes.update_node(key.name, node)),
            feed(nodes, lambda key, node: proxy.update_zone(self._zone(node)) if key.name == self._node_name else None),
        )
        for informer in (services, slices, nodes, own_pods):
            await informer.wait_synced()
        self._tasks.start("routes", self._until_started("routes to other nodes", routes.start))
        self._tasks.start("proxy", self._until_started("service rules", proxy.start))
        self._tasks.start("dns", self._until_started("cluster DNS", lambda: dns.start(DNS_SERVICE_IP)))

    @staticmethod
    def _zone(node: ROObj | None) -> str:
        return meta.labels(node).get(ZONE_LABEL, "") if node is not None else ""

    async def _until_started(self, what: str, start: Callable[[], Awaitable[None]]) -> None:
        """One that cannot start now (an address in use, a firewall that reloads) does not keep the others from working."""
        while True:
            try:
                await start()
                return
            except (NetworkError, OSError) as error:
                log.warning("part of the node's network not started", extra={"part": what, "error": str(error)})
                await self._clock.sleep(_RETRY_SECONDS)

    async def close(self) -> None:
        """Stop following; rules and routes stay, so that Services go on working while the agent restarts."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        await self._tasks.close()
        if self._dns is not None:
            await self._dns.close()
        if self._proxy is not None:
            await self._proxy.close()
        if self._backend is not None:
            await self._backend.close()
        if self._routes is not None:
            await self._routes.close()
        if self._nft is not None:
            self._nft.close()
