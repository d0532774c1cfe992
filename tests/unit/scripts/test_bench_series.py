"""Slopes of growing costs, and what is read out of py-spy's records."""

from __future__ import annotations

import pytest

from scripts.benchlib.profile import plan_stalls, plan_top
from scripts.benchlib.series import Point, Series


def grown(*costs: float, fixed: bool = False) -> Series:
    """Costs of one object, in µs, at 10, 100, …"""
    sizes = [10 ** (n + 1) for n in range(len(costs))]
    counts = [100 if fixed else size for size in sizes]
    points = [Point(s, c, cost * c / 1e6, cost * c / 1e6) for s, c, cost in zip(sizes, counts, costs, strict=True)]
    return Series("create", "pods", "pod", points, fixed)


def test_the_same_cost_for_each_is_linear() -> None:
    assert [step.slope for step in grown(5, 5, 5).steps()] == pytest.approx([1.0, 1.0])


def test_ten_times_the_cost_for_each_is_quadratic() -> None:
    assert [step.slope for step in grown(5, 50).steps()] == pytest.approx([2.0])


def test_fixed_work_that_costs_the_same_at_each_size_does_not_grow() -> None:
    assert [step.slope for step in grown(5, 5, 50, fixed=True).steps()] == pytest.approx([0.0, 1.0])


def test_what_is_measured_is_what_was_added() -> None:
    """900 objects that led to a size of 1,000 cost the same each as the 100 before them: linear."""
    series = Series("create", "pods", "pod", [Point(100, 100, 0.1, 0.1), Point(1000, 900, 0.9, 0.9)])
    assert series.steps()[0].slope == pytest.approx(1.0)


def test_what_cost_nothing_has_a_slope_too() -> None:
    assert grown(0, 1).steps()[0].slope > 1
    assert grown(0, 0).steps()[0].slope == pytest.approx(0.0)


def test_only_steep_steps_are_marked() -> None:
    series = grown(10, 11, 20)
    assert [step.end.size for step in series.steep()] == [1000]
    rows = series.table()
    assert ["worse than linear" in row for row in rows] == [False, False, False, True]


def test_the_profile_of_a_steep_step_is_shown() -> None:
    slow = Point(100, 100, 1.0, 1.0, ("90.0 % scan (cache.py:3)",))
    series = Series("create", "pods", "pod", [Point(10, 10, 0.001, 0.001), slow])
    assert "90.0 % scan (cache.py:3)" in series.table()[-1]


def test_top_functions_of_folded_stacks() -> None:
    lines = ["main (a.py:1);serve (b.py:2);scan (c.py:3) 30", "main (a.py:1);scan (c.py:3) 30", "main (a.py:1) 40"]
    assert plan_top(lines) == [" 60.0 % scan (c.py:3)", " 40.0 % main (a.py:1)"]


def frame(kind: str, name: str, ms: float, line: int = 1, thread: int = 1) -> dict[str, object]:
    return {"ph": kind, "name": name, "ts": 1000 * ms, "tid": thread, "args": {"filename": "x.py", "line": str(line)}}


def test_stalls_are_the_innermost_functions_that_stay_for_long() -> None:
    events = [
        *(frame("B", "<module>", 0), frame("B", "short", 0), frame("E", "short", 20)),
        *(frame("B", "sweep", 20), frame("B", "look", 30), frame("E", "look", 100), frame("E", "sweep", 120)),
        *(
            frame("B", "sum", 120),
            frame("B", "a", 120),
            frame("E", "a", 160),
            frame("B", "b", 160),
            frame("E", "b", 180),
        ),
        *(frame("E", "sum", 180), frame("E", "<module>", 200)),
    ]
    assert plan_stalls(events, 0.05) == [
        "70 ms look (x.py)",
        "60 ms sum (x.py); 67 % a (x.py); 33 % b (x.py)",
    ]


def test_a_function_that_goes_on_in_another_line_is_the_same_one() -> None:
    events = [
        *(frame("B", "sweep", 0, 1), frame("E", "sweep", 40, 1)),
        *(frame("B", "sweep", 40, 2), frame("E", "sweep", 80, 2)),
    ]
    assert plan_stalls(events, 0.05) == ["80 ms sweep (x.py)"]


def test_other_threads_are_no_stalls_of_the_loop() -> None:
    events = [
        *(frame("B", "sweep", 0), frame("B", "Thread._bootstrap", 0, thread=2), frame("B", "write", 0, thread=2)),
        *(frame("E", "write", 90, thread=2), frame("E", "Thread._bootstrap", 90, thread=2), frame("E", "sweep", 100)),
    ]
    assert plan_stalls(events, 0.05) == ["100 ms sweep (x.py)"]
