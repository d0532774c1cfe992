"""That a pod fits nowhere, remembered for the pods that are equal to it, as long as nothing in the cluster changes.

When a node of a full cluster gets some room, everything that might use it is woken; the first few take it, and the thousands behind
them need not look at every node again to learn that it is gone. Used by `loop.py` alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from minik.sched.decision import Decision
from minik.sched.snapshot import Cluster, PodInfo

REMEMBERED = 64
"""Groups of equal pods."""


@dataclass(frozen=True, slots=True)
class Failure:
    """That pods equal to one fit nowhere, as things stood at `epoch`."""

    epoch: int
    decision: Decision
    reasons: frozenset[str]
    """The filters to be helped against."""
    message: str


class Failures:
    """Group (`queue.equals`) → its last failure. `epoch` counts everything that could make a decision another one."""

    def __init__(self) -> None:
        self.epoch = 0
        self._found: OrderedDict[Hashable, Failure] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._found)

    def changed(self) -> None:
        """Something is not as it was."""
        self.epoch += 1
        self._found.clear()

    def get(self, group: Hashable) -> Failure | None:
        return self._found.get(group)

    def put(self, group: Hashable, failure: Failure) -> None:
        if failure.epoch == self.epoch:
            self._found[group] = failure
            if len(self._found) > REMEMBERED:
                self._found.popitem(last=False)


def is_like_others(pod: PodInfo, cluster: Cluster) -> bool:
    """Whether what is true of it is true of all pods that `queue.equals` says are equal: not with objects of its own name."""
    if pod.spec.get("resourceClaims") or cluster.nomination(pod.uid):
        return False
    return not any("ephemeral" in volume for volume in pod.spec.get("volumes") or ())
