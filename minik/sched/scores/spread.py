"""PodTopologySpread's default: pods of one owner spread over nodes, and over zones where there are any.

kube-scheduler's built-in default constraints (hostname and zone, ScheduleAnyway) by the pods' controller.
"""

from __future__ import annotations

from collections.abc import Sequence

from minik.sched.plugins import Rate, Score
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo


def prepare(pod: PodInfo, cluster: Cluster, feasible: Sequence[NodeInfo]) -> Rate | None:
    owner = pod.owner
    if not owner:
        return None
    most = max(node.owners.get(owner, 0) for node in feasible)
    zones: dict[str, int] = {}
    if cluster.zones:
        for node in cluster.nodes:
            zones[node.zone] = zones.get(node.zone, 0) + node.owners.get(owner, 0)
    most_in_zone = max(zones.values(), default=0)
    if not most and not most_in_zone:
        return None

    def rate(node: NodeInfo) -> float:
        on_node = (most - node.owners.get(owner, 0)) / most if most else 1.0
        if not most_in_zone:
            return 100 * on_node
        return 50 * on_node + 50 * (most_in_zone - zones.get(node.zone, 0)) / most_in_zone

    return rate


SCORE = Score("PodTopologySpread", 2, prepare)
