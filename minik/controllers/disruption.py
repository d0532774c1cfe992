"""PodDisruptionBudget (policy/v1): how many pods there should be, how many are healthy, and so how many may go.

Evictions take from `status.disruptionsAllowed` (`server/subresources/eviction.py`); this is who fills it. How many pods there should be
is what their controllers are scaled to (`common/scales.py`); if that cannot be said, nothing may go. An eviction that was granted counts
as done from then on; if its pod is still there after two minutes, it is given back.

`STALE` is the second half of kube-controller-manager's disruption controller: a pod that was marked for a disruption which did not come
loses the mark after two minutes. Source of the rules: kubernetes `pkg/controller/disruption/disruption.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from minik.api import meta, times
from minik.api.core_v1 import pods
from minik.api.errors import NotFound
from minik.api.meta import Key, Obj, ROObj
from minik.api.policy_v1 import poddisruptionbudget as budgets
from minik.api.selectors import format_label_selector
from minik.api.validation_workload import percent
from minik.client.controller import (
    DONE,
    Context,
    Controller,
    Result,
    Scope,
    can,
    maps,
    maps_with,
    requeue_after,
    selected_by,
)
from minik.controllers.common.pods import mark
from minik.controllers.common.scales import SCALED, ScaleUnknown, expected_scale

DELETION_TIMEOUT = timedelta(minutes=2)
STALE_SECONDS = 120.0
COUNTED_PER_SECOND = 50_000
"""Pods of one budget that are looked at in a second, at most: one of 5,000 is counted ten times a second, small ones at once."""
TERMINATED_BY_KUBELET = "TerminationByKubelet"


@dataclass(frozen=True, slots=True)
class Count:
    """What a budget's status is to say. `after`: seconds until a granted eviction is given back; `undone`: pods that outlived theirs."""

    expected: int
    desired: int
    healthy: int
    disrupted: Mapping[str, str] = field(default_factory=dict)
    after: float | None = None
    undone: Sequence[ROObj] = ()

    @property
    def allowed(self) -> int:
        return max(0, self.healthy - self.desired) if self.expected > 0 else 0


def plan_count(budget: ROObj, selected: Sequence[ROObj], *, scale: int, now: datetime) -> Count:
    """`scale`: what the pods' controllers are scaled to; used where the budget speaks of all pods."""
    expected, desired = _wanted(budget["spec"], len(selected), scale)
    kept: dict[str, str] = {}
    undone: list[ROObj] = []
    after: float | None = None
    granted = budgets.disrupted(budget)
    healthy = 0
    for pod in selected:
        if meta.is_deleting(pod):
            continue
        moment = granted.get(meta.name(pod))
        if (
            moment is not None and pod["metadata"].get("creationTimestamp", "") <= moment
        ):  # else: of an earlier pod of that name
            left = (times.parse_time(moment) + DELETION_TIMEOUT - now).total_seconds()
            if left >= 0:
                kept[meta.name(pod)] = moment
                after = left if after is None else min(after, left)
                continue
            undone.append(pod)
        healthy += pods.is_ready(pod)
    return Count(expected, desired, healthy, kept, after, undone)


def _wanted(spec: Mapping[str, object], selected: int, scale: int) -> tuple[int, int]:
    """(expected pods, desired healthy ones)."""
    most_away, least = spec.get("maxUnavailable"), spec.get("minAvailable")
    if most_away is not None:
        return scale, max(0, scale - _of(most_away, scale))
    if isinstance(least, int):
        return selected, least
    if least is not None:
        return scale, _of(least, scale)
    return 0, 0


def _of(value: object, total: int) -> int:
    """An int-or-percent of `total`, rounded up."""
    share = percent(value)
    if share is not None:
        return -(-share * total // 100)
    return value if isinstance(value, int) else 0


def needs_scale(spec: Mapping[str, object]) -> bool:
    """Whether the budget depends on what its pods' controllers are scaled to."""
    return spec.get("maxUnavailable") is not None or isinstance(spec.get("minAvailable"), str)


def plan_status(budget: ROObj, count: Count, *, now: str) -> Obj:
    generation = meta.generation(budget)
    before = budget.get("status") or {}
    status: Obj = {
        "currentHealthy": count.healthy,
        "desiredHealthy": count.desired,
        "expectedPods": count.expected,
        "disruptionsAllowed": count.allowed,
        "observedGeneration": generation,
    }
    if count.disrupted:
        status["disruptedPods"] = dict(count.disrupted)
    if before.get("conditions"):
        status["conditions"] = before["conditions"]
    budgets.set_allowed_condition(status, generation=generation, now=now)
    return status


def plan_failed(budget: ROObj, why: str, *, now: str) -> Obj:
    """The status of a budget that could not be counted: nothing may go."""
    status: Obj = {**(budget.get("status") or {}), "disruptionsAllowed": 0}
    generation = status.get("observedGeneration") or 0
    budgets.set_condition(status, False, "SyncFailed", why, generation=generation, now=now)
    return status


@dataclass(slots=True)
class Rests:
    """When budgets of many pods may be counted again: all their pods are looked at each time, and many change at once."""

    until: dict[Key, float] = field(default_factory=dict)


async def reconcile(ctx: Context, key: Key) -> Result:
    budget = ctx.cache(budgets.RESOURCE).get(key)
    rests: Rests = ctx.state
    if budget is None:
        rests.until.pop(key, None)
        return DONE
    left = rests.until.get(key, 0.0) - ctx.clock.monotonic()
    if left > 0.001:
        return requeue_after(max(left, 0.01))  # no less: a clock that rounds would not move
    now = ctx.clock.now()
    selected = ctx.cache("pods").list(key.namespace, budgets.selector_of(budget))
    rests.until[key] = ctx.clock.monotonic() + len(selected) / COUNTED_PER_SECOND
    unmanaged = 0
    try:
        scale = 0
        if needs_scale(budget["spec"]):
            scale, unmanaged = await expected_scale(ctx, selected)
    except ScaleUnknown as error:
        status = plan_failed(budget, str(error), now=times.format_time(now))
        if status != budget.get("status"):
            why = f"Failed to calculate the number of expected pods: {error}"
            ctx.recorder.event(budget, "Warning", "CalculateExpectedPodCountFailed", why)
            await ctx.client.update_status(budgets.RESOURCE, budget, status)
        return DONE
    count = plan_count(budget, selected, scale=scale, now=now)
    status = plan_status(budget, count, now=times.format_time(now))
    if status != budget.get("status"):
        _tell(ctx, budget, count, selected=len(selected), unmanaged=unmanaged)
        await ctx.client.update_status(budgets.RESOURCE, budget, status)
    return DONE if count.after is None else requeue_after(count.after + 1)


def _tell(ctx: Context, budget: ROObj, count: Count, *, selected: int, unmanaged: int) -> None:
    """Events, once for every change (upstream: once for every look)."""
    if not selected:
        ctx.recorder.event(budget, "Normal", "NoPods", "No matching pods found")
    if unmanaged:
        shown = format_label_selector(budget["spec"].get("selector"))
        why = (
            f"Pods selected by this PodDisruptionBudget (selector: {shown}) were found to be unmanaged. As a result, the status of the "
            "PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please set "
            '".spec.minAvailable" field of the PDB to an integer value.'
        )
        ctx.recorder.event(budget, "Warning", "UnmanagedPods", why)
    for pod in count.undone:
        why = f"Pod was expected by PDB {meta.key(budget)} to be deleted but it wasn't"
        ctx.recorder.event(pod, "Warning", "NotDeleted", why)


def _matters(old: ROObj, new: ROObj) -> bool:
    """Whether an update of a pod can change a budget's count."""
    before, after = old["metadata"], new["metadata"]
    return pods.is_ready(old) != pods.is_ready(new) or any(
        before.get(name) != after.get(name) for name in ("labels", "ownerReferences", "deletionTimestamp")
    )


def _budgets_of(scope: Scope, workload: ROObj) -> Iterable[Key]:
    """The budgets whose pods a workload makes."""
    labels = ((workload["spec"].get("template") or {}).get("metadata") or {}).get("labels") or {}
    known = scope.cache(budgets.RESOURCE).list(meta.namespace(workload))
    return [meta.key(budget) for budget in known if budgets.matches(budget, labels)]


def _rescaled(old: ROObj, new: ROObj) -> bool:
    before, after = old["spec"], new["spec"]
    return bool(before.get("replicas") != after.get("replicas"))


CONTROLLER = Controller(
    "disruption",
    primary=budgets.RESOURCE,
    triggers=[
        selected_by("pods", budgets.selector_of, when=_matters),
        *(maps_with(resource, _budgets_of, when=_rescaled) for resource in SCALED),
    ],
    reconcile=reconcile,
    state=lambda _setup: Rests(),
    rbac=[can("update", f"{budgets.RESOURCE}/status"), can("get", "*/scale")],
    component="controllermanager",
)


# --- marks of disruptions that did not come --------------------------------------------------------------------------


def stale_in(pod: ROObj, *, now: datetime) -> float | None:
    """Seconds until the pod's mark is stale; None if it has none that could be."""
    condition = meta.condition(pod, "DisruptionTarget")
    if (
        condition is None
        or condition.get("status") != "True"
        or condition.get("reason") == TERMINATED_BY_KUBELET
        or meta.is_deleting(pod)
        or pods.is_finished(pod)
    ):
        return None
    since = condition.get("lastTransitionTime")
    passed = (now - times.parse_time(since)).total_seconds() if since else STALE_SECONDS
    return max(0.0, STALE_SECONDS - passed)


async def reconcile_mark(ctx: Context, key: Key) -> Result:
    pod = ctx.cache("pods").get(key)
    wait = stale_in(pod, now=ctx.clock.now()) if pod is not None else None
    if pod is None or wait is None:
        return DONE
    if wait > 0:
        return requeue_after(wait)
    condition = {
        "type": "DisruptionTarget",
        "status": "False",
        "lastTransitionTime": times.format_time(ctx.clock.now()),
        "reason": None,  # why it was marked holds no more
        "message": None,
    }
    try:
        await mark(ctx, pod, condition)
    except NotFound:
        return DONE
    return DONE


def _marked(pod: ROObj) -> Iterable[Key]:
    condition = meta.condition(pod, "DisruptionTarget")
    return (meta.key(pod),) if condition is not None and condition.get("status") == "True" else ()


STALE = Controller(
    "stale-pod-disruption",
    primary="",
    triggers=[
        maps(
            "pods",
            _marked,
            when=lambda old, new: meta.condition(old, "DisruptionTarget") != meta.condition(new, "DisruptionTarget"),
        )
    ],
    reconcile=reconcile_mark,
    rbac=[can("patch", "pods/status")],
)
