"""Nodes that fall silent: their conditions become Unknown, their pods unready, and taints say so.

kube-controller-manager's node-lifecycle-controller (`pkg/controller/nodelifecycle`):

* No sign of life (a renewed Lease in kube-node-lease, or a new heartbeat in the status) for 40 seconds, or none at all for 60
  since the node appeared: Ready, MemoryPressure, DiskPressure and PIDPressure become Unknown.
* The pods on such a node are marked not ready, so that Services leave them out at once.
* Taints follow the conditions: not-ready or unreachable (NoSchedule and NoExecute), memory, disk and PID pressure, network
  unavailable, unschedulable (NoSchedule). Evicting pods for NoExecute is `tainteviction.py`'s.
* NoExecute comes to one node in ten seconds in each zone, to fewer or none while much of the zone is down, and to none while no node
  at all is ready (`common/node_zones.py`); it waits a few seconds in which others may fall silent too.

Signs of life are timed by this process's monotonic clock, from when they were seen (`common/node_signs.py`); clocks of nodes are never
compared. One timer serves all nodes, and a renewed Lease causes no reconcile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
from minik.controllers.common.node_news import came, turns, went
from minik.controllers.common.node_signs import Signs
from minik.controllers.common.node_zones import Zones, zone_of
from minik.controllers.common.pods import BY_NODE, by_node

SETTLE = 5.0
"""Seconds that a node is down before its pods may have to go (--node-monitor-period: what else is down is known by then)."""
SWEEP = Key("", "")
"""The key under which silent nodes are looked for."""
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


# --- what is known of the nodes ------------------------------------------------------------------------------------------


class Watch:
    """Listens for leases, heartbeats and conditions, and brings back the nodes that they matter to."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._clock = setup.clock
        self._armed = False
        self.signs = Signs()
        self.zones = Zones()
        self.granted: set[str] = set()
        """Nodes whose turn has come, until they have their NoExecute taint or are ready again."""
        self.down_since: dict[str, float] = {}
        setup.informer(LEASES).add_handler(added=self._lease, updated=self._renewed)
        setup.informer("nodes").add_handler(added=self._node, updated=self._updated, deleted=self._gone)

    def _lease(self, lease: ROObj) -> None:
        if meta.namespace(lease) == LEASE_NAMESPACE:
            self._heard(meta.name(lease))

    def _renewed(self, old: ROObj, new: ROObj) -> None:
        if (old.get("spec") or {}).get("renewTime") != (new.get("spec") or {}).get("renewTime"):
            self._lease(new)

    def _heard(self, name: str) -> None:
        if name not in self.signs:
            return  # a Lease without a node
        if self.signs.heard(name, self._clock.monotonic()):
            self._setup.enqueue(Key("", name))
        self._arm()

    def _arm(self) -> None:
        if not self._armed:
            self._armed = True
            self._setup.enqueue(SWEEP)

    def _tell(self, node: ROObj, news: tuple[str, str]) -> None:
        self._setup.recorder.event(node, "Normal", *news)

    def _node(self, node: ROObj) -> None:
        self._tell(node, came(node))
        self.signs.appeared(meta.name(node), self._clock.monotonic(), heard=_heartbeat(node) is not None)
        self.note(node)
        self._arm()

    def _updated(self, old: ROObj, new: ROObj) -> None:
        self.note(new)
        if _matters(old, new):
            for news in turns(old, new):
                self._tell(new, news)
        if _heartbeat(old) != _heartbeat(new):
            self._heard(meta.name(new))

    def _gone(self, node: ROObj) -> None:
        name = meta.name(node)
        self._tell(node, went(node))
        self.signs.gone(name)
        self.granted.discard(name)
        self.down_since.pop(name, None)
        self._again(self.zones.note(name, zone_of(node), None))

    def note(self, node: ROObj) -> None:
        """The state of a node, as it is known now."""
        name, down = meta.name(node), _is_down(node)
        if not down:
            self.down_since.pop(name, None)
            self.granted.discard(name)
        else:
            self.down_since.setdefault(name, self._clock.monotonic())
        has_said = down or nodes.is_ready(node)
        self._again(self.zones.note(name, zone_of(node), not down if has_said else None))

    def _again(self, names: Iterable[str]) -> None:
        for name in names:
            self._setup.enqueue(Key("", name))

    def sweep(self) -> Result:
        """Look for nodes that have fallen silent; come back when the next one may have."""
        now = self._clock.monotonic()
        self._again(self.signs.overdue(now))
        wait = self.signs.next_check(now)
        if wait is None:
            self._armed = False
            return DONE
        return requeue_after(wait)

    def may_execute(self, node: ROObj) -> tuple[bool, float | None]:
        """(whether the node may have NoExecute taints now, seconds after which to ask again)."""
        name, now = meta.name(node), self._clock.monotonic()
        if self.zones.all_down:
            self.granted.discard(name)
            return False, None
        if _is_executed(node) or name in self.granted:
            return True, None
        wait = self.down_since.get(name, now) + SETTLE - now
        if wait > 0:
            return False, wait
        turn = self.zones.ask(name, now)
        if turn != 0.0:
            return False, turn
        self.granted.add(name)
        if head := self.zones.head(zone_of(node)):
            self._setup.enqueue(Key("", head))
        return True, None


def _heartbeat(node: ROObj) -> str | None:
    ready = meta.condition(node, "Ready")
    return ready.get("lastHeartbeatTime") if ready else None


def _is_executed(node: ROObj) -> bool:
    taints = (node.get("spec") or {}).get("taints") or ()
    return any(t.get("effect") == "NoExecute" and t.get("key") in (NOT_READY, UNREACHABLE) for t in taints)


def _is_down(node: ROObj) -> bool:
    """Whether it says, or is said, not to be ready; one that has said nothing yet is not."""
    ready = meta.condition(node, "Ready")
    return ready is not None and ready.get("status") != "True"


# --- acting --------------------------------------------------------------------------------------------------------------


async def reconcile(ctx: Context, key: Key) -> Result:
    watch: Watch = ctx.state
    if key == SWEEP:
        return watch.sweep()
    node = ctx.cache("nodes").get(key)
    if node is None:
        return DONE
    now = times.format_time(ctx.clock.now())
    if key.name in watch.signs.silent:
        conditions = plan_unknown(node, now=now)
        if conditions is not None:
            was_ready = nodes.is_ready(node)
            node = await ctx.client.update_status(
                "nodes", node, {**(node.get("status") or {}), "conditions": conditions}
            )
            if was_ready:
                ctx.recorder.event(node, "Normal", "NodeNotReady", f"Node {key.name} status is now: NodeNotReady")
    watch.note(node)
    execute, wait = watch.may_execute(node) if _is_down(node) else (False, None)
    taints = plan_taints(node, execute=execute, now=now)
    if taints is not None:
        patch = {
            "metadata": {"resourceVersion": node["metadata"]["resourceVersion"]},
            "spec": {"taints": taints or None},
        }
        await ctx.client.patch("nodes", key.name, "", patch)
    if _is_down(node):
        await _mark_not_ready(ctx, key.name)
    return DONE if wait is None else requeue_after(wait)


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
    state=Watch,
    rbac=[can("patch", "nodes"), can("update", "nodes/status"), can("patch", "pods/status")],
    component="node-controller",
)
