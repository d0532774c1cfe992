from __future__ import annotations

import asyncio

import pytest

from minik.client.workqueue import QueueClosed, WorkQueue
from minik.clock import LoopClock

pytestmark = pytest.mark.looptime


async def test_a_waiting_key_is_handed_out_once() -> None:
    queue: WorkQueue[str] = WorkQueue(LoopClock())
    for key in ("a", "b", "a", "a"):
        queue.add(key)
    assert len(queue) == 2
    assert [await queue.get(), await queue.get()] == ["a", "b"]


async def test_a_key_being_worked_on_comes_back_after_done_and_never_in_parallel() -> None:
    queue: WorkQueue[str] = WorkQueue(LoopClock())
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    assert len(queue) == 0 and not queue.idle
    queue.done("a")
    assert await queue.get() == "a"
    queue.done("a")
    assert queue.idle


async def test_first_come_first_served_even_for_a_key_that_keeps_coming_back() -> None:
    queue: WorkQueue[str] = WorkQueue(LoopClock())
    queue.add("busy")
    queue.add("quiet")
    key = await queue.get()
    queue.add("busy")
    queue.done(key)
    assert await queue.get() == "quiet"


async def test_delays_take_exactly_their_time_and_the_earliest_counts() -> None:
    clock = LoopClock()
    queue: WorkQueue[str] = WorkQueue(clock)
    began = clock.monotonic()
    queue.add_after("late", 20)
    queue.add_after("soon", 10)
    queue.add_after("late", 5)
    queue.add_after("late", 30)
    assert await queue.get() == "late"
    assert clock.monotonic() - began == pytest.approx(5, abs=0.01)
    assert await queue.get() == "soon"
    assert clock.monotonic() - began == pytest.approx(10, abs=0.01)


async def test_handing_out_settles_what_was_due_later() -> None:
    queue: WorkQueue[str] = WorkQueue(LoopClock())
    queue.add_after("a", 5)
    queue.add("a")
    await queue.get()
    queue.done("a")
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(queue.get(), 100)
    assert queue.statistics()["delayed"] == 0


async def test_back_off_doubles_up_to_its_cap_and_starts_anew_after_success() -> None:
    queue: WorkQueue[str] = WorkQueue(LoopClock())
    delays = [queue.retry("a") for _ in range(30)]
    assert delays[:4] == [0.005, 0.01, 0.02, 0.04]
    assert delays[-1] == 1000.0
    queue.forget("a")
    assert queue.retry("a") == 0.005
    assert queue.retry("b", at_least=7) == 7


async def test_many_delays_of_one_key_hold_no_memory() -> None:
    queue: WorkQueue[str] = WorkQueue(LoopClock())
    for _ in range(1000):
        queue.add_after("a", 900)
        queue.add("a")
        await queue.get()
        queue.done("a")
    assert len(queue._heap) < 100


async def test_a_cancelled_getter_passes_its_turn_on() -> None:
    queue: WorkQueue[str] = WorkQueue(LoopClock())
    first, second = asyncio.ensure_future(queue.get()), asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    first.cancel()
    assert await asyncio.wait_for(second, 1) == "a"


async def test_closing_ends_the_waiting() -> None:
    queue: WorkQueue[str] = WorkQueue(LoopClock())
    getter = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    queue.close()
    with pytest.raises(QueueClosed):
        await getter
