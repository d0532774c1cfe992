"""The whole decision about one autoscaler: replicas, status and Events, from its object, its target and what its metrics read. Pure.

Called by `horizontalpodautoscaler.py`, which reads before and acts after: `why_not_active` and `needs_metrics` say whether there is
anything to read, `plan_autoscale` decides, `rescaled` and `not_rescaled` make the plan's status what came of the scaling. Reasons and
messages are upstream's (kubernetes `pkg/controller/podautoscaler/horizontal.go`, reconcileAutoscaler).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from minik.api import meta, quantity, times
from minik.api.meta import Key, Obj, ROObj
from minik.api.selectors import Selector
from minik.controllers.common.hpa_limits import Memory, plan_limits
from minik.controllers.common.hpa_metrics import TOLERANCE, Tolerances
from minik.controllers.common.hpa_propose import NO_STATUS, Failure, Outcome, Target, propose
from minik.controllers.common.hpa_sources import Reading

ABLE, ACTIVE, LIMITED = "AbleToScale", "ScalingActive", "ScalingLimited"
Event = tuple[str, str, str]
"""(type, reason, message)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`status` to write; `replicas` to scale to, None to leave the target alone; `reason` why."""

    status: Obj
    memory: Memory
    replicas: int | None = None
    reason: str = ""
    events: tuple[Event, ...] = ()


# --- conditions and status -------------------------------------------------------------------------------------------


def with_condition(status: Obj, type_: str, value: bool, reason: str, message: str, *, now: datetime) -> Obj:
    """`status` with the condition; its time changes with its value alone."""
    before: Sequence[Mapping[str, Any]] = status.get("conditions") or ()
    text = "True" if value else "False"
    old = next((condition for condition in before if condition.get("type") == type_), None)
    condition: Obj = {"type": type_, "status": text, "reason": reason, "message": message}
    is_same = old is not None and old.get("status") == text and old.get("lastTransitionTime")
    condition["lastTransitionTime"] = old["lastTransitionTime"] if old and is_same else times.format_time(now)
    if old is None:
        return {**status, "conditions": [*before, condition]}
    return {**status, "conditions": [condition if each is old else each for each in before]}


def _status(status: Obj, current: int, desired: int, metrics: Sequence[Obj], last_scale: str | None) -> Obj:
    """As it is stored: fields that are empty are left out."""
    made: Obj = {"desiredReplicas": desired}
    if current:
        made["currentReplicas"] = current
    if metrics:
        made["currentMetrics"] = list(metrics)
    if last_scale:
        made["lastScaleTime"] = last_scale
    if status.get("conditions"):
        made["conditions"] = status["conditions"]
    return made


def plan_without_scale(hpa: ROObj, why: str, *, memory: Memory, now: datetime) -> Plan:
    """The target's Scale cannot be read."""
    message = f"the HPA controller was unable to get the target's current scale: {why}"
    status = with_condition(dict(hpa.get("status") or {}), ABLE, False, "FailedGetScale", message, now=now)
    return Plan(status, memory, events=(("Warning", "FailedGetScale", why),))


# --- the selector ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a target's pods cannot be told: for the condition, and for the Event."""

    reason: str
    message: str
    event: Event


def no_selector() -> Unusable:
    event = ("Warning", "SelectorRequired", "selector is required")
    return Unusable("InvalidSelector", "the HPA target's scale is missing a selector", event)


def bad_selector(why: str) -> Unusable:
    message = f"couldn't convert selector into a corresponding internal selector object: {why}"
    return Unusable("InvalidSelector", message, ("Warning", "InvalidSelector", message))


def find_ambiguity(
    selector: str, pods: Iterable[ROObj], autoscalers: Iterable[tuple[Key, Selector]]
) -> Unusable | None:
    """Whether pods of the selector are also those of another autoscaler (each given with its namespace's ones)."""
    known = list(autoscalers)
    if len(known) < 2:
        return None
    found = {key for pod in pods for key, other in known if other.matches(meta.labels(pod))}
    if len(found) < 2:
        return None
    names = " ".join(f"{{{key.name} {key.namespace}}}" for key in sorted(found))
    message = f"pods by selector {selector} are controlled by multiple HPAs: [{names}]"
    return Unusable("AmbiguousSelector", message, ("Warning", "AmbiguousSelector", message))


# --- the decision ----------------------------------------------------------------------------------------------------


def least_of(hpa: ROObj) -> int:
    least = hpa["spec"].get("minReplicas")
    return 1 if least is None else int(least)


def needs_metrics(hpa: ROObj, current: int) -> bool:
    """Whether the replicas are where metrics decide."""
    least = least_of(hpa)
    return not (current == 0 and least != 0) and least <= current <= hpa["spec"]["maxReplicas"]


def tolerances_of(hpa: ROObj) -> Tolerances:
    behavior = hpa["spec"].get("behavior") or {}

    def of(direction: str) -> float:
        given = (behavior.get(direction) or {}).get("tolerance")
        return TOLERANCE if given is None else quantity.parse(given).nanos / 1e9

    return Tolerances(down=of("scaleDown"), up=of("scaleUp"))


def plan_autoscale(
    hpa: ROObj, target: Target, readings: Sequence[Reading], *, unusable: Unusable | None, memory: Memory, now: datetime
) -> Plan:
    """`readings`: one for each of `spec.metrics`, if `needs_metrics`; `unusable`: then there are none."""
    current = target.replicas
    status = with_condition(
        dict(hpa.get("status") or {}), ABLE, True, "SucceededGetScale",
        "the HPA controller was able to get the target's current scale", now=now,
    )  # fmt: skip
    if not memory.recommendations:
        memory = memory.recommended(current, now)
    most, least = hpa["spec"]["maxReplicas"], least_of(hpa)
    last = status.get("lastScaleTime")
    if current == 0 and least != 0:
        why = "scaling is disabled since the replica count of the target is zero"
        status = with_condition(status, ACTIVE, False, "ScalingDisabled", why, now=now)
        return Plan(_status(status, 0, 0, (), last), memory)
    if current > most:
        status = _status(status, current, most, (), last)
        return Plan(status, memory, most, "Current number of replicas above Spec.MaxReplicas")
    if current < least:
        status = _status(status, current, least, (), last)
        return Plan(status, memory, least, "Current number of replicas below Spec.MinReplicas")
    if unusable is not None:
        status = with_condition(status, ACTIVE, False, unusable.reason, unusable.message, now=now)
        status = _status(status, current, status.get("desiredReplicas") or 0, (), last)
        said = unusable.event[2]
        return Plan(status, memory, events=(unusable.event, ("Warning", "FailedComputeMetricsReplicas", said)))
    return _plan_by_metrics(hpa, status, target, readings, memory, now)


def _plan_by_metrics(
    hpa: ROObj, status: Obj, target: Target, readings: Sequence[Reading], memory: Memory, now: datetime
) -> Plan:
    spec, current = hpa["spec"], target.replicas
    specs: Sequence[Mapping[str, Any]] = spec["metrics"]
    tolerances = tolerances_of(hpa)
    found = [
        propose(each, reading, target, tolerances=tolerances, now=now)
        for each, reading in zip(specs, readings, strict=True)
    ]
    lines = [each.status if isinstance(each, Outcome) else NO_STATUS for each in found]
    failures = [each for each in found if isinstance(each, Failure)]
    events = tuple(("Warning", each.reason, each.cause) for each in failures)
    best = max((each for each in found if isinstance(each, Outcome)), key=lambda each: each.replicas, default=None)
    last = status.get("lastScaleTime")
    if best is None or (failures and best.replicas < current):  # what is not known might want more
        first = failures[0]
        why = f"the HPA was unable to compute the replica count: {first.cause}"
        status = with_condition(status, ACTIVE, False, first.reason, why, now=now)
        whole = f"invalid metrics ({len(failures)} invalid out of {len(specs)}), first error is: {first.message}"
        status = _status(status, current, status.get("desiredReplicas") or 0, lines, last)
        return Plan(status, memory, events=(*events, ("Warning", "FailedComputeMetricsReplicas", whole)))
    why = f"the HPA was able to successfully calculate a replica count from {best.name}"
    status = with_condition(status, ACTIVE, True, "ValidMetricFound", why, now=now)
    limits = plan_limits(spec, current, best.replicas, memory, now=now)
    status = with_condition(status, ABLE, True, *limits.able, now=now)
    status = with_condition(status, LIMITED, limits.is_limited, *limits.limited, now=now)
    status = _status(status, current, limits.replicas, lines, last)
    if limits.replicas == current:
        return Plan(status, limits.memory, events=events)
    reason = f"{best.name} above target" if best.replicas > current else ""
    if best.replicas < current:
        reason = "All metrics below target"
    return Plan(status, limits.memory, limits.replicas, reason, events)


# --- what came of it -------------------------------------------------------------------------------------------------


def rescaled(plan: Plan, before: int, *, has_behavior: bool, now: datetime) -> Plan:
    """The target has the plan's replicas."""
    assert plan.replicas is not None
    message = f"the HPA controller was able to update the target scale to {plan.replicas}"
    status = with_condition(plan.status, ABLE, True, "SucceededRescale", message, now=now)
    status = {**status, "lastScaleTime": times.format_time(now)}
    memory = plan.memory.scaled(before, plan.replicas, now) if has_behavior else plan.memory
    event = ("Normal", "SuccessfulRescale", f"New size: {plan.replicas}; reason: {plan.reason}")
    return replace(plan, status=status, memory=memory, events=(*plan.events, event))


def not_rescaled(plan: Plan, hpa: ROObj, why: str, *, now: datetime) -> Plan:
    """The target's Scale could not be written."""
    message = f"the HPA controller was unable to update the target scale: {why}"
    status = with_condition(plan.status, ABLE, False, "FailedUpdateScale", message, now=now)
    status = {**status, "desiredReplicas": (hpa.get("status") or {}).get("desiredReplicas") or 0}
    event = ("Warning", "FailedRescale", f"New size: {plan.replicas}; reason: {plan.reason}; error: {why}")
    return replace(plan, status=status, events=(*plan.events, event))
