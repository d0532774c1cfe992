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
    counts = [node.owners.get(owner, 0) for node in feasible]
    most = max(counts)
    zones: dict[str, int] = {}
    if cluster.zones:
        for node in cluster.nodes:
            zones[node.zone] = zones.get(node.zone, 0) + node.owners.get(owner, 0)
    most_in_zone = max(zones.values(), default=0)
    if not most and not most_in_zone:
        return None

    by_node = [(most - count) / most if most else 1.0 for count in counts]
    if not most_in_zone:
        return lambda _nodes: [100 * share for share in by_node]
    by_zone = {zone: 50 * (most_in_zone - count) / most_in_zone for zone, count in zones.items()}
    return lambda nodes: [50 * share + by_zone.get(node.zone, 50) for node, share in zip(nodes, by_node, strict=True)]


SCORE = Score("PodTopologySpread", 2, prepare)
