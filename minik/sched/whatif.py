"""What would be if: a pod on a node with some pods taken away and others put there. Preemption asks this, and nominated pods count so.

The question is put to the cluster itself: its counts are kept change by change, so a change and its reversal cost little and need no
copy. Nobody else looks at a `Cluster` in between, since nothing here waits. `cycle.fits` puts it in one call.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from minik.sched.snapshot import Cluster, PodInfo


class Trial:
    """Changes that are taken back. Made by `trial`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._before: dict[str, tuple[PodInfo, str] | None] = {}
        self._orders: dict[str, list[str]] = {}

    def _remember(self, uid: str) -> None:
        if uid in self._before:
            return
        placed = self._before[uid] = self._cluster.placed(uid)
        if placed is not None and placed[1] not in self._orders:
            node = self._cluster.get(placed[1])
            self._orders[placed[1]] = list(node.pods) if node is not None else []

    def remove(self, pod: PodInfo) -> None:
        """The pod no longer counts."""
        self._remember(pod.uid)
        self._cluster.remove_pod(pod.uid)

    def add(self, pod: PodInfo, node_name: str) -> None:
        """The pod counts on that node (again)."""
        self._remember(pod.uid)
        self._cluster.set_pod(pod, node_name)

    def undo(self) -> None:
        """All as it was, and in the same order: whoever looks at a node's pods next finds no trace."""
        for uid, before in self._before.items():
            if before is None:
                self._cluster.remove_pod(uid)
            else:
                self._cluster.set_pod(*before)
        for name, order in self._orders.items():
            node = self._cluster.get(name)
            if node is not None:
                node.pods = {uid: node.pods[uid] for uid in order}
        self._before.clear()
        self._orders.clear()


@contextlib.contextmanager
def trial(cluster: Cluster) -> Iterator[Trial]:
    """`with trial(cluster) as t: t.remove(victim); cycle.refusal_of(...)`: afterwards the cluster counts as before."""
    made = Trial(cluster)
    try:
        yield made
    finally:
        made.undo()
