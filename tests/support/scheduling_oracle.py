"""Where a pod may run, worked out the slow way from the objects alone: for each rule, look at every pod of every node.

Shares no code with `minik.sched`: what the scheduler keeps in counts is here found anew for each question. Written after the
documentation of the API fields and kube-scheduler's filtering.go and scoring.go.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Obj = dict[str, Any]
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
HOST = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"


@dataclass
class State:
    """Everything there is: nodes by name, namespaces' labels, (pod, node name)."""

    nodes: dict[str, Obj] = field(default_factory=dict)
    namespaces: dict[str, dict[str, str]] = field(default_factory=dict)
    placed: list[tuple[Obj, str]] = field(default_factory=list)

    def running(self) -> Iterator[tuple[Obj, Obj]]:
        """Pods with their nodes, of the nodes that are known."""
        for pod, name in self.placed:
            if name in self.nodes:
                yield pod, self.nodes[name]

    def on(self, name: str) -> list[Obj]:
        return [pod for pod, where in self.placed if where == name]


def labels(obj: Obj) -> Mapping[str, str]:
    return obj["metadata"].get("labels") or {}


def selected(selector: Obj | None, given: Mapping[str, str]) -> bool:
    if selector is None:
        return False
    for key, value in (selector.get("matchLabels") or {}).items():
        if given.get(key) != value:
            return False
    for each in selector.get("matchExpressions") or ():
        value, operator = given.get(each["key"]), each["operator"]
        if operator == "In" and value not in each["values"]:
            return False
        if operator == "NotIn" and value in each["values"]:
            return False
        if operator == "Exists" and value is None:
            return False
        if operator == "DoesNotExist" and value is not None:
            return False
    return True


def speaks_of(term: Obj, holder: Obj, other: Obj, state: State) -> bool:
    """Whether a term of `holder` means the pod `other`."""
    namespace = other["metadata"]["namespace"]
    named = term.get("namespaces") or []
    if not named and term.get("namespaceSelector") is None:
        inside = namespace == holder["metadata"]["namespace"]
    else:
        inside = namespace in named or selected(term.get("namespaceSelector"), state.namespaces.get(namespace, {}))
    return inside and selected(term.get("labelSelector"), labels(other))


def terms(pod: Obj, kind: str, when: str) -> list[Obj]:
    return ((pod["spec"].get("affinity") or {}).get(kind) or {}).get(when) or []


def tolerated(pod: Obj, node: Obj) -> bool:
    return all(
        any(t.get("key") in (None, taint["key"]) for t in pod["spec"].get("tolerations") or ())
        for taint in node["spec"].get("taints") or ()
        if taint["effect"] != "PreferNoSchedule"
    )


def selected_node(pod: Obj, node: Obj) -> bool:
    return all(labels(node).get(key) == value for key, value in (pod["spec"].get("nodeSelector") or {}).items())


def allowed(pod: Obj, node: Obj, state: State) -> bool:
    """Whether every rule lets the pod run on the node."""
    name = node["metadata"]["name"]
    return (
        tolerated(pod, node)
        and selected_node(pod, node)
        and fits(pod, node, state.on(name))
        and with_company(pod, node, state)
        and all(even(pod, c, node, state) for c in constraints(pod, "DoNotSchedule"))
    )


def milli(pod: Obj) -> int:
    text = pod["spec"]["containers"][0].get("resources", {}).get("requests", {}).get("cpu", "0m")
    return int(text.removesuffix("m"))


def ports(pod: Obj) -> set[int]:
    return {port["hostPort"] for port in pod["spec"]["containers"][0].get("ports") or ()}


def fits(pod: Obj, node: Obj, others: list[Obj]) -> bool:
    room = node["status"]["allocatable"]
    return (
        len(others) < int(room["pods"])
        and sum(map(milli, others)) + milli(pod) <= int(room["cpu"].removesuffix("m"))
        and not any(ports(pod) & ports(other) for other in others)
    )


def with_company(pod: Obj, node: Obj, state: State) -> bool:
    running = list(state.running())
    required = terms(pod, "podAffinity", REQUIRED)
    liked = [(o, on) for o, on in running if all(speaks_of(term, pod, o, state) for term in required)]
    if required:
        keys = {term["topologyKey"] for term in required}
        if any(key not in labels(node) for key in keys):
            return False
        counted = [on for _, on in liked if any(key in labels(on) for key in keys)]
        first = not counted and all(speaks_of(term, pod, pod, state) for term in required)
        if not first and not all(any(labels(on).get(key) == labels(node)[key] for _, on in liked) for key in keys):
            return False
    for term in terms(pod, "podAntiAffinity", REQUIRED):
        if any(speaks_of(term, pod, o, state) and together(term, node, on) for o, on in running):
            return False
    return not any(
        speaks_of(term, o, pod, state) and together(term, node, on)
        for o, on in running
        for term in terms(o, "podAntiAffinity", REQUIRED)
    )


def together(term: Obj, node: Obj, other: Obj) -> bool:
    key = term["topologyKey"]
    return key in labels(node) and bool(labels(node)[key] == labels(other).get(key))


def constraints(pod: Obj, when: str) -> list[Obj]:
    return [c for c in pod["spec"].get("topologySpreadConstraints") or () if c["whenUnsatisfiable"] == when]


def counts(pod: Obj, constraint: Obj, state: State) -> dict[str, int]:
    """Domain → how many pods like this one it has, of the nodes that count."""
    keys = [c["topologyKey"] for c in constraints(pod, constraint["whenUnsatisfiable"])]
    found: dict[str, int] = {}
    for node in state.nodes.values():
        if any(key not in labels(node) for key in keys):
            continue
        if constraint.get("nodeAffinityPolicy", "Honor") == "Honor" and not selected_node(pod, node):
            continue
        if constraint.get("nodeTaintsPolicy", "Ignore") == "Honor" and not tolerated(pod, node):
            continue
        domain = labels(node)[constraint["topologyKey"]]
        found[domain] = found.get(domain, 0) + sum(
            matching(pod, constraint, other) for other in state.on(node["metadata"]["name"])
        )
    return found


def matching(pod: Obj, constraint: Obj, other: Obj) -> bool:
    if other["metadata"].get("deletionTimestamp") or other["metadata"]["namespace"] != pod["metadata"]["namespace"]:
        return False
    own = all(
        labels(other).get(key) == labels(pod)[key]
        for key in constraint.get("matchLabelKeys") or ()
        if key in labels(pod)
    )
    return own and selected(constraint["labelSelector"], labels(other))


def even(pod: Obj, constraint: Obj, node: Obj, state: State) -> bool:
    domain = labels(node).get(constraint["topologyKey"])
    if domain is None:
        return False
    found = counts(pod, constraint, state)
    least = min(found.values(), default=0)
    if len(found) < constraint.get("minDomains", 1):
        least = 0
    itself = selected(constraint["labelSelector"], labels(pod))
    return bool(found.get(domain, 0) + itself - least <= constraint["maxSkew"])


# --- rates -----------------------------------------------------------------------------------------------------------------


def company_rates(pod: Obj, names: list[str], state: State) -> list[float] | None:
    """InterPodAffinity's rates of nodes; None if they are all the same."""
    sums = []
    for name in names:
        node, total = state.nodes[name], 0
        for other, on in state.running():
            for kind, sign in (("podAffinity", 1), ("podAntiAffinity", -1)):
                for weighted in terms(pod, kind, PREFERRED):
                    term = weighted["podAffinityTerm"]
                    if speaks_of(term, pod, other, state) and together(term, node, on):
                        total += sign * weighted["weight"]
                for weighted in terms(other, kind, PREFERRED):
                    term = weighted["podAffinityTerm"]
                    if speaks_of(term, other, pod, state) and together(term, node, on):
                        total += sign * weighted["weight"]
            for term in terms(other, "podAffinity", REQUIRED):
                if speaks_of(term, other, pod, state) and together(term, node, on):
                    total += 1
        sums.append(total)
    least, most = min(sums), max(sums)
    return [100 * (each - least) / (most - least) for each in sums] if most > least else None


def spread_rates(pod: Obj, names: list[str], state: State) -> list[float] | None:
    """PodTopologySpread's rates of nodes for a pod with constraints of its own; None if they are all the same."""
    soft = constraints(pod, "ScheduleAnyway")
    if not soft:
        return None
    keys = [c["topologyKey"] for c in soft]
    counted = [name for name in names if all(key in labels(state.nodes[name]) for key in keys)]
    sums: dict[str, int] = {}
    for name in counted:
        total = 0.0
        for constraint in soft:
            key = constraint["topologyKey"]
            domain = labels(state.nodes[name])[key]
            if key == HOST:
                number, size = sum(matching(pod, constraint, other) for other in state.on(name)), len(counted)
            else:
                number = counts(pod, constraint, state).get(domain, 0)
                size = len({labels(state.nodes[each])[key] for each in counted})
            total += number * math.log(size + 2) + constraint["maxSkew"] - 1
        sums[name] = math.floor(total + 0.5)
    if not sums:
        return None
    least, most = min(sums.values()), max(sums.values())
    rates = [
        float(100 * (most + least - sums[name]) // most) if name in sums and most else 100.0 * (name in sums)
        for name in names
    ]
    return rates if len(set(rates)) > 1 else None
