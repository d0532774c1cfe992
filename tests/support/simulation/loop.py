"""`SimulatedLoop`: an event loop without sockets, threads or waiting. When nothing is ready, time jumps to the next timer."""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

from minik.clock import Entropy, LoopClock

T = TypeVar("T")

TURNS_AT_ONCE = 200_000
"""Turns of the loop without a tick of time, after which somebody must be spinning."""


class StandStill(Exception):
    """Nothing is ready and no timer is set, or time does not move on: nothing will ever happen."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """`order`: shuffles what is ready in one turn; None for first come, first served. asyncio promises the latter to callbacks,
    but nothing in minik may rely on the order in which two tasks get their turn."""

    def __init__(self, order: random.Random | None = None) -> None:
        super().__init__()
        self._now = 0.0
        self._order = order
        self._turns_at_once = 0
        self.turns = 0

    def time(self) -> float:
        return self._now

    def create_task(self, coro: Any, *, name: Any = None, context: Any = None) -> asyncio.Task[Any]:
        """One that nobody names has the name of the one that started it: what a controller does at once is told by it."""
        if name is None and (starter := asyncio.current_task(self)) is not None:
            name = starter.get_name()
        return super().create_task(coro, name=name, context=context)

    def _run_once(self) -> None:
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]  # the loop's own parts: see BaseEventLoop._run_once
        ready = self._ready  # type: ignore[attr-defined]
        self.turns += 1
        if not ready:
            while scheduled and scheduled[0].cancelled():
                self._drop(heapq.heappop(scheduled))
            if scheduled:
                if scheduled[0].when() > self._now:
                    self._now = scheduled[0].when()
                    self._turns_at_once = 0
            elif not self._stopping:  # type: ignore[attr-defined]
                raise StandStill("nothing will ever happen again")
        self._turns_at_once += 1
        if self._turns_at_once > TURNS_AT_ONCE:
            raise StandStill(f"time stands still at {self._now}")
        while scheduled and scheduled[0].when() <= self._now:
            handle = heapq.heappop(scheduled)
            handle._scheduled = False  # type: ignore[attr-defined]
            if handle.cancelled():
                self._timer_cancelled_count -= 1
            else:
                ready.append(handle)
        todo = list(ready)
        ready.clear()
        if self._order is not None and len(todo) > 1:
            self._order.shuffle(todo)
        for handle in todo:
            if not handle._cancelled:
                handle._run()

    _timer_cancelled_count: int

    def _drop(self, handle: asyncio.TimerHandle) -> None:
        handle._scheduled = False  # type: ignore[attr-defined]
        self._timer_cancelled_count -= 1

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        del handle
        self._timer_cancelled_count += 1
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        if self._timer_cancelled_count > 100 and self._timer_cancelled_count * 2 > len(scheduled):
            for each in scheduled:
                if each.cancelled():
                    each._scheduled = False  # type: ignore[attr-defined]
            scheduled[:] = [each for each in scheduled if not each.cancelled()]
            heapq.heapify(scheduled)
            self._timer_cancelled_count = 0

    def _process_events(self, event_list: list[Any]) -> None:
        del event_list

    def _write_to_self(self) -> None:
        """Nobody has to be woken from another thread."""

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> NoReturn:  # type: ignore[override]  # it never answers
        raise RuntimeError(f"a thread in the simulation: {func}")


def run(coro: Coroutine[Any, Any, T], *, order: random.Random | None = None) -> T:
    """Run `coro` in a simulated loop of its own; whatever it left behind is cancelled."""
    loop = SimulatedLoop(order)
    try:
        asyncio.set_event_loop(loop)
        try:
            return loop.run_until_complete(coro)
        finally:
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            if left:
                loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    finally:
        asyncio.set_event_loop(None)
        loop.close()


class HostClock(LoopClock):
    """The clock of one host: `jump` moves its wall time, as an administrator or NTP does; monotonic time never jumps."""

    def __init__(self) -> None:
        super().__init__()
        self._right = self.epoch

    def jump(self, seconds: float) -> None:
        self.epoch += timedelta(seconds=seconds)

    def set_right(self) -> None:
        self.epoch = self._right

    @property
    def error(self) -> float:
        """Seconds that it is ahead."""
        return (self.epoch - self._right).total_seconds()


class Seeds:
    """Independent sequences of random numbers, each by its name: what one part draws does not change another's."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def rng(self, name: str) -> random.Random:
        return random.Random(f"{self.seed}/{name}")

    def entropy(self, name: str) -> Entropy:
        return Entropy(self.rng(name).getrandbits(63))
