"""Limits of an autoscaler, whatever its metrics ask for: within its bounds, no faster than its policies, no move that nothing asks for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from minik.controllers.common.hpa_limits import Memory, plan_limits

START = datetime(2026, 1, 1, tzinfo=UTC)
MOST = 40

policies = st.lists(
    st.builds(
        lambda type_, value, period: {"type": type_, "value": value, "periodSeconds": period},
        st.sampled_from(("Pods", "Percent")), st.integers(1, 120), st.integers(1, 120),
    ),
    min_size=1, max_size=3,
)  # fmt: skip
rules = st.builds(
    lambda chosen, select, window: {"policies": chosen, "selectPolicy": select, "stabilizationWindowSeconds": window},
    policies, st.sampled_from(("Max", "Min", "Disabled")), st.integers(0, 120),
)  # fmt: skip
specs = st.builds(
    lambda least, up, down, has: {
        "minReplicas": least, "maxReplicas": MOST, **({"behavior": {"scaleUp": up, "scaleDown": down}} if has else {}),
    },
    st.integers(0, 5), rules, rules, st.booleans(),
)  # fmt: skip
wishes = st.lists(st.integers(0, 80), min_size=1, max_size=40)


def pods_only(direction: dict[str, Any]) -> bool:
    return all(policy["type"] == "Pods" for policy in direction["policies"])


@given(spec=specs, start=st.integers(5, MOST), asked=wishes)
def test_limits_hold_at_every_step(spec: dict[str, Any], start: int, asked: list[int]) -> None:
    current, now, memory = start, START, Memory().recommended(start, START)
    history = [(now, current)]
    for wish in asked:
        now += timedelta(seconds=15)
        found = plan_limits(spec, current, wish, memory, now=now)
        assert spec["minReplicas"] <= found.replicas <= MOST
        recommended = [replicas for _, replicas in memory.recommendations] + [wish]
        if found.replicas > current:
            asks = (
                wish if "behavior" in spec else max(recommended)
            )  # without, the old way: what was asked for lately still counts
            assert asks > current, "no growth that nothing asks for"
        if found.replicas < current:
            assert min(recommended) < current, "no shrinking that nothing ever asked for"
            assert found.replicas >= min(wish, current) or found.replicas == spec["minReplicas"]
        behavior = spec.get("behavior")
        if behavior is not None:
            for direction, sign in (("scaleUp", 1), ("scaleDown", -1)):
                if behavior[direction]["selectPolicy"] == "Disabled":
                    assert (found.replicas - current) * sign <= 0
        memory = found.memory
        if found.replicas != current and behavior is not None:
            memory = memory.scaled(current, found.replicas, now)
        current = found.replicas
        history.append((now, current))
    if "behavior" in spec:
        _check_rates(spec["behavior"], history)


def _check_rates(behavior: dict[str, Any], history: list[tuple[datetime, int]]) -> None:
    """In no period did the replicas grow by more than each policy of Pods allows (if there are no others), over what there was when it
    began: what went away within the period may come back (upstream's calculateScaleUpLimit)."""
    up = behavior["scaleUp"]
    if up["selectPolicy"] == "Disabled" or not pods_only(up):
        return
    for policy in up["policies"] if up["selectPolicy"] == "Min" else ():
        period = timedelta(seconds=policy["periodSeconds"])
        for number, (moment, replicas) in enumerate(history):
            if number and replicas > history[number - 1][1]:
                earlier = [count for at, count in history[:number] if moment - at >= period]
                first = earlier[-1] if earlier else history[0][1]
                assert replicas - first <= policy["value"], (policy, history)
