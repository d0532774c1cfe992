"""How many pods of a kind are in each domain of a topology: counted once, then kept change by change.

A `Group` is the pods that some rule speaks of; a `Topology` says which domain of a label each node belongs to; a `Tally` is a group
counted over a topology. All of it is made when a filter or a score first asks, and forgotten when it was not asked for long. What
running pods demand of others (`Held`: required anti-affinity, preferences) is counted likewise, for as long as such pods run.
`snapshot.Cluster` tells `Tallies` of every change; filters and scores read.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from minik.api.selectors import Selector
from minik.sched.terms import ANY_NODE, Held, Like, NodeRule

if TYPE_CHECKING:
    from minik.sched.snapshot import NodeInfo, PodInfo

MAX_GROUPS = 512
"""Groups of pods that are remembered: as many as there are workloads with rules at work at a time."""

_Item = TypeVar("_Item", bound=Hashable)


class SelectorIndex(Generic[_Item]):
    """Things found by the labels that their selectors could select, without asking every selector."""

    __slots__ = ("_by_label", "_places", "_rest")

    def __init__(self) -> None:
        self._by_label: dict[tuple[str, str], dict[_Item, None]] = {}
        self._rest: dict[_Item, None] = {}
        self._places: dict[_Item, tuple[str, str] | None] = {}

    def __bool__(self) -> bool:
        return bool(self._places)

    def add(self, item: _Item, selector: Selector) -> None:
        places = sorted(selector.equalities().items())
        place = min(places, key=lambda label: len(self._by_label.get(label, ())), default=None)
        self._places[item] = place
        if place is None:
            self._rest[item] = None
        else:
            self._by_label.setdefault(place, {})[item] = None

    def discard(self, item: _Item) -> None:
        if item not in self._places:
            return
        place = self._places.pop(item)
        if place is None:
            del self._rest[item]
            return
        del self._by_label[place][item]
        if not self._by_label[place]:
            del self._by_label[place]

    def candidates(self, labels: Mapping[str, str]) -> Iterator[_Item]:
        """All whose selector may select these labels; the selectors themselves are to be asked."""
        yield from self._rest
        for label in labels.items():
            found = self._by_label.get(label)
            if found:
                yield from found


class Topology:
    """Which domain each node belongs to, by the value of the label `key`, of the nodes that `rule` admits."""

    __slots__ = ("_admits", "domain_of", "kept", "key", "nodes", "number_of", "rule", "tallies")

    def __init__(self, key: str, rule: NodeRule, number_of: Callable[[str | None], int]) -> None:
        self.key, self.rule = key, rule
        self.number_of = number_of
        """See `Tallies.number`."""
        self._admits = rule.compiled()
        self.domain_of: dict[str, str] = {}
        """node name → domain."""
        self.nodes: dict[str, int] = {}
        """domain → how many nodes it has."""
        self.tallies: list[Tally] = []
        self.kept = False
        """Also without tallies."""

    def set(self, node: NodeInfo) -> None:
        """The node is there, or its labels or taints have changed."""
        domain = node.labels.get(self.key)
        if domain is not None and not self._admits(node.labels, node.name, node.taints):
            domain = None
        before = self.domain_of.get(node.name)
        if domain == before:
            return
        if before is not None:
            self.remove(node.name)
        if domain is not None:
            self.domain_of[node.name] = domain
            self.nodes[domain] = self.nodes.get(domain, 0) + 1
            for tally in self.tallies:
                tally.shift(domain, tally.group.on_node.get(node.name, 0))

    def remove(self, name: str) -> None:
        domain = self.domain_of.pop(name, None)
        if domain is None:
            return
        for tally in self.tallies:
            tally.shift(domain, -tally.group.on_node.get(name, 0))
        self.nodes[domain] -= 1
        if not self.nodes[domain]:
            del self.nodes[domain]


class Tally:
    """A group counted over a topology."""

    __slots__ = ("_levels", "group", "in_domain", "topology")

    def __init__(self, group: Group, topology: Topology) -> None:
        self.group, self.topology = group, topology
        self.in_domain: dict[str, int] = {}
        """domain → how many of the group's pods are there, where there are any."""
        self._levels: dict[int, int] = {}
        for name, count in group.on_node.items():
            domain = topology.domain_of.get(name)
            if domain is not None:
                self.shift(domain, count)

    def shift(self, domain: str, by: int) -> None:
        if not by:
            return
        levels, before = self._levels, self.in_domain.get(domain, 0)
        if before:
            levels[before] -= 1
            if not levels[before]:
                del levels[before]
        after = before + by
        if after:
            self.in_domain[domain] = after
            levels[after] = levels.get(after, 0) + 1
        else:
            del self.in_domain[domain]

    @property
    def least(self) -> int:
        """The number of pods in the domain that has the fewest; 0 if there is no domain."""
        return min(self._levels) if len(self.in_domain) >= len(self.topology.nodes) and self._levels else 0


class Group:
    """Some pods, by the node they are on."""

    __slots__ = ("number", "on_node", "tallies")

    def __init__(self, number: int) -> None:
        self.number = number
        """Its own; no other group ever had it."""
        self.on_node: dict[str, int] = {}
        """node name → how many of the pods are there, where there are any."""
        self.tallies: dict[Topology, Tally] = {}

    def count(self, name: str, by: int) -> None:
        after = self.on_node.get(name, 0) + by
        if after:
            self.on_node[name] = after
        else:
            del self.on_node[name]
        for topology, tally in self.tallies.items():
            domain = topology.domain_of.get(name)
            if domain is not None:
                tally.shift(domain, by)


def _counted(group: Group, topology: Topology) -> Tally:
    tally = group.tallies.get(topology)
    if tally is None:
        tally = group.tallies[topology] = Tally(group, topology)
        topology.tallies.append(tally)
    return tally


Kind = tuple[tuple[Like, ...], bool]
"""Pods that all of these match; True: without those that are being deleted."""


class Tallies:
    """All groups and topologies of a cluster."""

    def __init__(self, nodes: Callable[[], Iterable[NodeInfo]]) -> None:
        """`nodes`: every node that is known or has pods."""
        self._nodes = nodes
        self._groups: OrderedDict[Kind, Group] = OrderedDict()
        self._index: SelectorIndex[Kind] = SelectorIndex()
        self._topologies: dict[tuple[str, NodeRule], Topology] = {}
        self._held: dict[Held, Group] = {}
        self._repelling: SelectorIndex[Held] = SelectorIndex()
        self._liking: SelectorIndex[Held] = SelectorIndex()
        self._labels: dict[tuple[str, str, str], int] = {}
        self._namespaces: dict[str, Mapping[str, str]] = {}
        self._numbers: dict[str, dict[str, int]] = {}
        self._made = 0

    # --- reading -------------------------------------------------------------------------------------------------------

    def tally(self, likes: tuple[Like, ...], key: str, rule: NodeRule = ANY_NODE, *, living: bool = False) -> Tally:
        """Pods that all of `likes` match, counted by the node label `key`. `living`: without those that are being deleted."""
        return _counted(self._group((likes, living)), self._topology(key, rule))

    def repelling(self, pod: PodInfo) -> list[Tally]:
        """The pods that do not want `pod` in their domain: one tally for each such term."""
        return [self._tally_of(held) for held in self._held_towards(self._repelling, pod)] if self._repelling else []

    def liking(self, pod: PodInfo) -> list[tuple[Held, Tally]]:
        """The pods that prefer to be with `pod`, or away from it, or that require such company."""
        return [(h, self._tally_of(h)) for h in self._held_towards(self._liking, pod)] if self._liking else []

    def _held_towards(self, index: SelectorIndex[Held], pod: PodInfo) -> list[Held]:
        return [held for held in index.candidates(pod.labels) if self.matches(held.term.like, pod)]

    def matches(self, like: Like, pod: PodInfo) -> bool:
        namespace = pod.key.namespace
        return like.matches(namespace, pod.labels, self._namespaces.get(namespace))

    def is_known(self, key: str) -> bool:
        """Whether some node has the label `key`."""
        topology = self._topology(key, ANY_NODE)
        topology.kept = True
        return bool(topology.nodes)

    def number(self, key: str, value: str | None) -> int:
        """A number, 1 or more, for each value that the node label `key` ever had; 0 for None."""
        if value is None:
            return 0
        numbers = self._numbers.setdefault(key, {})
        return numbers.setdefault(value, len(numbers) + 1)

    def _tally_of(self, held: Held) -> Tally:
        return _counted(self._held[held], self._topology(held.term.key, ANY_NODE))

    def _topology(self, key: str, rule: NodeRule) -> Topology:
        found = self._topologies.get((key, rule))
        if found is None:
            found = self._topologies[key, rule] = Topology(key, rule, partial(self.number, key))
            for node in self._nodes():
                if node.obj is not None:
                    found.set(node)
        return found

    def _group(self, kind: Kind) -> Group:
        found = self._groups.get(kind)
        if found is not None:
            self._groups.move_to_end(kind)
            return found
        found = self._groups[kind] = self._new_group()
        self._index.add(kind, kind[0][0].selector)
        if self._may_have_pods(kind):
            for node in self._nodes():
                count = sum(1 for pod in node.pods.values() if self._belongs(pod, kind))
                if count:
                    found.on_node[node.name] = count
        if len(self._groups) > MAX_GROUPS:
            self._forget(next(iter(self._groups)))
        return found

    def _new_group(self) -> Group:
        self._made += 1
        return Group(self._made)

    def _may_have_pods(self, kind: Kind) -> bool:
        """False if some label that every pod of the kind has is nobody's: no pod need be looked at."""
        for like in kind[0]:
            if not like.namespace_selector.nothing:
                continue
            for key, value in like.selector.equalities().items():
                if not any((namespace, key, value) in self._labels for namespace in like.namespaces):
                    return False
        return True

    def _belongs(self, pod: PodInfo, kind: Kind) -> bool:
        likes, living = kind
        if living and pod.deleting:
            return False
        return all(self.matches(like, pod) for like in likes)

    def _forget(self, kind: Kind) -> None:
        group = self._groups.pop(kind)
        self._index.discard(kind)
        self._drop_tallies(group)

    def _drop_tallies(self, group: Group) -> None:
        for topology, tally in group.tallies.items():
            topology.tallies.remove(tally)
            if not topology.tallies and not topology.kept:
                del self._topologies[topology.key, topology.rule]
        group.tallies.clear()

    # --- what happens --------------------------------------------------------------------------------------------------

    def count_pod(self, pod: PodInfo, name: str, by: int) -> None:
        """`by` 1: the pod has come to the node of that name; -1: it has left it."""
        namespace, labels, known = pod.key.namespace, pod.labels, self._labels
        for key, value in labels.items():
            label = (namespace, key, value)
            number = known.get(label, 0) + by
            if number:
                known[label] = number
            else:
                del known[label]
        if self._index:
            for kind in self._index.candidates(labels):
                if self._belongs(pod, kind):
                    self._groups[kind].count(name, by)
        if pod.affinity is not None:
            for held in pod.affinity.held:
                self._count_held(held, name, by)

    def _count_held(self, held: Held, name: str, by: int) -> None:
        group = self._held.get(held)
        index = self._liking if held.weight or held.hard else self._repelling
        if group is None:
            group = self._held[held] = self._new_group()
            index.add(held, held.term.like.selector)
        group.count(name, by)
        if not group.on_node:
            del self._held[held]
            index.discard(held)
            self._drop_tallies(group)

    def set_node(self, node: NodeInfo) -> None:
        for topology in self._topologies.values():
            topology.set(node)

    def remove_node(self, name: str) -> None:
        for topology in self._topologies.values():
            topology.remove(name)

    def set_namespace(self, name: str, labels: Mapping[str, str] | None) -> bool:
        """The labels of a namespace, None if it is gone. False if nothing has changed."""
        before = self._namespaces.get(name)
        if before == labels:
            return False
        if labels is None:
            del self._namespaces[name]
        else:
            self._namespaces[name] = labels
        for kind in [kind for kind in self._groups if any(like.goes_by_namespace_labels for like in kind[0])]:
            self._forget(kind)
        return True
