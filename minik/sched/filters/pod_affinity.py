"""InterPodAffinity: a pod goes where the pods are that it requires, and not where pods are that it, or that themselves, exclude.

Required terms of affinity must all be met: for each there is a pod that matches all of them in the node's domain. If there is no such
pod anywhere and the pod matches its own terms, it is the first of its group and may go to any node that has the labels. Where pods are
is counted in `tally.py`; this looks up the node's domain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from minik.sched.plugins import Check, Filter, No
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo

AFFINITY = "node(s) didn't match pod affinity rules"
ANTI_AFFINITY = "node(s) didn't match pod anti-affinity rules"
EXISTING = "node(s) didn't satisfy existing pods anti-affinity rules"

Counted = Sequence[tuple[str, Mapping[str, int] | None]]
"""Node label, and how many pods there are by its value; None where any value will do."""


def prepare(pod: PodInfo, cluster: Cluster) -> Check | None:
    tallies, affinity = cluster.tallies, pod.affinity
    repelling: Counted = [(tally.topology.key, tally.in_domain) for tally in tallies.repelling(pod)]
    if affinity is None:
        return _check((), (), repelling) if repelling else None
    excluded: Counted = [
        (term.key, counts) for term in affinity.excluded if (counts := tallies.tally((term.like,), term.key).in_domain)
    ]
    required: Counted = ()
    if affinity.required:
        likes = affinity.all_required
        required = [
            (key, tallies.tally(likes, key).in_domain) for key in dict.fromkeys(t.key for t in affinity.required)
        ]
        if not any(counts for _, counts in required) and all(tallies.matches(like, pod) for like in likes):
            required = [(key, None) for key, _ in required]
    if not required and not excluded and not repelling:
        return None
    return _check(required, excluded, repelling)


def _check(required: Counted, excluded: Counted, repelling: Counted) -> Check:
    alone = No((AFFINITY,), resolvable=False, explain=lambda node: _explain_alone(required, node))
    crowded = No((ANTI_AFFINITY,), explain=lambda node: _explain_crowded(excluded, node, "that the pod excludes"))
    unwanted = No((EXISTING,), explain=lambda node: _explain_crowded(repelling, node, "that exclude the pod"))

    def check(node: NodeInfo) -> No | None:
        labels = node.labels
        for key, counts in required:
            value = labels.get(key)
            if value is None or (counts is not None and value not in counts):
                return alone
        for key, counts in excluded:
            if labels.get(key) in counts:  # type: ignore[operator]  # these have counts; a None is in none
                return crowded
        for key, counts in repelling:
            if labels.get(key) in counts:  # type: ignore[operator]  # as above
                return unwanted
        return None

    return check


def _explain_alone(required: Counted, node: NodeInfo) -> str:
    for key, counts in required:
        value = node.labels.get(key)
        if value is None:
            return f"the node has no label {key}"
        if counts is not None and value not in counts:
            return f"no pod that matches the required affinity is in {key}={value}"
    return ""


def _explain_crowded(counted: Counted, node: NodeInfo, which: str) -> str:
    for key, counts in counted:
        value = node.labels.get(key)
        if counts and value is not None and value in counts:
            return f"{key}={value} has {counts[value]} pod(s) {which}"
    return ""


FILTER = Filter("InterPodAffinity", prepare)
