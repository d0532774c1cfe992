"""DaemonSet (apps/v1): a pod on every node that it fits, and the way from one template to the next.

What to do is decided in `common/daemon_plan.py`; revisions are kept by `common/history.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.meta import Key, ROObj
from minik.api.selectors import Selector, from_label_selector
from minik.client.controller import (
    DONE,
    Context,
    Controller,
    Result,
    Scope,
    can,
    maps_with,
    owned_by,
    requeue_after,
    selected_by,
)
from minik.controllers.common import claims
from minik.controllers.common.batches import at_once, in_batches
from minik.controllers.common.claims import ORPHANS, apply_claims, plan_claims
from minik.controllers.common.daemon_nodes import daemon_pod
from minik.controllers.common.daemon_plan import (
    DaemonPlan,
    Daemons,
    plan_daemon_status,
    plan_daemons,
    read_daemons,
    seconds_to_availability,
)
from minik.controllers.common.history import HASH, REVISIONS, forget, own_revisions, plan_forgetting, sync_history
from minik.controllers.common.reconcile_replicas import matters_to_replicas
from minik.controllers.common.replicas import delete_pod
from minik.controllers.common.settled_names import create_settled

DAEMON_SETS = "daemonsets.apps"
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 900.0


@dataclass(slots=True)
class Pauses:
    """How long a failed pod is left before it is replaced: a node that refuses pods must not be flooded. 1 s, doubling to 15 min;
    forgotten after twice the longest without a failure."""

    known: dict[Key, dict[tuple[str, int, str], tuple[float, float]]] = field(default_factory=dict)
    """DaemonSet → (uid, generation, node) → (seconds, when the last pod was replaced)."""

    def left(self, daemon_set: ROObj, node: str, now: float) -> float:
        which = meta.uid(daemon_set), meta.generation(daemon_set), node
        seconds, since = self.known.get(meta.key(daemon_set), {}).get(which, (0.0, now))
        return since + seconds - now

    def note(self, daemon_set: ROObj, node: str, now: float) -> None:
        which = meta.uid(daemon_set), meta.generation(daemon_set), node
        of_set = self.known.setdefault(meta.key(daemon_set), {})
        seconds, since = of_set.get(which, (0.0, now))
        fresh = not seconds or now - since > 2 * LONGEST_PAUSE
        of_set[which] = FIRST_PAUSE if fresh else min(2 * seconds, LONGEST_PAUSE), now


@dataclass(slots=True)
class Names:
    """Which pod of the present revision each node had last, so that the next one there is not given its name: whoever waits for a
    pod to be gone looks for its name. (After a restart nothing is known of pods that have gone, and a name may come back.)"""

    last: dict[Key, tuple[str, dict[str, str]]] = field(default_factory=dict)
    """DaemonSet → (revision hash, node → uid)."""

    def note(self, daemon_set: ROObj, state: Daemons) -> Mapping[str, str]:
        """Node → the uid of its last pod, as far as it has gone; the pods that are there now are remembered for the next time."""
        known = self.last.get(meta.key(daemon_set))
        uids = dict(known[1]) if known is not None and known[0] == state.hash else {}
        there = {meta.uid(pod) for of_node in state.everywhere.values() for pod in of_node}
        gone = {node: uid for node, uid in uids.items() if uid not in there}
        for node, of_node in state.everywhere.items():
            for pod in of_node:
                if meta.labels(pod).get(HASH) == state.hash:
                    uids[node] = meta.uid(pod)
        self.last[meta.key(daemon_set)] = state.hash, uids
        return gone


@dataclass(slots=True)
class Memory:
    """What the controller remembers of its DaemonSets."""

    names: Names = field(default_factory=Names)
    pauses: Pauses = field(default_factory=Pauses)

    def forget(self, key: Key) -> None:
        self.names.last.pop(key, None)
        self.pauses.known.pop(key, None)


def _selector(daemon_set: ROObj) -> Selector:
    return from_label_selector(daemon_set["spec"]["selector"])


async def reconcile(ctx: Context, key: Key) -> Result:
    daemon_set = ctx.cache(DAEMON_SETS).get(key)
    memory: Memory = ctx.state
    if daemon_set is None:
        memory.forget(key)
        return DONE
    revisions = await own_revisions(ctx, daemon_set, _selector(daemon_set))
    if meta.is_deleting(daemon_set):
        return DONE
    current, collisions = await sync_history(ctx, daemon_set, revisions, label=HASH)
    all_pods = ctx.cache("pods")
    ownership = plan_claims(
        daemon_set, _selector(daemon_set), all_pods.owned_by(daemon_set), all_pods.by_index(ORPHANS, key.namespace)
    )
    owned = await apply_claims(ctx, daemon_set, "pods", ownership)
    state = read_daemons(
        daemon_set, list(ctx.cache("nodes")), owned,
        revision_hash=meta.labels(current).get(HASH, ""), now=ctx.clock.now(),
    )  # fmt: skip
    moment = ctx.clock.monotonic()
    plan = plan_daemons(state, pause=lambda node: memory.pauses.left(daemon_set, node, moment))
    await _apply(ctx, state, plan)
    status = plan_daemon_status(state, collisions=collisions)
    if status != daemon_set.get("status"):
        await ctx.client.update_status(DAEMON_SETS, {**daemon_set, "status": status})
    used = {meta.labels(pod).get(HASH) for pod in owned}
    live = {meta.name(r) for r in revisions if meta.labels(r).get(HASH) in used} | {meta.name(current)}
    limit = daemon_set["spec"].get("revisionHistoryLimit", 10)
    await forget(ctx, plan_forgetting(revisions, live=live, limit=limit))
    waits = [wait for wait in (plan.wait, seconds_to_availability(state)) if wait is not None]
    return requeue_after(min(waits)) if waits else DONE


async def _apply(ctx: Context, state: Daemons, plan: DaemonPlan) -> None:
    """Make the plan's writes. Raises the first StatusError, after all others have been tried."""
    daemon_set = state.daemon_set
    for type_, reason, message in plan.events:
        ctx.recorder.event(daemon_set, type_, reason, message)
    memory: Memory = ctx.state
    there, gone = state.everywhere, memory.names.note(daemon_set, state)
    new = [
        daemon_pod(daemon_set, node, state.hash, there=there.get(node, ()), after=gone.get(node, ""))
        for node in plan.create
    ]
    _, failure = await in_batches([lambda pod=pod: create_settled(ctx, daemon_set, pod) for pod in new])  # type: ignore[misc]  # binds the pod
    for pod in plan.delete:
        if pods.phase(pod) == "Failed":
            memory.pauses.note(daemon_set, pods.node_name(pod), ctx.clock.monotonic())
    results = await at_once([lambda pod=pod: delete_pod(ctx, daemon_set, pod) for pod in plan.delete])  # type: ignore[misc]  # binds the pod
    for error in (failure, *results):
        if error is not None:
            raise error


def _every(scope: Scope, _node: ROObj) -> Iterable[Key]:
    return [meta.key(daemon_set) for daemon_set in scope.cache(DAEMON_SETS)]


def _moves_daemons(old: ROObj, new: ROObj) -> bool:
    """Whether a node's change can change where daemons run: its labels and taints. (A heartbeat cannot.)"""
    before, after = old.get("spec") or {}, new.get("spec") or {}
    return meta.labels(old) != meta.labels(new) or before.get("taints") != after.get("taints")


CONTROLLER = Controller(
    "daemonset",
    primary=DAEMON_SETS,
    triggers=[
        owned_by("pods", when=matters_to_replicas),
        selected_by("pods", _selector, orphans_only=True),
        owned_by(REVISIONS),
        selected_by(REVISIONS, _selector, orphans_only=True),
        maps_with("nodes", _every, when=_moves_daemons),
    ],
    reconcile=reconcile,
    indexes={"pods": {ORPHANS: claims.orphans}, REVISIONS: {ORPHANS: claims.orphans}},
    state=lambda _setup: Memory(),
    rbac=[
        can("create,delete,list,patch,watch", "pods"),
        can("create,delete,get,list,patch,watch", REVISIONS),
        can("get,list,watch", DAEMON_SETS),
        can("update", f"{DAEMON_SETS}/status"),
    ],
)
