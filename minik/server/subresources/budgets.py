"""Taking a disruption from a PodDisruptionBudget, exactly. Used by `eviction.py` alone.

As in Kubernetes the budget's status says how many pods may go, and who takes one writes it down there (`disruptedPods`) under
optimistic concurrency. But that status is counted by a controller, which may lag: it may have counted a pod that has gone since, or
forgotten an eviction whose pod it knows only by an earlier life of the same name. So before a disruption is taken the healthy pods are
counted here too, in the server's cache, which never lags, without those of evictions under way. Whatever controllers do and whenever a
process dies, no eviction leaves fewer than `desiredHealthy`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from minik.api import errors, meta, times
from minik.api.errors import Conflict, StatusError, Timeout, TooManyRequests
from minik.api.meta import Obj, ROObj
from minik.api.policy_v1 import poddisruptionbudget as budgets
from minik.server import resources
from minik.server.core import Attributes, Core

EVICTIONS = "evictions"
"""Subject of `Core.reserved`: `namespace/name` of every pod whose eviction is under way."""
NOTICED_WITHIN = timedelta(minutes=2)
"""By then the controller has seen a granted eviction, or it never came to be (DeletionTimeout)."""
MAX_DISRUPTED = 2000
_SEVERAL = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
_VIOLATES = "Cannot evict pod as it would violate the pod's disruption budget."


def guarding(core: Core, pod: ROObj) -> ROObj | None:
    """The pod's budget, or None. Raises a 500 if it has several."""
    known = (entry.obj for entry in core.cache.list(budgets.RESOURCE, meta.namespace(pod)))
    found = budgets.matching(pod, known)
    if len(found) > 1:
        error = StatusError(_SEVERAL)
        error.status_reason = ""
        raise error
    return found[0] if found else None


def lets_unhealthy_go(budget: ROObj) -> bool:
    """Whether a pod that is not ready may go without being counted (`unhealthyPodEvictionPolicy`, KEP-3017)."""
    if (budget.get("spec") or {}).get("unhealthyPodEvictionPolicy") == budgets.ALWAYS_ALLOW:
        return True
    status = budget.get("status") or {}
    desired = status.get("desiredHealthy") or 0
    return desired > 0 and (status.get("currentHealthy") or 0) >= desired


def lagging(name: str) -> TooManyRequests:
    """429: the controller has yet to catch up."""
    why = f"The disruption budget {name} is still being processed by the server."
    return _refusal(why, {"retryAfterSeconds": 10})


def _exhausted(budget: ROObj, healthy: int) -> TooManyRequests:
    wanted = (budget.get("status") or {}).get("desiredHealthy") or 0
    name = meta.name(budget)
    return _refusal(f"The disruption budget {name} needs {wanted} healthy pods and has {healthy} currently", {})


def _refusal(why: str, more: Obj) -> TooManyRequests:
    """With the cause by which `kubectl drain` knows to try again."""
    return TooManyRequests(_VIOLATES, details={**more, "causes": [{"reason": "DisruptionBudget", "message": why}]})


async def take(core: Core, budget: ROObj, pod: ROObj, attributes: Attributes, hold: Callable[[], None]) -> None:
    """Write into the budget's status that this pod goes. `attributes`: of the request; only author and dry run are used. `hold` puts the
    pod among the evictions under way; it may be called twice. Raises TooManyRequests if the budget does not allow it."""

    def change(current: ROObj) -> Obj:
        draft = taken(core, current, pod)
        draft["metadata"]["resourceVersion"] = ""  # of whatever is current: it is counted anew after a lost race
        hold()  # before anything can come between the count and this
        return draft

    name = meta.name(budget)
    own = Attributes(
        kind=budgets.KIND, verb="update", namespace=meta.namespace(budget), user=attributes.user,
        author=attributes.author, subresource="status", name=name, dry_run=attributes.dry_run, hooked=False,
    )  # fmt: skip
    try:
        async with core.reserved.turn(f"{budgets.RESOURCE}/{own.namespace}/{name}"):
            await resources.update(core, own, change)
    except Conflict as error:
        why = f'couldn\'t update PodDisruptionBudget "{name}" due to conflicts'
        raise Timeout(why, details={"retryAfterSeconds": 10}) from error


def taken(core: Core, budget: ROObj, pod: ROObj) -> Obj:
    """The budget with one disruption less and the pod among the disrupted (checkAndDecrement). Raises what refuses it."""
    status = budget.get("status") or {}
    name, now = meta.name(budget), core.clock.now()
    if (status.get("observedGeneration") or 0) < meta.generation(budget):
        raise lagging(name)
    draft = meta.draft(budget)
    gone = _granted(budget, now)
    if meta.name(pod) in gone and has_enough_without(core, budget, pod):
        return draft  # paid for by an eviction that was cut off before the pod could go
    allowed = status.get("disruptionsAllowed") or 0
    if allowed < 0:
        why = "pdb disruptions allowed is negative"
        raise errors.forbidden("poddisruptionbudget", "policy", name, why)
    if len(status.get("disruptedPods") or ()) > MAX_DISRUPTED:
        why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        raise errors.forbidden("poddisruptionbudget", "policy", name, why)
    if allowed == 0:
        raise _exhausted(budget, status.get("currentHealthy") or 0)
    if not has_enough_without(core, budget, pod):
        raise _exhausted(budget, status.get("desiredHealthy") or 0)
    changed = draft["status"]
    changed["disruptionsAllowed"] = allowed - 1
    moment = times.format_time(now)
    if allowed == 1:
        budgets.set_allowed_condition(changed, generation=meta.generation(budget), now=moment)
    changed.setdefault("disruptedPods", {})[meta.name(pod)] = moment
    return draft


def _granted(budget: ROObj, now: datetime) -> set[str]:
    """Names of pods whose eviction was granted and may still come."""
    return {
        name for name, moment in budgets.disrupted(budget).items() if times.parse_time(moment) + NOTICED_WITHIN > now
    }


def has_enough_without(core: Core, budget: ROObj, pod: ROObj) -> bool:
    """Whether, of the budget's pods, so many others are healthy and stay as it wants."""
    wanted = (budget.get("status") or {}).get("desiredHealthy") or 0
    if wanted <= 0:
        return True
    healthy = core.healthy.of(budget)
    prefix = meta.namespace(budget) + "/"
    going = {key.removeprefix(prefix) for key in core.reserved.held(EVICTIONS) if key.startswith(prefix)}
    going |= _granted(budget, core.clock.now())
    going.add(meta.name(pod))
    return len(healthy) - sum(name in healthy for name in going) >= wanted
