"""The shape of the scheduler's plugins, and their order.

A filter is prepared once for a pod and then asked about nodes, so that what depends on the pod alone is computed once; one that has
nothing to say about a pod prepares to None and costs nothing. A score rates all nodes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from minik.sched.columns import Column, Window
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo

if TYPE_CHECKING:
    from minik.sched.hooks import BindStep, Follower


@dataclass(slots=True, eq=False)
class No:
    """Why a pod cannot run on a node; nodes may share one. `resolvable`: the removal of pods could help (kube-scheduler's Unschedulable);
    if not, preemption need not try (UnschedulableAndUnresolvable). `explain` gives the numbers of a node, for people, as they are when
    somebody asks. `filter` is filled in by who asked the filter."""

    reasons: tuple[str, ...]
    resolvable: bool = True
    explain: Callable[[NodeInfo], str] | None = None
    filter: str = ""


Check: TypeAlias = Callable[[NodeInfo], No | str | None]
"""A node → why the pod cannot run there (in kube-scheduler's words; a bare text is a `No` that is resolvable), or None if it can."""

Prepared: TypeAlias = Check | No | None
"""What a filter makes of a pod: how to ask about each node; or why it can run nowhere at all, whatever the nodes (a failed PreFilter of
kube-scheduler's); or None: it has nothing to say."""

Rates: TypeAlias = Sequence[float]
"""How well each of the nodes suits, 0 to 100. All at once: for hundreds of nodes a call for each would cost more than the rating."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Refuses nodes. `fits`: of a filter that goes by nothing but the node's own state and remembers it: not 0.0 where it holds.
    `names`: the only nodes that need be asked about, None for all (kube-scheduler's PreFilterResult)."""

    name: str
    prepare: Callable[[PodInfo, Cluster], Prepared]
    fits: Callable[[PodInfo, Cluster], Column] | None = None
    names: Callable[[PodInfo], Sequence[str] | None] | None = None

    def ask(self, pod: PodInfo, node: NodeInfo, cluster: Cluster) -> No | str | None:
        """About one node only."""
        prepared = self.prepare(pod, cluster)
        return prepared if prepared is None or isinstance(prepared, No) else prepared(node)


@dataclass(frozen=True, slots=True)
class Score:
    """Ranks the nodes that no filter refused; the total is the sum of `weight` times each rate. None: they are all the same."""

    name: str
    weight: int
    rate: Callable[[PodInfo, Cluster, Window], Rates | None]


@dataclass(frozen=True, slots=True)
class Plugins:
    """What one scheduling profile runs, in order. `percentage`: see `cycle.wanted_feasible`."""

    filters: Sequence[Filter]
    scores: Sequence[Score]
    steps: Sequence[BindStep] = ()
    followers: Sequence[Follower] = ()
    percentage: int = 0


@dataclass(frozen=True, slots=True)
class Plugin:
    """All that goes by one name in a profile. `filter`, `score`: made from the plugin's arguments (and a weight)."""

    name: str
    filter: Callable[[Mapping[str, Any]], Filter] | None = None
    score: Callable[[Mapping[str, Any], int], Score] | None = None
    weight: int = 0
    steps: Sequence[BindStep] = ()
    followers: Sequence[Follower] = ()


ELSEWHERE = frozenset({"DefaultBinder", "DefaultPreemption", "PrioritySort", "SchedulingGates"})
"""Names that a profile may have, too: parts of the loop."""


def in_tree() -> Sequence[Plugin]:
    """Every plugin there is, in the order in which filters are asked: cheap ones first. Weights are kube-scheduler's."""
    from minik.sched import workloads
    from minik.sched.filters import (
        dynamic_resources,
        host_ports,
        node_affinity,
        node_name,
        node_volume_limits,
        pod_affinity,
        resources,
        taints,
        topology_spread,
        unschedulable,
        volume_binding,
        volume_restrictions,
        volume_zone,
    )
    from minik.sched.scores import balanced, image_locality, preferred_affinity, preferred_taints, spread
    from minik.sched.scores import pod_affinity as pods_liked
    from minik.sched.scores import resources as fullness

    return (
        Plugin("NodeUnschedulable", lambda _: unschedulable.FILTER),
        Plugin("NodeName", lambda _: node_name.FILTER),
        Plugin("TaintToleration", lambda _: taints.FILTER, preferred_taints.make, 3),
        Plugin("NodeAffinity", node_affinity.make, preferred_affinity.make, 2),
        Plugin("NodePorts", lambda _: host_ports.FILTER),
        Plugin("NodeResourcesFit", resources.make, fullness.make, 1),
        Plugin("VolumeRestrictions", lambda _: volume_restrictions.FILTER, followers=volume_restrictions.FOLLOWERS),
        Plugin("NodeVolumeLimits", lambda _: node_volume_limits.FILTER, followers=node_volume_limits.FOLLOWERS),
        Plugin(
            "VolumeBinding",
            lambda _: volume_binding.FILTER,
            steps=(volume_binding.STEP,),
            followers=volume_binding.FOLLOWERS,
        ),
        Plugin("VolumeZone", lambda _: volume_zone.FILTER),
        Plugin("PodTopologySpread", topology_spread.make, spread.make, 2, followers=workloads.FOLLOWERS),
        Plugin(
            "InterPodAffinity", lambda _: pod_affinity.FILTER, pods_liked.make, 2, followers=(workloads.NAMESPACES,)
        ),
        Plugin(
            "DynamicResources",
            lambda _: dynamic_resources.FILTER,
            steps=(dynamic_resources.STEP,),
            followers=dynamic_resources.FOLLOWERS,
        ),
        Plugin("NodeResourcesBalancedAllocation", score=balanced.make, weight=1),
        Plugin("ImageLocality", score=image_locality.make, weight=1),
    )


def default_plugins() -> Plugins:
    """What the default profile runs."""
    return build()


def build(profile: Mapping[str, Any] | None = None) -> Plugins:
    """What a profile of a KubeSchedulerConfiguration runs: `plugins` (multiPoint, filter, score, preBind: enabled, disabled, weight) over
    the default set, with the arguments of `pluginConfig`. ValueError for a plugin that does not exist, or arguments that make no sense."""
    known = in_tree()
    sets = (profile or {}).get("plugins") or {}
    arguments = {each["name"]: each.get("args") or {} for each in (profile or {}).get("pluginConfig") or ()}
    names = {each.name for each in known}
    named = [each.get("name") or "" for part in sets.values() for each in part.get("enabled") or ()]
    for name in (*named, *arguments):
        if name not in names and name not in ELSEWHERE:
            raise ValueError(f"there is no scheduler plugin {name!r}")
    everywhere = _chosen(sets, ("multiPoint",), {each.name: each.weight for each in known})
    filtering = _chosen(sets, ("preFilter", "filter"), everywhere)
    scoring = _chosen(sets, ("preScore", "score"), everywhere)
    binding = _chosen(sets, ("reserve", "preBind"), everywhere)
    weights = {each.name: scoring[each.name] or each.weight for each in known if each.name in scoring}
    return Plugins(
        filters=[p.filter(arguments.get(p.name, {})) for p in known if p.filter and p.name in filtering],
        scores=[p.score(arguments.get(p.name, {}), weights[p.name]) for p in known if p.score and p.name in weights],
        steps=[step for p in known if p.name in binding for step in p.steps],
        followers=list(
            dict.fromkeys(f for p in known if p.name in {*filtering, *scoring, *binding} for f in p.followers)
        ),
    )


def _chosen(sets: Mapping[str, Any], points: Sequence[str], before: Mapping[str, int]) -> dict[str, int]:
    """Names with weights, after what the profile says of some extension points."""
    found = dict(before)
    for point in points:
        part = sets.get(point) or {}
        for each in part.get("disabled") or ():
            if each.get("name") == "*":
                found.clear()
            found.pop(each.get("name"), None)
        for each in part.get("enabled") or ():
            found[each["name"]] = each.get("weight") or before.get(each["name"], 0)
    return found
