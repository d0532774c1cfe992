"""The VXLAN device `mk-vxlan` and its static entries. Called by `peers.py`, in its thread; `routes.py` says what should be there."""

from __future__ import annotations

import errno
import ipaddress
import socket as sockets
from collections.abc import Sequence

from minik.agent.network import netlink as nl
from minik.agent.network import sysctl
from minik.agent.network.forwarding import PREFIX
from minik.agent.network.netlink import Netlink
from minik.agent.network.routes import IPv4, Overlay, overlay_mac

DEVICE = f"{PREFIX}vxlan"
VNI = 0x6D6B
PORT = 8472
_OVERHEAD = 50
_AF_BRIDGE = 7


def ensure_device(kernel: Netlink, *, local: IPv4, inner: IPv4) -> int:
    """The index of the device, made if it is not there: outer address `local`, inner address `inner`. Raises OSError."""
    links = {link.name: link for link in kernel.links()}
    mac = overlay_mac(inner)
    device = links.get(DEVICE)
    if device is not None and device.mac != mac:  # the node had another pod CIDR
        kernel.try_each(nl.delete_link(device.index), ignore=frozenset({errno.ENODEV}))
        device = None
    if device is None:
        uplink = next((index for index, address, _ in kernel.addresses() if address == local), None)
        mtu = next((link.mtu for link in links.values() if link.index == uplink), 1500) - _OVERHEAD
        new = nl.new_vxlan(DEVICE, vni=VNI, port=PORT, local=local, mac=mac, mtu=mtu)
        kernel.try_each(new, ignore=frozenset({errno.EEXIST}))
        sysctl.prefer(f"ipv6/conf/{DEVICE}/disable_ipv6", "1")
        # What comes out of the overlay may come from a node's own address, which is routed elsewhere.
        sysctl.prefer(f"ipv4/conf/{DEVICE}/rp_filter", "2")
    index = sockets.if_nametoindex(DEVICE)
    # Only what is missing: what is set again is announced again, and announcements lead here.
    if device is None or not device.up:
        kernel.send(nl.set_link(index, up=True))
    if not any(link == index and address == inner for link, address, _ in kernel.addresses()):
        kernel.send(nl.new_address(index, inner))
    return index


def sync_peers(kernel: Netlink, index: int, peers: Sequence[Overlay]) -> None:
    """The device's neighbour and forwarding entries are those of `peers`, no more. Raises OSError."""
    macs = {peer.inner.packed: peer.mac for peer in peers}
    remotes = {peer.mac: peer.remote.packed for peer in peers}
    neighbours = kernel.neighbours(index, sockets.AF_INET)
    forwarding = kernel.neighbours(index, _AF_BRIDGE)
    gone = frozenset({errno.ENOENT, errno.ENODEV})
    for address, mac in neighbours:
        if macs.get(address) != mac:
            kernel.try_each(nl.delete_neighbour(index, ipaddress.IPv4Address(address)), ignore=gone)
    for remote, mac in forwarding:
        if remotes.get(mac) != remote:
            kernel.try_each(nl.delete_forwarding(index, mac, ipaddress.IPv4Address(remote)), ignore=gone)
    kernel.send(
        *(nl.new_neighbour(index, p.inner, p.mac) for p in peers if (p.inner.packed, p.mac) not in neighbours),
        *(nl.new_forwarding(index, p.mac, p.remote) for p in peers if (p.remote.packed, p.mac) not in forwarding),
    )


def remove_device(kernel: Netlink) -> bool:
    """Whether there was one."""
    try:
        index = sockets.if_nametoindex(DEVICE)
    except OSError:
        return False
    return kernel.try_each(nl.delete_link(index), ignore=frozenset({errno.ENODEV})) == 1
