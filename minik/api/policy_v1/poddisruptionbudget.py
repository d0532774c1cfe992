"""PodDisruptionBudget, policy/v1: how many pods of a set may be taken away by choice at once.

Here is what the object says and how it is read: `matching` (which budgets guard a pod), `allowed` and `disrupted` (its status, as
evictions use it). The status is counted by `controllers/disruption.py` and taken from by `server/subresources/eviction.py`. Source of
the rules: kubernetes `pkg/apis/policy/validation` and `component-helpers/apps/poddisruptionbudget`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from minik.api import columns, meta
from minik.api.columns import column, number
from minik.api.errors import FieldError, Path, invalid
from minik.api.kind import Column, Kind, status_of
from minik.api.meta import Obj, ROObj
from minik.api.selectors import NOTHING, Selector, SelectorError, from_label_selector
from minik.api.validation import Errors, enum, label_selector, non_negative
from minik.api.validation_conditions import conditions
from minik.api.validation_workload import at_most_all, int_or_percent

RESOURCE = "poddisruptionbudgets.policy"
IF_HEALTHY_BUDGET = "IfHealthyBudget"
ALWAYS_ALLOW = "AlwaysAllow"
ALLOWED = "DisruptionAllowed"
"""The condition: whether a pod may go now."""
_SPEC = Path("spec")
_STATUS = Path("status")


def matches(budget: ROObj, labels: Mapping[str, str]) -> bool:
    """Whether the budget guards pods with these labels. A missing selector matches nothing, an empty one everything in policy/v1."""
    return selector_of(budget).matches(labels)


def selector_of(budget: ROObj) -> Selector:
    """Its selector; one that selects nothing if it is missing or wrong."""
    try:
        return from_label_selector((budget.get("spec") or {}).get("selector"))
    except SelectorError:
        return NOTHING


def matching(pod: ROObj, budgets: Iterable[ROObj]) -> list[ROObj]:
    """The budgets of the pod's namespace that guard it, in the order given. Pure."""
    namespace, labels = meta.namespace(pod), meta.labels(pod)
    return [budget for budget in budgets if meta.namespace(budget) == namespace and matches(budget, labels)]


def disrupted(budget: ROObj) -> Mapping[str, str]:
    """Pod name → wire time of an eviction that was granted and that the controller has not seen yet."""
    return (budget.get("status") or {}).get("disruptedPods") or {}


def allowed(budget: ROObj) -> int:
    """How many more pods may go now; 0 while the controller has not seen the latest spec."""
    status = budget.get("status") or {}
    if (status.get("observedGeneration") or 0) < meta.generation(budget):
        return 0
    return max(0, status.get("disruptionsAllowed") or 0)


def set_allowed_condition(status: Obj, *, generation: int, now: str) -> None:
    """Make the condition say what `disruptionsAllowed` is (UpdateDisruptionAllowedCondition)."""
    is_allowed = bool(status.get("disruptionsAllowed"))
    reason = "SufficientPods" if is_allowed else "InsufficientPods"
    set_condition(status, is_allowed, reason, "", generation=generation, now=now)


def set_condition(status: Obj, is_allowed: bool, reason: str, message: str, *, generation: int, now: str) -> None:
    """Put the condition DisruptionAllowed into `status`; its time changes with its value alone."""
    value = "True" if is_allowed else "False"
    before = status.get("conditions") or ()
    old = next((c for c in before if c.get("type") == ALLOWED), None)
    since = old["lastTransitionTime"] if old is not None and old.get("status") == value else now
    condition = {
        "type": ALLOWED, "status": value, "observedGeneration": generation, "lastTransitionTime": since,
        "reason": reason, "message": message,
    }  # fmt: skip
    status["conditions"] = [condition if c is old else c for c in before] if old is not None else [*before, condition]


def prepare_create(budget: Obj) -> None:
    budget["status"] = {"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0}


def validate(budget: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    spec = budget.get("spec") or {}
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        errors.append(invalid(_SPEC, spec, "minAvailable and maxUnavailable cannot be both set"))
    for name in ("minAvailable", "maxUnavailable"):
        int_or_percent(errors, _SPEC.child(name), spec.get(name))
        at_most_all(errors, _SPEC.child(name), spec.get(name))
    label_selector(errors, _SPEC.child("selector"), spec.get("selector"))
    policy = spec.get("unhealthyPodEvictionPolicy")
    enum(errors, _SPEC.child("unhealthyPodEvictionPolicy"), policy, (IF_HEALTHY_BUDGET, ALWAYS_ALLOW))
    return errors


def validate_status(new: ROObj, _old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    status = new.get("status") or {}
    conditions(errors, _STATUS.child("conditions"), status.get("conditions") or ())
    for name in ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"):
        non_negative(errors, _STATUS.child(name), status.get(name))
    return errors


def _bound(name: str) -> Column:
    def cell(budget: ROObj) -> Any:
        value = (budget.get("spec") or {}).get(name)
        return "N/A" if value is None else str(value)

    return column("Min Available" if name == "minAvailable" else "Max Unavailable", cell)


KIND = Kind(
    group="policy",
    version="v1",
    kind="PodDisruptionBudget",
    plural="poddisruptionbudgets",
    singular="poddisruptionbudget",
    namespaced=True,
    schema="io.k8s.api.policy.v1.PodDisruptionBudget",
    short_names=("pdb",),
    subresources=(status_of("PodDisruptionBudget"),),
    prepare_create=prepare_create,
    validate=validate,
    validate_status=validate_status,
    columns=(
        _bound("minAvailable"),
        _bound("maxUnavailable"),
        number("Allowed Disruptions", "status.disruptionsAllowed"),
        columns.AGE,
    ),
)
