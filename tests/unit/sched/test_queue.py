"""The scheduling queue: order, back-off, parking and waking. The time is an argument."""

from __future__ import annotations

from minik.sched.queue import MAX_PARKED, SchedulingQueue, Waiting
from minik.sched.snapshot import PodInfo
from tests.support.objects import pod

FIT = frozenset({"NodeResourcesFit"})
TAINT = frozenset({"TaintToleration"})


def names(queue: SchedulingQueue, now: float) -> list[str]:
    found = []
    while (waiting := queue.pop(now=now)) is not None:
        found.append(waiting.pod.key.name)
    return found


def pop(queue: SchedulingQueue, now: float) -> Waiting:
    waiting = queue.pop(now=now)
    assert waiting is not None
    return waiting


def test_priority_first_then_first_come() -> None:
    queue = SchedulingQueue()
    for name, priority in (("a", 0), ("b", 10), ("c", 0), ("d", 10)):
        queue.add(PodInfo(pod(name, priority=priority)), now=0)
    assert names(queue, 0) == ["b", "d", "a", "c"]


def test_what_fits_nowhere_waits_for_a_change_that_helps_and_for_its_backoff() -> None:
    queue = SchedulingQueue()
    queue.add(PodInfo(pod("a")), now=0)
    queue.failed(pop(queue, 0), reasons=FIT, now=0)
    assert queue.moved(helps=TAINT, now=0.1) == 0
    assert queue.next_wake(now=0.1) == MAX_PARKED
    assert queue.moved(helps=FIT, now=0.2) == 1
    assert names(queue, 0.5) == []
    assert queue.next_wake(now=0.5) == 1.0
    assert names(queue, 1.0) == ["a"]


def test_backoff_grows_and_is_bounded() -> None:
    queue = SchedulingQueue()
    queue.add(PodInfo(pod("a")), now=0)
    now, delays = 0.0, []
    for _ in range(6):
        queue.retry(pop(queue, now), now=now)
        wake = queue.next_wake(now=now)
        assert wake is not None
        delays.append(wake - now)
        now = wake
    assert delays == [1, 2, 4, 8, 10, 10]


def test_a_parked_pod_is_tried_again_in_the_end() -> None:
    queue = SchedulingQueue()
    queue.add(PodInfo(pod("a")), now=0)
    queue.failed(pop(queue, 0), reasons=FIT, now=0)
    assert names(queue, MAX_PARKED) == ["a"]


def test_a_change_of_the_pod_itself_wakes_it_and_gone_pods_are_forgotten() -> None:
    queue = SchedulingQueue()
    queue.add(PodInfo(pod("a", cpu="64")), now=0)
    queue.failed(pop(queue, 0), reasons=FIT, now=0)
    queue.add(PodInfo(pod("a", cpu="64")), now=5)
    assert names(queue, 5) == []
    queue.add(PodInfo(pod("a", cpu="1")), now=5)
    assert names(queue, 5) == ["a"]
    queue.add(PodInfo(pod("b")), now=5)
    queue.discard(PodInfo(pod("b")).key)
    assert names(queue, 100) == []
