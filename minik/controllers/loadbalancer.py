"""Services of type LoadBalancer: their addresses are the nodes' own, on the Service's own ports. No pods, no outside machinery.

Every node's proxy answers what is sent to such an address (`agent/proxy/rules.py`); this controller only says which they are, in
`status.loadBalancer`: those of the ready nodes, with `externalTrafficPolicy: Local` those of the nodes with an endpoint. As in k3s,
external addresses go before internal ones. Of two Services that want the same port the first has it, and the other waits; ports on
which the server itself listens are nobody's. A Service with a `loadBalancerClass` other than `minik.io/node` is somebody else's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minik.api import meta
from minik.api.core_v1 import nodes, services
from minik.api.errors import NotFound
from minik.api.meta import Key, Obj, ROObj
from minik.client.controller import DONE, Context, Controller, Lister, Result, Scope, can, maps_with
from minik.controllers.common.slices import SERVICE_NAME, SLICES

CLASS = "minik.io/node"
EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"
_BY_PORT = "minik.load-balancer-port"
_BY_SERVICE = "minik.slices-of-service"

Port = tuple[str, int]
"""(protocol, number)."""


def is_mine(service: ROObj) -> bool:
    spec = service["spec"]
    return services.type_of(service) == "LoadBalancer" and spec.get("loadBalancerClass") in (None, CLASS)


def ports_of(service: ROObj) -> list[Port]:
    return [(port.get("protocol") or "TCP", port["port"]) for port in services.ports(service)]


@dataclass(frozen=True, slots=True)
class BalancerPlan:
    """The addresses to publish, or why there are none."""

    addresses: tuple[str, ...] = ()
    problem: str = ""


def plan_balancer(
    service: ROObj,
    all_nodes: Iterable[ROObj],
    rivals: Iterable[ROObj],
    *,
    serving: frozenset[str] | None,
    kept: frozenset[Port],
) -> BalancerPlan:
    """`rivals`: other Services of this kind that want one of its ports. `serving`: the nodes with an endpoint, where that matters.
    `kept`: ports that are not given away. Pure."""
    wanted = set(ports_of(service))
    for protocol, number in sorted(wanted & kept):
        return BalancerPlan(problem=f"port {number}/{protocol} is the API server's own")
    for rival in sorted(rivals, key=_seniority):
        if _seniority(rival) < _seniority(service):
            for protocol, number in sorted(wanted & set(ports_of(rival))):
                return BalancerPlan(problem=f"port {number}/{protocol} is taken by service {meta.key(rival)}")
    usable = [
        node
        for node in all_nodes
        if nodes.is_ready(node)
        and EXCLUDED not in meta.labels(node)
        and not meta.is_deleting(node)
        and (serving is None or meta.name(node) in serving)
    ]
    found: list[str] = []
    for kind in ("ExternalIP", "InternalIP"):
        found = found or [address for node in usable if (address := nodes.address(node, kind)) and ":" not in address]
    asked = service["spec"].get("loadBalancerIP")
    if asked and asked not in found:
        return BalancerPlan(problem=f"no ready node has the address {asked}")
    return BalancerPlan((asked,) if asked else tuple(sorted(set(found))))


def _seniority(service: ROObj) -> tuple[bool, str, str]:
    """Who has a port already keeps it; among others the older goes first."""
    return not _ingress(service), service["metadata"]["creationTimestamp"], meta.uid(service)


async def _reconcile(ctx: Context, key: Key, kept: frozenset[Port]) -> Result:
    service = ctx.cache("services").get(key)
    if service is None or meta.is_deleting(service):
        return DONE
    current = [row.get("ip") or "" for row in _ingress(service)]
    if not is_mine(service):
        if current and services.type_of(service) != "LoadBalancer":
            await _publish(ctx, service, ())
        return DONE
    rivals = _rivals(ctx.cache("services"), service)
    serving = _serving(ctx.cache(SLICES).by_index(_BY_SERVICE, str(key))) if _is_local(service) else None
    plan = plan_balancer(service, ctx.cache("nodes"), rivals, serving=serving, kept=kept)
    if plan.problem:
        ctx.recorder.event(service, "Warning", "SyncLoadBalancerFailed", f"Error syncing load balancer: {plan.problem}")
    if list(plan.addresses) != current:
        await _publish(ctx, service, plan.addresses)
        if plan.addresses and current:
            ctx.recorder.event(service, "Normal", "UpdatedLoadBalancer", "Updated load balancer with new hosts")
        elif plan.addresses:
            ctx.recorder.event(service, "Normal", "EnsuredLoadBalancer", "Ensured load balancer")
    return DONE


async def _publish(ctx: Context, service: ROObj, addresses: Sequence[str]) -> None:
    ingress: list[Obj] | None = [{"ip": ip, "ipMode": "VIP"} for ip in addresses] or None
    patch = {"metadata": {"uid": meta.uid(service)}, "status": {"loadBalancer": {"ingress": ingress}}}
    try:
        await ctx.client.patch("services", meta.name(service), meta.namespace(service), patch, subresource="status")
    except NotFound:
        return


def _ingress(service: ROObj) -> Sequence[Mapping[str, Any]]:
    return ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()


def _is_local(service: ROObj) -> bool:
    return bool(service["spec"].get("externalTrafficPolicy") == "Local")


def _serving(slices: Iterable[ROObj]) -> frozenset[str]:
    return frozenset(
        endpoint.get("nodeName") or ""
        for slice_ in slices
        for endpoint in slice_.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready") is not False
    )


def _rivals(cache: Lister, service: ROObj) -> list[ROObj]:
    found = {
        meta.uid(rival): rival
        for protocol, number in ports_of(service)
        for rival in cache.by_index(_BY_PORT, f"{protocol}/{number}")
    }
    found.pop(meta.uid(service), None)
    return [rival for rival in found.values() if not meta.is_deleting(rival)]


def _index_ports(service: ROObj) -> list[str]:
    return [f"{protocol}/{number}" for protocol, number in ports_of(service)] if is_mine(service) else []


def _index_slices(slice_: ROObj) -> list[str]:
    name = meta.labels(slice_).get(SERVICE_NAME)
    return [str(Key(meta.namespace(slice_), name))] if name else []


def _with_the_same_ports(scope: Scope, service: ROObj) -> list[Key]:
    """Whom it kept from a port, or whom it keeps now."""
    return [meta.key(rival) for rival in _rivals(scope.cache("services"), service)] if is_mine(service) else []


def _all_balanced(scope: Scope, _node: ROObj) -> list[Key]:
    by_port = scope.cache("services").index(_BY_PORT)
    return list(dict.fromkeys(key for holders in by_port.values() for key in holders))


def _with_local_traffic(scope: Scope, slice_: ROObj) -> list[Key]:
    key = Key(meta.namespace(slice_), meta.labels(slice_).get(SERVICE_NAME, ""))
    service = scope.cache("services").get(key)
    return [key] if service is not None and is_mine(service) and _is_local(service) else []


def _node_matters(old: ROObj, new: ROObj) -> bool:
    return (
        nodes.is_ready(old) != nodes.is_ready(new)
        or meta.labels(old).get(EXCLUDED) != meta.labels(new).get(EXCLUDED)
        or (old.get("status") or {}).get("addresses") != (new.get("status") or {}).get("addresses")
    )


def _was_or_is_balanced(old: ROObj, new: ROObj) -> bool:
    return "LoadBalancer" in (services.type_of(old), services.type_of(new))


def controller(*, api_port: int) -> Controller:
    """`api_port`: where the server listens on its host."""
    kept = frozenset({("TCP", api_port)})

    async def reconcile(ctx: Context, key: Key) -> Result:
        return await _reconcile(ctx, key, kept)

    return Controller(
        "service-load-balancer",
        primary="services",
        triggers=[
            maps_with("services", _with_the_same_ports, when=_was_or_is_balanced),
            maps_with("nodes", _all_balanced, when=_node_matters),
            maps_with(SLICES, _with_local_traffic),
        ],
        reconcile=reconcile,
        when=_was_or_is_balanced,
        indexes={"services": {_BY_PORT: _index_ports}, SLICES: {_BY_SERVICE: _index_slices}},
        rbac=[can("patch", "services/status")],
        component="service-controller",
    )
