"""Hints: which change in the cluster can help which pod (kube-scheduler's QueueingHints, KEP-4247).

A `Change` says what happened and which filters it can have helped at all; for each of those, `is_helped` asks about one parked pod.
Where a filter goes by the state of one node alone, the answer is that filter's own verdict about the node that changed; for the
others it is worked out from the pods and labels they go by. A wrong yes costs an attempt, a wrong no leaves a pod waiting for
nothing: in doubt the answer is yes.

`loop.py` makes the changes; `queue.py` asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from minik.api.meta import ROObj
from minik.sched.plugins import No, Plugins
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo
from minik.sched.terms import Like

Kind = Literal["node", "pod came", "pod changed", "pod left", "node left", "other"]

ON_ONE_NODE = frozenset({
    "NodeUnschedulable", "NodeName", "TaintToleration", "NodeAffinity", "NodePorts", "NodeResourcesFit",
})  # fmt: skip
"""Filters whose verdict about a node depends on nothing but that node and its pods."""
ACROSS_NODES = frozenset({"InterPodAffinity", "PodTopologySpread"})
KNOWN = ON_ONE_NODE | ACROSS_NODES

POD_LEFT = ACROSS_NODES | {"NodeResourcesFit", "NodePorts"}


@dataclass(frozen=True, slots=True)
class Change:
    """What happened. `helps`: the filters it can have helped; with `others`, also any that is not among `KNOWN` (of volumes, say)."""

    kind: Kind
    helps: frozenset[str]
    others: bool = False
    node: NodeInfo | None = None
    """The node that changed, or where the pod is or was."""
    pod: PodInfo | None = None
    before: PodInfo | None = None
    """Of a pod that changed: as it was."""

    def concerns(self, filter_name: str) -> bool:
        return filter_name in self.helps or (self.others and filter_name not in KNOWN)


def node_change(old: ROObj | None, new: ROObj, node: NodeInfo | None) -> Change | None:
    """A node came (`old` None) or changed; None if nothing that filters go by."""
    if old is None:
        return Change("node", KNOWN, others=True, node=node)
    helps: set[str] = set()
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    labels_changed = new["metadata"].get("labels") != old["metadata"].get("labels")
    if labels_changed:
        helps |= {"NodeAffinity", *ACROSS_NODES}
    if spec.get("taints") != before.get("taints"):
        helps |= {"TaintToleration", "PodTopologySpread"}
    if spec.get("unschedulable") != before.get("unschedulable"):
        helps.add("NodeUnschedulable")
    if (new.get("status") or {}).get("allocatable") != (old.get("status") or {}).get("allocatable"):
        helps.add("NodeResourcesFit")
    if not helps:
        return None
    # these two may have been in the way first, and preemption can move what they refuse for
    return Change("node", frozenset({*helps, "NodePorts", "NodeResourcesFit"}), others=labels_changed, node=node)


def is_helped(filter_name: str, pod: PodInfo, change: Change, cluster: Cluster, plugins: Plugins) -> bool:
    """Whether `change` may let `pod`, which that filter refused, be scheduled."""
    node = change.node
    if node is not None and node.obj is not None:
        if change.kind == "pod left" and cluster.nomination(pod.uid) == node.name:
            return True
        if filter_name in ON_ONE_NODE:
            return _now_accepts(filter_name, pod, node, cluster, plugins)
    hint = _HINTS.get(filter_name)
    return hint is None or hint(pod, change)


def _now_accepts(filter_name: str, pod: PodInfo, node: NodeInfo, cluster: Cluster, plugins: Plugins) -> bool:
    """What the filter itself says of the node; a refusal that preemption could resolve there counts as a yes."""
    for each in plugins.filters:
        if each.name == filter_name:
            no = each.ask(pod, node, cluster)
            if no is None:
                return True
            resolvable = no.resolvable if isinstance(no, No) else True
            return resolvable and _could_preempt(filter_name, pod, node)
    return True


def _could_preempt(filter_name: str, pod: PodInfo, node: NodeInfo) -> bool:
    """Whether it would be different without the pods of lower priority."""
    if pod.spec.get("preemptionPolicy") == "Never":
        return False
    if filter_name != "NodeResourcesFit":
        return any(each.priority < pod.priority for each in node.pods.values())
    left: dict[str, int] = dict(node.allocatable)
    number = left.get("pods", 0)
    lower = False
    for each in node.pods.values():
        if each.priority < pod.priority:
            lower = True
            continue
        number -= 1
        for resource, amount in each.requests.items():
            left[resource] = left.get(resource, 0) - amount
    return lower and number > 0 and all(left.get(name, 0) >= amount for name, amount in pod.requests.items())


def _affinity(pod: PodInfo, change: Change) -> bool:
    """A pod that came helps those that want its company; one that left helps those that it kept off, and the first of a group, which may
    go anywhere as soon as nobody matches its terms any more. Changed labels are both at once."""
    other = change.pod
    if other is None or change.kind not in ("pod came", "pod left"):
        return True
    if _is_company(pod, other):
        return True
    return change.kind == "pod left" and (_excludes(pod, other) or _excludes(other, pod))


def _is_company(pod: PodInfo, other: PodInfo) -> bool:
    """Whether `other` is what the required affinity of `pod` asks for."""
    affinity = pod.affinity
    return affinity is not None and bool(affinity.required) and all(_may_mean(t.like, other) for t in affinity.required)


def _excludes(pod: PodInfo, other: PodInfo) -> bool:
    return pod.affinity is not None and any(_may_mean(term.like, other) for term in pod.affinity.excluded)


def _may_mean(like: Like, pod: PodInfo) -> bool:
    """Labels of namespaces are not at hand here: in doubt, yes."""
    if like.goes_by_namespace_labels:
        return like.selector.matches(pod.labels)
    return like.matches(pod.key.namespace, pod.labels, None)


def _spread(pod: PodInfo, change: Change) -> bool:
    """Pods that no constraint counts do not tip the balance. Of default constraints it is known that they stay within the namespace."""
    other = change.pod
    if other is None or change.kind == "pod changed":
        return other is None or other.key.namespace == pod.key.namespace
    if not pod.spread:
        return other.key.namespace == pod.key.namespace
    return any(each.required and _may_mean(each.like, other) for each in pod.spread)


_HINTS: Mapping[str, Callable[[PodInfo, Change], bool]] = {"InterPodAffinity": _affinity, "PodTopologySpread": _spread}
