"""The shape of the scheduler's plugins, and their order.

A filter is prepared once for a pod and then asked about nodes, so that what depends on the pod alone is computed once; one that has
nothing to say about a pod prepares to None and costs nothing. A score rates all nodes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from minik.sched.columns import Column, Window
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo

if TYPE_CHECKING:
    from minik.sched.hooks import BindStep, Follower


@dataclass(slots=True)
class No:
    """Why a pod cannot run on a node. `resolvable`: the removal of pods could help (kube-scheduler's Unschedulable); if not, preemption
    need not try (UnschedulableAndUnresolvable). `explain` gives the numbers, for people: made only when somebody asks."""

    reasons: tuple[str, ...]
    resolvable: bool = True
    explain: Callable[[], str] | None = None


Check: TypeAlias = Callable[[NodeInfo], No | str | None]
"""A node → why the pod cannot run there (in kube-scheduler's words; a bare text is a `No` that is resolvable), or None if it can."""

Rates: TypeAlias = Sequence[float]
"""How well each of the nodes suits, 0 to 100. All at once: for hundreds of nodes a call for each would cost more than the rating."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Refuses nodes. `fits`: of a filter that goes by nothing but the node's own state and remembers it: not 0.0 where it holds."""

    name: str
    prepare: Callable[[PodInfo, Cluster], Check | None]
    fits: Callable[[PodInfo, Cluster], Column] | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """Ranks the nodes that no filter refused; the total is the sum of `weight` times each rate. None: they are all the same."""

    name: str
    weight: int
    rate: Callable[[PodInfo, Cluster, Window], Rates | None]


@dataclass(frozen=True, slots=True)
class Plugins:
    """What one scheduling profile runs, in order."""

    filters: Sequence[Filter]
    scores: Sequence[Score]
    steps: Sequence[BindStep] = ()
    followers: Sequence[Follower] = ()


def default_plugins() -> Plugins:
    """Cheap filters first; weights are kube-scheduler's."""
    from minik.sched.filters import host_ports, node_affinity, node_name, resources, taints, unschedulable
    from minik.sched.scores import balanced, least_allocated, preferred_affinity, preferred_taints, spread

    return Plugins(
        filters=(
            unschedulable.FILTER,
            node_name.FILTER,
            taints.FILTER,
            node_affinity.FILTER,
            host_ports.FILTER,
            resources.FILTER,
        ),
        scores=(
            least_allocated.SCORE,
            balanced.SCORE,
            spread.SCORE,
            preferred_affinity.SCORE,
            preferred_taints.SCORE,
        ),
    )
