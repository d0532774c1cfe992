"""Which spread constraints apply to a pod: its own, or the defaults of the scheduler's configuration for pods that belong to a service
or a controller (PodTopologySpread's buildDefaultConstraints). Called by the filter and the score of that name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from minik.sched.snapshot import Cluster, PodInfo
from minik.sched.terms import HOSTNAME, NOBODY, ZONE, Constraint, NodeRule, constraints_of, placement_of
from minik.sched.workloads import Workloads

SYSTEM = (
    Constraint(HOSTNAME, 3, NOBODY, required=False),
    Constraint(ZONE, 5, NOBODY, required=False),
)
"""kube-scheduler's systemDefaultConstraints."""


@dataclass(frozen=True, slots=True)
class Spreading:
    """What PodTopologySpreadArgs say. `system`: the defaults are the built-in ones, and a node needs not have all their labels."""

    defaults: Sequence[Constraint] = SYSTEM
    system: bool = True

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Spreading:
        if arguments.get("defaultingType", "System") == "System" and not arguments.get("defaultConstraints"):
            return cls()
        given = {"topologySpreadConstraints": arguments.get("defaultConstraints") or []}
        return cls(constraints_of(given, "", {}), system=False)

    def constraints(self, pod: PodInfo, cluster: Cluster, *, required: bool) -> Sequence[Constraint]:
        """The constraints of a pod that must hold, or those that should."""
        if pod.spec.get("topologySpreadConstraints"):
            return [each for each in pod.spread if each.required == required]
        chosen = [each for each in self.defaults if each.required == required]
        like = cluster.part(Workloads).like(pod) if chosen else None
        return [replace(each, like=like) for each in chosen] if like is not None else ()

    def needs_all_labels(self, pod: PodInfo) -> bool:
        """Whether a node that lacks a constraint's label does not count at all."""
        return not self.system or bool(pod.spec.get("topologySpreadConstraints"))


def node_rule(pod: PodInfo, constraint: Constraint, keys: tuple[str, ...]) -> NodeRule:
    """Which nodes' pods a constraint counts. `keys`: labels that they have to have."""
    placement = placement_of(pod.spec) if constraint.honor_affinity else b""
    tolerated = orjson.dumps(pod.spec.get("tolerations") or ()) if constraint.honor_taints else None
    return NodeRule(keys, placement, tolerated)
