"""InterPodAffinity: a pod goes where the pods are that it requires, and not where pods are that it, or that themselves, exclude.

Required terms of affinity must all be met: for each there is a pod that matches all of them in the node's domain. If there is no such
pod anywhere and the pod matches its own terms, it is the first of its group and may go to any node that has the labels. Where pods are
is counted in `tally.py`; this looks up the node's domain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from minik.sched.plugins import Check, Filter, No
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo

AFFINITY = "node(s) didn't match pod affinity rules"
ANTI_AFFINITY = "node(s) didn't match pod anti-affinity rules"
EXISTING = "node(s) didn't satisfy existing pods anti-affinity rules"

Counted = Sequence[tuple[str, Mapping[str, int]]]
"""Node label, and how many pods there are by its value."""


def prepare(pod: PodInfo, cluster: Cluster) -> Check | None:
    tallies, affinity = cluster.tallies, pod.affinity
    repelling: Counted = [(tally.topology.key, tally.in_domain) for tally in tallies.repelling(pod)]
    if affinity is None:
        return partial(_check, (), False, (), repelling) if repelling else None
    excluded: Counted = [
        (term.key, counts) for term in affinity.excluded if (counts := tallies.tally((term.like,), term.key).in_domain)
    ]
    required: Counted = ()
    first = False
    if affinity.required:
        likes = affinity.all_required
        required = [
            (key, tallies.tally(likes, key).in_domain) for key in dict.fromkeys(t.key for t in affinity.required)
        ]
        first = not any(counts for _, counts in required) and all(tallies.matches(like, pod) for like in likes)
    if not required and not excluded and not repelling:
        return None
    return partial(_check, required, first, excluded, repelling)


def _check(required: Counted, first: bool, excluded: Counted, repelling: Counted, node: NodeInfo) -> No | None:
    labels = node.labels
    for key, counts in required:
        value = labels.get(key)
        if value is None:
            return No((AFFINITY,), resolvable=False, explain=partial(_no_label, key))
        if value not in counts and not first:
            return No((AFFINITY,), resolvable=False, explain=partial(_none_there, key, value))
    for key, counts in excluded:
        value = labels.get(key, "")
        if value in counts and key in labels:
            return No((ANTI_AFFINITY,), explain=partial(_some_there, key, value, counts[value]))
    for key, counts in repelling:
        value = labels.get(key, "")
        if value in counts and key in labels:
            return No((EXISTING,), explain=partial(_some_refuse, key, value, counts[value]))
    return None


def _no_label(key: str) -> str:
    return f"the node has no label {key}"


def _none_there(key: str, value: str) -> str:
    return f"no pod that matches the required pod affinity is in {key}={value}"


def _some_there(key: str, value: str, count: int) -> str:
    return f"{count} pod(s) that the required anti-affinity excludes in {key}={value}"


def _some_refuse(key: str, value: str, count: int) -> str:
    return f"{count} pod(s) in {key}={value} exclude this pod by their anti-affinity"


def make(_arguments: Mapping[str, Any]) -> Filter:
    """InterPodAffinityArgs concern the score alone."""
    return FILTER


FILTER = Filter("InterPodAffinity", prepare)
