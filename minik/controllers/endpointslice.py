"""EndpointSlice (discovery.k8s.io/v1): for each Service with a selector, the addresses and ports behind it, in slices of 100.

Slices are filled so that few of them change: what stands in a slice stays there, new endpoints go where there is room
(kube-controller-manager's endpointslice reconciler, simplified: one pass, no tracker; read-your-writes is the framework's).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.errors import NotFound
from minik.api.meta import Key, Obj, ROObj
from minik.client.controller import DONE, Context, Controller, Result, can, maps_with, owned_by
from minik.controllers.common.endpoints import (
    HEADLESS_LABEL,
    EndpointPort,
    hostname_of,
    is_headless,
    pods_behind,
    ports_of,
    publishes_unready,
    services_of,
    target_ref,
)

SLICES = "endpointslices.discovery.k8s.io"
SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
ME = "endpointslice-controller.k8s.io"
MAX_ENDPOINTS = 100
ZONE = "topology.kubernetes.io/zone"

Ports = tuple[EndpointPort, ...]


@dataclass(slots=True)
class SlicePlan:
    """What to write."""

    create: list[Obj] = field(default_factory=list)
    update: list[Obj] = field(default_factory=list)
    delete: list[ROObj] = field(default_factory=list)


async def reconcile(ctx: Context, key: Key) -> Result:
    service = ctx.cache("services").get(key)
    if service is None or meta.is_deleting(service):
        return DONE  # the slices go with their owner
    mine = [s for s in ctx.cache(SLICES).owned_by(service) if meta.labels(s).get(MANAGED_BY) == ME]
    if not service["spec"].get("selector") or service["spec"].get("type") == "ExternalName":
        plan = SlicePlan(delete=mine)
    else:
        nodes = ctx.cache("nodes")
        behind = pods_behind(ctx.cache("pods"), service)
        zones = {
            name: zone
            for name in {pods.node_name(pod) for pod in behind}
            if (node := nodes.get(Key("", name))) is not None and (zone := meta.labels(node).get(ZONE))
        }
        plan = plan_slices(service, behind, mine, zones=zones)
    await _apply(ctx, plan)
    return DONE


def plan_slices(
    service: ROObj, behind: Sequence[ROObj], current: Sequence[ROObj], *, zones: Mapping[str, str]
) -> SlicePlan:
    """Compare what should be with what is. Pure."""
    wanted: dict[Ports, dict[str, Obj]] = {}
    for pod in behind:
        wanted.setdefault(ports_of(service, pod), {})[meta.uid(pod)] = endpoint_of(service, pod, zones)
    if not wanted:  # one empty slice says that the Service is known and has nobody
        wanted[()] = {}
    plan = SlicePlan()
    by_ports: dict[Ports, list[ROObj]] = {}
    for existing in current:
        ports = tuple(
            EndpointPort(
                p.get("name") or "", p.get("port") or 0, p.get("protocol") or "TCP", p.get("appProtocol") or ""
            )
            for p in existing.get("ports") or ()
        )
        by_ports.setdefault(ports, []).append(existing)
    for ports, endpoints in wanted.items():
        _plan_ports(plan, service, ports, endpoints, by_ports.pop(ports, []))
    for leftover in by_ports.values():
        plan.delete += leftover
    return plan


def _plan_ports(
    plan: SlicePlan, service: ROObj, ports: Ports, endpoints: dict[str, Obj], current: Sequence[ROObj]
) -> None:
    """Fit the endpoints of one set of ports into its slices."""
    left = dict(endpoints)
    kept: list[tuple[ROObj, list[Obj]]] = []
    for existing in sorted(current, key=meta.name):
        stays = []
        for endpoint in existing.get("endpoints") or ():
            fresh = left.pop((endpoint.get("targetRef") or {}).get("uid", ""), None)
            if fresh is not None:
                stays.append(fresh)
        kept.append((existing, stays))
    new = list(left.values())
    for _, stays in kept:
        room = MAX_ENDPOINTS - len(stays)
        if room > 0 and new:
            stays += new[:room]
            del new[:room]
    labels = slice_labels(service)
    non_empty = any(stays for _, stays in kept) or bool(new)
    for position, (existing, stays) in enumerate(kept):
        if not stays and (non_empty or position > 0):
            plan.delete.append(existing)
        elif stays != (existing.get("endpoints") or []) or any(
            meta.labels(existing).get(k) != v for k, v in labels.items()
        ):
            plan.update.append(
                {
                    **existing,
                    "metadata": {**existing["metadata"], "labels": {**_foreign(existing), **labels}},
                    "endpoints": stays,
                }
            )
    while new or not kept:
        plan.create.append(new_slice(service, ports, new[:MAX_ENDPOINTS]))
        del new[:MAX_ENDPOINTS]
        if not new:
            break


def _foreign(existing: ROObj) -> dict[str, str]:
    return {k: v for k, v in meta.labels(existing).items() if k != HEADLESS_LABEL}


def slice_labels(service: ROObj) -> dict[str, str]:
    """The Service's own labels, and those that make the slice belong to it."""
    labels = {k: v for k, v in meta.labels(service).items() if k not in (SERVICE_NAME, MANAGED_BY, HEADLESS_LABEL)}
    labels |= {SERVICE_NAME: meta.name(service), MANAGED_BY: ME}
    if is_headless(service):
        labels[HEADLESS_LABEL] = ""
    return labels


def new_slice(service: ROObj, ports: Ports, endpoints: Sequence[Obj]) -> Obj:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": f"{meta.name(service)}-",
            "namespace": meta.namespace(service),
            "labels": slice_labels(service),
            "ownerReferences": [meta.controller_ref(service)],
        },
        "addressType": "IPv4",
        "endpoints": list(endpoints),
        "ports": [port.to_wire(named=True) for port in ports],
    }


def endpoint_of(service: ROObj, pod: ROObj, zones: Mapping[str, str]) -> Obj:
    """A pod as an endpoint: ready means serving and not terminating (KEP-1672)."""
    ready, terminating = pods.is_ready(pod), meta.is_deleting(pod)
    unready_too = publishes_unready(service)
    endpoint: Obj = {
        "addresses": [pods.ip(pod)],
        "conditions": {
            "ready": unready_too or (ready and not terminating),
            "serving": ready,
            "terminating": terminating,
        },
        "targetRef": target_ref(pod),
    }
    if node := pods.node_name(pod):
        endpoint["nodeName"] = node
        if zone := zones.get(node):
            endpoint["zone"] = zone
    if hostname := hostname_of(service, pod):
        endpoint["hostname"] = hostname
    return endpoint


async def _apply(ctx: Context, plan: SlicePlan) -> None:
    for obj in plan.create:
        await ctx.client.create(SLICES, obj)
    for obj in plan.update:
        await ctx.client.update(SLICES, obj)
    for existing in plan.delete:
        try:
            await ctx.client.delete(SLICES, meta.name(existing), meta.namespace(existing), uid=meta.uid(existing))
        except NotFound:
            continue


CONTROLLER = Controller(
    "endpointslice",
    primary="services",
    triggers=[owned_by(SLICES), maps_with("pods", services_of)],
    caches=["nodes"],
    reconcile=reconcile,
    rbac=[can("create,delete,update,list,watch", SLICES), can("list,watch", "services,pods,nodes")],
)
