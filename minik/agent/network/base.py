"""`PodNetwork`: what the agent wants of the network: an address for each pod and a way into its namespace.

Implementations: `RoutedNetwork` (routed veth pairs) and `FakeNetwork` (addresses only, for simulated containers).

    NetworkError             message is for a person and for Events (FailedCreatePodSandBox)
    └── NoFreeAddress        every address of the node's pod CIDR is in use
"""

from __future__ import annotations

import socket as sockets
from collections.abc import Mapping
from typing import Protocol


class NetworkError(Exception):
    """Base of all failures of the pod network."""


class NoFreeAddress(NetworkError):
    pass


class PodNetwork(Protocol):
    """The pods' network of one node."""

    async def start(self, *, node_name: str, pod_cidr: str, node_ip: str) -> None:
        """Make ready. `pod_cidr` is the Node's `spec.podCIDR`, `node_ip` the address other nodes reach this one by. Once, before
        all else."""
        ...

    def allocate(self, pod_uid: str) -> str:
        """An address of the node's pod CIDR; the same again for the same uid. Raises NoFreeAddress."""
        ...

    def adopt(self, pod_uid: str, address: str) -> None:
        """Take over an address found on an existing sandbox after an agent restart."""
        ...

    async def attach(self, pod_uid: str, address: str, pid: int) -> None:
        """Plumb the network namespace of process `pid`. Idempotent. Raises NetworkError."""
        ...

    async def detach(self, pod_uid: str) -> None:
        """Remove the veth and release the address. A pod that has neither is fine."""
        ...

    def socket(self, pid: int, family: int, type: int) -> sockets.socket:  # noqa: A002  # as socket.socket names it
        """A socket made inside the network namespace of process `pid`. Raises NetworkError."""
        ...

    async def attached(self) -> Mapping[str, str]:
        """Pod uid → address of all that is plumbed on this node, for clean-up of leftovers."""
        ...

    async def close(self) -> None:
        """Stop looking after it. What is plumbed stays: pods outlive the agent."""
        ...
