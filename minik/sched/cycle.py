"""One scheduling decision, as a pure function of the pod, the cluster, the plugins and a random number generator.

The `Decision` says for each node looked at which filter refused and what each score gave: `minik why` prints it, a
FailedScheduling event sums it up.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from operator import add

from minik.sched.columns import Window
from minik.sched.filters import node_affinity
from minik.sched.plugins import Check, No, Plugins
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo
from minik.sched.whatif import trial

MIN_FEASIBLE = 100
"""With so many feasible nodes a search may stop (kube-scheduler's minFeasibleNodesToFind)."""


@dataclass(slots=True)
class Refusal:
    """Which filter refused a node, and why: `reasons` in kube-scheduler's words, `detail` with the numbers.

    `resolvable`: whether the removal of pods could help (see `plugins.No`).
    """

    filter: str
    reasons: tuple[str, ...]
    resolvable: bool = True
    explain: Callable[[], str] | None = field(default=None, compare=False, repr=False)

    @property
    def reason(self) -> str:
        return ", ".join(self.reasons)

    @property
    def detail(self) -> str:
        """What stands behind the reasons, or ""."""
        return self.explain() if self.explain else ""


@dataclass(slots=True)
class Decision:
    """The outcome. `node` is "" if the pod fits nowhere."""

    node: str = ""
    considered: int = 0
    total: int = 0
    refusals: dict[str, Refusal] = field(default_factory=dict)
    """node → its refusal."""
    feasible: Sequence[NodeInfo] = ()
    rates: dict[str, Sequence[float]] = field(default_factory=dict)
    """score plugin → weighted rate of each of `feasible`; only where there were several."""

    @property
    def scores(self) -> dict[str, dict[str, float]]:
        """node → score plugin → weighted rate."""
        return {
            node.name: {name: column[index] for name, column in self.rates.items()}
            for index, node in enumerate(self.feasible if self.rates else ())
        }

    def summary(self) -> str:
        """Why the pod fits nowhere, in kube-scheduler's words."""
        if not self.total:
            return "no nodes available to schedule pods"
        counts = Counter(reason for refusal in self.refusals.values() for reason in refusal.reasons)
        reasons = ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))
        return f"0/{self.total} nodes are available: {reasons}."


def wanted_feasible(nodes: int) -> int:
    """How many feasible nodes are enough to choose from: all of 100, then a share that falls from 50 % to 5 %."""
    if nodes <= MIN_FEASIBLE:
        return nodes
    return max(MIN_FEASIBLE, nodes * max(5, 50 - nodes // 125) // 100)


def schedule(pod: PodInfo, cluster: Cluster, plugins: Plugins, rng: random.Random, *, start: int = 0) -> Decision:
    """Choose a node for `pod`. Looking begins at node number `start`, so that large clusters are used evenly."""
    decision = Decision(total=len(cluster.nodes))
    feasible = decision.feasible = _feasible(pod, cluster, plugins, decision, start)
    if not feasible:
        return decision
    if len(feasible) == 1:
        decision.node = feasible[0].name
        return decision
    decision.node = _best(pod, cluster, plugins, feasible, decision, rng)
    return decision


def _feasible(pod: PodInfo, cluster: Cluster, plugins: Plugins, decision: Decision, start: int) -> Window:
    wanted = wanted_feasible(len(cluster))
    start = start % len(cluster) if len(cluster) else 0
    prepared = [(f, f.prepare(pod, cluster)) for f in plugins.filters]
    active = [(f, check) for f, check in prepared if check is not None]
    remembered = [f.fits(pod, cluster) for f, _ in active if f.fits is not None]
    if len(remembered) == len(active):  # the usual case: one look at what is known of all of them
        window = cluster.window(start, wanted)
        if not any(0.0 in window.take(fits) for fits in remembered):
            decision.considered = len(window)
            return window
    checks = [(f.name, check) for f, check in active]
    named = node_affinity.named(pod)
    if named is not None:  # only if none of them is feasible, what is wrong with the others is of interest
        known = [node for name in named if (node := cluster.get(name)) is not None and node.obj is not None]
        found = _search(known, checks, wanted, Decision())
        if found:
            decision.considered = len(found)
            return Window(cluster.nodes, 0, 0, chosen=found)
    nodes = cluster.nodes
    found = _search(chain(islice(nodes, start, None), islice(nodes, start)), checks, wanted, decision)
    decision.considered = len(found) + len(decision.refusals)
    return Window(nodes, 0, 0, chosen=found)


def _search(
    nodes: Iterable[NodeInfo], checks: Sequence[tuple[str, Check]], wanted: int, decision: Decision
) -> Sequence[NodeInfo]:
    """The first `wanted` of `nodes` that no check refuses; `decision` takes the refusals."""
    found: list[NodeInfo] = []
    for node in nodes:
        for name, check in checks:
            no = check(node)
            if no is not None:
                decision.refusals[node.name] = _refusal(name, no)
                break
        else:
            found.append(node)
            if len(found) >= wanted:
                break
    return found


def _refusal(name: str, no: No | str) -> Refusal:
    return Refusal(name, (no,)) if isinstance(no, str) else Refusal(name, no.reasons, no.resolvable, no.explain)


def refusal_of(pod: PodInfo, node: NodeInfo, cluster: Cluster, plugins: Plugins) -> Refusal | None:
    """Why `pod` cannot run on this one node, or None if it can. Pods nominated to the node do not count."""
    for each in plugins.filters:
        check = each.prepare(pod, cluster)
        no = check(node) if check is not None else None
        if no is not None:
            return _refusal(each.name, no)
    return None


def fits(
    pod: PodInfo,
    node_name: str,
    cluster: Cluster,
    plugins: Plugins,
    *,
    removed: Iterable[PodInfo] = (),
    added: Iterable[PodInfo] = (),
) -> Refusal | None:
    """Why `pod` could not run on that node without the pods `removed` and with those `added` to it, or None if it could."""
    with trial(cluster) as what_if:
        for victim in removed:
            what_if.remove(victim)
        for other in added:
            what_if.add(other, node_name)
        node = cluster.get(node_name)
        if node is None or node.obj is None:
            return Refusal("", ("node(s) are not known",), resolvable=False)
        return refusal_of(pod, node, cluster, plugins)


def _best(
    pod: PodInfo, cluster: Cluster, plugins: Plugins, feasible: Window, decision: Decision, rng: random.Random
) -> str:
    for score in plugins.scores:
        rates = score.rate(pod, cluster, feasible)
        if rates is not None:
            weight = score.weight
            decision.rates[score.name] = rates if weight == 1 else [weight * given for given in rates]
    if not decision.rates:
        return rng.choice(feasible).name
    first, *others = decision.rates.values()
    totals = list(first)
    for rates in others:
        totals = list(map(add, totals, rates))
    highest = max(totals)
    if totals.count(highest) == 1:
        return feasible[totals.index(highest)].name
    return feasible[rng.choice([index for index, total in enumerate(totals) if total == highest])].name
