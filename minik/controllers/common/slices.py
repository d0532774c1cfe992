"""Fitting endpoints into EndpointSlices: what the controllers of Services and of hand-written Endpoints share. Pure but for `write`.

Slices are filled so that few of them change: what stands in a slice stays there, new endpoints go where there is room
(kube-controller-manager's endpointslice reconciler, simplified: one pass, no tracker; read-your-writes is the framework's).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from minik.api import meta
from minik.api.errors import NotFound
from minik.api.meta import Obj, ROObj
from minik.client.controller import Context
from minik.controllers.common.endpoints import EndpointPort

SLICES = "endpointslices.discovery.k8s.io"
SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MAX_ENDPOINTS = 100

Ports = tuple[EndpointPort, ...]


class SliceGroup(NamedTuple):
    """Endpoints that may share slices: one address family, the same ports."""

    family: str
    """`IPv4` or `IPv6`: the slices' addressType."""
    ports: Ports
    endpoints: Mapping[str, Obj]
    """identity → endpoint. A slice's own endpoints are recognised by it."""


@dataclass(slots=True)
class SlicePlan:
    """What to write."""

    create: list[Obj] = field(default_factory=list)
    update: list[Obj] = field(default_factory=list)
    delete: list[ROObj] = field(default_factory=list)
    skipped: int = 0
    """Addresses that cannot be in a slice."""


@dataclass(frozen=True, slots=True)
class SliceOwner:
    """Whose slices they are, and what all of them carry."""

    obj: ROObj
    labels: Mapping[str, str]
    annotations: Mapping[str, str] | None = None
    """None: whatever is there."""


def ports_of_row(row: Mapping[str, Any]) -> EndpointPort:
    """A port as Endpoints and EndpointSlices write it."""
    return EndpointPort(
        row.get("name") or "", row.get("port") or 0, row.get("protocol") or "TCP", row.get("appProtocol") or ""
    )


def plan_slices(
    groups: Sequence[SliceGroup], current: Sequence[ROObj], owner: SliceOwner, identity: Callable[[ROObj], str]
) -> SlicePlan:
    """Compare what should be with what is. A group without endpoints has one empty slice."""
    plan = SlicePlan()
    there: dict[tuple[str, Ports], list[ROObj]] = {}
    for existing in current:
        ports = tuple(ports_of_row(row) for row in existing.get("ports") or ())
        there.setdefault((existing.get("addressType") or "IPv4", ports), []).append(existing)
    for group in groups:
        _plan_group(plan, group, there.pop((group.family, group.ports), []), owner, identity)
    for leftover in there.values():
        plan.delete += leftover
    return plan


def _plan_group(
    plan: SlicePlan,
    group: SliceGroup,
    current: Sequence[ROObj],
    owner: SliceOwner,
    identity: Callable[[ROObj], str],
) -> None:
    left = dict(group.endpoints)
    kept: list[tuple[ROObj, list[Obj]]] = []
    for existing in sorted(current, key=meta.name):
        rows = (left.pop(identity(endpoint), None) for endpoint in existing.get("endpoints") or ())
        kept.append((existing, [fresh for fresh in rows if fresh is not None]))
    new = list(left.values())
    for _, stays in kept:
        room = MAX_ENDPOINTS - len(stays)
        if room > 0 and new:
            stays += new[:room]
            del new[:room]
    non_empty = any(stays for _, stays in kept) or bool(new)
    for position, (existing, stays) in enumerate(kept):
        if not stays and (non_empty or position > 0):
            plan.delete.append(existing)
        elif stays != (existing.get("endpoints") or []) or _dressed_otherwise(existing, owner):
            metadata = {**existing["metadata"], "labels": dict(owner.labels)}
            if owner.annotations is not None:
                metadata["annotations"] = dict(owner.annotations)
            plan.update.append({**existing, "metadata": metadata, "endpoints": stays})
    while new or not kept:
        plan.create.append(_new_slice(group, owner, new[:MAX_ENDPOINTS]))
        del new[:MAX_ENDPOINTS]
        if not new:
            break


def _dressed_otherwise(existing: ROObj, owner: SliceOwner) -> bool:
    if dict(meta.labels(existing)) != owner.labels:
        return True
    return owner.annotations is not None and dict(meta.annotations(existing)) != owner.annotations


def _new_slice(group: SliceGroup, owner: SliceOwner, endpoints: Sequence[Obj]) -> Obj:
    metadata: Obj = {
        "generateName": f"{meta.name(owner.obj)}-",
        "namespace": meta.namespace(owner.obj),
        "labels": dict(owner.labels),
        "ownerReferences": [meta.controller_ref(owner.obj)],
    }
    if owner.annotations:
        metadata["annotations"] = dict(owner.annotations)
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": group.family,
        "endpoints": list(endpoints),
        "ports": [port.to_wire(named=True) for port in group.ports],
    }


async def write(ctx: Context, plan: SlicePlan) -> None:
    """Carry the plan out."""
    for obj in plan.create:
        await ctx.client.create(SLICES, obj)
    for obj in plan.update:
        await ctx.client.update(SLICES, obj)
    for existing in plan.delete:
        try:
            await ctx.client.delete(SLICES, meta.name(existing), meta.namespace(existing), uid=meta.uid(existing))
        except NotFound:
            continue
