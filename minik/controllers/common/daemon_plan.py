"""What to do about a DaemonSet's pods: `plan_daemons` keeps one on each node, `_roll` replaces old ones within the bounds. Pure.

kube-controller-manager's `manage`, `rollingUpdate` and `updateDaemonSetStatus` (`pkg/controller/daemon`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from minik.api import meta
from minik.api.apps_v1.daemonset import template_generation
from minik.api.core_v1 import pods
from minik.api.meta import Obj, ROObj
from minik.controllers.common.daemon_nodes import GENERATION, Fit, fitting, target_node
from minik.controllers.common.history import HASH
from minik.controllers.common.replicas import seconds_until_available
from minik.controllers.common.rollout_scale import resolve

BURST = 250


@dataclass(frozen=True, slots=True)
class DaemonPlan:
    """Pods to delete, nodes that get one, and Events to tell (type, reason, message) about the pods that ended."""

    delete: Sequence[ROObj] = ()
    create: Sequence[str] = ()
    events: Sequence[tuple[str, str, str]] = ()
    wait: float | None = None
    """Seconds until a failed pod may be replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemons:
    """A DaemonSet, its nodes and its pods, sorted by node."""

    daemon_set: ROObj
    hash: str
    now: datetime
    fits: Mapping[str, Fit]
    """Every node there is."""
    by_node: Mapping[str, Sequence[ROObj]]
    """Node → its pods, oldest first, those bound before others; without those that are over and being deleted."""
    desired: int = 0

    everywhere: Mapping[str, Sequence[ROObj]] = field(default_factory=dict)
    """The same with every pod that is known."""

    def is_new(self, pod: ROObj) -> bool:
        """Whether it is of the present template (IsPodUpdated): by the revision's hash, or by the number of the template, which still
        holds when somebody replaced the revision by another of the same data."""
        labels = meta.labels(pod)
        return labels.get(HASH) == self.hash or labels.get(GENERATION) == str(template_generation(self.daemon_set))

    def is_available(self, pod: ROObj) -> bool:
        seconds = self.daemon_set["spec"].get("minReadySeconds") or 0
        return pods.is_ready(pod) and seconds_until_available(pod, seconds, now=self.now) <= 0

    @property
    def bounds(self) -> tuple[int, int]:
        """(maxSurge, maxUnavailable) as numbers of nodes."""
        rolling = (self.daemon_set["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
        surge = resolve(rolling.get("maxSurge"), self.desired, up=True)
        unavailable = resolve(rolling.get("maxUnavailable"), self.desired, up=True)
        return surge, unavailable if surge or unavailable else 1

    @property
    def surges(self) -> bool:
        strategy = self.daemon_set["spec"].get("updateStrategy") or {}
        return strategy.get("type") == "RollingUpdate" and self.bounds[0] > 0


def read_daemons(
    daemon_set: ROObj, nodes: Sequence[ROObj], owned: Sequence[ROObj], *, revision_hash: str, now: datetime
) -> Daemons:
    fit = fitting(daemon_set)
    fits = {meta.name(node): fit(node) for node in nodes}
    by_node: dict[str, list[ROObj]] = {}
    everywhere: dict[str, list[ROObj]] = {}
    for pod in sorted(owned, key=_age):
        node = target_node(pod)
        if node:
            everywhere.setdefault(node, []).append(pod)
            if not (pods.is_finished(pod) and meta.is_deleting(pod)):
                by_node.setdefault(node, []).append(pod)
    return Daemons(
        daemon_set=daemon_set, hash=revision_hash, now=now, fits=fits, by_node=by_node, everywhere=everywhere,
        desired=sum(each.runs for each in fits.values()),
    )  # fmt: skip


def _age(pod: ROObj) -> tuple[object, ...]:
    return not pods.is_scheduled(pod), pod["metadata"].get("creationTimestamp") or "", meta.name(pod)


def plan_daemons(state: Daemons, *, pause: Callable[[str], float] = lambda _node: 0.0) -> DaemonPlan:
    """`pause`: node → seconds before the failed pod on it may be replaced."""
    draft = _Draft()
    for node, verdict in state.fits.items():
        _on_node(state, node, verdict, draft, pause)
    for node, there in state.by_node.items():
        if node not in state.fits:  # never to be scheduled, and not podgc's business
            draft.delete += [pod for pod in there if not pods.is_scheduled(pod) and not meta.is_deleting(pod)]
    strategy = (state.daemon_set["spec"].get("updateStrategy") or {}).get("type", "RollingUpdate")
    if strategy == "RollingUpdate" and not draft.delete and not draft.create:
        _roll(state, draft)
    return DaemonPlan(draft.delete[:BURST], draft.create[:BURST], draft.events, draft.wait)


@dataclass(slots=True)
class _Draft:
    delete: list[ROObj] = field(default_factory=list)
    create: list[str] = field(default_factory=list)
    events: list[tuple[str, str, str]] = field(default_factory=list)
    wait: float | None = None


def _on_node(state: Daemons, node: str, verdict: Fit, draft: _Draft, pause: Callable[[str], float]) -> None:
    """podsShouldBeOnNode."""
    there = state.by_node.get(node, ())
    standing = [pod for pod in there if not meta.is_deleting(pod)]
    if not verdict.stays:
        draft.delete += standing
        return
    if verdict.runs and not there:
        draft.create.append(node)
        return
    running: list[ROObj] = []
    for pod in standing:
        who = f"{meta.namespace(pod)}/{meta.name(pod)}"
        if pods.phase(pod) == "Failed":
            left = pause(node)
            if left > 0:
                draft.wait = left if draft.wait is None else min(draft.wait, left)
                continue
            why = f"Found failed daemon pod {who} on node {node}, will try to kill it"
            draft.events.append(("Warning", "FailedDaemonPod", why))
            draft.delete.append(pod)
        elif pods.phase(pod) == "Succeeded":
            why = f"Found succeeded daemon pod {who} on node {node}, will try to delete it"
            draft.events.append(("Normal", "SucceededDaemonPod", why))
            draft.delete.append(pod)
        else:
            running.append(pod)
    if not state.surges:
        draft.delete += running[1:]
    elif len(running) > 1:
        draft.delete += _second_ones(state, running)
    elif not running and verdict.runs and not any(pods.phase(pod) == "Failed" for pod in standing):
        draft.create.append(node)


def _second_ones(state: Daemons, running: Sequence[ROObj]) -> list[ROObj]:
    """With a surge a node may have an old pod and a new one, as long as the old one is ready and the new one is not available."""
    new = [pod for pod in running if state.is_new(pod)]
    old = [pod for pod in running if not state.is_new(pod)]
    surplus = [*new[1:], *old[1:]]
    if new and old and (not pods.is_ready(old[0]) or state.is_available(new[0])):
        surplus.append(old[0])
    return surplus


# --- rolling update -------------------------------------------------------------------------------------------------


def _pair(state: Daemons, there: Sequence[ROObj]) -> tuple[ROObj | None, ROObj | None] | None:
    """(new, old) of a node; None if there are several of a sort, which `_on_node` will settle first."""
    standing = [pod for pod in there if not meta.is_deleting(pod)]
    new = [pod for pod in standing if state.is_new(pod)]
    old = [pod for pod in standing if not state.is_new(pod)]
    if len(new) > 1 or len(old) > 1:
        return None
    return new[0] if new else None, old[0] if old else None


def _roll(state: Daemons, draft: _Draft) -> None:
    nodes = [*state.by_node, *(n for n, verdict in state.fits.items() if verdict.runs and n not in state.by_node)]
    pairs = {node: _pair(state, state.by_node.get(node, ())) for node in nodes}
    surge, unavailable = state.bounds
    if surge:
        _roll_with_surge(state, pairs, surge, draft)
    else:
        _roll_in_place(state, pairs, unavailable, draft)


def _roll_in_place(
    state: Daemons, pairs: Mapping[str, tuple[ROObj | None, ROObj | None] | None], bound: int, draft: _Draft
) -> None:
    """Delete old pods: those that serve nobody, and of the others as many as may be missing."""
    missing, candidates = 0, []
    for pair in pairs.values():
        new, old = pair or (None, None)
        if old is not None and new is None:
            if state.is_available(old):
                candidates.append(old)
            else:
                draft.delete.append(old)
                missing += 1
        elif new is None or old is not None or not state.is_available(new):
            missing += 1
    draft.delete += candidates[: max(0, bound - missing)]


def _roll_with_surge(
    state: Daemons, pairs: Mapping[str, tuple[ROObj | None, ROObj | None] | None], bound: int, draft: _Draft
) -> None:
    """Create new pods beside old ones, at most `bound` at once; an old one goes when its successor is available."""
    surging = available = 0
    candidates: list[str] = []
    misplaced: list[ROObj] = []
    for node, pair in pairs.items():
        if pair is None:
            surging += 1
            continue
        new, old = pair
        serves = old if old is not None else new
        available += serves is not None and state.is_available(serves)
        if old is None:
            continue
        if new is not None:
            if state.is_available(new):
                draft.delete.append(old)
            else:
                surging += 1
            continue
        belongs = state.fits[node].runs if node in state.fits else False
        if state.is_available(old):
            if belongs:
                candidates.append(node)
            else:
                misplaced.append(old)
        elif belongs:
            draft.create.append(node)
        else:
            draft.delete.append(old)
    draft.delete += misplaced[: max(0, available - state.desired)]
    draft.create += candidates[: max(0, bound - surging)]


# --- status ---------------------------------------------------------------------------------------------------------


def plan_daemon_status(state: Daemons, *, collisions: int) -> Obj:
    """The DaemonSet's status."""
    counts = dict.fromkeys(("current", "misscheduled", "ready", "updated", "available"), 0)
    for node, verdict in state.fits.items():
        there = state.by_node.get(node, ())
        if not there:
            continue
        if not verdict.runs:
            counts["misscheduled"] += 1
            continue
        oldest = there[0]
        counts["current"] += 1
        counts["ready"] += pods.is_ready(oldest)
        counts["available"] += state.is_available(oldest)
        counts["updated"] += state.is_new(oldest)
    status = {
        **{k: v for k, v in (state.daemon_set.get("status") or {}).items() if k == "conditions"},
        "currentNumberScheduled": counts["current"],
        "numberMisscheduled": counts["misscheduled"],
        "desiredNumberScheduled": state.desired,
        "numberReady": counts["ready"],
    }
    optional = {
        "observedGeneration": meta.generation(state.daemon_set),
        "updatedNumberScheduled": counts["updated"],
        "numberAvailable": counts["available"],
        "numberUnavailable": state.desired - counts["available"],
        "collisionCount": collisions,
    }
    return status | {k: v for k, v in optional.items() if v}


def seconds_to_availability(state: Daemons) -> float | None:
    """Until the next ready pod becomes available; None if none is waiting."""
    seconds = state.daemon_set["spec"].get("minReadySeconds") or 0
    waits = [
        seconds_until_available(pod, seconds, now=state.now)
        for there in state.by_node.values()
        for pod in there
        if seconds and pods.is_ready(pod)
    ]
    return min((wait for wait in waits if wait > 0), default=None)
