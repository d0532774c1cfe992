"""Pods that nobody else will clear away (kube-controller-manager's podgc, `pkg/controller/podgc`):

* bound to a node that has been gone for 40 seconds: marked Failed and removed at once;
* deleted before they were ever bound: marked Failed and removed at once, for no node will confirm it;
* being deleted on a node that is marked out of service and not ready: the same;
* finished ones beyond 12,500 in the cluster: the oldest first.

Upstream looks at everything every 20 seconds; here each pod is looked at when something about it or its node changed.
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
    maps,
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
    taints = (node.get("spec") or {}).get("taints") or ()
    if deleting and not nodes.is_ready(node) and any(taint.get("key") == OUT_OF_SERVICE for taint in taints):
        return Clearance("out-of-service")
    return Clearance("keep")


def plan_sweep(finished: Sequence[ROObj], *, limit: int) -> list[ROObj]:
    """The finished pods to delete: the oldest beyond `limit`."""
    excess = len(finished) - limit
    if excess <= 0:
        return []
    return sorted(finished, key=lambda pod: (pod["metadata"].get("creationTimestamp") or "", meta.name(pod)))[:excess]


class Missing:
    """Since when nodes are missing, in seconds of the monotonic clock."""

    def __init__(self) -> None:
        self.since: dict[str, float] = {}


async def reconcile(ctx: Context, key: Key) -> Result:
    if key == SWEEP:
        for old in plan_sweep(ctx.cache("pods").by_index(FINISHED, "true"), limit=FINISHED_LIMIT):
            await delete(ctx, old, grace_seconds=0)
        return DONE
    pod = ctx.cache("pods").get(key)
    if pod is None:
        return DONE
    missing: Missing = ctx.state
    name = pods.node_name(pod)
    node = ctx.cache("nodes").get(Key("", name))
    if node is not None:
        missing.since.pop(name, None)
    now = ctx.clock.monotonic()
    since = missing.since.setdefault(name, now) if name and node is None else now
    plan = plan_clearance(pod, node, missing_for=now - since)
    if plan.action == "keep":
        return DONE
    if plan.action == "wait":
        return requeue_after(plan.wait)
    if plan.action == "orphaned" and await _exists(ctx, name):
        return requeue_after(QUARANTINE)
    await _clear(ctx, pod, orphaned=plan.action != "unscheduled")
    if not ctx.cache("pods").by_index(BY_NODE, name):
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


def _sweep(pod: ROObj) -> Iterable[Key]:
    return (SWEEP,) if pods.is_finished(pod) else ()


def _pods_of(scope: Scope, node: ROObj) -> Iterable[Key]:
    return [meta.key(pod) for pod in scope.cache("pods").by_index(BY_NODE, meta.name(node))]


def _matters(old: ROObj, new: ROObj) -> bool:
    return pods.node_name(old) != pods.node_name(new) or meta.is_deleting(old) != meta.is_deleting(new)


def _node_matters(old: ROObj, new: ROObj) -> bool:
    before, after = (old.get("spec") or {}).get("taints"), (new.get("spec") or {}).get("taints")
    return before != after or nodes.is_ready(old) != nodes.is_ready(new)


CONTROLLER = Controller(
    "pod-garbage-collector",
    primary="pods",
    triggers=[
        maps("pods", _sweep, when=lambda old, new: pods.is_finished(new) and not pods.is_finished(old)),
        maps_with("nodes", _pods_of, when=_node_matters),
    ],
    indexes={"pods": {BY_NODE: by_node, FINISHED: _finished}},
    when=_matters,
    reconcile=reconcile,
    state=lambda _setup: Missing(),
    rbac=[can("delete", "pods"), can("patch", "pods/status")],
)
