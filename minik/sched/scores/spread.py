"""PodTopologySpread's default: pods of one owner spread over nodes, and over zones where there are any.

kube-scheduler's built-in default constraints (hostname and zone, ScheduleAnyway) by the pods' controller.
"""

from __future__ import annotations

from minik.sched.columns import Window
from minik.sched.plugins import Rates, Score
from minik.sched.snapshot import Cluster, PodInfo


def rate(pod: PodInfo, cluster: Cluster, nodes: Window) -> Rates | None:
    owner = pod.owner
    if not owner:
        return None
    zones = cluster.owned_by_zone(owner)
    if not zones:
        return None  # none of its pods runs anywhere
    counts = nodes.take(cluster.column(f"owner/{owner}", lambda node: float(node.owners.get(owner, 0))))
    most = max(counts)
    most_in_zone = max(zones.values()) if cluster.zones else 0
    if not most and not most_in_zone:
        return None
    each = 100 / (most or 1)
    by_node = [100 - each * count for count in counts]
    if not most_in_zone:
        return by_node
    by_zone = {zone: 50 * (most_in_zone - count) / most_in_zone for zone, count in zones.items()}
    return [share / 2 + by_zone.get(node.zone, 50) for node, share in zip(nodes, by_node, strict=True)]


SCORE = Score("PodTopologySpread", 2, rate)
