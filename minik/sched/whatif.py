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

    def _remember(self, uid: str) -> None:
        if uid not in self._before:
            self._before[uid] = self._cluster.placed(uid)

    def remove(self, pod: PodInfo) -> None:
        """The pod no longer counts."""
        self._remember(pod.uid)
        self._cluster.remove_pod(pod.uid)

    def add(self, pod: PodInfo, node_name: str) -> None:
        """The pod counts on that node (again)."""
        self._remember(pod.uid)
        self._cluster.set_pod(pod, node_name)

    def undo(self) -> None:
        for uid, before in self._before.items():
            if before is None:
                self._cluster.remove_pod(uid)
            else:
                self._cluster.set_pod(*before)
        self._before.clear()


@contextlib.contextmanager
def trial(cluster: Cluster) -> Iterator[Trial]:
    """`with trial(cluster) as t: t.remove(victim); cycle.refusal_of(...)`: afterwards the cluster counts as before."""
    made = Trial(cluster)
    try:
        yield made
    finally:
        made.undo()
