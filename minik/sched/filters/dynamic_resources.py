"""DynamicResources: a pod's ResourceClaims have devices on the node, or can get them there (KEP-4381).

The filter asks `devices.allocate` for each node; the bind step notes what was chosen, and writes it into the claims' status before the pod
is bound: a finalizer first, so that a claim with devices cannot vanish, then the allocation and for whom it is. A crash in between leaves
a claim that is allocated, or reserved for a pod without a node; the next attempt goes by that, and `controllers/resourceclaim.py` takes
back what nobody uses. Claims made from templates are that controller's, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik.api import meta
from minik.api.errors import NotFound
from minik.api.meta import Key, Obj, ROObj
from minik.api.resource_v1.resourceclaim import MAX_RESERVED, RESOURCE, allocation_of, reserved_for
from minik.client.client import Client
from minik.sched.allocator import AllocationError, allocate
from minik.sched.devices import Devices, usable_on
from minik.sched.hooks import BindStep, Follower, Helped
from minik.sched.plugins import Filter, No, Prepared
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo

NAME = "DynamicResources"
FINALIZER = "resource.kubernetes.io/delete-protection"
_CANNOT = No(("cannot allocate all claims",))
_ELSEWHERE = No(("resourceclaim not available on the node",))
_HELPED: Helped = frozenset({NAME})


class _Missing(Exception):
    """A claim that the pod cannot be scheduled without; the text is for people."""


def claim_names(pod: PodInfo) -> list[tuple[str, str | None]]:
    """(name within the pod, name of the ResourceClaim or None if it has not been made yet). "" : none is needed."""
    made = {
        row["name"]: row.get("resourceClaimName") or ""
        for row in (pod.obj.get("status") or {}).get("resourceClaimStatuses") or ()
    }
    return [
        (row["name"], row.get("resourceClaimName") or made.get(row["name"]))
        for row in pod.spec.get("resourceClaims") or ()
    ]


def _claims(pod: PodInfo, known: Devices) -> list[ROObj]:
    """The pod's claims. Raises _Missing."""
    found = []
    for within, name in claim_names(pod):
        if name is None:
            raise _Missing(f"waiting for resourceclaim {within!r} to be created from its template")
        if not name:
            continue
        claim = known.claims.get(Key(pod.key.namespace, name))
        if claim is None:
            raise _Missing(f'resourceclaim "{name}" not found')
        owner = meta.controller_of(claim)
        if owner is not None and owner["kind"] == "Pod" and owner["uid"] != pod.uid:
            raise _Missing(f"ResourceClaim {name} was not created for pod {pod.key}")
        if meta.is_deleting(claim):
            raise _Missing(f'resourceclaim "{name}" is being deleted')
        others = [user for user in reserved_for(claim) if user["uid"] != pod.uid]
        if len(others) >= MAX_RESERVED:
            raise _Missing(f'resourceclaim "{name}" is used by too many pods')
        found.append(claim)
    return found


def prepare(pod: PodInfo, cluster: Cluster) -> Prepared:
    if not pod.spec.get("resourceClaims"):
        return None
    known = cluster.part(Devices)
    try:
        claims = _claims(pod, known)
    except _Missing as error:
        return No((str(error),), resolvable=False)
    fixed = [selector for claim in claims if (selector := _place(claim, known)) is not None]
    open_claims = [claim for claim in claims if _allocated(claim, known) is None]

    def check(node: NodeInfo) -> No | None:
        if not all(usable_on(selector, node) for selector in fixed):
            return _ELSEWHERE
        if not open_claims:
            return None
        try:
            return None if allocate(open_claims, node, known) is not None else _CANNOT
        except AllocationError as error:
            return No((str(error),), resolvable=False)

    return check


def _allocated(claim: ROObj, known: Devices) -> Mapping[str, Any] | None:
    return allocation_of(claim) or known.pending.get(meta.key(claim))


def _place(claim: ROObj, known: Devices) -> ROObj | None:
    return (_allocated(claim, known) or {}).get("nodeSelector")


FILTER = Filter(NAME, prepare)


# --- around the binding ------------------------------------------------------------------------------------------------------


def _wants(pod: PodInfo, _cluster: Cluster) -> bool:
    return bool(pod.spec.get("resourceClaims"))


def _reserve(pod: PodInfo, node_name: str, cluster: Cluster) -> None:
    known, node = cluster.part(Devices), cluster.get(node_name)
    if node is None:
        return
    try:
        claims = [claim for claim in _claims(pod, known) if _allocated(claim, known) is None]
        allocations = allocate(claims, node, known) or ()
    except (_Missing, AllocationError):
        return  # pre_bind finds no allocation, and says so
    for claim, allocation in zip(claims, allocations, strict=False):
        known.pending[meta.key(claim)] = allocation


def _unreserve(pod: PodInfo, _node: str, cluster: Cluster) -> None:
    known = cluster.part(Devices)
    for _, name in claim_names(pod):
        key = Key(pod.key.namespace, name or "")
        if allocation_of(known.claims.get(key) or {}) is None:
            known.pending.pop(key, None)


async def _pre_bind(pod: PodInfo, _node: str, cluster: Cluster, client: Client) -> None:
    known = cluster.part(Devices)
    for _, name in claim_names(pod):
        if name:
            await _write(pod, Key(pod.key.namespace, name), known, client)


async def _write(pod: PodInfo, key: Key, known: Devices, client: Client) -> None:
    """Give the claim its devices, if it has none, and the pod its use of it. Raises StatusError (a Conflict: somebody was quicker)."""
    claim = await client.get(RESOURCE, key.name, key.namespace)
    allocation = allocation_of(claim)
    if allocation is None:
        allocation = known.pending.get(key)
        if allocation is None:
            raise NotFound(f"resourceclaim {key} has no devices any more")
        if FINALIZER not in meta.finalizers(claim):
            held: Obj = {
                "metadata": {
                    "finalizers": [*meta.finalizers(claim), FINALIZER],
                    "resourceVersion": claim["metadata"]["resourceVersion"],
                }
            }
            claim = await client.patch(RESOURCE, key.name, key.namespace, held)
    users = list(reserved_for(claim))
    if allocation_of(claim) is not None and any(user["uid"] == pod.uid for user in users):
        return
    users.append({"resource": "pods", "name": pod.key.name, "uid": pod.uid})
    status: Obj = {"allocation": allocation, "reservedFor": users}
    patch = {"metadata": {"resourceVersion": claim["metadata"]["resourceVersion"]}, "status": status}
    await client.patch(RESOURCE, key.name, key.namespace, patch, subresource="status")


STEP = BindStep(NAME, _wants, _reserve, _unreserve, _pre_bind)


# --- what is known -----------------------------------------------------------------------------------------------------------


def _claim_set(cluster: Cluster, claim: ROObj) -> Helped:
    known, key = cluster.part(Devices), meta.key(claim)
    known.claims[key] = claim
    if allocation_of(claim) is not None:
        known.pending.pop(key, None)
    return _HELPED


def _claim_changed(cluster: Cluster, _old: ROObj, new: ROObj) -> Helped:
    return _claim_set(cluster, new)


def _claim_gone(cluster: Cluster, claim: ROObj) -> Helped:
    known, key = cluster.part(Devices), meta.key(claim)
    known.claims.pop(key, None)
    known.pending.pop(key, None)
    return _HELPED


def _class_set(cluster: Cluster, device_class: ROObj) -> Helped:
    cluster.part(Devices).classes[meta.name(device_class)] = device_class
    return _HELPED


def _class_changed(cluster: Cluster, _old: ROObj, new: ROObj) -> Helped:
    return _class_set(cluster, new)


def _class_gone(cluster: Cluster, device_class: ROObj) -> Helped:
    cluster.part(Devices).classes.pop(meta.name(device_class), None)
    return frozenset()


def _slice_set(cluster: Cluster, slice_: ROObj) -> Helped:
    cluster.part(Devices).put_slice(slice_)
    return _HELPED


def _slice_changed(cluster: Cluster, _old: ROObj, new: ROObj) -> Helped:
    return _slice_set(cluster, new)  # its driver and pool cannot change


def _slice_gone(cluster: Cluster, slice_: ROObj) -> Helped:
    cluster.part(Devices).remove_slice(slice_)
    return _HELPED  # what is left may be a whole pool


FOLLOWERS = (
    Follower(RESOURCE, _claim_set, _claim_changed, _claim_gone),
    Follower("deviceclasses.resource.k8s.io", _class_set, _class_changed, _class_gone),
    Follower("resourceslices.resource.k8s.io", _slice_set, _slice_changed, _slice_gone),
)
