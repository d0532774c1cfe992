"""`spec.podCIDR` of nodes: a /24 each from the cluster's pod network, never the same twice, free again when the node is gone.

kube-controller-manager's nodeipam (RangeAllocator), with its order: freed ranges are reused last, so that what remains of an old
node's pods in caches and connection tables does not point at a new node.
"""

from __future__ import annotations

import ipaddress

from minik.api import meta
from minik.api.core_v1 import nodes
from minik.api.meta import Key, ROObj
from minik.client.controller import DONE, Context, Controller, Result, Setup, can
from minik.config import CLUSTER_CIDR

NODE_PREFIX = 24


class Exhausted(Exception):
    """Every range of the pod network belongs to a node."""


class Pool:
    """Which node has which range. Pure; names are the nodes'."""

    def __init__(self, cluster: str = CLUSTER_CIDR, prefix: int = NODE_PREFIX) -> None:
        self._network = ipaddress.ip_network(cluster)
        self._prefix = prefix
        self._size = 1 << (prefix - self._network.prefixlen)
        self._step = 1 << (self._network.max_prefixlen - prefix)
        self._owners: dict[int, str] = {}
        self._ranges: dict[str, int] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._owners)

    def occupy(self, name: str, cidr: str) -> None:
        """`name` has `cidr` already. A range outside the pod network concerns nobody."""
        number = self._number(cidr)
        if number is None or self._ranges.get(name) == number:
            return
        self.release(name)
        self._ranges[name] = number
        self._owners.setdefault(number, name)

    def reserve(self, name: str) -> str:
        """The range of `name`: the same one until it is released, however often this is called. Raises Exhausted."""
        number = self._ranges.get(name)
        if number is None:
            number = self._free()
            self._owners[number] = name
            self._ranges[name] = number
        return f"{self._network.network_address + number * self._step}/{self._prefix}"

    def release(self, name: str) -> None:
        number = self._ranges.pop(name, None)
        if number is not None and self._owners.get(number) == name:
            del self._owners[number]

    def _free(self) -> int:
        for offset in range(self._size):
            number = (self._next + offset) % self._size
            if number not in self._owners:
                self._next = (number + 1) % self._size
                return number
        raise Exhausted

    def _number(self, cidr: str) -> int | None:
        try:
            network = ipaddress.ip_network(cidr)
        except ValueError:
            return None
        if network.version != self._network.version or not network.subnet_of(self._network):  # type: ignore[arg-type]  # both are of one version, as was just checked
            return None
        return (int(network.network_address) - int(self._network.network_address)) // self._step


class Allocations:
    """The pool, kept true by what happens to nodes."""

    def __init__(self, setup: Setup, cluster: str = CLUSTER_CIDR) -> None:
        self.pool = Pool(cluster)
        self.waiting: set[Key] = set()
        self._setup = setup
        setup.informer("nodes").add_handler(
            added=self._seen, updated=lambda _old, new: self._seen(new), deleted=self._gone
        )

    def _seen(self, node: ROObj) -> None:
        if cidr := nodes.pod_cidr(node):
            self.pool.occupy(meta.name(node), cidr)

    def _gone(self, node: ROObj) -> None:
        self.pool.release(meta.name(node))
        for key in self.waiting:
            self._setup.enqueue(key)
        self.waiting.clear()


async def reconcile(ctx: Context, key: Key) -> Result:
    allocations: Allocations = ctx.state
    node = ctx.cache("nodes").get(key)
    if node is None:
        allocations.pool.release(key.name)
        return DONE
    if nodes.pod_cidr(node) or meta.is_deleting(node):
        return DONE
    try:
        cidr = allocations.pool.reserve(key.name)
    except Exhausted:
        allocations.waiting.add(key)
        ctx.recorder.event(node, "Warning", "CIDRNotAvailable", f"Node {key.name} status is now: CIDRNotAvailable")
        return DONE
    # The reservation outlives a failure here: the write may have been done all the same, and the next try uses the same range.
    patch = {"metadata": {"uid": meta.uid(node)}, "spec": {"podCIDR": cidr, "podCIDRs": [cidr]}}
    await ctx.client.patch("nodes", key.name, "", patch, type="strategic")
    return DONE


def controller(cluster: str = CLUSTER_CIDR) -> Controller:
    """The controller that gives out /24s of `cluster`."""
    return Controller(
        "node-ipam",
        primary="nodes",
        reconcile=reconcile,
        state=lambda setup: Allocations(setup, cluster),
        when=lambda old, new: not nodes.pod_cidr(new),
        rbac=[can("patch", "nodes")],
        component="cidrAllocator",
    )
