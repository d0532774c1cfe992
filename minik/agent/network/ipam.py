"""Addresses of one node's pod CIDR. Pure state, no I/O; called by the pod networks.

Given out in order; a released address goes to the end of the queue, so it is used again as late as possible: peers that
still hold a connection or a DNS answer do not meet another pod. The first two addresses (network, and the node's own on the
overlay) and the last one (broadcast, IPv4) are never given out.
"""

from __future__ import annotations

import ipaddress
from collections import deque
from collections.abc import Mapping

from minik.agent.network.base import NetworkError, NoFreeAddress

_RESERVED = 2


class Ipam:
    """Pod uid → address. Costs nothing per address until one is released."""

    __slots__ = ("_end", "_held", "_network", "_next", "_released", "_used")

    def __init__(self, cidr: str) -> None:
        """Raises NetworkError when `cidr` is no network or has no room."""
        try:
            self._network = ipaddress.ip_network(cidr)
        except ValueError as error:
            raise NetworkError(f"pod CIDR {cidr!r}: {error}") from error
        self._next = _RESERVED
        self._end = self._network.num_addresses - (1 if self._network.version == 4 else 0)
        if self._end <= _RESERVED:
            raise NetworkError(f"pod CIDR {cidr} has no room for pods")
        self._released: deque[int] = deque()
        self._held: dict[str, int] = {}
        self._used: set[int] = set()

    @property
    def own(self) -> str:
        """The node's own address in the CIDR."""
        return str(self._network[1])

    def allocate(self, uid: str) -> str:
        """The address of `uid`, chosen if it has none. Raises NoFreeAddress."""
        held = self._held.get(uid)
        if held is None:
            held = self._free()
            self._held[uid] = held
            self._used.add(held)
        return str(self._network[held])

    def _free(self) -> int:
        while self._next < self._end:
            offset = self._next
            self._next += 1
            if offset not in self._used:
                return offset
        while self._released:
            offset = self._released.popleft()
            if offset not in self._used:
                return offset
        raise NoFreeAddress(f"all {self._end - _RESERVED} addresses of {self._network} are in use")

    def adopt(self, uid: str, address: str) -> None:
        """`uid` has `address` already. Raises NetworkError when it is not of this CIDR or another pod has it."""
        try:
            offset = int(ipaddress.ip_address(address)) - int(self._network.network_address)
        except ValueError as error:
            raise NetworkError(str(error)) from error
        if not 0 <= offset < self._end or ipaddress.ip_address(address) not in self._network:
            raise NetworkError(f"{address} is not an address of {self._network}")
        held = self._held.get(uid)
        if held == offset:
            return
        if held is not None:
            raise NetworkError(f"pod {uid} has {self._network[held]} already, not {address}")
        if offset in self._used:
            raise NetworkError(f"{address} belongs to another pod")
        self._held[uid] = offset
        self._used.add(offset)

    def release(self, uid: str) -> None:
        """`uid` needs none any more. One that has none is fine."""
        offset = self._held.pop(uid, None)
        if offset is not None:
            self._used.discard(offset)
            self._released.append(offset)

    def addresses(self) -> Mapping[str, str]:
        return {uid: str(self._network[offset]) for uid, offset in self._held.items()}
