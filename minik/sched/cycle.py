"""One scheduling decision, as a pure function of the pod, the cluster, the plugins and a random number generator.

The `Decision` says for each node looked at which filter refused and what each score gave: `minik why` prints it, a
FailedScheduling event sums it up.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from itertools import compress
from operator import add, not_

from minik.sched.columns import Column, Window
from minik.sched.decision import Decision, Refusal
from minik.sched.plugins import Check, Filter, No, Plugins
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo
from minik.sched.whatif import trial

__all__ = ["Decision", "Refusal", "fits", "refusal_of", "schedule", "wanted_feasible"]

MIN_LOOK = 32
"""Nodes that are looked at at once, at least."""
MIN_FEASIBLE = 100
"""With so many feasible nodes a search may stop (kube-scheduler's minFeasibleNodesToFind)."""


def wanted_feasible(nodes: int, percentage: int = 0) -> int:
    """How many feasible nodes are enough to choose from: all of 100, then that percentage (percentageOfNodesToScore); 0: a share that falls
    from 50 % to 5 % (kube-scheduler's numFeasibleNodesToFind)."""
    if nodes <= MIN_FEASIBLE:
        return nodes
    return max(MIN_FEASIBLE, nodes * (percentage or max(5, 50 - nodes // 125)) // 100)


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
    search = _Search(pod, cluster, plugins)
    if search.nowhere is not None:
        decision.nowhere = search.nowhere
        for node in cluster:
            decision.refusals.put(node, search.nowhere)
        return search.of(())
    nominated = cluster.get(cluster.nomination(pod.uid))
    if nominated is not None and nominated.obj is not None and search.no(nominated) is None:
        decision.considered = 1
        return search.of([nominated])
    if search.names is not None:
        return search.only(search.names, decision)
    return search.run(decision, start)


class _Search:
    """The filters prepared for one pod, and the look at nodes after nodes."""

    def __init__(self, pod: PodInfo, cluster: Cluster, plugins: Plugins) -> None:
        self._pod, self._cluster, self._plugins = pod, cluster, plugins
        self.nowhere: No | None = None
        """Why the pod can run nowhere."""
        self.names: Sequence[str] | None = None
        """The only nodes that come into question, because the filter `_namer` says so; None: any may."""
        self._namer = ""
        active: list[tuple[Filter, Check]] = []
        for each in plugins.filters:
            prepared = each.prepare(pod, cluster)
            if isinstance(prepared, No):
                self.nowhere = self.nowhere or _named(prepared, each.name)
            elif prepared is not None:
                active.append((each, prepared))
                names = each.names(pod) if each.names is not None else None
                if names is not None:
                    self.names, self._namer = names, each.name
        self._checks = [(each.name, check) for each, check in active]
        self._remembering = [each for each, _ in active if each.fits is not None]
        self._others = [(each.name, check) for each, check in active if each.fits is None]
        self._rivals: dict[str, Sequence[PodInfo]] = {}
        for name, waiting in cluster.nominated.items():
            rivals = [other for other in waiting.values() if other.priority >= pod.priority and other.uid != pod.uid]
            if rivals:
                self._rivals[name] = rivals

    def run(self, decision: Decision, start: int) -> Window:
        """The first nodes from number `start` on that nothing refuses, as many as are wanted; `decision` takes the refusals."""
        total = len(self._cluster)
        start, wanted = start % max(total, 1), wanted_feasible(total, self._plugins.percentage)
        columns = [each.fits(self._pod, self._cluster) for each in self._remembering if each.fits is not None]
        if self._others or self._rivals:
            return self._ask(columns, start, wanted, decision)
        return self._look(columns, start, wanted, decision)

    def only(self, names: Sequence[str], decision: Decision) -> Window:
        """Those of the named nodes that nothing refuses; if there is none, `decision` takes the refusals: of all others, because of the
        filter that named these."""
        known = [node for name in names if (node := self._cluster.get(name)) is not None and node.obj is not None]
        refused = [(node, self.no(node)) for node in known]
        found = [node for node, no in refused if no is None]
        decision.considered = len(known)
        for node, no in refused:
            if no is not None:
                decision.refusals.put(node, no)
        if not found:
            other = No((f"node(s) didn't satisfy plugin(s) [{self._namer}]",), resolvable=False, filter=self._namer)
            asked = frozenset(names)
            for node in self._cluster:
                if node.name not in asked:
                    decision.refusals.put(node, other)
        return self.of(found)

    def of(self, nodes: Sequence[NodeInfo]) -> Window:
        """Just these."""
        return Window(self._cluster.nodes, 0, 0, chosen=nodes)

    def _look(self, columns: Sequence[Column], start: int, wanted: int, decision: Decision) -> Window:
        """Where columns say all."""
        cluster, total = self._cluster, len(self._cluster)
        mask: list[float] = []
        """Of each node looked at: not 0 if nothing refuses it."""
        found = 0
        while len(mask) < total and found < wanted:
            size = min(max(wanted - found, MIN_LOOK), total - len(mask))
            window = cluster.window((start + len(mask)) % total, size)
            good = _least(window, columns)
            bad = good.count(0.0)
            if not bad and size >= wanted:  # the usual case
                decision.considered = size
                return window
            for node in compress(window, map(not_, good)):
                no = _first_no(node, self._checks)
                if no is not None:
                    decision.refusals.put(node, no)
            mask += good
            found += size - bad
        decision.considered = len(mask)
        return Window(cluster.nodes, start, len(mask), mask=mask)

    def _ask(self, columns: Sequence[Column], start: int, wanted: int, decision: Decision) -> Window:
        """Where nodes are to be asked about one by one, at least those that columns do not rule out."""
        cluster, total = self._cluster, len(self._cluster)
        checks, others, rivals = self._checks, self._others, self._rivals
        found: list[NodeInfo] = []
        looked = 0
        while looked < total and len(found) < wanted:
            window = cluster.window((start + looked) % total, min(wanted, total - looked))
            looked += len(window)
            for node, good in zip(window, _least(window, columns), strict=True):
                no = _first_no(node, others if good else checks)
                if no is None and node.name in rivals:
                    no = self._beside(node, rivals[node.name])
                if no is None:
                    found.append(node)
                    if len(found) >= wanted:
                        break
                else:
                    decision.refusals.put(node, no)
        decision.considered = len(found) + len(decision.refusals)
        return self.of(found)

    def no(self, node: NodeInfo) -> No | None:
        """Why the pod cannot run on this node."""
        no = _first_no(node, self._checks)
        if no is None and node.name in self._rivals:
            no = self._beside(node, self._rivals[node.name])
        return no

    def _beside(self, node: NodeInfo, rivals: Sequence[PodInfo]) -> No | None:
        """Why the pod cannot run there once the pods do that preemption made room for."""
        with trial(self._cluster) as what_if:
            for rival in rivals:
                what_if.add(rival, node.name)
            refusal = refusal_of(self._pod, node, self._cluster, self._plugins)
            return refusal.no if refusal is not None else None


def _least(window: Window, columns: Sequence[Column]) -> list[float]:
    """0.0 for each node where one of the columns has it."""
    if not columns:
        return [1.0] * len(window)
    first, *others = [window.take(column) for column in columns]
    for other in others:
        if 0.0 in other:
            first = list(map(min, first, other))
    return first


def _first_no(node: NodeInfo, checks: Sequence[tuple[str, Check]]) -> No | None:
    for name, check in checks:
        no = check(node)
        if no is not None:
            return _named(no, name)
    return None


def _named(no: No | str, name: str) -> No:
    if isinstance(no, str):
        return No((no,), filter=name)
    if not no.filter:
        no.filter = name
    return no


def refusal_of(pod: PodInfo, node: NodeInfo, cluster: Cluster, plugins: Plugins) -> Refusal | None:
    """Why `pod` cannot run on this one node, or None if it can. Pods nominated to the node do not count."""
    for each in plugins.filters:
        no = each.ask(pod, node, cluster)
        if no is not None:
            return Refusal.of(_named(no, each.name), node)
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
    """Why `pod` could not run on that node without the pods `removed` and with those `added` to it, or None if it could.

    Where it runs now does not count.
    """
    with trial(cluster) as what_if:
        what_if.remove(pod)
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
    totals: Sequence[float] | None = None
    for score in plugins.scores:
        rates = score.rate(pod, cluster, feasible)
        if rates is None:
            continue
        weight = score.weight
        decision.rates[score.name] = weight, rates
        if totals is None:
            totals = rates if weight == 1 else [weight * rate for rate in rates]
        elif weight == 1:
            totals = list(map(add, totals, rates))
        else:
            totals = [total + weight * rate for total, rate in zip(totals, rates, strict=True)]
    if totals is None:
        return rng.choice(feasible).name
    decision.totals = totals
    decision.chosen = _highest(totals, rng)
    return feasible[decision.chosen].name


def _highest(totals: Sequence[float], rng: random.Random) -> int:
    """The place of the highest number; of several, any with equal chance."""
    highest, at = max(totals), -1
    count = totals.count(highest)
    if 8 * count >= len(totals):  # many: a place at random is soon one of them
        while totals[at := rng.randrange(len(totals))] != highest:
            pass
        return at
    for _ in range(rng.randrange(count) + 1):
        at = totals.index(highest, at + 1)
    return at
