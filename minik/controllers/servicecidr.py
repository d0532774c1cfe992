"""ServiceCIDR (networking.k8s.io/v1): says when a range may be used, and keeps one that Services still have addresses of.

A deleted range gives no more addresses (`server/admission/addresses.py`) and goes when every IPAddress in it is gone or lies within another
range. Upstream: `pkg/controller/servicecidrs`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from minik.api import meta, times
from minik.api.errors import NotFound
from minik.api.meta import Key, Obj, ROObj
from minik.api.networking_v1 import ipaddress as ipaddress_v1
from minik.api.networking_v1 import servicecidr
from minik.client.controller import DONE, Context, Controller, Result, Scope, can, maps_with, requeue_after

FINALIZER = "networking.k8s.io/service-cidr-finalizer"
READY = "Ready"
GRACE_SECONDS = 10.0
"""How long a deleted range stays at least, for writes that chose one of its addresses before (deletionGracePeriod)."""
_STILL_USED = "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR"


async def reconcile(ctx: Context, key: Key) -> Result:
    mine = ctx.cache(servicecidr.RESOURCE).get(key)
    if mine is None:
        return DONE
    if not meta.is_deleting(mine):
        if FINALIZER not in meta.finalizers(mine):
            mine = await _set_finalizers(ctx, mine, [*meta.finalizers(mine), FINALIZER])
        await _set_ready(ctx, mine, "True", "", "Kubernetes Service CIDR is ready")
        return DONE
    if FINALIZER not in meta.finalizers(mine):
        return DONE
    others = [other for other in ctx.cache(servicecidr.RESOURCE).list() if other is not mine]
    used = (meta.name(address) for address in ctx.cache(ipaddress_v1.RESOURCE).list())
    if is_needed(mine, others, used):
        await _set_ready(ctx, mine, "False", "Terminating", _STILL_USED)
        return DONE  # an IPAddress that goes, or another range, calls again
    age = (ctx.clock.now() - times.parse_time(mine["metadata"]["deletionTimestamp"])).total_seconds()
    if age < GRACE_SECONDS:
        return requeue_after(GRACE_SECONDS - age)
    await _set_finalizers(ctx, mine, [f for f in meta.finalizers(mine) if f != FINALIZER])
    return DONE


def is_needed(mine: ROObj, others: Iterable[ROObj], addresses: Iterable[str]) -> bool:
    """Whether one of the addresses lies within this range and in no other that stays. Pure."""
    inside = [ipaddress.ip_network(cidr) for cidr in servicecidr.cidrs_of(mine)]
    staying = [
        ipaddress.ip_network(cidr)
        for other in others
        if not meta.is_deleting(other)
        for cidr in servicecidr.cidrs_of(other)
    ]
    for text in addresses:
        address = ipaddress.ip_address(text)
        if any(address in network for network in inside) and not any(address in network for network in staying):
            return True
    return False


async def _set_finalizers(ctx: Context, mine: ROObj, finalizers: Sequence[str]) -> ROObj:
    patch: Obj = {"metadata": {"finalizers": list(finalizers), "resourceVersion": mine["metadata"]["resourceVersion"]}}
    try:
        return await ctx.client.patch(servicecidr.RESOURCE, meta.name(mine), "", patch)
    except NotFound:
        return mine


async def _set_ready(ctx: Context, mine: ROObj, status: str, reason: str, message: str) -> None:
    current = meta.condition(mine, READY) or {}
    if (current.get("status"), current.get("reason") or "") == (status, reason):
        return
    condition: Obj = {
        "type": READY,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": times.format_time(ctx.clock.now()),
    }
    others = [c for c in (mine.get("status") or {}).get("conditions") or () if c["type"] != READY]
    patch = {"status": {"conditions": [*others, condition]}}
    await ctx.client.patch(servicecidr.RESOURCE, meta.name(mine), "", patch, subresource="status")


def _ranges_in_doubt(scope: Scope, _obj: ROObj) -> list[Key]:
    """Only a range that is being deleted asks for other objects."""
    return [meta.key(obj) for obj in scope.cache(servicecidr.RESOURCE).list() if meta.is_deleting(obj)]


def _never(_old: ROObj, _new: ROObj) -> bool:
    return False  # an address comes and goes, but stays where it is


CONTROLLER = Controller(
    "service-cidr",
    primary=servicecidr.RESOURCE,
    triggers=[
        maps_with(ipaddress_v1.RESOURCE, _ranges_in_doubt, when=_never),
        maps_with(servicecidr.RESOURCE, _ranges_in_doubt),
    ],
    reconcile=reconcile,
    rbac=[can("patch", servicecidr.RESOURCE), can("patch", f"{servicecidr.RESOURCE}/status")],
    component="service-cidr-controller",
)
