"""`WorkQueue`: the keys a controller still has to look at. The same promises as client-go `util/workqueue`.

* De-duplicating: a key that waits is in the queue once, however often it is added.
* Serial per key: a key that is being worked on is not handed out again until `done`; adding it meanwhile brings it back then.
* Fair: first come, first served. Bounded by the number of keys that exist, because of the first rule.
* Delayed adds and exponential back-off per key, with at most one timer. An idle queue never wakes up.

Handing a key out settles whatever was due for it later (a delayed add, a pending retry): the work that now begins says anew
when it wants to be called again. (client-go keeps the delayed add and calls once more than needed.)

Used by `controller.py`; the node's pod loop uses it too. Knows nothing of Kubernetes.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from minik.clock import Clock

BASE_DELAY = 0.005
"""Seconds before the first retry; doubled with every further one (client-go DefaultTypedControllerRateLimiter)."""
MAX_DELAY = 1000.0
"""Seconds; no retry waits longer."""

K = TypeVar("K", bound=Hashable)


class QueueClosed(Exception):
    """`get` on a queue that is closed and has nothing left."""


class WorkQueue(Generic[K]):
    """See the module. Every method must be called in the loop's thread."""

    def __init__(self, clock: Clock, *, base_delay: float = BASE_DELAY, max_delay: float = MAX_DELAY) -> None:
        self._clock = clock
        self._base = base_delay
        self._max = max_delay
        self._ready: deque[K] = deque()
        self._dirty: set[K] = set()
        """Waiting to be worked on: in `_ready`, or being worked on now and to come back."""
        self._active: set[K] = set()
        self._failures: dict[K, int] = {}
        self._due: dict[K, tuple[float, int, K]] = {}
        self._heap: list[tuple[float, int, K]] = []
        """Entries of `_due`, and stale ones that were settled or replaced."""
        self._sequence = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._getters: deque[asyncio.Future[None]] = deque()
        self._closed = False
        self.adds = 0
        self.retries = 0

    def __len__(self) -> int:
        """How many keys can be handed out now."""
        return len(self._ready)

    @property
    def idle(self) -> bool:
        """Nothing is ready and nothing is being worked on (delayed keys may wait)."""
        return not self._ready and not self._active

    def statistics(self) -> dict[str, int]:
        return {
            "ready": len(self._ready), "active": len(self._active), "delayed": len(self._due),
            "failing": len(self._failures), "adds": self.adds, "retries": self.retries,
        }  # fmt: skip

    def add(self, key: K) -> None:
        """Have `key` worked on as soon as possible."""
        if key in self._dirty or self._closed:
            return
        self._dirty.add(key)
        self.adds += 1
        if key not in self._active:
            self._ready.append(key)
            self._wake()

    def add_after(self, key: K, seconds: float) -> None:
        """Have `key` worked on in `seconds`; of several delays of a key the earliest counts."""
        if seconds <= 0:
            self.add(key)
            return
        if self._closed:
            return
        when = self._clock.monotonic() + seconds
        before = self._due.get(key)
        if before is not None and before[0] <= when:
            return
        self._sequence += 1
        entry = self._due[key] = (when, self._sequence, key)
        heapq.heappush(self._heap, entry)
        if len(self._heap) > 2 * len(self._due) + 64:
            self._heap = list(self._due.values())
            heapq.heapify(self._heap)
        self._set_timer()

    def retry(self, key: K, *, at_least: float = 0.0) -> float:
        """Have `key` worked on after its back-off (5 ms, doubled with every failure up to 1000 s); returns the seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self.retries += 1
        delay = max(at_least, min(self._max, self._base * 2.0 ** min(failures, 60)))
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """`key` succeeded: its next failure starts with the shortest delay again."""
        self._failures.pop(key, None)

    def failures(self, key: K) -> int:
        """How often `key` was retried since it last succeeded."""
        return self._failures.get(key, 0)

    async def get(self) -> K:
        """The next key; the caller must call `done` with it. Raises QueueClosed."""
        while not self._ready:
            if self._closed:
                raise QueueClosed
            waiter = asyncio.get_running_loop().create_future()
            self._getters.append(waiter)
            try:
                await waiter
            except BaseException:
                if waiter.done() and not waiter.cancelled():
                    self._wake()  # woken and cancelled at once: pass the turn on
                else:
                    with contextlib.suppress(ValueError):
                        self._getters.remove(waiter)
                raise
        key = self._ready.popleft()
        self._dirty.discard(key)
        self._active.add(key)
        self._due.pop(key, None)
        return key

    def done(self, key: K) -> None:
        """The work on `key` has ended; it comes back if it was added meanwhile."""
        self._active.discard(key)
        if key in self._dirty:
            self._ready.append(key)
            self._wake()

    def close(self) -> None:
        """Accept nothing more; `get` hands out what is ready and then raises QueueClosed."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for waiter in self._getters:
            if not waiter.done():
                waiter.set_result(None)
        self._getters.clear()

    def _wake(self) -> None:
        while self._getters:
            waiter = self._getters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    # --- delayed keys ------------------------------------------------------------------------------------------------

    def _set_timer(self) -> None:
        heap = self._heap
        while heap and self._due.get(heap[0][2]) is not heap[0]:
            heapq.heappop(heap)  # settled, or replaced by an earlier time
        if not heap:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            return
        when = heap[0][0]
        if self._timer is not None:
            if self._timer_at == when:
                return
            self._timer.cancel()
        self._timer_at = when
        delay = max(0.0, when - self._clock.monotonic())
        self._timer = asyncio.get_running_loop().call_later(delay, self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = self._clock.monotonic() + 0.001
        while self._heap and self._heap[0][0] <= now:
            entry = heapq.heappop(self._heap)
            key = entry[2]
            if self._due.get(key) is entry:
                del self._due[key]
                self.add(key)
        self._set_timer()
