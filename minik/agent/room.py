"""`NodeRoom`: what of the node its pods have taken, who may still come, and whose resize waits for room.

Held by `agent.py`; the rules are in `admission.py`, which is pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from minik.agent.actions import Pending
from minik.agent.admission import Refusal, Room, admit, is_new, resize_pending
from minik.agent.allotment import allotted_pod
from minik.agent.plan import is_terminal
from minik.agent.podloop import PodWorker
from minik.api import meta
from minik.api.meta import ROObj


class NodeRoom:
    """`workers`: all of the node, by uid. `wake(uid)` has a worker look at its pod again."""

    def __init__(self, workers: Mapping[str, PodWorker], wake: Callable[[str], None]) -> None:
        self._workers, self._wake = workers, wake
        self.room = Room(0, 0)
        self._unfit: set[str] = set()
        """Pods whose resize waits for room."""

    def refusal(self, pod: ROObj) -> Refusal | None:
        """Why this node does not take the pod; None: it does, or has already."""
        return admit(pod, self._others(meta.uid(pod)), self.room) if is_new(pod) else None

    def fits(self, pod: ROObj) -> Pending | None:
        """Why a pod that runs here cannot be what its spec wants; then it is woken as soon as that may have changed."""
        uid = meta.uid(pod)
        why = resize_pending(pod, allotted_pod(pod, self._workers[uid].memory), self._others(uid), self.room)
        if why is None:
            self._unfit.discard(uid)
        else:
            self._unfit.add(uid)
        return why

    def changed(self, uid: str) -> None:
        """A pod may have given room back."""
        for other in [other for other in self._unfit if other != uid]:
            self._wake(other)

    def gone(self, uid: str) -> None:
        self._unfit.discard(uid)
        self.changed(uid)

    def _others(self, uid: str) -> list[ROObj]:
        """The other pods that take room, with what is allotted to them."""
        return [allotted_pod(w.pod, w.memory) for other, w in self._workers.items() if other != uid and _is_live(w)]


def _is_live(worker: PodWorker) -> bool:
    """Whether it takes room of the node. One whose object is gone does not, as for kubelet: the scheduler gives its place away."""
    return not worker.is_gone and worker.memory.failed is None and not is_terminal(worker.pod)
