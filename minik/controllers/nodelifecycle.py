"""Nodes that fall silent: their conditions become Unknown, their pods unready, and taints say so.

kube-controller-manager's node-lifecycle-controller (`pkg/controller/nodelifecycle`):

* No sign of life (a renewed Lease in kube-node-lease, or a new heartbeat in the status) for 40 seconds, or none at all for 60
  since the node appeared: Ready, MemoryPressure, DiskPressure and PIDPressure become Unknown.
* The pods on such a node are marked not ready, so that Services leave them out at once.
* Taints follow the conditions: not-ready or unreachable (NoSchedule and NoExecute), memory, disk and PID pressure, network
  unavailable, unschedulable (NoSchedule). Evicting pods for NoExecute is `tainteviction.py`'s.
* While no node at all is ready, NoExecute is withheld: then it is more likely the server that is cut off, and there is nowhere for
  pods to go (upstream's "full disruption"). Upstream also slows evictions when part of a zone is down; minik has no zones.

Signs of life are timed by this process's monotonic clock, from when they were seen; clocks of nodes are never compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minik.api import meta, times
from minik.api.core_v1 import nodes, pods
from minik.api.errors import NotFound
from minik.api.meta import Key, Obj, ROObj
from minik.client.controller import (
    DONE,
    Context,
    Controller,
    Result,
    Setup,
    can,
    requeue_after,
)
from minik.controllers.common.conditions import with_condition
from minik.controllers.common.pods import BY_NODE, by_node

GRACE = 40.0
"""Seconds without a sign of life after which a node is Unknown (--node-monitor-grace-period)."""
STARTUP_GRACE = 60.0
"""The same for a node that never gave one (--node-startup-grace-period)."""
LEASES = "leases.coordination.k8s.io"
LEASE_NAMESPACE = "kube-node-lease"
NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_WATCHED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
_BY_CONDITION: Mapping[tuple[str, str], str] = {
    ("Ready", "False"): NOT_READY,
    ("Ready", "Unknown"): UNREACHABLE,
    ("MemoryPressure", "True"): "node.kubernetes.io/memory-pressure",
    ("DiskPressure", "True"): "node.kubernetes.io/disk-pressure",
    ("PIDPressure", "True"): "node.kubernetes.io/pid-pressure",
    ("NetworkUnavailable", "True"): "node.kubernetes.io/network-unavailable",
}
"""(condition, its status) → the NoSchedule taint that goes with it."""
_OURS = frozenset({*_BY_CONDITION.values(), UNSCHEDULABLE})


# --- deciding ------------------------------------------------------------------------------------------------------------


def plan_unknown(node: ROObj, *, now: str) -> list[Obj] | None:
    """The conditions of a node that has fallen silent; None if they say so already."""
    conditions: Sequence[Mapping[str, Any]] = (node.get("status") or {}).get("conditions") or ()
    result: list[Obj] = [dict(condition) for condition in conditions]
    for type_ in _WATCHED:
        old = meta.condition(node, type_)
        if old is None:
            reason, message = "NodeStatusNeverUpdated", "Kubelet never posted node status."
            new: Obj = {"lastHeartbeatTime": node["metadata"].get("creationTimestamp")}
        elif old.get("status") != "Unknown":
            reason, message = "NodeStatusUnknown", "Kubelet stopped posting node status."
            new = {"lastHeartbeatTime": old.get("lastHeartbeatTime")}
        else:
            continue
        new = {"type": type_, "status": "Unknown", "reason": reason, "message": message, **new}
        result = with_condition(result, new, now=now)
    return None if result == list(conditions) else result


def plan_taints(node: ROObj, *, execute: bool, now: str) -> list[Obj] | None:
    """The taints that the node should have; None if it has them. `execute`: whether NoExecute may be used."""
    current: Sequence[Mapping[str, Any]] = (node.get("spec") or {}).get("taints") or ()
    wanted: dict[tuple[str, str], Obj] = {}
    for condition in (node.get("status") or {}).get("conditions") or ():
        key = _BY_CONDITION.get((condition.get("type"), condition.get("status")))
        if key is None:
            continue
        wanted[key, "NoSchedule"] = {"key": key, "effect": "NoSchedule"}
        if execute and key in (NOT_READY, UNREACHABLE):
            wanted[key, "NoExecute"] = {"key": key, "effect": "NoExecute", "timeAdded": now}
    if not nodes.is_schedulable(node):
        wanted[UNSCHEDULABLE, "NoSchedule"] = {"key": UNSCHEDULABLE, "effect": "NoSchedule"}
    kept = [
        dict(taint)
        for taint in current
        if not _is_ours(taint) or wanted.pop((taint["key"], taint["effect"]), None) is not None
    ]
    result = [*kept, *wanted.values()]
    return None if result == list(current) else result


def _is_ours(taint: Mapping[str, Any]) -> bool:
    if taint.get("effect") == "NoSchedule":
        return taint.get("key") in _OURS
    return taint.get("effect") == "NoExecute" and taint.get("key") in (NOT_READY, UNREACHABLE)


# --- signs of life -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Life:
    """When a node was heard of last, in seconds of the monotonic clock, and whether ever."""

    at: float
    heard: bool


class Signs:
    """Listens for leases and heartbeats. A renewal costs a dictionary write, and no reconcile unless the node was silent.

    Also knows which nodes are ready: whether NoExecute is withheld from one node depends on all the others."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self.lives: dict[str, Life] = {}
        self.silent: set[str] = set()
        self._ready: dict[str, bool] = {}
        self._ready_count = 0
        setup.informer(LEASES).add_handler(added=self._lease, updated=self._renewed)
        setup.informer("nodes").add_handler(added=self._node, updated=self._updated, deleted=self._gone)

    def of(self, name: str) -> Life:
        return self.lives.setdefault(name, Life(self._setup.clock.monotonic(), False))

    def _heard(self, name: str) -> None:
        life = self.of(name)
        life.at, life.heard = self._setup.clock.monotonic(), True
        if name in self.silent:
            self._setup.enqueue(Key("", name))

    def _lease(self, lease: ROObj) -> None:
        if meta.namespace(lease) == LEASE_NAMESPACE:
            self._heard(meta.name(lease))

    def _renewed(self, old: ROObj, new: ROObj) -> None:
        if (old.get("spec") or {}).get("renewTime") != (new.get("spec") or {}).get("renewTime"):
            self._lease(new)

    def another_is_ready(self, name: str) -> bool:
        """Whether any node but `name` is ready."""
        return self._ready_count > int(self._ready.get(name, False))

    def _note_ready(self, name: str, ready: bool | None) -> None:
        """`None`: the node is gone. The others are looked at again only where it can matter to them."""
        before = self._ready_count
        self._ready_count += int(ready or False) - int(self._ready.pop(name, False))
        if ready is not None:
            self._ready[name] = ready
        if min(before, 2) != min(self._ready_count, 2):
            for other, is_ready in self._ready.items():
                if not is_ready:
                    self._setup.enqueue(Key("", other))

    def _node(self, node: ROObj) -> None:
        self._note_ready(meta.name(node), nodes.is_ready(node))
        life = self.of(meta.name(node))
        life.heard = life.heard or _heartbeat(node) is not None

    def _updated(self, old: ROObj, new: ROObj) -> None:
        self._note_ready(meta.name(new), nodes.is_ready(new))
        if _heartbeat(old) != _heartbeat(new):
            self._heard(meta.name(new))

    def _gone(self, node: ROObj) -> None:
        self._note_ready(meta.name(node), None)
        self.lives.pop(meta.name(node), None)
        self.silent.discard(meta.name(node))


def _heartbeat(node: ROObj) -> str | None:
    ready = meta.condition(node, "Ready")
    return ready.get("lastHeartbeatTime") if ready else None


# --- acting --------------------------------------------------------------------------------------------------------------


async def reconcile(ctx: Context, key: Key) -> Result:
    signs: Signs = ctx.state
    node = ctx.cache("nodes").get(key)
    if node is None:
        return DONE
    life = signs.of(key.name)
    left = life.at + (GRACE if life.heard else STARTUP_GRACE) - ctx.clock.monotonic()
    now = times.format_time(ctx.clock.now())
    if left <= 0:
        signs.silent.add(key.name)
        conditions = plan_unknown(node, now=now)
        if conditions is not None:
            was_ready = nodes.is_ready(node)
            node = await ctx.client.update_status(
                "nodes", node, {**(node.get("status") or {}), "conditions": conditions}
            )
            if was_ready:
                ctx.recorder.event(node, "Normal", "NodeNotReady", f"Node {key.name} status is now: NodeNotReady")
    else:
        signs.silent.discard(key.name)
    taints = plan_taints(node, execute=signs.another_is_ready(key.name), now=now)
    if taints is not None:
        patch = {
            "metadata": {"resourceVersion": node["metadata"]["resourceVersion"]},
            "spec": {"taints": taints or None},
        }
        await ctx.client.patch("nodes", key.name, "", patch)
    if left <= 0:
        await _mark_not_ready(ctx, key.name)
        return DONE  # the next sign of life brings it back
    return requeue_after(left)


async def _mark_not_ready(ctx: Context, node: str) -> None:
    """Nobody on the node will say it: its pods serve nobody now."""
    now = times.format_time(ctx.clock.now())
    for pod in ctx.cache("pods").by_index(BY_NODE, node):
        ready = meta.condition(pod, "Ready")
        if ready is None or ready.get("status") != "True" or pods.is_finished(pod):
            continue
        condition = {**ready, "status": "False", "lastTransitionTime": now}
        patch = {"metadata": {"uid": meta.uid(pod)}, "status": {"conditions": [condition]}}
        try:
            await ctx.client.patch_status("pods", meta.name(pod), meta.namespace(pod), patch, type="strategic")
        except NotFound:
            continue
        ctx.recorder.event(pod, "Warning", "NodeNotReady", "Node is not ready")


def _matters(old: ROObj, new: ROObj) -> bool:
    return old.get("spec") != new.get("spec") or _statuses(old) != _statuses(new)


def _statuses(node: ROObj) -> list[tuple[str, str]]:
    return [(c.get("type", ""), c.get("status", "")) for c in (node.get("status") or {}).get("conditions") or ()]


CONTROLLER = Controller(
    "node-lifecycle",
    primary="nodes",
    caches=["pods", LEASES],
    indexes={"pods": {BY_NODE: by_node}},
    when=_matters,
    reconcile=reconcile,
    state=Signs,
    rbac=[can("patch", "nodes"), can("update", "nodes/status"), can("patch", "pods/status")],
    component="node-controller",
)
