"""IPAddress (networking.k8s.io/v1): says who has each cluster address. Puts right what people did to these objects by hand.

The server itself writes a Service and its IPAddresses in one transaction (`server/companions.py`), so normally there is nothing to do
here: one that was deleted is made again, one that the allocator made and whose Service does not have the address (any more) goes, and
one that names somebody else is told of. Upstream: `pkg/registry/core/service/ipallocator/controller/repairip.go`.
"""

from __future__ import annotations

from collections.abc import Sequence

from minik.api import meta
from minik.api.core_v1 import services
from minik.api.errors import AlreadyExists, NotFound
from minik.api.meta import Key, ROObj
from minik.api.networking_v1 import ipaddress
from minik.client.controller import DONE, Context, Controller, Result, can, maps

_BY_ADDRESS = "minik.clusterIP"


def keys_of(service: ROObj) -> Sequence[Key]:
    return [Key("", ip) for ip in services.cluster_ips(service)]


async def reconcile(ctx: Context, key: Key) -> Result:
    ip = key.name
    address = ctx.cache(ipaddress.RESOURCE).get(key)
    holders = [s for s in ctx.cache("services").by_index(_BY_ADDRESS, ip) if not meta.is_deleting(s)]
    if address is None:
        if holders:
            await _repair(ctx, ip, meta.key(holders[0]))
        return DONE
    if any(ipaddress.is_of(address, service) for service in holders) or meta.is_deleting(address):
        return DONE
    if holders:
        text = f"Cluster IP {ip} is not allocated to the service: IPAddress {ip} names another object"
        ctx.recorder.event(holders[0], "Warning", "ClusterIPAlreadyAllocated", text)
    elif meta.labels(address).get(ipaddress.MANAGED_BY_LABEL) == ipaddress.ALLOCATOR:
        await _drop_orphan(ctx, address)
    return DONE


async def _repair(ctx: Context, ip: str, holder: Key) -> None:
    """Make what the Service's address lacks. The cache may show a Service that is gone: asks the server."""
    try:
        service = await ctx.client.get("services", holder.name, holder.namespace)
        if ip in services.cluster_ips(service):
            await ctx.client.create(ipaddress.RESOURCE, ipaddress.of_service(ip, service))
            text = f"Cluster IP {ip} is not allocated; repairing"
            ctx.recorder.event(service, "Warning", "ClusterIPNotAllocated", text)
    except (AlreadyExists, NotFound):
        return


async def _drop_orphan(ctx: Context, address: ROObj) -> None:
    """The Service it names may just not have reached the cache: asks the server."""
    parent = address["spec"]["parentRef"]
    try:
        service = await ctx.client.get("services", parent["name"], parent.get("namespace") or "")
        if meta.name(address) in services.cluster_ips(service):
            return
    except NotFound:
        pass
    try:
        await ctx.client.delete(ipaddress.RESOURCE, meta.name(address), uid=meta.uid(address))
    except NotFound:
        return


def _moved(old: ROObj, new: ROObj) -> bool:
    return services.cluster_ips(old) != services.cluster_ips(new)


CONTROLLER = Controller(
    "ipaddress",
    primary=ipaddress.RESOURCE,
    triggers=[maps("services", keys_of, when=_moved)],
    reconcile=reconcile,
    indexes={"services": {_BY_ADDRESS: services.cluster_ips}},
    rbac=[can("create,delete", ipaddress.RESOURCE), can("get", "services")],
    component="ipallocator-repair-controller",
)
