"""Pods that nobody else will clear away (kube-controller-manager's podgc, `pkg/controller/podgc`):

* bound to a node that has been gone for 40 seconds: marked Failed and removed at once;
* deleted before they were ever bound: marked Failed and removed at once, for no node will confirm it;
* being deleted on a node that is marked out of service and not ready: the same;
* finished ones beyond 12,500 in the cluster: evicted ones, then the oldest.

Upstream looks at everything every 20 seconds. Here only what may have to go gets into the queue: pods that are deleted without a
node, or on one that is out of service; and nodes, by name, once one is missing that a pod names, or one has gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from minik.api import meta
from minik.api.core_v1 import nodes, pods
from minik.api.errors import NotFound
from minik.api.meta import Key, ROObj
from minik.client.controller import (
    DONE,
    Context,
    Controller,
    Result,
    Scope,
    can,
    maps_with,
    requeue_after,
)
from minik.controllers.common.pods import BY_NODE, by_node, delete, disruption, mark

QUARANTINE = 40.0
"""Seconds that a node must have been missing: its object may only be late."""
FINISHED_LIMIT = 12_500
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
FINISHED = "finished"
SWEEP = Key("", "")
"""The key under which finished pods are counted."""
_NODE = "/node"
"""In place of a namespace, in the keys of nodes."""


@dataclass(frozen=True, slots=True)
class Clearance:
    """What to do about a pod. `wait`: seconds until it is to be looked at again."""

    action: Literal["keep", "wait", "orphaned", "unscheduled", "out-of-service"]
    wait: float = 0.0


def plan_clearance(pod: ROObj, node: ROObj | None, *, missing_for: float) -> Clearance:
    """`missing_for`: seconds since the pod's node was first found missing."""
    deleting = meta.is_deleting(pod)
    if not pods.is_scheduled(pod):
        return Clearance("unscheduled" if deleting else "keep")
    if node is None:
        if missing_for < QUARANTINE:
            return Clearance("wait", QUARANTINE - missing_for)
        return Clearance("orphaned")
    if deleting and not nodes.is_ready(node) and _is_out_of_service(node):
        return Clearance("out-of-service")
    return Clearance("keep")


def _is_out_of_service(node: ROObj) -> bool:
    return any(taint.get("key") == OUT_OF_SERVICE for taint in (node.get("spec") or {}).get("taints") or ())


def plan_sweep(finished: Sequence[ROObj], *, limit: int) -> list[ROObj]:
    """The finished pods to delete beyond `limit`: those that were evicted, then the oldest."""
    excess = len(finished) - limit
    if excess <= 0:
        return []
    return sorted(finished, key=_use_of)[:excess]


def _use_of(pod: ROObj) -> tuple[bool, str, str]:
    """An evicted pod tells its controller nothing; others may still be counted (byEvictionAndCreationTimestamp)."""
    status = pod.get("status") or {}
    is_evicted = status.get("phase") == "Failed" and status.get("reason") == "Evicted"
    return not is_evicted, pod["metadata"].get("creationTimestamp") or "", meta.name(pod)


class Missing:
    """Since when nodes are missing, in seconds of the monotonic clock."""

    def __init__(self) -> None:
        self.since: dict[str, float] = {}


async def reconcile(ctx: Context, key: Key) -> Result:
    if key == SWEEP:
        for old in plan_sweep(ctx.cache("pods").by_index(FINISHED, "true"), limit=FINISHED_LIMIT):
            await delete(ctx, old, grace_seconds=0)
        return DONE
    if key.namespace == _NODE:
        return await _look_after(ctx, key.name)
    pod = ctx.cache("pods").get(key)
    if pod is None:
        return DONE
    node = ctx.cache("nodes").get(Key("", pods.node_name(pod)))
    plan = plan_clearance(pod, node, missing_for=0.0)
    if plan.action in ("unscheduled", "out-of-service"):
        await _clear(ctx, pod, orphaned=False)
    return DONE


async def _look_after(ctx: Context, name: str) -> Result:
    """The pods of a node that may be gone."""
    missing: Missing = ctx.state
    stranded = ctx.cache("pods").by_index(BY_NODE, name)
    if ctx.cache("nodes").get(Key("", name)) is not None or not stranded:
        missing.since.pop(name, None)
        return DONE
    now = ctx.clock.monotonic()
    wait = missing.since.setdefault(name, now) + QUARANTINE - now
    if wait > 0:
        return requeue_after(wait)
    if await _exists(ctx, name):
        return requeue_after(QUARANTINE)
    for pod in stranded:
        if plan_clearance(pod, None, missing_for=QUARANTINE).action == "orphaned":
            await _clear(ctx, pod, orphaned=True)
    missing.since.pop(name, None)
    return DONE


async def _exists(ctx: Context, node: str) -> bool:
    """The cache may lag; nothing is thrown away on its word."""
    try:
        await ctx.client.get("nodes", node)
    except NotFound:
        return False
    return True


async def _clear(ctx: Context, pod: ROObj, *, orphaned: bool) -> None:
    ctx.log.info("removing a pod that nobody else will", extra={"node": pods.node_name(pod)})
    if orphaned and not pods.is_finished(pod):
        condition = disruption("DeletionByPodGC", "PodGC: node no longer exists", now=ctx.clock.now())
        try:
            await mark(ctx, pod, condition, phase="Failed")
        except NotFound:
            return
    elif not pods.is_finished(pod):  # something holds it: its Job, say, that waits for how it ends
        patch = {"metadata": {"uid": meta.uid(pod)}, "status": {"phase": "Failed"}}
        try:
            await ctx.client.patch_status("pods", meta.name(pod), meta.namespace(pod), patch)
        except NotFound:
            return
    await delete(ctx, pod, grace_seconds=0)


def _finished(pod: ROObj) -> Iterable[str]:
    return ("true",) if pods.is_finished(pod) else ()


def _sweep(scope: Scope, pod: ROObj) -> Iterable[Key]:
    too_many = pods.is_finished(pod) and len(scope.cache("pods").index(FINISHED).get("true", ())) > FINISHED_LIMIT
    return (SWEEP,) if too_many else ()


def _of_pod(scope: Scope, pod: ROObj) -> Iterable[Key]:
    """The pod itself if it is on its way out and may have nobody to see to that; its node if that is not there."""
    name = pods.node_name(pod)
    if not name:
        return (meta.key(pod),) if meta.is_deleting(pod) else ()
    node = scope.cache("nodes").get(Key("", name))
    if node is None:
        return (Key(_NODE, name),)
    return (meta.key(pod),) if meta.is_deleting(pod) and _is_out_of_service(node) else ()


def _of_node(scope: Scope, node: ROObj) -> Iterable[Key]:
    """The node itself, which may have come or gone, and what is on its way out of one that is out of service."""
    yield Key(_NODE, meta.name(node))
    if _is_out_of_service(node):
        for pod in scope.cache("pods").by_index(BY_NODE, meta.name(node)):
            if meta.is_deleting(pod):
                yield meta.key(pod)


def _matters(old: ROObj, new: ROObj) -> bool:
    return pods.node_name(old) != pods.node_name(new) or meta.is_deleting(old) != meta.is_deleting(new)


def _node_matters(old: ROObj, new: ROObj) -> bool:
    return _is_out_of_service(old) != _is_out_of_service(new) or (
        _is_out_of_service(new) and nodes.is_ready(old) != nodes.is_ready(new)
    )


CONTROLLER = Controller(
    "pod-garbage-collector",
    primary="",
    triggers=[
        maps_with("pods", _of_pod, when=_matters),
        maps_with("pods", _sweep, when=lambda old, new: pods.is_finished(new) and not pods.is_finished(old)),
        maps_with("nodes", _of_node, when=_node_matters),
    ],
    indexes={"pods": {BY_NODE: by_node, FINISHED: _finished}},
    reconcile=reconcile,
    state=lambda _setup: Missing(),
    rbac=[can("delete", "pods"), can("patch", "pods/status")],
)
