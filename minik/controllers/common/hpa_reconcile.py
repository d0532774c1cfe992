"""One look at an autoscaler: reads its target's `scale` and the metrics, has `hpa_plan.py` decide, and does what it says.

Called by `horizontalpodautoscaler.py`, which imports it when the first autoscaler comes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from minik.api import meta
from minik.api.autoscaling_v2.horizontalpodautoscaler import RESOURCE
from minik.api.errors import StatusError
from minik.api.kind import Kind
from minik.api.meta import Key, Obj, ROObj
from minik.api.selectors import Selector, SelectorError, parse_label_selector
from minik.client.controller import DONE, Context, Result, requeue_after
from minik.controllers.common.hpa_limits import Memory
from minik.controllers.common.hpa_plan import (
    Plan,
    Unusable,
    bad_selector,
    find_ambiguity,
    needs_metrics,
    no_selector,
    not_rescaled,
    plan_autoscale,
    plan_without_scale,
    rescaled,
)
from minik.controllers.common.hpa_propose import Target
from minik.controllers.common.hpa_sources import Reading, read_metric


@dataclass(slots=True)
class State:
    """What is remembered of each autoscaler, and the selector of its target."""

    memories: dict[Key, Memory] = field(default_factory=dict)
    selectors: dict[Key, Selector] = field(default_factory=dict)

    def forget(self, key: Key) -> None:
        self.memories.pop(key, None)
        self.selectors.pop(key, None)


async def reconcile(ctx: Context, key: Key, state: State, period: float) -> Result:
    """One look at an autoscaler; the next one in `period` seconds."""
    hpa = ctx.cache(RESOURCE).get(key)
    if hpa is None:
        state.forget(key)
        return DONE
    plan = await _plan_and_scale(ctx, state, key, hpa)
    state.memories[key] = plan.memory
    for type_, reason, message in plan.events:
        ctx.recorder.event(hpa, type_, reason, message)
    if plan.status != (hpa.get("status") or {}):
        await ctx.client.update_status(RESOURCE, hpa, plan.status)
    return requeue_after(period)


async def _plan_and_scale(ctx: Context, state: State, key: Key, hpa: ROObj) -> Plan:
    memory, now = state.memories.get(key, Memory()), ctx.clock.now()
    reference = hpa["spec"]["scaleTargetRef"]
    group, version = meta.parse_api_version(reference.get("apiVersion") or "")
    kind = find_kind(ctx, group, version, reference["kind"])
    if kind is None:
        why = f'no matches for kind "{reference["kind"]}" in group "{group}"'
        return plan_without_scale(hpa, why, memory=memory, now=now)
    try:
        scale = await ctx.client.get(kind.resource, reference["name"], key.namespace, subresource="scale")
    except StatusError as error:
        return plan_without_scale(hpa, str(error), memory=memory, now=now)
    current = (scale.get("spec") or {}).get("replicas") or 0
    target = Target(key.namespace, current, (scale.get("status") or {}).get("replicas") or 0, ())
    readings: list[Reading] = []
    unusable: Unusable | None = None
    if needs_metrics(hpa, current):
        text = (scale.get("status") or {}).get("selector") or ""
        target, unusable = _pods(ctx, state, key, text, target)
        if unusable is None:
            readings = [await read_metric(ctx.client, each, key.namespace, text) for each in hpa["spec"]["metrics"]]
            now = ctx.clock.now()  # reading takes a moment, and metrics are newer than it
    plan = plan_autoscale(hpa, target, readings, unusable=unusable, memory=memory, now=now)
    return await _scale(ctx, hpa, kind, scale, plan, current) if plan.replicas is not None else plan


def find_kind(ctx: Context, group: str, version: str, kind: str) -> Kind | None:
    """The kind of a reference: in its version, or in another one that is served."""
    found = ctx.registry.by_kind(group, version, kind)
    return found or next((each for each in ctx.registry if each.group == group and each.kind == kind), None)


def _pods(ctx: Context, state: State, key: Key, text: str, target: Target) -> tuple[Target, Unusable | None]:
    """The target with its pods, or why they cannot be told."""
    if not text:
        return target, no_selector()
    try:
        selector = parse_label_selector(text)
    except SelectorError as error:
        return target, bad_selector(str(error))
    state.selectors[key] = selector
    found = ctx.cache("pods").list(key.namespace, selector)
    neighbours = [(other, each) for other, each in state.selectors.items() if other.namespace == key.namespace]
    unusable = find_ambiguity(text, found, neighbours)
    return Target(target.namespace, target.replicas, target.status_replicas, found), unusable


async def _scale(ctx: Context, hpa: ROObj, kind: Kind, scale: ROObj, plan: Plan, before: int) -> Plan:
    wanted: Obj = {**scale, "spec": {**(scale.get("spec") or {}), "replicas": plan.replicas}}
    try:
        await ctx.client.update(kind.resource, wanted, subresource="scale")
    except StatusError as error:
        return not_rescaled(plan, hpa, str(error), now=ctx.clock.now())
    ctx.log.info("rescaled", extra={"before": before, "replicas": plan.replicas, "reason": plan.reason})
    has_behavior = hpa["spec"].get("behavior") is not None
    return rescaled(plan, before, has_behavior=has_behavior, now=ctx.clock.now())
