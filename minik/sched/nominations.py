"""The node that a pod waits for while others go from it (`status.nominatedNodeName`), or that somebody else has named for it.

`loop.Scheduler` asks here; `snapshot.Cluster` holds the nominations, since filters count nominated pods as if they were there.
"""

from __future__ import annotations

from collections.abc import Callable

from minik.api.meta import ROObj
from minik.sched.hints import POD_LEFT, Change
from minik.sched.preempting import Preempting
from minik.sched.snapshot import Cluster, PodInfo


class Nominations:
    """`moved` is told when a nomination is given up: others may have the room then."""

    def __init__(self, cluster: Cluster, preempting: Preempting, moved: Callable[[Change], None]) -> None:
        self._cluster, self._preempting, self._moved = cluster, preempting, moved

    def follow(self, pod: PodInfo, before: ROObj | None) -> None:
        """What we nominated ourselves comes back to us here; what somebody else wrote, or we in an earlier life, counts as well."""
        said = _nominated(pod.obj)
        held = self._cluster.nomination(pod.uid)
        if held and (before is None or said == _nominated(before)):
            self._cluster.nominate(pod, held)
        elif said and said != held and (before is None or said != _nominated(before)):
            self._cluster.nominate(pod, said)
        elif held and not said and not self._preempting.going(pod.uid):
            self.give_up(pod.uid)

    def give_up(self, uid: str, *, taken: str = "") -> None:
        """The pod waits for no node in particular any more: others may have the room, unless it has `taken` that node."""
        self._preempting.forget(uid)
        name = self._cluster.nomination(uid)
        if name:
            self._cluster.unnominate(uid)
            if name != taken:
                self._moved(Change("pod left", POD_LEFT, others=True, node=self._cluster.get(name)))


def _nominated(obj: ROObj) -> str:
    return (obj.get("status") or {}).get("nominatedNodeName") or ""
