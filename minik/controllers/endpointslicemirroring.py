"""EndpointSlices for Endpoints that people and programs write themselves, for Services without a selector.

What stands in the Endpoints stands in slices that belong to it, addresses of the two families apart. Upstream:
`pkg/controller/endpointslicemirroring`; KEP-0752.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from minik.api import meta
from minik.api.core_v1 import services
from minik.api.meta import Key, Obj, ROObj
from minik.client.controller import DONE, Context, Controller, Result, can, owned_by, same_key
from minik.controllers.common.slices import (
    MANAGED_BY,
    SERVICE_NAME,
    SLICES,
    Ports,
    SliceGroup,
    SliceOwner,
    SlicePlan,
    ports_of_row,
    write,
)
from minik.controllers.common.slices import plan_slices as fit

ME = "endpointslicemirroring-controller.k8s.io"
SKIP_LABEL = "endpointslice.kubernetes.io/skip-mirror"
LEADER_ANNOTATION = "control-plane.alpha.kubernetes.io/leader"
MAX_ENDPOINTS_PER_SUBSET = 1000
_DROPPED_ANNOTATIONS = frozenset({
    "endpoints.kubernetes.io/last-change-trigger-time",
    "kubectl.kubernetes.io/last-applied-configuration",
})  # fmt: skip


async def reconcile(ctx: Context, key: Key) -> Result:
    endpoints = ctx.cache("endpoints").get(key)
    mirrored = [
        s
        for s in ctx.cache(SLICES).by_index(_BY_SERVICE, f"{key.namespace}/{key.name}")
        if meta.labels(s).get(MANAGED_BY) == ME
    ]
    service = ctx.cache("services").get(key)
    if endpoints is None or service is None or not wants_mirror(endpoints, service):
        plan = SlicePlan(delete=list(mirrored))
    else:
        plan = plan_mirror(endpoints, mirrored)
    await write(ctx, plan)
    if plan.skipped and endpoints is not None:
        text = f"Skipped {plan.skipped} invalid IP addresses when mirroring to EndpointSlices"
        ctx.recorder.event(endpoints, "Warning", "InvalidIPAddress", text)
    return DONE


def wants_mirror(endpoints: ROObj, service: ROObj) -> bool:
    """Not if it is a leader's lock, says no, goes, or its Service has a selector (and so slices of its own)."""
    return not (
        meta.is_deleting(endpoints)
        or meta.labels(endpoints).get(SKIP_LABEL) == "true"
        or LEADER_ANNOTATION in meta.annotations(endpoints)
        or services.selector(service)
    )


class _Group(NamedTuple):
    family: str
    ports: Ports


def plan_mirror(endpoints: ROObj, mirrored: Sequence[ROObj]) -> SlicePlan:
    """Pure. Later subsets repeat an address of an earlier one only with other ports."""
    wanted: dict[_Group, dict[str, Obj]] = {}
    skipped = 0
    for subset in endpoints.get("subsets") or ():
        ports = tuple(sorted({ports_of_row(row) for row in subset.get("ports") or ()}))
        rows = [(row, True) for row in subset.get("addresses") or ()]
        rows += [(row, False) for row in subset.get("notReadyAddresses") or ()]
        for row, ready in rows[:MAX_ENDPOINTS_PER_SUBSET]:
            family = _family(row["ip"])
            if not family:
                skipped += 1
                continue
            wanted.setdefault(_Group(family, ports), {}).setdefault(row["ip"], _endpoint(row, ready=ready))
    groups = [SliceGroup(group.family, group.ports, wanted[group]) for group in wanted]
    plan = fit(groups, mirrored, SliceOwner(endpoints, _labels(endpoints), _annotations(endpoints)), _address)
    plan.skipped = skipped
    return plan


def _address(endpoint: ROObj) -> str:
    return str(endpoint["addresses"][0])


def _family(text: str) -> str:
    try:
        return f"IPv{ipaddress.ip_address(text).version}"
    except ValueError:
        return ""


def _endpoint(row: Mapping[str, Any], *, ready: bool) -> Obj:
    endpoint: Obj = {"addresses": [row["ip"]], "conditions": {"ready": ready}}
    for field in ("targetRef", "nodeName", "hostname"):
        if row.get(field):
            endpoint[field] = row[field]
    return endpoint


def _labels(endpoints: ROObj) -> dict[str, str]:
    return {**meta.labels(endpoints), SERVICE_NAME: meta.name(endpoints), MANAGED_BY: ME}


def _annotations(endpoints: ROObj) -> dict[str, str]:
    return {k: v for k, v in meta.annotations(endpoints).items() if k not in _DROPPED_ANNOTATIONS}


_BY_SERVICE = "minik.mirrored-service"


def _service_of(slice_: ROObj) -> Sequence[str]:
    name = meta.labels(slice_).get(SERVICE_NAME)
    return (f"{meta.namespace(slice_)}/{name}",) if name else ()


def _selects(old: ROObj, new: ROObj) -> bool:
    return bool(services.selector(old)) != bool(services.selector(new))


CONTROLLER = Controller(
    "endpointslice-mirroring",
    primary="endpoints",
    triggers=[owned_by(SLICES), same_key("services", when=_selects)],
    reconcile=reconcile,
    indexes={SLICES: {_BY_SERVICE: _service_of}},
    rbac=[can("create,delete,update,list,watch", SLICES), can("list,watch", "services,endpoints")],
)
