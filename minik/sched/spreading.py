"""Which spread constraints apply to a pod: its own, or the defaults of the scheduler's configuration for pods that belong to a service
or a controller (PodTopologySpread's buildDefaultConstraints). Called by the filter and the score of that name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from minik.sched.snapshot import Cluster, PodInfo
from minik.sched.terms import HOSTNAME, NOBODY, ZONE, Constraint, Like, NodeRule, constraints_of, placement_of
from minik.sched.workloads import Workloads

SYSTEM = (
    Constraint(HOSTNAME, 3, NOBODY, required=False),
    Constraint(ZONE, 5, NOBODY, required=False),
)
"""kube-scheduler's systemDefaultConstraints."""
MAX_MADE = 1024
"""Workloads whose default constraints are remembered."""


class Spreading:
    """What PodTopologySpreadArgs say."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        given = arguments.get("defaultConstraints") or []
        self.system = arguments.get("defaultingType", "System") == "System" and not given
        """The defaults are the built-in ones, and a node needs not have all their labels."""
        self._defaults = SYSTEM if self.system else constraints_of({"topologySpreadConstraints": given}, "", {})
        self._made: dict[tuple[Like, bool], Sequence[Constraint]] = {}

    def constraints(self, pod: PodInfo, cluster: Cluster, *, required: bool) -> Sequence[Constraint]:
        """The constraints of a pod that must hold, or those that should."""
        if pod.spread:
            return [each for each in pod.spread if each.required == required]
        if required and self.system:
            return ()
        like = cluster.part(Workloads).like(pod)
        if like is None:
            return ()
        made = self._made.get((like, required))
        if made is None:
            if len(self._made) >= MAX_MADE:
                self._made.clear()
            chosen = [replace(each, like=like) for each in self._defaults if each.required == required]
            made = self._made[like, required] = chosen
        return made

    def needs_all_labels(self, pod: PodInfo) -> bool:
        """Whether a node that lacks a constraint's label does not count at all."""
        return not self.system or bool(pod.spread)


def node_rule(pod: PodInfo, constraint: Constraint, keys: tuple[str, ...]) -> NodeRule:
    """Which nodes' pods a constraint counts. `keys`: labels that they have to have."""
    placement = placement_of(pod.spec) if constraint.honor_affinity else b""
    tolerated = orjson.dumps(pod.spec.get("tolerations") or ()) if constraint.honor_taints else None
    return NodeRule(keys, placement, tolerated)
