"""Addresses of one node's pod CIDR. Pure state, no I/O; called by the pod networks.

Given out in order; a released address goes to the end of the queue, so it is used again as late as possible: peers that
still hold a connection or a DNS answer do not meet another pod. The first two addresses (network, and the node's own on the
overlay) and the last one (broadcast, IPv4) are never given out.
"""

from __future__ import annotations

import ipaddress
from collections import Counter, deque
from collections.abc import Mapping

from minik.agent.network.base import NetworkError, NoFreeAddress

_RESERVED = 2


class Ipam:
    """Pod uid → address. Costs nothing per address until one is released."""

    __slots__ = ("_end", "_held", "_network", "_next", "_released", "_users")

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
        self._released: deque[str] = deque()
        self._held: dict[str, str] = {}
        self._users: Counter[str] = Counter()

    @property
    def own(self) -> str:
        """The node's own address in the CIDR."""
        return str(self._network[1])

    def allocate(self, uid: str) -> str:
        """The address of `uid`, chosen if it has none, or one of a CIDR that was the node's before and may be another's by now. Raises
        NoFreeAddress."""
        address = self._held.get(uid)
        if address is None or ipaddress.ip_address(address) not in self._network:
            address = self._free()
            self.release(uid)
            self._hold(uid, address)
        return address

    def _hold(self, uid: str, address: str) -> None:
        self._held[uid] = address
        self._users[address] += 1

    def _free(self) -> str:
        while self._next < self._end:
            address = str(self._network[self._next])
            self._next += 1
            if address not in self._users:
                return address
        while self._released:
            address = self._released.popleft()
            if address not in self._users:
                return address
        raise NoFreeAddress(f"all {self._end - _RESERVED} addresses of {self._network} are in use")

    def adopt(self, uid: str, address: str) -> None:
        """`uid` has `address` already, whatever was said before. It may lie outside of the CIDR (the node had another one), and
        may be that of another pod which is about to go. Raises NetworkError when it is no address."""
        if self._held.get(uid) == address:
            return
        try:
            canonical = str(ipaddress.ip_address(address))
        except ValueError as error:
            raise NetworkError(str(error)) from error
        self.release(uid)
        self._hold(uid, canonical)

    def release(self, uid: str) -> None:
        """`uid` needs none any more. One that has none is fine."""
        address = self._held.pop(uid, None)
        if address is None:
            return
        self._users[address] -= 1
        if not self._users[address]:
            del self._users[address]
            if ipaddress.ip_address(address) in self._network:
                self._released.append(address)

    def addresses(self) -> Mapping[str, str]:
        return dict(self._held)
