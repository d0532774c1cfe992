"""Pods that wait for a node: ready to be tried, backing off, or parked until something changes that could help them.

Order: higher priority first, then first come. Purely in memory and without a clock of its own: every method that needs the time
takes it (`now`, in monotonic seconds). Used by `loop.py` alone.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from minik.api.meta import Key
from minik.sched.snapshot import PodInfo

INITIAL_BACKOFF = 1.0
MAX_BACKOFF = 10.0
"""Seconds, as kube-scheduler's podInitialBackoffSeconds and podMaxBackoffSeconds."""
MAX_PARKED = 300.0
"""A parked pod is tried again after so many seconds even if nothing seemed to help it."""


@dataclass(slots=True)
class Waiting:
    """A pod in the queue."""

    pod: PodInfo
    since: float
    attempts: int = 0
    sequence: int = 0
    parked: bool = False
    not_before: float = 0.0
    reasons: frozenset[str] = field(default_factory=frozenset)
    """The filters that refused it last: what must change for it to fit."""


class SchedulingQueue:
    """The three places a waiting pod can be in, in one object."""

    def __init__(self) -> None:
        self._pods: dict[Key, Waiting] = {}
        self._ready: list[tuple[int, int, Key]] = []
        self._later: list[tuple[float, int, Key]] = []
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._pods)

    def __contains__(self, key: Key) -> bool:
        return key in self._pods

    def add(self, pod: PodInfo, *, now: float) -> None:
        """A pod without a node appeared or changed. A change of a parked one makes it ready."""
        waiting = self._pods.get(pod.key)
        if waiting is None or waiting.pod.uid != pod.uid:
            self._sequence += 1
            waiting = self._pods[pod.key] = Waiting(pod, since=now, sequence=self._sequence)
            self._push(waiting)
            return
        spec_changed = waiting.pod.spec != pod.spec or waiting.pod.labels != pod.labels
        waiting.pod = pod
        if waiting.parked and spec_changed:
            self._unpark(waiting, now)

    def discard(self, key: Key) -> None:
        """The pod has a node now, or is gone."""
        self._pods.pop(key, None)

    def _push(self, waiting: Waiting) -> None:
        waiting.parked = False
        heapq.heappush(self._ready, (-waiting.pod.priority, waiting.sequence, waiting.pod.key))

    def _push_later(self, waiting: Waiting, when: float) -> None:
        waiting.not_before = when
        heapq.heappush(self._later, (when, waiting.sequence, waiting.pod.key))

    def _unpark(self, waiting: Waiting, now: float) -> None:
        waiting.parked = False
        if waiting.not_before <= now:
            self._push(waiting)
        else:
            self._push_later(waiting, waiting.not_before)

    def pop(self, *, now: float) -> Waiting | None:
        """The next pod to try, or None. It stays known until `discard`, `failed` or `retry`."""
        self._promote(now)
        while self._ready:
            _, sequence, key = heapq.heappop(self._ready)
            waiting = self._pods.get(key)
            if waiting is not None and waiting.sequence == sequence and not waiting.parked:
                waiting.attempts += 1
                return waiting
        return None

    def _promote(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            when, sequence, key = heapq.heappop(self._later)
            waiting = self._pods.get(key)
            if waiting is None or waiting.sequence != sequence:
                continue
            if waiting.parked or waiting.not_before == when:
                self._push(waiting)

    def failed(self, waiting: Waiting, *, reasons: frozenset[str], now: float) -> None:
        """It fits nowhere: park it until `moved` helps it (or for `MAX_PARKED`), and not before its back-off is over."""
        if self._pods.get(waiting.pod.key) is not waiting:
            return
        waiting.parked = True
        waiting.reasons = reasons
        heapq.heappush(self._later, (now + MAX_PARKED, waiting.sequence, waiting.pod.key))
        waiting.not_before = now + min(MAX_BACKOFF, INITIAL_BACKOFF * 2 ** (waiting.attempts - 1))

    def retry(self, waiting: Waiting, *, now: float) -> None:
        """Its binding was refused: try again after its back-off."""
        if self._pods.get(waiting.pod.key) is waiting:
            waiting.parked = False
            self._push_later(waiting, now + min(MAX_BACKOFF, INITIAL_BACKOFF * 2 ** (waiting.attempts - 1)))

    def moved(self, *, helps: frozenset[str], now: float) -> int:
        """Something changed that could satisfy these filters: wake the pods they refused. Returns how many."""
        woken = 0
        for waiting in self._pods.values():
            if waiting.parked and (not waiting.reasons or waiting.reasons & helps):
                self._unpark(waiting, now)
                woken += 1
        return woken

    def next_wake(self, *, now: float) -> float | None:
        """When `pop` may give something if nothing else happens: monotonic seconds, or None."""
        if self._ready:
            return now
        return self._later[0][0] if self._later else None
