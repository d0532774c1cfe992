"""Pods that wait for a node: ready to be tried, backing off, parked until something changes that could help them, or gated.

Order: higher priority first, then first come. Parked pods stand in an index by the filters that refused them, and there in groups of
pods that are equal to the scheduler, so that a change costs nothing for those it does not concern and one question for each group it
does. A change that happens while a pod is being tried counts for it too: see `pop` and `failed`.

Purely in memory and without a clock of its own: every method that needs the time takes it (`now`, in monotonic seconds). Used by
`loop.py` alone.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import orjson

from minik.api.meta import Key
from minik.sched.hints import KNOWN, Change
from minik.sched.snapshot import PodInfo

MAX_PARKED = 300.0
"""A parked pod is tried again after so many seconds even if nothing seemed to help it."""

State = Literal["ready", "trying", "binding", "backing off", "parked", "gated"]
Helped = Callable[[str, PodInfo, Change], bool]
"""(filter, pod, change) → whether that may help it."""


ANYTHING = Change("other", KNOWN, others=True)


@dataclass(frozen=True, slots=True)
class Backoff:
    """How many seconds a pod is left alone after an attempt: `initial`, and twice as many after each further one, up to `longest`
    (podInitialBackoffSeconds and podMaxBackoffSeconds)."""

    initial: float = 1.0
    longest: float = 10.0

    def after(self, attempts: int) -> float:
        return float(min(self.longest, self.initial * 2.0 ** min(attempts - 1, 63)))


USUAL_BACKOFF = Backoff()


@dataclass(slots=True, eq=False)
class Waiting:
    """A pod in the queue."""

    pod: PodInfo
    since: float
    sequence: int
    state: State = "ready"
    attempts: int = 0
    woken: int = 0
    """How often a change got it out of its park."""
    not_before: float = 0.0
    """When its back-off is over."""
    reasons: frozenset[str] = field(default_factory=frozenset)
    """The filters that refused it last: what must change for it to fit."""
    group: Hashable = None
    """See `equals`: found out when it is first refused."""
    ticket: int = 0
    """Of its valid entry in a heap."""


def equals(pod: PodInfo) -> Hashable:
    """The same for pods that any change helps alike: those of one template."""
    text = orjson.dumps((pod.key.namespace, pod.owner, pod.labels, pod.spec), option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(text, digest_size=16).digest()


def _claims_made(pod: PodInfo) -> object:
    """What its status says of ResourceClaims made from templates: without that they cannot be found."""
    return (pod.obj.get("status") or {}).get("resourceClaimStatuses") or ()


class SchedulingQueue:
    """The places a waiting pod can be in, in one object."""

    def __init__(
        self, helped: Helped = lambda _filter, _pod, _change: True, *, backoff: Backoff = USUAL_BACKOFF
    ) -> None:
        self._helped = helped
        self._backoff = backoff
        self._pods: dict[Key, Waiting] = {}
        self._ready: list[tuple[int, int, int, Waiting]] = []
        self._later: list[tuple[float, int, int, Waiting]] = []
        self._parked: dict[str, dict[Hashable, dict[int, Waiting]]] = {}
        """filter ("" for none in particular) → group → sequence → pod."""
        self._numbers = 0
        self._trying: Waiting | None = None
        self._missed: list[Change] = []
        """What happened while a pod was being tried."""

    def __len__(self) -> int:
        return len(self._pods)

    def __contains__(self, key: Key) -> bool:
        return key in self._pods

    def __iter__(self) -> Iterator[Waiting]:
        return iter(self._pods.values())

    def get(self, key: Key) -> Waiting | None:
        return self._pods.get(key)

    # --- coming and going --------------------------------------------------------------------------------------------

    def add(self, pod: PodInfo, *, now: float) -> None:
        """A pod without a node appeared or changed. A change of a parked one makes it ready; a gate that is left, gated."""
        gated = bool(pod.spec.get("schedulingGates"))
        waiting = self._pods.get(pod.key)
        if waiting is None or waiting.pod.uid != pod.uid:
            if waiting is not None:
                self.discard(pod.key)
            waiting = self._pods[pod.key] = Waiting(pod, since=now, sequence=self._number(), state="gated")
            if not gated:
                self._push(waiting)
            return
        before, waiting.pod = waiting.pod, pod
        changed = before.spec != pod.spec or before.labels != pod.labels or _claims_made(before) != _claims_made(pod)
        if changed and waiting.state != "parked":
            waiting.group = None
        if waiting.state == "gated" and not gated:
            waiting.since = now
            self._push(waiting)
        elif waiting.state == "parked" and changed:
            self._unpark(waiting, now)
            waiting.group = None
        elif waiting.state == "trying" and changed:
            self._missed.append(ANYTHING)

    def discard(self, key: Key) -> None:
        """The pod has a node now, or is gone."""
        waiting = self._pods.pop(key, None)
        if waiting is not None:
            self._leave(waiting)

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _leave(self, waiting: Waiting) -> None:
        """Out of wherever it is."""
        waiting.ticket = self._number()
        if waiting is self._trying:
            self._trying = None
            self._missed.clear()
        if waiting.state != "parked":
            return
        for name in waiting.reasons or ("",):
            groups = self._parked[name]
            group = groups[waiting.group]
            del group[waiting.sequence]
            if not group:
                del groups[waiting.group]
                if not groups:
                    del self._parked[name]

    def _push(self, waiting: Waiting) -> None:
        self._leave(waiting)
        waiting.state = "ready"
        heapq.heappush(self._ready, (-waiting.pod.priority, waiting.sequence, waiting.ticket, waiting))

    def _back_off(self, waiting: Waiting) -> None:
        self._leave(waiting)
        waiting.state = "backing off"
        heapq.heappush(self._later, (waiting.not_before, waiting.sequence, waiting.ticket, waiting))

    def _unpark(self, waiting: Waiting, now: float) -> None:
        waiting.woken += 1
        if waiting.not_before <= now:
            self._push(waiting)
        else:
            self._back_off(waiting)

    @staticmethod
    def group_of(waiting: Waiting) -> Hashable:
        """What it has in common with the pods that are equal to the scheduler."""
        if waiting.group is None:
            waiting.group = equals(waiting.pod)
        return waiting.group

    # --- trying ------------------------------------------------------------------------------------------------------

    def pop(self, *, now: float) -> Waiting | None:
        """The next pod to try, or None. It is being tried until `decided`, `failed`, `retry` or `discard`; one at a time."""
        while self._later and self._later[0][0] <= now:
            _, _, ticket, waiting = heapq.heappop(self._later)
            if waiting.ticket == ticket:
                self._push(waiting)
        while self._ready:
            _, _, ticket, waiting = heapq.heappop(self._ready)
            if waiting.ticket == ticket:
                self._leave(waiting)
                waiting.state = "trying"
                waiting.attempts += 1
                self._trying = waiting
                return waiting
        return None

    def decided(self, waiting: Waiting) -> None:
        """It has a node, and its binding is under way until `discard` or `retry`."""
        if self._pods.get(waiting.pod.key) is waiting:
            self._leave(waiting)
            waiting.state = "binding"

    def failed(self, waiting: Waiting, *, reasons: frozenset[str], now: float) -> None:
        """It fits nowhere: park it until `moved` helps it (or for `MAX_PARKED`), and not before its back-off is over. What happened since
        `pop`, and might have helped, makes it back off only."""
        if self._pods.get(waiting.pod.key) is not waiting or waiting.state != "trying":
            return
        waiting.not_before = now + self._backoff.after(waiting.attempts)
        if any(
            change.concerns(name) and self._helped(name, waiting.pod, change)
            for change in self._missed
            for name in reasons or ("",)
        ):
            self._back_off(waiting)
            return
        self._leave(waiting)
        waiting.state = "parked"
        waiting.reasons = reasons
        waiting.group = self.group_of(waiting)
        for name in reasons or ("",):
            self._parked.setdefault(name, {}).setdefault(waiting.group, {})[waiting.sequence] = waiting
        heapq.heappush(self._later, (now + MAX_PARKED, waiting.sequence, waiting.ticket, waiting))
        if len(self._later) > 2 * len(self._pods) + 64:
            self._later = [entry for entry in self._later if entry[3].ticket == entry[2]]
            heapq.heapify(self._later)

    def retry(self, waiting: Waiting, *, now: float) -> None:
        """Its binding was refused, or something else went wrong: try again after its back-off."""
        if self._pods.get(waiting.pod.key) is waiting and waiting.state != "gated":
            waiting.not_before = now + self._backoff.after(waiting.attempts)
            self._back_off(waiting)

    # --- waking ------------------------------------------------------------------------------------------------------

    def moved(self, change: Change, *, now: float) -> int:
        """Something changed: wake the pods it may help. Returns how many."""
        if self._trying is not None:
            self._missed.append(change)
        found: list[Waiting] = []
        for name, groups in self._parked.items():
            if name and not change.concerns(name):
                continue
            for group in groups.values():
                first = next(iter(group.values()))
                if not name or self._helped(name, first.pod, change):
                    found += group.values()
        woken = 0
        for waiting in found:
            if waiting.state == "parked":
                self._unpark(waiting, now)
                woken += 1
        return woken

    def wake(self, key: Key, *, now: float) -> None:
        """This pod may fit now, whatever refused it."""
        waiting = self._pods.get(key)
        if waiting is not None and waiting.state == "parked":
            self._unpark(waiting, now)

    def next_wake(self, *, now: float) -> float | None:
        """When `pop` may give something if nothing else happens: monotonic seconds, or None."""
        while self._ready and self._ready[0][3].ticket != self._ready[0][2]:
            heapq.heappop(self._ready)
        while self._later and self._later[0][3].ticket != self._later[0][2]:
            heapq.heappop(self._later)
        if self._ready:
            return now
        return self._later[0][0] if self._later else None
