"""`Addresses`: which cluster addresses and node ports are taken.

There is no table of allocations to leak or to repair: what is taken is what the Services and the IPAddress objects in the cache have,
plus what writes under way have reserved. The ranges are those of the ServiceCIDR objects. Used by `service_addresses.py` only.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Callable, Iterable

from minik.api import meta
from minik.api.core_v1 import services
from minik.api.meta import ROObj
from minik.api.networking_v1 import ipaddress as ipaddress_v1
from minik.api.networking_v1 import servicecidr
from minik.clock import Entropy
from minik.storage.cache import Cache

NODE_PORT_RANGE = (30000, 32767)
_BY_ADDRESS = "minik.clusterIP"
_BY_PORT = "minik.nodePort"
_RANDOM_TRIES = 32


def _node_ports(service: ROObj) -> Iterable[str]:
    spec = service.get("spec") or {}
    found = [f"{p.get('protocol', 'TCP')}/{p['nodePort']}" for p in spec.get("ports") or () if p.get("nodePort")]
    if spec.get("healthCheckNodePort"):
        found.append(f"TCP/{spec['healthCheckNodePort']}")
    return found


class Addresses:
    """Reserves cluster addresses and node ports for the length of a write."""

    def __init__(
        self,
        cache: Cache,
        entropy: Entropy,
        *,
        cidr: str,
        reserved: Iterable[str] = (),
        ports: tuple[int, int] = NODE_PORT_RANGE,
    ) -> None:
        self._first = ipaddress.IPv4Network(cidr)
        self.ports = ports
        self._cache = cache
        self._entropy = entropy
        self._kept_free = frozenset(reserved)
        """Never given out by chance, but anybody may ask for them: the addresses of DNS and of the API server."""
        self._in_flight: set[str] = set()
        cache.add_index("services", _BY_ADDRESS, services.cluster_ips)
        cache.add_index("services", _BY_PORT, _node_ports)

    def _is_taken(self, index: str, value: str) -> bool:
        return value in self._in_flight or bool(self._cache.by_index("services", index, value))

    def _is_taken_ip(self, ip: str) -> bool:
        """An address may also be somebody else's than a Service's."""
        return self._is_taken(_BY_ADDRESS, ip) or self._cache.get(ipaddress_v1.KIND.key("", ip)) is not None

    def ranges(self) -> list[ipaddress.IPv4Network]:
        """Where addresses come from: the IPv4 ranges of the ServiceCIDRs that are not being deleted."""
        known = [entry.obj for entry in self._cache.list(servicecidr.RESOURCE)]
        if not known:
            return [self._first]  # not even the first one has been made yet
        living = (obj for obj in known if not meta.is_deleting(obj))
        return [ipaddress.IPv4Network(cidr) for obj in living for cidr in servicecidr.cidrs_of(obj) if ":" not in cidr]

    def _reserve(self, value: str, done: list[Callable[[], None]]) -> None:
        self._in_flight.add(value)
        done.append(lambda: self._in_flight.discard(value))

    def take_ip(self, ip: str, done: list[Callable[[], None]]) -> str:
        """Reserve this address; returns "" or, in upstream's words, why not."""
        try:
            address = ipaddress.ip_address(ip)
        except ValueError:
            return f"{ip} is not an IP address"
        ranges = self.ranges()
        if not any(address in network and address not in (network[0], network[-1]) for network in ranges):
            valid = ", ".join(map(str, ranges)) or "empty"
            return f"the provided IP ({ip}) is not in the valid range. The range of valid IPs is {valid}"
        if self._is_taken_ip(ip):
            return "provided IP is already allocated"
        self._reserve(ip, done)
        return ""

    def any_ip(self, done: list[Callable[[], None]]) -> str:
        """Reserve a free address: by chance, then in order. "" if there is none."""
        for network in self.ranges():
            size = network.num_addresses
            offsets = [self._entropy.rng.randrange(1, size - 1) for _ in range(_RANDOM_TRIES if size > 2 else 0)]
            for offset in itertools.chain(offsets, range(1, size - 1)):
                ip = str(network[offset])
                if ip not in self._kept_free and not self._is_taken_ip(ip):
                    self._reserve(ip, done)
                    return ip
        return ""

    def take_port(self, protocol: str, port: int, done: list[Callable[[], None]]) -> str:
        """Reserve this node port; returns "" or why not."""
        low, high = self.ports
        if not low <= port <= high:
            return f"provided port is not in the valid range. The range of valid ports is {low}-{high}"
        value = f"{protocol}/{port}"
        if self._is_taken(_BY_PORT, value):
            return "provided port is already allocated"
        self._reserve(value, done)
        return ""

    def any_port(self, protocol: str, done: list[Callable[[], None]]) -> int:
        """Reserve a free node port; 0 if there is none."""
        low, high = self.ports
        tries = [self._entropy.rng.randint(low, high) for _ in range(_RANDOM_TRIES)]
        for port in itertools.chain(tries, range(low, high + 1)):
            value = f"{protocol}/{port}"
            if not self._is_taken(_BY_PORT, value):
                self._reserve(value, done)
                return port
        return 0
