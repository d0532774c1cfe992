"""From the replicas that metrics ask for to those that are allowed now: stabilisation windows, rates of change, bounds. Pure.

`Memory` is what an autoscaler remembers between passes; like upstream's it is lost at a restart. Source of the rules: kubernetes
`pkg/controller/podautoscaler/horizontal.go` (normalizeDesiredReplicas, …WithBehaviors).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from minik.api.autoscaling_v2.validation import MAX_PERIOD_SECONDS, MAX_STABILIZATION_SECONDS

DOWNSCALE_STABILIZATION = 300
"""Seconds (--horizontal-pod-autoscaler-downscale-stabilization)."""
_UP_FACTOR, _UP_LEAST = 2, 4
_MOST = 2**31 - 1

READY = ("ReadyForNewScale", "recommended size matches current size")
DOWN_STABILIZED = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
)
UP_STABILIZED = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
)
WITHIN = ("DesiredWithinRange", "the desired count is within the acceptable range")
UP_LIMIT = ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
DOWN_LIMIT = ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate")
TOO_MANY = ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
TOO_FEW = ("TooFewReplicas", "the desired replica count is less than the minimum replica count")

Why = tuple[str, str]
"""(reason, message) of a condition."""


@dataclass(frozen=True, slots=True)
class Memory:
    """(moment, replicas): what was recommended; by how many replicas the target was changed up and down."""

    recommendations: tuple[tuple[datetime, int], ...] = ()
    up: tuple[tuple[datetime, int], ...] = ()
    down: tuple[tuple[datetime, int], ...] = ()

    def recommended(self, replicas: int, now: datetime) -> Memory:
        horizon = now - timedelta(seconds=MAX_STABILIZATION_SECONDS)
        kept = tuple(entry for entry in self.recommendations if entry[0] >= horizon)
        return replace(self, recommendations=(*kept, (now, replicas)))

    def scaled(self, before: int, after: int, now: datetime) -> Memory:
        horizon = now - timedelta(seconds=MAX_PERIOD_SECONDS)
        up = tuple(entry for entry in self.up if entry[0] >= horizon)
        down = tuple(entry for entry in self.down if entry[0] >= horizon)
        if after > before:
            return replace(self, up=(*up, (now, after - before)), down=down)
        return replace(self, up=up, down=(*down, (now, before - after)))


@dataclass(frozen=True, slots=True)
class Limited:
    """`replicas` to scale to; the conditions AbleToScale (True for `able`'s reason) and ScalingLimited."""

    replicas: int
    able: Why
    limited: Why
    is_limited: bool
    memory: Memory


def plan_limits(spec: Mapping[str, Any], current: int, desired: int, memory: Memory, *, now: datetime) -> Limited:
    """What becomes of `desired` replicas. `spec`: of an autoscaler; `memory` includes at least one recommendation."""
    least = spec.get("minReplicas")
    least = 1 if least is None else least
    most = spec["maxReplicas"]
    behavior = spec.get("behavior")
    if behavior is None:
        stable = _stable(desired, memory, now)
        able = READY if stable == desired else DOWN_STABILIZED
        replicas, why = _bounded(current, stable, least, most)
    else:
        stable, why_stable = _stable_with(behavior, current, desired, memory, now)
        able = READY if stable == desired else why_stable
        replicas, why = _bounded_with(behavior, current, stable, least, most, memory, now)
    return Limited(replicas, able, why, replicas != stable, memory.recommended(desired, now))


def _stable(desired: int, memory: Memory, now: datetime) -> int:
    cutoff = now - timedelta(seconds=DOWNSCALE_STABILIZATION)
    return max([desired, *(replicas for moment, replicas in memory.recommendations if moment >= cutoff)])


def _stable_with(
    behavior: Mapping[str, Any], current: int, desired: int, memory: Memory, now: datetime
) -> tuple[int, Why]:
    """`current`, moved into what the recommendations of both windows leave open."""

    def recent(direction: str, otherwise: int) -> list[int]:
        window = behavior[direction].get("stabilizationWindowSeconds")
        cutoff = now - timedelta(seconds=otherwise if window is None else window)
        return [desired, *(replicas for moment, replicas in memory.recommendations if moment > cutoff)]

    stable = max(current, min(recent("scaleUp", 0)))
    stable = min(stable, max(recent("scaleDown", DOWNSCALE_STABILIZATION)))
    return stable, UP_STABILIZED if desired >= current else DOWN_STABILIZED


def _bounded(current: int, desired: int, least: int, most: int) -> tuple[int, Why]:
    limit = max(_UP_FACTOR * current, _UP_LEAST)
    allowed, why = (limit, UP_LIMIT) if most > limit else (most, TOO_MANY)
    if desired < least:
        return least, TOO_FEW
    return (allowed, why) if desired > allowed else (desired, WITHIN)


def _bounded_with(
    behavior: Mapping[str, Any], current: int, desired: int, least: int, most: int, memory: Memory, now: datetime
) -> tuple[int, Why]:
    if desired > current:
        limit = max(current, scale_up_limit(behavior["scaleUp"], current, memory, now=now))
        allowed, why = (limit, UP_LIMIT) if most > limit else (most, TOO_MANY)
        if desired > allowed:
            return allowed, why
    elif desired < current:
        limit = min(current, scale_down_limit(behavior["scaleDown"], current, memory, now=now))
        allowed, why = (limit, DOWN_LIMIT) if least < limit else (least, TOO_FEW)
        if desired < allowed:
            return allowed, why
    return desired, WITHIN


def scale_up_limit(rules: Mapping[str, Any], current: int, memory: Memory, *, now: datetime) -> int:
    """The most replicas that the policies allow now."""
    select = rules.get("selectPolicy") or "Max"
    if select == "Disabled":
        return current
    proposals: list[int] = []
    for policy in rules["policies"]:
        start = _period_start(policy, current, memory, now)
        if policy["type"] == "Pods":
            proposals.append(start + policy["value"])
        else:  # rounded up, else a small target would never grow
            proposals.append(min(_MOST, math.ceil(start * (1 + policy["value"] / 100))))
    return min(proposals) if select == "Min" else max(proposals)


def scale_down_limit(rules: Mapping[str, Any], current: int, memory: Memory, *, now: datetime) -> int:
    """The fewest replicas that the policies allow now."""
    select = rules.get("selectPolicy") or "Max"
    if select == "Disabled":
        return current
    proposals: list[int] = []
    for policy in rules["policies"]:
        start = _period_start(policy, current, memory, now)
        if policy["type"] == "Pods":
            proposals.append(start - policy["value"])
        else:
            proposals.append(int(start * (1 - policy["value"] / 100)))
    return max(proposals) if select == "Min" else min(proposals)


def _period_start(policy: Mapping[str, Any], current: int, memory: Memory, now: datetime) -> int:
    """The replicas when the policy's period began."""
    cutoff = now - timedelta(seconds=policy["periodSeconds"])

    def changed(entries: Iterable[tuple[datetime, int]]) -> int:
        return sum(replicas for moment, replicas in entries if moment > cutoff)

    return current - changed(memory.up) + changed(memory.down)
