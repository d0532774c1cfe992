"""From wanted to allowed replicas: stabilisation, rates, bounds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from minik.controllers.common.hpa_limits import Memory, plan_limits, scale_down_limit, scale_up_limit

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def rules(*policies: tuple[str, int, int], select: str = "Max", window: int | None = 0) -> dict[str, Any]:
    made: dict[str, Any] = {
        "selectPolicy": select, "policies": [{"type": t, "value": v, "periodSeconds": p} for t, v, p in policies],
    }  # fmt: skip
    return made if window is None else {**made, "stabilizationWindowSeconds": window}


UP, DOWN = rules(("Pods", 4, 15), ("Percent", 100, 15)), rules(("Percent", 100, 15), window=None)


def spec(least: int = 1, most: int = 100, **behavior: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"minReplicas": least, "maxReplicas": most}
    return {**made, "behavior": {"scaleUp": UP, "scaleDown": DOWN, **behavior}} if behavior else made


@pytest.mark.parametrize(
    ("current", "desired", "replicas", "reason"),
    [
        (3, 3, 3, "DesiredWithinRange"),
        (3, 5, 5, "DesiredWithinRange"),
        (3, 50, 6, "ScaleUpLimit"),
        (1, 50, 4, "ScaleUpLimit"),
        (60, 200, 100, "TooManyReplicas"),
        (3, 0, 1, "TooFewReplicas"),
    ],
)
def test_without_behavior(current: int, desired: int, replicas: int, reason: str) -> None:
    found = plan_limits(spec(), current, desired, Memory(), now=NOW)
    assert (found.replicas, found.limited[0], found.able[0]) == (replicas, reason, "ReadyForNewScale")
    assert found.is_limited == (replicas != desired)
    assert found.memory.recommendations == ((NOW, desired),)


def test_the_highest_of_five_minutes_counts() -> None:
    memory = Memory(((ago(301), 9), (ago(299), 7), (ago(15), 5)))
    found = plan_limits(spec(), 8, 2, memory, now=NOW)
    assert (found.replicas, found.able[0]) == (7, "ScaleDownStabilized")
    later = plan_limits(spec(), 7, 2, found.memory, now=NOW + timedelta(seconds=290))
    assert later.replicas == 2


def test_windows_of_both_directions() -> None:
    behavior = {"scaleUp": rules(("Percent", 900, 15), window=60), "scaleDown": rules(("Percent", 100, 15), window=60)}
    memory = Memory(((ago(30), 4), (ago(90), 1)))
    up = plan_limits(spec(1, 100, **behavior), 3, 10, memory, now=NOW)
    assert (up.replicas, up.able[0]) == (4, "ScaleUpStabilized")
    down = plan_limits(spec(1, 100, **behavior), 6, 2, memory, now=NOW)
    assert (down.replicas, down.able[0]) == (4, "ScaleDownStabilized")
    between = plan_limits(spec(1, 100, **behavior), 5, 9, Memory(((ago(30), 3), (ago(20), 8))), now=NOW)
    assert (between.replicas, between.able[0]) == (5, "ScaleUpStabilized"), "windows leave the present number alone"


def test_scale_down_waits_five_minutes_unless_told() -> None:
    memory = Memory(((ago(200), 6),))
    assert plan_limits(spec(scaleDown=DOWN), 6, 1, memory, now=NOW).replicas == 6
    told = {**DOWN, "stabilizationWindowSeconds": 0}
    assert plan_limits(spec(scaleDown=told), 6, 1, memory, now=NOW).replicas == 1


@pytest.mark.parametrize(
    ("policies", "select", "current", "up", "limit"),
    [
        ((("Pods", 4, 15), ("Percent", 100, 15)), "Max", 10, (), 20),
        ((("Pods", 4, 15), ("Percent", 100, 15)), "Max", 1, (), 5),
        ((("Pods", 4, 15), ("Percent", 100, 15)), "Min", 10, (), 14),
        ((("Percent", 10, 60),), "Max", 5, (), 6),
        ((("Pods", 4, 60),), "Max", 10, ((30, 3),), 11),
        ((("Pods", 4, 60),), "Max", 10, ((60, 3),), 14),
        ((("Percent", 100, 60),), "Max", 8, ((30, 4),), 8),
        ((("Pods", 4, 60),), "Disabled", 10, (), 10),
    ],
)
def test_scale_up_limit(
    policies: tuple[tuple[str, int, int], ...], select: str, current: int, up: tuple[tuple[int, int], ...], limit: int
) -> None:
    memory = Memory(up=tuple((ago(seconds), change) for seconds, change in up))
    assert scale_up_limit(rules(*policies, select=select), current, memory, now=NOW) == limit


@pytest.mark.parametrize(
    ("policies", "select", "current", "down", "limit"),
    [
        ((("Percent", 100, 15),), "Max", 10, (), 0),
        ((("Pods", 2, 60), ("Percent", 50, 60)), "Max", 10, (), 5),
        ((("Pods", 2, 60), ("Percent", 50, 60)), "Min", 10, (), 8),
        ((("Percent", 10, 60),), "Max", 9, (), 8),
        ((("Pods", 2, 60),), "Max", 8, ((30, 2),), 8),
        ((("Pods", 2, 60),), "Max", 8, ((61, 2),), 6),
        ((("Pods", 2, 60),), "Disabled", 8, (), 8),
    ],
)
def test_scale_down_limit(
    policies: tuple[tuple[str, int, int], ...], select: str, current: int, down: tuple[tuple[int, int], ...], limit: int
) -> None:
    memory = Memory(down=tuple((ago(seconds), change) for seconds, change in down))
    assert scale_down_limit(rules(*policies, select=select), current, memory, now=NOW) == limit


@pytest.mark.parametrize(
    ("current", "desired", "replicas", "reason"),
    [
        (10, 50, 12, "ScaleUpLimit"),
        (99, 200, 100, "TooManyReplicas"),
        (10, 1, 9, "ScaleDownLimit"),
        (3, 1, 2, "TooFewReplicas"),
        (10, 11, 11, "DesiredWithinRange"),
        (10, 10, 10, "DesiredWithinRange"),
    ],
)
def test_rates(current: int, desired: int, replicas: int, reason: str) -> None:
    behavior = {"scaleUp": rules(("Pods", 2, 15)), "scaleDown": rules(("Pods", 1, 15))}
    found = plan_limits(spec(2, 100, **behavior), current, desired, Memory(), now=NOW)
    assert (found.replicas, found.limited[0]) == (replicas, reason)


def test_memory_is_bounded() -> None:
    memory = Memory()
    for second in range(0, 20_000, 15):
        moment = NOW + timedelta(seconds=second)
        memory = memory.recommended(3, moment).scaled(3, 4, moment).scaled(4, 3, moment)
    assert len(memory.recommendations) <= 3600 / 15 + 1
    assert len(memory.up) == len(memory.down) <= 1800 / 15 + 1
