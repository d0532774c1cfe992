"""The composition root of a node: the parts of an agent and how they hang together. For `minik agent`, and the server's own node.

Agent (pods) ── ContainerRuntime, PodNetwork, ImagePuller
NodeServices ── ServiceProxy, DNS, routes to other nodes      real nodes only
StreamServer ── logs, exec, attach, port-forward, usage       over the link
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from minik.agent.agent import Agent
from minik.agent.containers.base import ContainerRuntime, EngineInfo
from minik.agent.images import ImagePuller
from minik.agent.network.base import PodNetwork
from minik.agent.serve import StreamServer
from minik.agent.stats import CgroupUsage, Stats, UsageReader
from minik.api.registry import Registry
from minik.client.client import Client
from minik.client.informer import Informers
from minik.client.recorder import Recorder
from minik.client.transport import Transport
from minik.clock import Clock, Entropy
from minik.config import CLUSTER_CIDR, DNS_SERVICE_IP, SERVICE_CIDR, AgentConfig

if TYPE_CHECKING:
    from minik.agent.network.nft import Nft
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
    host: Host | None = None,
) -> Node:
    """The node that `config` describes, as a client over `transport`. `host`: what it stands on, if not what `config` says; a
    simulated one outlives its agents."""
    client = Client(transport, registry, manager="minik-agent")
    informers = Informers(transport, registry, clock=clock, entropy=entropy)
    recorder = Recorder(client, component="kubelet", host=config.name, clock=clock, entropy=entropy)
    if host is None:
        host = fake_host(clock, entropy) if config.containers == "fake" else _docker_host(config, informers, clock)
    images = ImagePuller(host.runtime, client, clock=clock)
    agent = Agent(
        name=config.name,
        node_ip=node_ip,
        client=client,
        informers=informers,
        runtime=host.runtime,
        network=host.network,
        images=images,
        clock=clock,
        entropy=entropy,
        data_dir=config.data_dir,
        recorder=recorder,
        **host.parts,
    )
    services = None
    if host.is_real:
        from minik.agent.services import NodeServices

        services = NodeServices(
            agent, informers, host.nft, node_name=config.name, node_ip=node_ip, clock=clock, entropy=entropy
        )
    stats = Stats(agent.observations, host.usage, clock) if host.usage is not None else None
    streams = StreamServer(host.runtime, host.network, agent, stats)
    closing = (images, recorder, informers, host.network, host.runtime)
    return Node(agent, streams, services=services, closing=closing)


@dataclass(frozen=True, slots=True)
class Host:
    """What a node stands on. `parts`: what the agent has to be told besides."""

    runtime: ContainerRuntime
    network: PodNetwork
    is_real: bool
    parts: dict[str, Any]
    nft: Nft | None = None
    usage: UsageReader | None = None


def fake_host(clock: Clock, entropy: Entropy) -> Host:
    """Simulated containers, and addresses that lead nowhere."""
    from minik.agent.containers.fake import FakeRuntime
    from minik.agent.hooks import no_hook
    from minik.agent.network.fake import FakeNetwork
    from minik.agent.probes import always_well
    from minik.agent.volumes.base import NoVolumes

    runtime = FakeRuntime(clock=clock, entropy=entropy, info=SIMULATED)
    parts = {"volumes": NoVolumes(), "probe": always_well, "hook": no_hook}
    return Host(runtime, FakeNetwork(), is_real=False, parts=parts, usage=runtime)


def _docker_host(config: AgentConfig, informers: Informers, clock: Clock) -> Host:
    """Real containers on the host's Docker, in a real network."""
    from minik.agent.containers.docker import DockerRuntime
    from minik.agent.network.nft import open_nft
    from minik.agent.network.routed import RoutedNetwork

    runtime = DockerRuntime(config.name, url=config.docker, clock=clock)
    nft = open_nft()
    network = RoutedNetwork(cluster_cidr=CLUSTER_CIDR, service_cidr=SERVICE_CIDR, dns_address=DNS_SERVICE_IP, nft=nft)
    services = informers.of("services")
    return Host(
        runtime, network, is_real=True, parts={"services": lambda: services.lister}, nft=nft, usage=CgroupUsage()
    )
