"""`FakeNetwork`: addresses without a network, for nodes whose containers are simulated. Cheap enough for thousands of nodes."""

from __future__ import annotations

import socket as sockets
from collections.abc import Mapping

from minik.agent.network.base import NetworkError, PodNetwork
from minik.agent.network.ipam import Ipam


class FakeNetwork:
    """Keeps the promises of `PodNetwork` about addresses; packets go nowhere."""

    __slots__ = ("_attached", "_ipam")

    def __init__(self) -> None:
        self._ipam: Ipam | None = None
        self._attached: dict[str, str] = {}

    async def start(self, *, node_name: str, pod_cidr: str, node_ip: str) -> None:
        self._ipam = Ipam(pod_cidr)

    def allocate(self, pod_uid: str) -> str:
        return self._started().allocate(pod_uid)

    def adopt(self, pod_uid: str, address: str) -> None:
        self._started().adopt(pod_uid, address)

    async def attach(self, pod_uid: str, address: str, pid: int) -> None:
        self._attached[pod_uid] = address

    async def detach(self, pod_uid: str) -> None:
        self._attached.pop(pod_uid, None)
        self._started().release(pod_uid)

    def socket(self, pid: int, family: int, type: int) -> sockets.socket:  # noqa: A002  # as the protocol names it
        raise NetworkError("simulated containers have no network to connect to")

    async def attached(self) -> Mapping[str, str]:
        return dict(self._attached)

    async def close(self) -> None:
        return None

    def _started(self) -> Ipam:
        if self._ipam is None:
            raise NetworkError("the network has not been started")
        return self._ipam


_: type[PodNetwork] = FakeNetwork
