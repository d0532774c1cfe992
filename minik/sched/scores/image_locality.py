"""ImageLocality: nodes that have the pod's images already are better, the more so the larger the images are and the more nodes have
them (so that a new image does not draw all its pods to the one node that has it)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.sched.columns import Window
from minik.sched.plugins import Rates, Score
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo

MIN_SIZE = 23 * 1024 * 1024
MAX_SIZE = 1000 * 1024 * 1024
"""Bytes: less is worth nothing, more (of each container) is worth no more."""


def make(_arguments: Mapping[str, Any], weight: int) -> Score:
    return Score("ImageLocality", weight, rate)


def rate(pod: PodInfo, cluster: Cluster, nodes: Window) -> Rates | None:
    if not cluster.image_nodes:
        return None
    containers = [*(pod.spec.get("initContainers") or ()), *pod.spec["containers"]]
    wanted = [name for each in containers if (name := normalised(each.get("image") or "")) in cluster.image_nodes]
    if not wanted:
        return None
    shares = {name: cluster.image_nodes[name] / len(cluster) for name in wanted}
    most = MAX_SIZE * len(containers)
    rates = [_rate(node, wanted, shares, most) for node in nodes]
    return rates if any(rates) else None


def normalised(image: str) -> str:
    """With the tag that is meant if there is none."""
    return image if image.rfind(":") > image.rfind("/") else f"{image}:latest"


def _rate(node: NodeInfo, wanted: Sequence[str], shares: Mapping[str, float], most: int) -> float:
    size = 0
    for image in node.images:
        names = image.get("names") or ()
        for name in wanted:
            if name in names:
                size += int((image.get("sizeBytes") or 0) * shares[name])
    return 100 * (min(max(size, MIN_SIZE), most) - MIN_SIZE) / (most - MIN_SIZE)
