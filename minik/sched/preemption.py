"""Preemption, purely: which pods of lower priority would have to go, and from which node, for a pod that fits nowhere.

kube-scheduler's DefaultPreemption (`framework/preemption/preemption.go`, `plugins/defaultpreemption`): on each node whose refusal the
removal of pods could resolve, all pods of lower priority are thought away, then as many as possible are given back, the most important
first and those that a disruption budget protects before all others; of the nodes where that works, the one that costs least.

Two things are otherwise, on purpose: of pods of one priority, those go first that no disruption budget guards; and where kube-scheduler
violates a budget if there is no other choice, such a node is no choice here. A budget holds against preemption as it does against
eviction: `preempting.py` carries the plan out through the eviction API.

Called by `loop.py` with a `Decision` that found no node; `cluster` is as before afterwards.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from minik.api import meta, times
from minik.api.core_v1 import pods
from minik.api.meta import ROObj
from minik.api.policy_v1.poddisruptionbudget import allowed, disrupted, matching
from minik.sched.cycle import Decision, Refusal, refusal_of
from minik.sched.hooks import Follower, Helped
from minik.sched.plugins import Plugins
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo
from minik.sched.whatif import trial

REASON = "PreemptionByScheduler"
"""The reason of the DisruptionTarget condition that victims get (KEP-3329)."""


@dataclass(frozen=True, slots=True)
class Enough:
    """So many nodes where it would work are enough to choose from: the greater of both (DefaultPreemptionArgs)."""

    nodes: int = 100
    percent: int = 10


ENOUGH = Enough()

PREEMPTION = "DefaultPreemption"
"""In the place of a filter's name: pods for which preemption was refused by a budget wait for it."""

NOT_HELPFUL = "Preemption is not helpful for scheduling"
NO_VICTIMS = "No preemption victims found for incoming pod"
STRUCK = "node(s) where an extender refuses preemption"
PROTECTED = "node(s) where preemption would violate a disruption budget"


class Budgets:
    """The cluster's disruption budgets, as a part of it (`Cluster.part`)."""

    def __init__(self) -> None:
        self._by_namespace: dict[str, dict[str, ROObj]] = {}

    def put(self, budget: ROObj) -> None:
        self._by_namespace.setdefault(meta.namespace(budget), {})[meta.name(budget)] = budget

    def remove(self, budget: ROObj) -> None:
        self._by_namespace.get(meta.namespace(budget), {}).pop(meta.name(budget), None)

    def of(self, pod: PodInfo) -> Sequence[ROObj]:
        """Those that guard the pod."""
        known = self._by_namespace.get(pod.key.namespace)
        return matching(pod.obj, known.values()) if known else ()


def _budget_put(cluster: Cluster, obj: ROObj) -> Helped:
    cluster.part(Budgets).put(obj)
    return frozenset()


def _budget_changed(cluster: Cluster, old: ROObj, new: ROObj) -> Helped:
    cluster.part(Budgets).put(new)
    changed = allowed(new) > allowed(old) or old.get("spec") != new.get("spec")
    return frozenset({PREEMPTION}) if changed else frozenset()


def _budget_removed(cluster: Cluster, obj: ROObj) -> Helped:
    cluster.part(Budgets).remove(obj)
    return frozenset({PREEMPTION})


BUDGETS = Follower("poddisruptionbudgets.policy", _budget_put, _budget_changed, _budget_removed)


@dataclass(frozen=True, slots=True)
class Victims:
    """Who would have to go from a node, the most important first. `guarded`: how many of them some budget has to give up."""

    node: str
    pods: tuple[PodInfo, ...]
    guarded: int = 0


@dataclass(slots=True)
class Preemption:
    """The outcome: `victims`, or what is in the way."""

    victims: Victims | None = None
    """The choice."""
    candidates: Sequence[Victims] = ()
    """Of which it was chosen."""
    ineligible: str = ""
    """Why the pod may not preempt at all."""
    total: int = 0
    refused: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """node → why nothing is won by preemption there: each is counted by itself."""
    filters: set[str] = field(default_factory=set)
    """What stands in its way on some node: filters that refuse even without the pods of lower priority, and `PREEMPTION` for budgets."""

    def summary(self) -> str:
        """As FailedScheduling says it after the filters' words; "" if there are victims."""
        if self.victims is not None or not self.total:
            return ""
        if self.ineligible:
            return f"preemption: {self.ineligible}"
        counts = Counter(reason for reasons in self.refused.values() for reason in reasons)
        reasons = ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))
        return f"preemption: 0/{self.total} nodes are available: {reasons}."

    def settle(self, victims: Victims | None) -> None:
        """What extenders left of the candidates."""
        self.victims = victims
        if victims is None:
            self.refused.update(dict.fromkeys((each.node for each in self.candidates), (STRUCK,)))

    def refuse(self, refusal: Refusal, node: str) -> None:
        """Nothing is won there."""
        self.refused[node] = refusal.reasons
        if refusal.filter:
            self.filters.add(refusal.filter)


def ineligible(pod: PodInfo, cluster: Cluster, decision: Decision, *, going: Iterable[str] = ()) -> str:
    """Why the pod must not preempt (again), or "". `going`: the uids of the victims it has already.

    It never does with `preemptionPolicy: Never`, and waits as long as pods that went for it still end on its nominated node, unless
    nothing that ends there can help any more (PodEligibleToPreemptOthers).
    """
    if pod.spec.get("preemptionPolicy") == "Never":
        return "not eligible due to preemptionPolicy=Never."
    nominated = cluster.get(cluster.nomination(pod.uid))
    if nominated is None or nominated.obj is None:
        return ""
    refusal = decision.refusals.get(nominated.name)
    if refusal is not None and not refusal.resolvable:
        return ""
    if any(uid in nominated.pods for uid in going) or any(
        _goes_for_another(pod, other) for other in nominated.pods.values()
    ):
        return "not eligible due to a terminating pod on the nominated node."
    return ""


def _goes_for_another(pod: PodInfo, other: PodInfo) -> bool:
    if other.priority >= pod.priority or not meta.is_deleting(other.obj):
        return False
    condition = meta.condition(other.obj, "DisruptionTarget") or {}
    return condition.get("status") == "True" and condition.get("reason") == REASON


def plan_preemption(
    pod: PodInfo,
    cluster: Cluster,
    plugins: Plugins,
    decision: Decision,
    *,
    start: int = 0,
    going: Iterable[str] = (),
    enough: Enough = ENOUGH,
) -> Preemption:
    """Whom to remove, from which node, so that `pod` fits. Looking begins at node number `start`. `going`: see `ineligible`."""
    plan = Preemption(total=len(cluster))
    plan.ineligible = ineligible(pod, cluster, decision, going=going)
    if plan.ineligible:
        return plan
    nodes = cluster.nodes
    wanted = max(enough.nodes, len(nodes) * enough.percent // 100, 1)
    found: list[Victims] = []
    for node in (*nodes[start:], *nodes[:start]):
        refusal = decision.refusals.get(node.name)
        if refusal is None or not refusal.resolvable:
            plan.refused[node.name] = (NOT_HELPFUL,)
            continue
        outcome = _victims_on(pod, node, cluster, plugins)
        if isinstance(outcome, Refusal):
            plan.refuse(outcome, node.name)
            continue
        found.append(outcome)
        if len(found) >= wanted:
            break
    if found:
        plan.candidates, plan.victims = found, choose(found)
    return plan


def _victims_on(pod: PodInfo, node: NodeInfo, cluster: Cluster, plugins: Plugins) -> Victims | Refusal:
    """The fewest and least important pods that would have to go, or why it would not help (SelectVictimsOnNode)."""
    lower = [each for each in node.pods.values() if each.priority < pod.priority]
    if not lower:
        return Refusal("", (NO_VICTIMS,))
    budgets = cluster.part(Budgets)
    lower.sort(key=lambda each: _rank(each, budgets))
    nominated = cluster.nominated.get(node.name, {}).values()
    rivals = [other for other in nominated if other.priority >= pod.priority and other.uid != pod.uid]
    with trial(cluster) as what_if:

        def refusal() -> Refusal | None:
            """As things are, and with those there that are nominated to the node (RunFilterPluginsWithNominatedPods)."""
            found = refusal_of(pod, node, cluster, plugins)
            if found is None and rivals:
                for rival in rivals:
                    what_if.add(rival, node.name)
                found = refusal_of(pod, node, cluster, plugins)
                for rival in rivals:
                    what_if.remove(rival)
            return found

        for each in lower:
            what_if.remove(each)
        no = refusal()
        if no is not None:
            return no
        protected, others = split_by_budget(lower, budgets)
        victims = []
        for each in (*protected, *others):  # each comes back if the pod fits beside it
            what_if.add(each, node.name)
            if refusal() is not None:
                what_if.remove(each)
                victims.append(each)
    if not victims:
        return Refusal("", (NO_VICTIMS,))
    if violates(victims, budgets):
        return Refusal(PREEMPTION, (PROTECTED,))
    return candidate(node.name, victims, budgets)


def candidate(node: str, victims: Iterable[PodInfo], budgets: Budgets) -> Victims:
    """What it costs to remove `victims` from `node`."""
    ordered = tuple(sorted(victims, key=lambda each: _rank(each, budgets)))
    return Victims(node, ordered, sum(bool(budgets.of(each)) for each in ordered))


def _rank(pod: PodInfo, budgets: Budgets) -> tuple[int, bool, float]:
    """`importance`, and among equals those that a budget guards first."""
    priority, since = importance(pod)
    return priority, not budgets.of(pod), since


def importance(pod: PodInfo) -> tuple[int, float]:
    """Sorts the most important first: higher priority, then longer there (MoreImportantPod)."""
    return -pod.priority, started(pod)


def started(pod: PodInfo) -> float:
    """When the pod began, in seconds since 1970; one that has not counts as the last of all (GetPodStartTime)."""
    moment = (pod.obj.get("status") or {}).get("startTime")
    return times.parse_time(moment).timestamp() if moment else math.inf


def split_by_budget(candidates: Iterable[PodInfo], budgets: Budgets) -> tuple[list[PodInfo], list[PodInfo]]:
    """(those whose removal, after that of all before them, would violate a budget; the others), each in the given order."""
    protected: list[PodInfo] = []
    others: list[PodInfo] = []
    for pod, violating in _charged(candidates, budgets):
        (protected if violating else others).append(pod)
    return protected, others


def violates(victims: Iterable[PodInfo], budgets: Budgets) -> bool:
    """Whether removing all of them takes more from a budget than it allows."""
    return any(violating for _, violating in _charged(victims, budgets))


def _charged(candidates: Iterable[PodInfo], budgets: Budgets) -> Iterator[tuple[PodInfo, bool]]:
    left: dict[meta.Key, int] = {}
    for pod in candidates:
        violating = False
        if not meta.is_deleting(pod.obj) and not pods.is_finished(pod.obj):
            own = budgets.of(pod)
            violating = len(own) > 1  # then the eviction API refuses in any case
            for budget in own:
                if pod.key.name in disrupted(budget):
                    continue
                key = meta.key(budget)
                left[key] = left.get(key, allowed(budget)) - 1
                violating = violating or left[key] < 0
        yield pod, violating


def choose(candidates: Sequence[Victims]) -> Victims:
    """The cheapest of them (pickOneNodeForPreemption): whose most important victim matters least, then whose priorities sum up to
    least, then with the fewest victims, then (minik's own) with the fewest that a budget has to give up, then whose most important
    victims began last; the first of those."""

    def cost(each: Victims) -> tuple[int, int, int, int, float]:
        highest = each.pods[0].priority
        # shifted so that every victim costs something, even those of negative priority
        total = sum(pod.priority + (1 << 31) for pod in each.pods)
        earliest = min(started(pod) for pod in each.pods if pod.priority == highest)
        return highest, total, len(each.pods), each.guarded, -earliest

    return min(candidates, key=cost)


def lower_nominated(pod: PodInfo, node_name: str, nominated: Mapping[str, Mapping[str, PodInfo]]) -> Sequence[PodInfo]:
    """The pods of lower priority that are nominated to the node, and have nothing to wait for there any more."""
    return [each for each in nominated.get(node_name, {}).values() if each.priority < pod.priority]
