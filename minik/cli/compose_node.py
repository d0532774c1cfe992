"""The composition root of a node: the parts of an agent and how they hang together. For `minik agent`, and the server's own node.

Agent (pods) ── ContainerRuntime, PodNetwork, ImagePuller
NodeServices ── ServiceProxy, DNS, routes to other nodes      real nodes only
StreamServer ── logs, exec, attach, port-forward              over the link
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from minik.agent.agent import Agent
from minik.agent.containers.base import ContainerRuntime, EngineInfo
from minik.agent.images import ImagePuller
from minik.agent.network.base import PodNetwork
from minik.agent.serve import StreamServer
from minik.api.registry import Registry
from minik.client.client import Client
from minik.client.informer import Informers
from minik.client.recorder import Recorder
from minik.client.transport import Transport
from minik.clock import Clock, Entropy
from minik.config import CLUSTER_CIDR, DNS_SERVICE_IP, SERVICE_CIDR, AgentConfig

if TYPE_CHECKING:
    from minik.agent.services import NodeServices

log = logging.getLogger("minik.agent")


SIMULATED = EngineInfo(
    name="fake",
    version="1.0.0",
    os_image="simulated",
    kernel="0",
    architecture="amd64",
    cpus=32,
    memory=256 << 30,
    cgroup_driver="cgroupfs",
)
"""What a simulated node says of its host."""


class Node:
    """A node's parts: `start`, then `close`. `streams` serves what the server opens over the link."""

    def __init__(
        self,
        agent: Agent,
        streams: StreamServer,
        *,
        services: NodeServices | None,
        closing: Sequence[Informers | Recorder | ImagePuller | PodNetwork | ContainerRuntime],
    ) -> None:
        self.agent = agent
        self.streams = streams
        self._services = services
        self._closing = closing

    async def start(self) -> None:
        """Returns at once; `agent.ready` is set when the node has reported itself Ready."""
        await self.agent.start()
        if self._services is not None:
            self._services.start()

    async def close(self) -> None:
        """Stop; containers, addresses and rules are left as they are, so that pods go on working."""
        if self._services is not None:
            await self._services.close()
        await self.agent.close()
        for part in self._closing:
            await part.close()


def build_node(
    config: AgentConfig,
    transport: Transport,
    registry: Registry,
    *,
    node_ip: str,
    clock: Clock,
    entropy: Entropy,
) -> Node:
    """The node that `config` describes, as a client over `transport`."""
    if config.containers == "fake":
        return _fake_node(config, transport, registry, node_ip=node_ip, clock=clock, entropy=entropy)
    return _docker_node(config, transport, registry, node_ip=node_ip, clock=clock, entropy=entropy)


def _fake_node(
    config: AgentConfig, transport: Transport, registry: Registry, *, node_ip: str, clock: Clock, entropy: Entropy
) -> Node:
    """Simulated containers, and addresses that lead nowhere."""
    from minik.agent.containers.fake import FakeRuntime
    from minik.agent.hooks import no_hook
    from minik.agent.network.fake import FakeNetwork
    from minik.agent.probes import always_well
    from minik.agent.volumes.base import NoVolumes

    client = Client(transport, registry)
    informers = Informers(transport, registry, clock=clock, entropy=entropy)
    recorder = Recorder(client, component="kubelet", host=config.name, clock=clock, entropy=entropy)
    runtime, network = FakeRuntime(clock=clock, entropy=entropy, info=SIMULATED), FakeNetwork()
    images = ImagePuller(runtime, client, clock=clock)
    agent = Agent(
        name=config.name,
        node_ip=node_ip,
        client=client,
        informers=informers,
        runtime=runtime,
        network=network,
        images=images,
        clock=clock,
        entropy=entropy,
        data_dir=config.data_dir,
        recorder=recorder,
        volumes=NoVolumes(),
        probe=always_well,
        hook=no_hook,
    )
    closing = (images, recorder, informers, network, runtime)
    return Node(agent, StreamServer(runtime, network, agent), services=None, closing=closing)


def _docker_node(
    config: AgentConfig, transport: Transport, registry: Registry, *, node_ip: str, clock: Clock, entropy: Entropy
) -> Node:
    """Real containers on the host's Docker, in a real network."""
    from minik.agent.containers.docker import DockerRuntime
    from minik.agent.network.nft import open_nft
    from minik.agent.network.routed import RoutedNetwork
    from minik.agent.services import NodeServices

    client = Client(transport, registry)
    informers = Informers(transport, registry, clock=clock, entropy=entropy)
    recorder = Recorder(client, component="kubelet", host=config.name, clock=clock, entropy=entropy)
    runtime = DockerRuntime(config.name, url=config.docker, clock=clock)
    nft = open_nft()
    network = RoutedNetwork(cluster_cidr=CLUSTER_CIDR, service_cidr=SERVICE_CIDR, dns_address=DNS_SERVICE_IP, nft=nft)
    images = ImagePuller(runtime, client, clock=clock)
    services = informers.of("services")
    agent = Agent(
        name=config.name,
        node_ip=node_ip,
        client=client,
        informers=informers,
        runtime=runtime,
        network=network,
        images=images,
        clock=clock,
        entropy=entropy,
        data_dir=config.data_dir,
        recorder=recorder,
        services=lambda: services.lister,
    )
    parts = NodeServices(agent, informers, nft, node_name=config.name, node_ip=node_ip, clock=clock, entropy=entropy)
    closing = (images, recorder, informers, network, runtime)
    return Node(agent, StreamServer(runtime, network, agent), services=parts, closing=closing)
