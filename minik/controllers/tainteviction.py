"""NoExecute taints drive pods off their node once their tolerations have run out (taint-eviction-controller, KEP-3902).

A pod that does not tolerate a taint goes at once; one that tolerates it for `tolerationSeconds` goes that long after the taint was
added; one that tolerates it without a bound stays. Deleting is graceful: on a node that cannot be reached, the pod stays Terminating
until the node is back or gone.

Upstream counts from when it noticed; here from the taint's `timeAdded` where there is one, so that a restart of the server does
not give pods their seconds anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from minik.api import meta, times
from minik.api.core_v1 import pods
from minik.api.core_v1.tolerations import seconds_tolerated
from minik.api.errors import NotFound
from minik.api.meta import Key, ROObj
from minik.client.controller import DONE, Context, Controller, Result, Scope, can, maps_with, requeue_after
from minik.controllers.common.pods import BY_NODE, by_node, delete, disruption, mark

_Taint = Mapping[str, Any]


def no_execute(node: ROObj) -> list[_Taint]:
    return [taint for taint in (node.get("spec") or {}).get("taints") or () if taint.get("effect") == "NoExecute"]


def plan_eviction(pod: ROObj, taints: Sequence[tuple[_Taint, datetime]]) -> datetime | None:
    """When the pod has to go, given the node's NoExecute taints and since when each is there; None: it may stay."""
    tolerations = (pod.get("spec") or {}).get("tolerations") or ()
    ends = []
    for taint, since in taints:
        seconds = seconds_tolerated(tolerations, taint)
        if seconds != float("inf"):
            ends.append(since + timedelta(seconds=seconds))
    return min(ends, default=None)


class Noticed:
    """When taints without a `timeAdded` were first seen, by node; and which pods have their time running."""

    def __init__(self) -> None:
        self.running: set[Key] = set()
        self._since: dict[str, dict[tuple[str, str], datetime]] = {}

    def since(self, node: str, taints: Sequence[_Taint], *, now: datetime) -> list[tuple[_Taint, datetime]]:
        """Each taint with the time from which it counts. Forgets what the node has no longer."""
        known = self._since.get(node, {})
        current: dict[tuple[str, str], datetime] = {}
        found = []
        for taint in taints:
            if added := taint.get("timeAdded"):
                found.append((taint, times.parse_time(added)))
                continue
            key = taint["key"], taint.get("value") or ""
            current[key] = known.get(key, now)
            found.append((taint, current[key]))
        if current:
            self._since[node] = current
        else:
            self._since.pop(node, None)
        return found


async def reconcile(ctx: Context, key: Key) -> Result:
    noticed: Noticed = ctx.state
    was_running = key in noticed.running
    noticed.running.discard(key)
    pod = ctx.cache("pods").get(key)
    if pod is None or meta.is_deleting(pod) or pods.is_finished(pod) or not pods.is_scheduled(pod):
        return DONE
    name = pods.node_name(pod)
    node = ctx.cache("nodes").get(Key("", name))
    if node is None:
        return DONE
    now = ctx.clock.now()
    end = plan_eviction(pod, noticed.since(name, no_execute(node), now=now))
    if end is None:
        if was_running:
            ctx.recorder.event(pod, "Normal", "TaintManagerEviction", f"Cancelling deletion of Pod {key}")
        return DONE
    left = (end - now).total_seconds()
    if left > 0:
        noticed.running.add(key)
        return requeue_after(left)
    ctx.recorder.event(pod, "Normal", "TaintManagerEviction", f"Marking for deletion Pod {key}")
    message = "Taint manager: deleting due to NoExecute taint"
    try:
        await mark(ctx, pod, disruption("DeletionByTaintManager", message, now=now))
    except NotFound:
        return DONE
    await delete(ctx, pod)
    return DONE


def _if_tainted(scope: Scope, pod: ROObj) -> Iterable[Key]:
    """A pod on a node that drives some off. (If the node's taint is learnt of later, the node names the pod.)"""
    name = pods.node_name(pod)
    node = scope.cache("nodes").get(Key("", name)) if name else None
    return (meta.key(pod),) if node is not None and no_execute(node) else ()


def _pods_of(scope: Scope, node: ROObj) -> Iterable[Key]:
    return [meta.key(pod) for pod in scope.cache("pods").by_index(BY_NODE, meta.name(node))] if no_execute(node) else []


def _pod_matters(old: ROObj, new: ROObj) -> bool:
    return pods.node_name(old) != pods.node_name(new) or (
        old["spec"] is not new["spec"] and old["spec"].get("tolerations") != new["spec"].get("tolerations")
    )


CONTROLLER = Controller(
    "taint-eviction",
    primary="",
    triggers=[
        maps_with("pods", _if_tainted, when=_pod_matters),
        maps_with("nodes", _pods_of, when=lambda old, new: no_execute(old) != no_execute(new)),
    ],
    indexes={"pods": {BY_NODE: by_node}},
    reconcile=reconcile,
    state=lambda _setup: Noticed(),
    rbac=[can("delete", "pods"), can("patch", "pods/status")],
    component="taint-eviction-controller",
)
