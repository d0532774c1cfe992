"""Endpoints (core/v1): the older, one-object form of what EndpointSlices say. kube-controller-manager's endpoints controller."""

from __future__ import annotations

from collections.abc import Sequence

from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.errors import AlreadyExists, NotFound
from minik.api.meta import Key, Obj, ROObj
from minik.client.controller import DONE, Context, Controller, Result, can, maps_with, same_key
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

MAX_ADDRESSES = 1000
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
MANAGED_LABELS = {"endpoints.kubernetes.io/managed-by": "endpoint-controller"}


async def reconcile(ctx: Context, key: Key) -> Result:
    service = ctx.cache("services").get(key)
    current = ctx.cache("endpoints").get(key)
    if service is None or meta.is_deleting(service):
        if service is None and current is not None and _is_ours(current):
            try:
                await ctx.client.delete("endpoints", key.name, key.namespace, uid=meta.uid(current))
            except NotFound:
                return DONE
        return DONE
    if not service["spec"].get("selector") or service["spec"].get("type") == "ExternalName":
        return DONE  # somebody else's to write
    behind = pods_behind(ctx.cache("pods"), service)
    wanted = plan_endpoints(service, behind)
    if current is None:
        try:
            await ctx.client.create("endpoints", wanted)
        except AlreadyExists:
            return DONE  # the cache will show it, and wake this controller again
    elif _differs(current, wanted):
        metadata = {**current["metadata"], "labels": wanted["metadata"]["labels"]}
        annotations = {k: v for k, v in meta.annotations(current).items() if k != OVER_CAPACITY}
        annotations |= wanted["metadata"].get("annotations") or {}
        metadata["annotations"] = annotations
        await ctx.client.update("endpoints", {**current, "metadata": metadata, "subsets": wanted["subsets"]})
    return DONE


def _is_ours(endpoints: ROObj) -> bool:
    return meta.labels(endpoints).get("endpoints.kubernetes.io/managed-by") == "endpoint-controller"


def _differs(current: ROObj, wanted: ROObj) -> bool:
    return (
        (current.get("subsets") or []) != wanted["subsets"]
        or dict(meta.labels(current)) != wanted["metadata"]["labels"]
        or (OVER_CAPACITY in meta.annotations(current)) != (OVER_CAPACITY in meta.annotations(wanted))
    )


def plan_endpoints(service: ROObj, behind: Sequence[ROObj]) -> Obj:
    """The object as it should be. Addresses with equal ports share a subset; pods that terminate are not listed. Pure."""
    groups: dict[tuple[EndpointPort, ...], tuple[list[Obj], list[Obj]]] = {}
    unready_too = publishes_unready(service)
    listed = [pod for pod in behind if not meta.is_deleting(pod) or unready_too]
    for pod in listed[:MAX_ADDRESSES]:
        ports = ports_of(service, pod)
        if not ports and not is_headless(service):
            continue
        address: Obj = {"ip": pods.ip(pod)}
        if hostname := hostname_of(service, pod):
            address["hostname"] = hostname
        if node := pods.node_name(pod):
            address["nodeName"] = node
        address["targetRef"] = target_ref(pod)
        ready, unready = groups.setdefault(ports, ([], []))
        (ready if unready_too or pods.is_ready(pod) else unready).append(address)
    subsets: list[Obj] = []
    for ports, (ready, unready) in sorted(groups.items()):
        subset: Obj = {}
        if ready:
            subset["addresses"] = sorted(ready, key=_by_ip)
        if unready:
            subset["notReadyAddresses"] = sorted(unready, key=_by_ip)
        if ports:
            subset["ports"] = [port.to_wire(named=False) for port in ports]
        subsets.append(subset)
    labels = {**meta.labels(service), **MANAGED_LABELS}
    if is_headless(service):
        labels[HEADLESS_LABEL] = ""
    metadata: Obj = {"name": meta.name(service), "namespace": meta.namespace(service), "labels": labels}
    if len(listed) > MAX_ADDRESSES:
        metadata["annotations"] = {OVER_CAPACITY: "truncated"}
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": subsets}


def _by_ip(address: ROObj) -> tuple[int, ...]:
    return tuple(int(part) for part in address["ip"].split("."))


CONTROLLER = Controller(
    "endpoints",
    primary="services",
    triggers=[same_key("endpoints"), maps_with("pods", services_of)],
    reconcile=reconcile,
    rbac=[can("create,delete,update,list,watch", "endpoints"), can("list,watch", "services,pods")],
)
