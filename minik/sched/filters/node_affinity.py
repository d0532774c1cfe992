"""NodeAffinity: nodeSelector and required node affinity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.sched.columns import Column
from minik.sched.plugins import Filter, No, Prepared
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo
from minik.sched.terms import placement_of, placement_test

REASON = "node(s) didn't match Pod's node affinity/selector"
CONFLICT = "pod affinity terms conflict"
ENFORCED = "node(s) didn't match scheduler-enforced node affinity"
_NO = No((REASON,), resolvable=False)
_NO_ENFORCED = No((ENFORCED,), resolvable=False)
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def make(arguments: Mapping[str, Any]) -> Filter:
    """`arguments`: NodeAffinityArgs; their `addedAffinity` holds for every pod."""
    added = placement_of({"affinity": {"nodeAffinity": arguments.get("addedAffinity") or {}}})
    enforced = placement_test(added) if added else None

    def fits(pod: PodInfo, cluster: Cluster) -> Column:
        placement = placement_of(pod.spec)
        wanted = placement_test(placement) if placement else None

        def suits(node: NodeInfo) -> float:
            return float(
                (enforced is None or enforced(node.labels, node.name))
                and (wanted is None or wanted(node.labels, node.name))
            )

        return cluster.column(f"placement/{added.decode()}/{placement.decode()}", suits)

    def prepare(pod: PodInfo, _cluster: Cluster) -> Prepared:
        if named(pod) == []:
            return No((CONFLICT,), resolvable=False)
        placement = placement_of(pod.spec)
        wanted = placement_test(placement) if placement else None
        if wanted is None and enforced is None:
            return None

        def check(node: NodeInfo) -> No | None:
            if enforced is not None and not enforced(node.labels, node.name):
                return _NO_ENFORCED
            if wanted is not None and not wanted(node.labels, node.name):
                return _NO
            return None

        return check

    return Filter("NodeAffinity", prepare, fits, named)


def named(pod: PodInfo) -> Sequence[str] | None:
    """The only nodes that come into question because each required term names some, as a DaemonSet's pods do; None: any may. None at all
    if each term names several at once."""
    affinity = (pod.spec.get("affinity") or {}).get("nodeAffinity") or {}
    terms = (affinity.get(_REQUIRED) or {}).get("nodeSelectorTerms") or ()
    names: dict[str, None] = {}
    for term in terms:
        fields = term.get("matchFields") or ()
        found = [f["values"] for f in fields if f.get("key") == "metadata.name" and f.get("operator") == "In"]
        if not found:
            return None
        names |= dict.fromkeys(name for name in found[0] if all(name in values for values in found))
    return list(names) if terms else None
