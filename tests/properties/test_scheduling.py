"""Scheduling against an oracle that looks at everything anew: whatever happened before, the nodes that a pod may go to, and what the scores
of pod affinity and spreading give, are exactly what the rules say; and what is counted change by change is what a new count finds.
"""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from minik.sched import workloads
from minik.sched.cycle import Decision, fits, schedule
from minik.sched.plugins import default_plugins
from minik.sched.snapshot import Cluster, PodInfo
from tests.support import objects
from tests.support import scheduling_oracle as oracle
from tests.support.scheduling_oracle import HOST, ZONE, Obj, State

PLUGINS = default_plugins()
APPS, TEAMS = ("red", "green", "blue"), ("x", "y")
NAMESPACES = ("one", "two", "three")


def one_of(rng: random.Random, *choices: Any) -> Any:
    return rng.choice(choices)


def a_selector(rng: random.Random) -> Obj | None:
    app = rng.choice(APPS)
    return one_of(  # type: ignore[no-any-return]  # made of dicts
        rng,
        {"matchLabels": {"app": app}},
        {"matchLabels": {"app": app}},
        {"matchLabels": {"app": app, "team": "x"}},
        {"matchExpressions": [{"key": "app", "operator": "In", "values": [app, "blue"]}]},
        {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": [app]}]},
        {"matchExpressions": [{"key": "team", "operator": "Exists"}]},
        {"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]},
        {},
        None,
    )


def a_term(rng: random.Random) -> Obj:
    term: Obj = {"topologyKey": rng.choice((HOST, ZONE)), "labelSelector": a_selector(rng)}
    if rng.random() < 0.3:
        term["namespaces"] = rng.sample(NAMESPACES, rng.randint(1, 2))
    if rng.random() < 0.3:
        term["namespaceSelector"] = one_of(rng, {}, {"matchLabels": {"env": "prod"}}, None)
    return term


def an_affinity(rng: random.Random) -> Obj:
    found: Obj = {}
    for kind, often in (("podAffinity", 0.25), ("podAntiAffinity", 0.35)):
        rules: Obj = {}
        if rng.random() < often:
            rules[oracle.REQUIRED] = [a_term(rng) for _ in range(rng.randint(1, 2))]
        if rng.random() < often:
            rules[oracle.PREFERRED] = [{"weight": rng.randint(1, 100), "podAffinityTerm": a_term(rng)}]
        if rules:
            found[kind] = rules
    return found


def some_constraints(rng: random.Random) -> list[Obj]:
    found = []
    for key in rng.sample((HOST, ZONE), rng.choice((0, 0, 1, 1, 2))):
        hard = rng.random() < 0.6
        each: Obj = {
            "topologyKey": key,
            "maxSkew": rng.randint(1, 2),
            "whenUnsatisfiable": "DoNotSchedule" if hard else "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"app": rng.choice(APPS)}},
        }
        if hard and rng.random() < 0.3:
            each["minDomains"] = rng.randint(1, 4)
        if rng.random() < 0.3:
            each["nodeAffinityPolicy"] = rng.choice(("Honor", "Ignore"))
        if rng.random() < 0.3:
            each["nodeTaintsPolicy"] = rng.choice(("Honor", "Ignore"))
        if rng.random() < 0.3:
            each["matchLabelKeys"] = ["team"]
        found.append(each)
    return found


def a_pod(rng: random.Random, number: int) -> Obj:
    spec: Obj = {}
    if affinity := an_affinity(rng):
        spec["affinity"] = affinity
    if constraints := some_constraints(rng):
        spec["topologySpreadConstraints"] = constraints
    if rng.random() < 0.2:
        spec["tolerations"] = [{"key": "k", "operator": "Exists"}]
    if rng.random() < 0.2:
        spec["nodeSelector"] = {"disk": "ssd"}
    container = {"ports": [{"containerPort": 1, "hostPort": rng.randint(1, 2)}]} if rng.random() < 0.15 else {}
    made = objects.pod(f"p{number}", cpu=f"{rng.choice((100, 300))}m", container=container, **spec)
    made["metadata"]["namespace"] = rng.choice(NAMESPACES)
    made["metadata"]["labels"] = {"app": rng.choice(APPS)} | ({"team": rng.choice(TEAMS)} if rng.random() < 0.5 else {})
    return made


def a_node(rng: random.Random, name: str) -> Obj:
    labels = {ZONE: rng.choice("abc")} if rng.random() < 0.9 else {}
    if rng.random() < 0.5:
        labels["disk"] = "ssd"
    taints = [{"key": "k", "effect": "NoSchedule"}] if rng.random() < 0.2 else []
    made = objects.node(
        name, cpu=f"{rng.choice((500, 2000))}m", pods=rng.choice(("3", "50")), labels=labels, taints=taints
    )
    if rng.random() < 0.1:
        del made["metadata"]["labels"][HOST]
    return made


class History:
    """The scheduler's state and the oracle's, changed alike."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.cluster, self.state = Cluster(), State()
        self.number = 0
        for name in NAMESPACES:
            self.set_namespace(name)

    def set_namespace(self, name: str) -> None:
        labels = {"env": self.rng.choice(("prod", "test"))}
        self.state.namespaces[name] = labels
        namespace = {"kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        workloads.known(self.cluster, namespace)

    def change(self) -> None:
        """Something happens, other than the scheduling of a pod."""
        rng, placed, nodes = self.rng, self.state.placed, self.state.nodes
        what = rng.random()
        if what < 0.5 or not nodes:
            name = f"n{rng.randrange(7)}"
            nodes[name] = a_node(rng, name)
            self.cluster.set_node(nodes[name])
        elif what < 0.6:
            name = rng.choice(list(nodes))
            del nodes[name]
            self.cluster.remove_node(name)
        elif what < 0.7:
            self.set_namespace(rng.choice(NAMESPACES))
        elif what < 0.85 and placed:
            pod, _ = placed.pop(rng.randrange(len(placed)))
            self.cluster.remove_pod(pod["metadata"]["uid"])
        elif placed:
            at = rng.randrange(len(placed))
            pod, name = placed[at]
            changed = {**pod, "metadata": {**pod["metadata"]}}
            if rng.random() < 0.5:
                changed["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            else:
                changed["metadata"]["labels"] = {"app": rng.choice(APPS)}
            placed[at] = changed, name
            self.cluster.set_pod(PodInfo(changed), name)

    def next_pod(self) -> Obj:
        self.number += 1
        return a_pod(self.rng, self.number)

    def place(self, pod: Obj, name: str) -> None:
        self.cluster.set_pod(PodInfo(pod), name)
        self.state.placed.append((pod, name))

    def decide(self, pod: Obj, cluster: Cluster | None = None) -> Decision:
        return schedule(PodInfo(pod), cluster or self.cluster, PLUGINS, random.Random(self.number))

    def anew(self) -> Cluster:
        """A cluster made from what there is now."""
        made = Cluster()
        for name, labels in self.state.namespaces.items():
            workloads.known(made, {"kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        for known in self.cluster.nodes:
            made.set_node(self.state.nodes[known.name])
        for pod, name in self.state.placed:
            made.set_pod(PodInfo(pod), name)
        return made


def rates_of(decision: Decision, name: str) -> list[float] | None:
    return list(decision.rates[name][1]) if name in decision.rates else None


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_a_pod_may_go_exactly_where_the_rules_let_it(seed: int) -> None:
    history = History(seed)
    state = history.state
    for _ in range(6):
        history.change()
    for _ in range(30):
        if history.rng.random() < 0.3:
            history.change()
        pod = history.next_pod()
        decision = history.decide(pod)
        names = {name for name, node in state.nodes.items() if oracle.allowed(pod, node, state)}
        assert {node.name for node in decision.feasible} == names
        assert set(decision.refusals) == set(state.nodes) - names
        assert all(refusal.reason and refusal.filter for refusal in decision.refusals.values())
        if len(names) > 1:
            order = [node.name for node in decision.feasible]
            assert rates_of(decision, "PodTopologySpread") == oracle.spread_rates(pod, order, state)
            found, expected = rates_of(decision, "InterPodAffinity"), oracle.company_rates(pod, order, state)
            assert (found is None) == (expected is None)
            assert all(abs(a - b) < 1e-6 for a, b in zip(found or (), expected or (), strict=True))
        if decision.node:
            assert decision.node in names
            history.place(pod, decision.node)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_what_is_counted_change_by_change_is_what_a_new_count_finds(seed: int) -> None:
    history = History(seed)
    for _ in range(40):
        history.change()
        pod = history.next_pod()
        now, anew = history.decide(pod), history.decide(pod, history.anew())
        assert (now.node, dict(now.refusals), now.rates) == (anew.node, dict(anew.refusals), anew.rates)
        if now.node:
            history.place(pod, now.node)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_what_if_is_what_would_be_and_leaves_no_trace(seed: int) -> None:
    history = History(seed)
    state = history.state
    for _ in range(8):
        history.change()
    for _ in range(15):
        pod = history.next_pod()
        if chosen := history.decide(pod).node:
            history.place(pod, chosen)
    for _ in range(5):
        pod = history.next_pod()
        before = history.decide(pod)
        for name, node in state.nodes.items():
            gone = [each for each in state.on(name) if history.rng.random() < 0.5]
            come = [history.next_pod()] if history.rng.random() < 0.5 else []
            if come:
                history.number -= 1
                come[0]["metadata"]["uid"] = "newcomer"
            refusal = fits(
                PodInfo(pod), name, history.cluster, PLUGINS, removed=map(PodInfo, gone), added=map(PodInfo, come)
            )
            left = [(p, on) for p, on in state.placed if p not in gone] + [(p, name) for p in come]
            expected = oracle.allowed(pod, node, State(state.nodes, state.namespaces, left))
            assert (refusal is None) == expected
        after = history.decide(pod)
        assert (after.node, dict(after.refusals), after.rates) == (before.node, dict(before.refusals), before.rates)
