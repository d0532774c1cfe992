"""The scheduling queue: order, back-off, parking and waking. The time is an argument."""

from __future__ import annotations

from typing import Any

from minik.sched.hints import Change
from minik.sched.queue import MAX_PARKED, SchedulingQueue, Waiting
from minik.sched.snapshot import PodInfo
from tests.support.objects import pod

FIT = frozenset({"NodeResourcesFit"})
TAINT = frozenset({"TaintToleration"})


def names(queue: SchedulingQueue, now: float) -> list[str]:
    found = []
    while (waiting := queue.pop(now=now)) is not None:
        found.append(waiting.pod.key.name)
        queue.decided(waiting)
    return found


def pop(queue: SchedulingQueue, now: float) -> Waiting:
    waiting = queue.pop(now=now)
    assert waiting is not None
    return waiting


def moved(queue: SchedulingQueue, helps: frozenset[str], now: float) -> int:
    return queue.moved(Change("node", helps), now=now)


def parked(*names: str, reasons: frozenset[str] = FIT, **more: Any) -> SchedulingQueue:
    queue = SchedulingQueue(**more)
    for name in names:
        queue.add(PodInfo(pod(name)), now=0)
    for _ in names:
        queue.failed(pop(queue, 0), reasons=reasons, now=0)
    return queue


def test_priority_first_then_first_come() -> None:
    queue = SchedulingQueue()
    for name, priority in (("a", 0), ("b", 10), ("c", 0), ("d", 10)):
        queue.add(PodInfo(pod(name, priority=priority)), now=0)
    assert names(queue, 0) == ["b", "d", "a", "c"]


def test_what_fits_nowhere_waits_for_a_change_that_helps_and_for_its_backoff() -> None:
    queue = parked("a")
    assert moved(queue, TAINT, 0.1) == 0
    assert queue.next_wake(now=0.1) == MAX_PARKED
    assert moved(queue, FIT, 0.2) == 1
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
    assert names(parked("a"), MAX_PARKED) == ["a"]


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


def test_a_claim_that_was_made_from_a_template_wakes_its_pod_once_the_status_names_it() -> None:
    queue = SchedulingQueue()
    obj = pod("a", resourceClaims=[{"name": "gpu", "resourceClaimTemplateName": "t"}])
    queue.add(PodInfo(obj), now=0)
    queue.failed(pop(queue, 0), reasons=frozenset({"DynamicResources"}), now=0)
    queue.add(PodInfo({**obj, "status": {**obj.get("status", {}), "phase": "Pending"}}), now=5)
    assert names(queue, 5) == []
    queue.add(PodInfo({**obj, "status": {"resourceClaimStatuses": [{"name": "gpu", "resourceClaimName": "c"}]}}), now=5)
    assert names(queue, 5) == ["a"]


def test_a_gated_pod_is_not_tried_before_its_last_gate_is_gone() -> None:
    queue = SchedulingQueue()
    queue.add(PodInfo(pod("a", schedulingGates=[{"name": "x"}])), now=0)
    assert (names(queue, 1000), moved(queue, FIT, 1000), queue.next_wake(now=0)) == ([], 0, None)
    queue.add(PodInfo(pod("a", schedulingGates=[])), now=1000)
    assert names(queue, 1000) == ["a"]


def test_a_change_while_a_pod_is_being_tried_is_not_lost() -> None:
    for helps, expected in ((FIT, ["a"]), (TAINT, [])):
        queue = SchedulingQueue()
        queue.add(PodInfo(pod("a")), now=0)
        waiting = pop(queue, 0)
        moved(queue, helps, 0)
        queue.failed(waiting, reasons=FIT, now=0)
        assert names(queue, 1.0) == expected
    # what happened then does not count for the next one
    queue.add(PodInfo(pod("b")), now=1)
    queue.failed(pop(queue, 1), reasons=TAINT, now=1)
    assert names(queue, 10) == []


def test_a_large_backlog_costs_nothing_for_changes_that_do_not_concern_it_and_equal_pods_are_one_question() -> None:
    asked: list[str] = []

    def helped(filter_name: str, info: PodInfo, _change: Change) -> bool:
        asked.append(f"{filter_name} {info.key.name}")
        return info.key.name.startswith("b")

    queue = SchedulingQueue(helped)
    template, other = pod("a0"), pod("b0")
    for original, letter in ((template, "a"), (other, "b")):
        for number in range(500):
            copy = {
                **original,
                "metadata": {**original["metadata"], "name": f"{letter}{number}", "uid": f"{letter}{number}"},
            }
            queue.add(PodInfo(copy), now=0)
    for _ in range(1000):
        queue.failed(pop(queue, 0), reasons=FIT, now=0)
    assert (moved(queue, TAINT, 1), asked) == (0, [])
    assert moved(queue, FIT, 1) == 500
    assert asked == ["NodeResourcesFit a0", "NodeResourcesFit b0"]
    assert moved(queue, FIT, 1) == 0
    assert len(names(queue, 2)) == 500


def test_a_pod_that_several_filters_refused_is_woken_once() -> None:
    queue = parked("a", reasons=FIT | TAINT)
    assert moved(queue, FIT | TAINT, 1) == 1
    assert names(queue, 1) == ["a"]


def test_what_is_no_longer_true_does_not_pile_up() -> None:
    queue = SchedulingQueue()
    queue.add(PodInfo(pod("a")), now=0)
    now = 0.0
    for _ in range(500):
        queue.failed(pop(queue, now), reasons=FIT, now=now)
        moved(queue, FIT, now)
        now += 10
    assert len(queue._later) < 200
