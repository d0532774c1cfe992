"""Why a pod is where it is, or nowhere: what `minik why` shows.

`Explanations` remembers each decision for a while, in a few hundred bytes to a few kilobytes; `explain` puts together what is known of
one pod now. A decision that is no longer remembered is worked out anew against the cluster as it is, and says so. The words are
`cli/why.py`'s; here is what they are made of, as values that JSON can say.
"""

from __future__ import annotations

import random
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from minik.api import meta, times
from minik.api.core_v1 import pods
from minik.api.meta import Obj, ROObj
from minik.clock import Clock
from minik.sched.cycle import Decision, schedule
from minik.sched.preemption import Preemption, plan_preemption
from minik.sched.snapshot import PodInfo
from minik.sched.whatif import trial

if TYPE_CHECKING:
    from minik.sched.loop import Scheduler

REMEMBERED = 4096
"""Pods whose last decision is kept: the oldest goes first."""
NODES_REFUSED, NODES_REFUSED_OF_PLACED = 20, 5
"""Nodes that a refusal is kept of with its numbers; beyond, how many there were of each kind."""
BEST = 3
"""Nodes whose scores are kept: the chosen one and those that came close."""
MIRROR = "kubernetes.io/config.mirror"


@dataclass(frozen=True, slots=True)
class Record:
    """A decision, without what it was made from."""

    at: str
    node: str
    total: int
    considered: int
    feasible: int
    score_names: tuple[str, ...] = ()
    best: tuple[tuple[str, float, tuple[float, ...]], ...] = ()
    """(node, total, weighed rates in the order of `score_names`), the chosen one first."""
    refused: tuple[tuple[str, str, str, str], ...] = ()
    """(node, filter, reason, numbers), by name; none if no node was asked about."""
    counts: tuple[tuple[str, str, int], ...] = ()
    """(filter, reason, how many nodes)."""
    nominated: str = ""
    """The node where preemption had made room before."""
    summary: str = ""
    attempts: int = 0
    error: str = ""

    def value(self) -> Obj:
        """As JSON."""
        return {
            "time": self.at,
            "node": self.node or None,
            "nodes": self.total,
            "considered": self.considered,
            "feasible": self.feasible,
            "scores": [
                {"node": name, "total": total, "by": dict(zip(self.score_names, rates, strict=True))}
                for name, total, rates in self.best
            ],
            "refused": [
                {"node": name, "filter": by, "reason": reason, "detail": detail}
                for name, by, reason, detail in self.refused
            ],
            "reasons": [{"filter": by, "reason": reason, "nodes": number} for by, reason, number in self.counts],
            "nominatedBefore": self.nominated or None,
            "message": self.summary or None,
            "attempts": self.attempts,
            "error": self.error or None,
        }


def record_of(decision: Decision, *, at: str, message: str = "", nominated: str = "", attempts: int = 0) -> Record:
    """What is kept of a decision."""
    counts: Counter[tuple[str, str]] = Counter()
    for no, number in decision.refusals.counts().items():
        counts[no.filter, ", ".join(no.reasons)] += number
    kept = NODES_REFUSED_OF_PLACED if decision.node else 0 if decision.nowhere else NODES_REFUSED
    some = [(name, decision.refusals[name]) for name in islice(decision.refusals, kept)]
    return Record(
        at=at,
        node=decision.node,
        total=decision.total,
        considered=decision.considered,
        feasible=len(decision.feasible),
        score_names=tuple(decision.rates),
        best=_best(decision),
        refused=tuple(sorted((name, each.filter, each.reason, each.detail) for name, each in some)),
        counts=tuple((by, reason, number) for (by, reason), number in counts.most_common()),
        nominated=nominated,
        summary=message,
        attempts=attempts,
    )


def _best(decision: Decision) -> tuple[tuple[str, float, tuple[float, ...]], ...]:
    totals = decision.totals
    if not totals:
        return ()
    order, left = [decision.chosen], list(totals)
    while len(order) < min(BEST, len(totals)):  # not heapq: there are hundreds, and this runs in C
        left[order[-1]] = -1.0
        order.append(left.index(max(left)))
    feasible, rates = decision.feasible, decision.rates.values()
    return tuple(
        (feasible[index].name, totals[index], tuple(weight * given[index] for weight, given in rates))
        for index in order
    )


class Explanations:
    """The last decision about each of the last few thousand pods."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._records: OrderedDict[str, Record] = OrderedDict()
        self._foreign: OrderedDict[str, str] = OrderedDict()
        self._last: tuple[Decision, Record] | None = None

    def of(self, uid: str) -> Record | None:
        return self._records.get(uid)

    def foreign(self, uid: str) -> str:
        """How a pod got its node, if it was seen to get it from somebody else: "binding" or "creation"; else ""."""
        return self._foreign.get(uid, "")

    def placed(self, pod: PodInfo, decision: Decision, *, nominated: str = "", attempts: int = 0) -> None:
        """The pod is to go to `decision.node`."""
        self._keep(pod.uid, record_of(decision, at=self.now(), nominated=nominated, attempts=attempts))

    def refused(self, pod: PodInfo, decision: Decision, message: str) -> None:
        """The pod fits nowhere. The same decision may be given for many pods."""
        if self._last is None or self._last[0] is not decision:
            self._last = decision, record_of(decision, at=self.now(), message=message)
        self._keep(pod.uid, self._last[1])

    def failed(self, pod: PodInfo, error: str) -> None:
        """The attempt ended with an error: of the binding, or of an extender."""
        self._keep(pod.uid, Record(self.now(), "", 0, 0, 0, error=error))

    def from_elsewhere(self, uid: str, how: str) -> None:
        """Somebody else gave the pod its node."""
        self._foreign[uid] = how
        if len(self._foreign) > REMEMBERED:
            self._foreign.popitem(last=False)

    def forget(self, uid: str) -> None:
        self._records.pop(uid, None)
        self._foreign.pop(uid, None)

    def _keep(self, uid: str, record: Record) -> None:
        self._records[uid] = record
        self._records.move_to_end(uid)
        if len(self._records) > REMEMBERED:
            self._records.popitem(last=False)

    def now(self) -> str:
        """As a wire time, to the microsecond."""
        return times.format_micro_time(self._clock.now())


def explain(scheduler: Scheduler, pod: ROObj) -> Obj:
    """All that is known of why `pod` is where it is.

    `state` is one of: Placed, PlacedByOther, PlacedAtCreation, Static, Finished, Deleting, OtherScheduler, Gated, Waiting (not tried
    yet), Binding, Nominated (preemption makes room), Unschedulable, Failed (the last attempt ended with an error). `decision` is the
    last one, null if there can be none; `remembered` says whether it was taken then or worked out anew now. `steps` are what has to
    be done before a pod can be bound.
    """
    uid, node = meta.uid(pod), pods.node_name(pod)
    record = scheduler.explanations.of(uid)
    waiting = scheduler.queue.get(meta.key(pod))
    if waiting is not None and waiting.pod.uid != uid:
        waiting = None
    if waiting is not None and waiting.state == "binding":
        node = node or scheduler.cluster.node_of(uid)
    assumed = scheduler.assumed.get(meta.key(pod))
    remembered = record is not None and (record.node == node if node else not record.node)
    state = _state(scheduler, pod, record if remembered else None)
    decision: Record | None = record if remembered else None
    if decision is None and state in ("Placed", "PlacedByOther", "PlacedAtCreation", "Unschedulable", "Nominated"):
        decision = _anew(scheduler, pod)
    now = scheduler.monotonic()
    nominated = scheduler.cluster.nomination(uid)
    return {
        "kind": "Explanation",
        "now": scheduler.explanations.now(),
        "pod": {"namespace": meta.namespace(pod), "name": meta.name(pod), "uid": uid},
        "scheduler": pod["spec"].get("schedulerName") or "",
        "priority": pod["spec"].get("priority") or 0,
        "state": state,
        "node": node or None,
        "steps": [step.name for step in assumed.steps] if assumed is not None else [],
        "gates": [gate["name"] for gate in pod["spec"].get("schedulingGates") or ()],
        "remembered": remembered,
        "decision": decision.value() if decision is not None else None,
        "nomination": {"node": nominated, "waitsFor": _going(scheduler, uid)} if nominated else None,
        "queue": {
            "state": waiting.state,
            "waits": round(now - waiting.since, 1),
            "attempts": waiting.attempts,
            "woken": waiting.woken,
            "backOff": round(max(0.0, waiting.not_before - now), 1),
            "waitsFor": sorted(waiting.reasons) if waiting.state == "parked" else [],
        }
        if waiting is not None
        else None,
    }  # fmt: skip


def _state(scheduler: Scheduler, pod: ROObj, record: Record | None) -> str:
    uid = meta.uid(pod)
    if pods.node_name(pod):
        if MIRROR in (pod["metadata"].get("annotations") or {}):
            return "Static"
        foreign = scheduler.explanations.foreign(uid)
        if foreign:
            return "PlacedByOther" if foreign == "binding" else "PlacedAtCreation"
        return "Placed" if scheduler.profile_of(pod) is not None else "PlacedByOther"
    if pods.is_finished(pod):
        return "Finished"
    if meta.is_deleting(pod):
        return "Deleting"
    if scheduler.profile_of(pod) is None:
        return "OtherScheduler"
    waiting = scheduler.queue.get(meta.key(pod))
    if pod["spec"].get("schedulingGates"):
        return "Gated"
    if waiting is not None and waiting.state == "binding":
        return "Binding"
    if scheduler.cluster.nomination(uid):
        return "Nominated"
    if record is not None and record.error:
        return "Failed"
    if waiting is None or not waiting.attempts:
        return "Waiting"
    return "Unschedulable"


def _going(scheduler: Scheduler, uid: str) -> Sequence[str]:
    """The pods that still have to go, as namespace/name."""
    found = (scheduler.cluster.placed(victim) for victim in scheduler.victims(uid))
    return sorted(str(placed[0].key) for placed in found if placed is not None)


def _anew(scheduler: Scheduler, obj: ROObj) -> Record:
    """What would be decided now, were the pod to be scheduled anew. The scheduler notices nothing of it."""
    profile = scheduler.profile_of(obj) or next(iter(scheduler.profiles.values()))
    pod = PodInfo({**obj, "spec": {key: value for key, value in obj["spec"].items() if key != "nodeName"}})
    cluster = scheduler.cluster
    with trial(cluster) as what_if:
        if cluster.node_of(pod.uid):
            what_if.remove(pod)
        decision = schedule(pod, cluster, profile.plugins, random.Random(0))
        message = ""
        if not decision.node:
            plan = plan_preemption(pod, cluster, profile.plugins, decision) if profile.preemption else Preemption()
            message = message_of(decision, plan)
    return record_of(decision, at=scheduler.explanations.now(), message=message)


def message_of(decision: Decision, plan: Preemption) -> str:
    """What FailedScheduling says, in kube-scheduler's words."""
    return f"{decision.summary()} {plan.summary()}".rstrip() if decision.total else decision.summary()
