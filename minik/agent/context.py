"""`NodeContext`: the collaborators that the workers of one node share. Made once, by `agent.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from minik.agent import names
from minik.agent.containers.base import ContainerInfo, ContainerRuntime, ImageInfo
from minik.agent.etcfiles import ClusterDns
from minik.agent.fields import PodFacts
from minik.agent.hooks import HookRunner
from minik.agent.network.base import PodNetwork
from minik.agent.observe import Observations
from minik.agent.probes import Prober
from minik.agent.volumes.base import Volumes
from minik.api.meta import ROObj
from minik.client.client import Client
from minik.clock import Clock

STARTS_AT_ONCE = 4
"""Measured: more at once give no more throughput and make every pod late."""


class Events(Protocol):
    def __call__(self, pod: ROObj, kind: str, reason: str, message: str, *, container: str = "") -> None:
        """Record an Event about a pod, or one of its containers. `kind`: Normal or Warning. Never raises."""
        ...


class ImageSource(Protocol):
    async def ensure(self, pod: ROObj, container: Mapping[str, Any], say: Callable[[str, str, str], None]) -> ImageInfo:
        """The container's image on this node, pulled if its policy says so. `say(kind, reason, message)` records events.
        Raises ImageFailure, also while it is backing off."""
        ...

    def forget(self, pod_uid: str) -> None:
        """The pod is gone."""
        ...


async def _nothing_used(_container: ContainerInfo) -> int:
    return 0


@dataclass(slots=True, eq=False, kw_only=True)
class NodeContext:
    """What a pod worker works with."""

    name: str
    node_ip: str
    client: Client
    runtime: ContainerRuntime
    network: PodNetwork
    volumes: Volumes
    images: ImageSource
    observations: Observations
    prober: Prober
    hook: HookRunner
    clock: Clock
    event: Events
    data_dir: Path
    dns: ClusterDns
    services: Callable[[], Iterable[ROObj]]
    """All services of the cluster, for the environment variables."""
    cpus: int = 0
    """Of the node, in milli."""
    memory: int = 0
    """Of the node, in bytes."""
    min_oom_score: int = -1000
    has_devices: bool = False
    """Whether pods get what ResourceClaims allocate to them: on simulated nodes. There are no DRA drivers on real ones yet."""
    memory_used: Callable[[ContainerInfo], Awaitable[int]] = _nothing_used
    """Bytes that a running container cannot give back at once."""
    starts: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(STARTS_AT_ONCE))

    def facts(self, pod_ip: str) -> PodFacts:
        return PodFacts(self.name, self.node_ip, pod_ip, self.cpus, self.memory)

    def pod_ip(self, pod: ROObj) -> str:
        """The address of a pod that lives: the node's for pods of the host network, what its sandbox has; for another sandbox that of
        the one before, unless the node's range is another one by now; or a new one."""
        if pod["spec"].get("hostNetwork"):
            return self.node_ip
        uid = pod["metadata"]["uid"]
        for sandbox in self.observations.pod(uid).sandboxes:
            if address := sandbox.labels.get(names.POD_IP):
                self.network.adopt(uid, address)
                if sandbox.state == "running":
                    return address
                break
        return self.network.allocate(uid)

    def sandbox_ip(self, pod: ROObj) -> str:
        """The address of the sandbox that runs, or ""."""
        sandbox = self.observations.pod(pod["metadata"]["uid"]).sandbox
        return sandbox.labels.get(names.POD_IP, "") if sandbox is not None else ""
