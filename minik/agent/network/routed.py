"""`RoutedNetwork`: each pod has one end of a veth pair with a /32 address, the host a route to it. No bridge.

    pod   eth0       10.244.1.5/32, default via 169.254.1.1 (a permanent ARP entry, so nobody has to answer for it)
    host  mk-<id>    route 10.244.1.5/32, permanent ARP entry, alias "minik:<pod uid>", reverse-path filter on
    host  mk-svc     an empty bridge: the route of the service CIDR ends here, so that packets to a service address get as far as
                     the rules that rewrite them; it carries the cluster's DNS address, which the agent answers itself

All pod traffic is forwarded by the host, which is where rules can see it. State is recovered from aliases and routes. What the
kernel forgets (a link that went down takes its routes along) is put back when it says so; nothing polls. Pods of other nodes are
`peers.py`'s, services `minik.agent.proxy`'s.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import ipaddress
import logging
import os
import re
import socket as sockets
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from minik.agent.network import netlink as nl
from minik.agent.network import sysctl
from minik.agent.network.base import NetworkError, PodNetwork
from minik.agent.network.forwarding import PREFIX, masquerade_rules, open_forwarding
from minik.agent.network.ipam import Ipam
from minik.agent.network.listen import Listener
from minik.agent.network.netlink import Netlink, Route
from minik.agent.network.netns import in_namespace, of_pid
from minik.agent.network.nft import Nft
from minik.aio import Tasks

log = logging.getLogger("minik.agent.network")

SERVICE_DEVICE = f"{PREFIX}svc"
ALIAS = "minik:"
_GATEWAY = ipaddress.IPv4Address("169.254.1.1")
_GATEWAY_MAC = bytes.fromhex("eeeeeeeeeeee")
_EVERYWHERE = ipaddress.IPv4Network("0.0.0.0/0")
_OVERLAY_BYTES = 50
"""What VXLAN adds to a packet. Every pod leaves room for it: nodes on another link may join at any time."""
_LOWEST_MTU = 1280
_UID_HEX = re.compile(r"[0-9a-f]{10}")

T = TypeVar("T")


def interface_name(pod_uid: str) -> str:
    """`mk-<10 hex>`: the beginning of the uid, or of its digest where it is not made of hex digits."""
    match = _UID_HEX.match(pod_uid.replace("-", ""))
    return PREFIX + (match[0] if match else hashlib.sha256(pod_uid.encode()).hexdigest()[:10])


def pod_mac(address: ipaddress.IPv4Address) -> bytes:
    """The MAC of a pod's eth0: locally administered, made of its address."""
    return b"\x0a\x58" + address.packed


def assign_service_address(address: str) -> None:
    """Make `address` one of this host's, on the service device. Idempotent. Raises OSError."""
    index = sockets.if_nametoindex(SERVICE_DEVICE)
    with Netlink() as kernel:
        kernel.send(nl.new_address(index, ipaddress.ip_address(address), scope=nl.SCOPE_HOST))


class RoutedNetwork:
    """See the module. Needs root (CAP_NET_ADMIN and CAP_SYS_ADMIN) in the network namespace it is started in."""

    def __init__(self, *, cluster_cidr: str, service_cidr: str, dns_address: str, nft: Nft | None) -> None:
        """`dns_address` "" where the cluster has no DNS of minik's; `nft` None where there is no nftables (pods then keep their
        own addresses when they talk to the outside)."""
        self._cluster_cidr, self._dns_address = cluster_cidr, dns_address
        self._service_net = ipaddress.IPv4Network(service_cidr)
        self._nft = nft
        self._ipam: Ipam | None = None
        self._node_ip: ipaddress.IPv4Address | None = None
        self._mtu = 1500 - _OVERLAY_BYTES
        self._plumbed: dict[str, str] = {}
        self._thread: ThreadPoolExecutor | None = None
        self._tasks = Tasks("pod network")
        self._listener: Listener | None = None

    async def start(self, *, node_name: str, pod_cidr: str, node_ip: str) -> None:
        ipam = Ipam(pod_cidr)
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="minik-net")
        own = ipaddress.ip_address(node_ip)
        if own.version != 4:
            raise NetworkError(f"the node's address {node_ip} is not an IPv4 address")
        await self._in_thread(lambda: self._prepare(own))
        if self._nft is not None:
            await self._nft.run(masquerade_rules(self._cluster_cidr))
        found = await self._in_thread(_plumbed)
        # One without a route has lost it; its sandbox's label says which it was, and attaching makes it again.
        self._plumbed = {uid: address for uid, address in found.items() if address}
        for uid, address in self._plumbed.items():
            ipam.adopt(uid, address)
        self._ipam = ipam
        if self._listener is None:
            self._listener = Listener(self._changed)
            self._tasks.start("restore", self._listener.run())

    def allocate(self, pod_uid: str) -> str:
        return self._started().allocate(pod_uid)

    def adopt(self, pod_uid: str, address: str) -> None:
        self._started().adopt(pod_uid, address)

    async def attach(self, pod_uid: str, address: str, pid: int) -> None:
        ipv4 = ipaddress.IPv4Address(address)
        name = interface_name(pod_uid)
        try:
            await self._in_thread(lambda: self._plumb(pod_uid, name, ipv4, pid))
        except OSError as error:
            raise NetworkError(f"cannot plumb {name} with {address}: {error.strerror}") from error
        self._plumbed[pod_uid] = address

    async def detach(self, pod_uid: str) -> None:
        name = interface_name(pod_uid)
        self._plumbed.pop(pod_uid, None)
        try:
            await self._in_thread(lambda: _unplumb(pod_uid, name))
        except OSError as error:
            raise NetworkError(f"cannot remove {name}: {error.strerror}") from error
        self._started().release(pod_uid)

    def socket(self, pid: int, family: int, type: int) -> sockets.socket:  # noqa: A002  # as the protocol names it
        return in_namespace(
            of_pid(pid), lambda: sockets.socket(family, type | sockets.SOCK_NONBLOCK | sockets.SOCK_CLOEXEC)
        )

    async def attached(self) -> Mapping[str, str]:
        return await self._in_thread(_plumbed)

    async def close(self) -> None:
        await self._tasks.close()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._thread is not None:
            self._thread.shutdown(wait=False)
            self._thread = None

    def _started(self) -> Ipam:
        if self._ipam is None:
            raise NetworkError("the network has not been started")
        return self._ipam

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Kernel calls about links may wait for locks and grace periods: not on the event loop."""
        if self._thread is None:
            raise NetworkError("the network has not been started")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # --- the host's side -------------------------------------------------------------------------------------------------

    def _prepare(self, own: ipaddress.IPv4Address) -> None:
        sysctl.require("ipv4/ip_forward", "1")
        with Netlink() as kernel:
            links = {link.index: link for link in kernel.links()}
            uplink = next((links[index] for index, address, _ in kernel.addresses() if address == own), None)
        # Behind NAT no interface has the address, and from a loopback address nothing can be sent to a pod.
        self._node_ip = own if uplink is not None and not own.is_loopback else None
        mtu = uplink.mtu if uplink is not None and not own.is_loopback else 1500
        self._mtu = max(mtu - _OVERLAY_BYTES, _LOWEST_MTU)
        self._ensure_service_device()
        open_forwarding()

    def _ensure_service_device(self) -> None:
        with Netlink() as kernel:
            names = {link.name: link for link in kernel.links()}
            if SERVICE_DEVICE not in names:
                kernel.try_each(nl.new_bridge(SERVICE_DEVICE), ignore=frozenset({errno.EEXIST}))
                sysctl.prefer(f"ipv6/conf/{SERVICE_DEVICE}/disable_ipv6", "1")
            index = sockets.if_nametoindex(SERVICE_DEVICE)
            messages = [nl.set_link(index, up=True)]
            if self._dns_address:
                messages.append(nl.new_address(index, ipaddress.IPv4Address(self._dns_address), scope=nl.SCOPE_HOST))
            messages.append(nl.new_route(Route(self._service_net, index, source=self._node_ip)))
            kernel.send(*messages)

    def _host_messages(self, index: int, address: ipaddress.IPv4Address) -> list[nl.Message]:
        return [
            nl.new_route(Route(ipaddress.IPv4Network(address), index, source=self._node_ip)),
            nl.new_neighbour(index, address, pod_mac(address)),
        ]

    def _plumb(self, uid: str, name: str, address: ipaddress.IPv4Address, pid: int) -> None:
        path = of_pid(pid)
        inside = in_namespace(path, Netlink)
        with inside, Netlink() as kernel:
            mine = next((link for link in inside.links() if link.name == "eth0"), None)
            try:
                host = sockets.if_nametoindex(name)
            except OSError:
                host = 0
            if mine is None or not host or mine.peer != host:
                if host:  # of an earlier sandbox of this pod
                    kernel.try_each(nl.delete_link(host), ignore=frozenset({errno.ENODEV}))
                if mine is not None:
                    inside.send(nl.delete_link(mine.index))
                self._make_pair(kernel, name, address, path)
                host = sockets.if_nametoindex(name)
                sysctl.prefer(f"ipv4/conf/{name}/rp_filter", "1")  # a pod sends with its own address only
                sysctl.prefer(f"ipv6/conf/{name}/disable_ipv6", "1")
            kernel.send(nl.set_link(host, up=True, alias=ALIAS + uid), *self._host_messages(host, address))
            index = in_namespace(path, lambda: sockets.if_nametoindex("eth0"))
            inside.send(
                nl.set_link(1, up=True),
                nl.new_address(index, address),
                nl.set_link(index, up=True),
                nl.new_route(Route(ipaddress.IPv4Network(_GATEWAY), index)),
                nl.new_route(Route(_EVERYWHERE, index, via=_GATEWAY, onlink=True)),
                nl.new_neighbour(index, _GATEWAY, _GATEWAY_MAC),
            )

    def _make_pair(self, kernel: Netlink, name: str, address: ipaddress.IPv4Address, path: str) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            kernel.send(
                nl.new_veth(
                    name, mac=_GATEWAY_MAC, mtu=self._mtu,
                    peer="eth0", peer_mac=pod_mac(address), peer_namespace=descriptor,
                )
            )  # fmt: skip
        finally:
            os.close(descriptor)

    # --- putting back what the kernel forgot -----------------------------------------------------------------------------

    async def _changed(self) -> None:
        restored = await self._in_thread(self._restore)
        if restored:
            log.info("restored routes of pods and services", extra={"count": restored})

    def _restore(self) -> int:
        """Make again the routes and devices that are missing. How many."""
        with Netlink() as kernel:
            links = {link.name: link for link in kernel.links()}
            present = {(route.to, route.index) for route in kernel.own_routes()}
            restored = 0
            for uid, text in list(self._plumbed.items()):
                link = links.get(interface_name(uid))
                address = ipaddress.IPv4Address(text)
                if link is None or (ipaddress.IPv4Network(address), link.index) in present:
                    continue
                up = nl.set_link(link.index, up=True)
                ignored = frozenset({errno.ENODEV, errno.EINVAL})  # it went away meanwhile
                restored += kernel.try_each(up, *self._host_messages(link.index, address), ignore=ignored) == 3
        open_forwarding()
        service = links.get(SERVICE_DEVICE)
        if service is None or (self._service_net, service.index) not in present:
            self._ensure_service_device()
            restored += 1
        return restored


def _plumbed() -> dict[str, str]:
    """Pod uid → address of every pod interface of this host, from its alias and route; "" where the route is missing."""
    with Netlink() as kernel:
        addresses = {
            route.index: str(route.to.network_address) for route in kernel.own_routes() if route.to.prefixlen == 32
        }
        found: dict[str, str] = {}
        for link in kernel.links():
            if link.name.startswith(PREFIX) and link.alias.startswith(ALIAS):
                found[link.alias.removeprefix(ALIAS)] = addresses.get(link.index, "")
        return found


def _unplumb(uid: str, name: str) -> None:
    try:
        index = sockets.if_nametoindex(name)
    except OSError:
        return
    with Netlink() as kernel:
        kernel.try_each(nl.delete_link(index), ignore=frozenset({errno.ENODEV}))


_: type[PodNetwork] = RoutedNetwork
