"""EndpointSlice (discovery.k8s.io/v1): for each Service with a selector, the addresses and ports behind it, in slices of 100.

Which pods and ports: `common/endpoints.py`; how they fill slices: `common/slices.py`. Here: what a pod is as an endpoint, and for which
zones and nodes it is meant (`spec.trafficDistribution`, KEP-4444 and KEP-3015).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.meta import Key, Obj, ROObj
from minik.client.controller import DONE, Context, Controller, Result, can, maps_with, owned_by
from minik.controllers.common.endpoints import (
    HEADLESS_LABEL,
    hostname_of,
    is_headless,
    pods_behind,
    ports_of,
    publishes_unready,
    services_of,
    target_ref,
)
from minik.controllers.common.slices import (
    MANAGED_BY,
    SERVICE_NAME,
    SLICES,
    Ports,
    SliceGroup,
    SliceOwner,
    SlicePlan,
    write,
)
from minik.controllers.common.slices import plan_slices as fit

ME = "endpointslice-controller.k8s.io"
ZONE = "topology.kubernetes.io/zone"
SAME_ZONE = frozenset({"PreferClose", "PreferSameZone", "PreferSameNode"})
SAME_NODE = "PreferSameNode"


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
    await write(ctx, plan)
    return DONE


def plan_slices(
    service: ROObj, behind: Sequence[ROObj], current: Sequence[ROObj], *, zones: Mapping[str, str]
) -> SlicePlan:
    """Compare what should be with what is; slices of each address family that the Service has. Pure."""
    groups: list[SliceGroup] = []
    for family in service["spec"].get("ipFamilies") or ("IPv4",):
        wanted: dict[Ports, dict[str, Obj]] = {}
        for pod in behind:
            address = pods.ip_of(pod, family)
            if address:
                ports = wanted.setdefault(ports_of(service, pod), {})
                ports[meta.uid(pod)] = endpoint_of(service, pod, address, zones)
        if not wanted:  # one empty slice says that the Service is known and has nobody
            wanted[()] = {}
        groups += (SliceGroup(family, ports, endpoints) for ports, endpoints in wanted.items())
    return fit(groups, current, SliceOwner(service, slice_labels(service)), _pod_uid)


def _pod_uid(endpoint: ROObj) -> str:
    return (endpoint.get("targetRef") or {}).get("uid") or ""


def slice_labels(service: ROObj) -> dict[str, str]:
    """The Service's own labels, and those that make the slice belong to it."""
    labels = {k: v for k, v in meta.labels(service).items() if k not in (SERVICE_NAME, MANAGED_BY, HEADLESS_LABEL)}
    labels |= {SERVICE_NAME: meta.name(service), MANAGED_BY: ME}
    if is_headless(service):
        labels[HEADLESS_LABEL] = ""
    return labels


def endpoint_of(service: ROObj, pod: ROObj, address: str, zones: Mapping[str, str]) -> Obj:
    """A pod as an endpoint: ready means serving and not terminating (KEP-1672)."""
    serving, terminating = pods.is_ready(pod), meta.is_deleting(pod)
    ready = publishes_unready(service) or (serving and not terminating)
    endpoint: Obj = {
        "addresses": [address],
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        "targetRef": target_ref(pod),
    }
    node = pods.node_name(pod)
    zone = zones.get(node)
    if node:
        endpoint["nodeName"] = node
        if zone:
            endpoint["zone"] = zone
    if hostname := hostname_of(service, pod):
        endpoint["hostname"] = hostname
    hints = _hints(service["spec"].get("trafficDistribution"), node, zone) if ready else {}
    if hints:
        endpoint["hints"] = hints
    return endpoint


def _hints(distribution: str | None, node: str, zone: str | None) -> Obj:
    """For whom an endpoint is meant first: its own zone, or its own node and then its zone."""
    hints: Obj = {}
    if distribution in SAME_ZONE and zone:
        hints["forZones"] = [{"name": zone}]
    if distribution == SAME_NODE and node:
        hints["forNodes"] = [{"name": node}]
    return hints


CONTROLLER = Controller(
    "endpointslice",
    primary="services",
    triggers=[owned_by(SLICES), maps_with("pods", services_of)],
    caches=["nodes"],
    reconcile=reconcile,
    rbac=[can("create,delete,update,list,watch", SLICES), can("list,watch", "services,pods,nodes")],
)
