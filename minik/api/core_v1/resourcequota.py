"""ResourceQuota: the most that the objects of one namespace may use together.

What an object uses and which quotas it falls under is `quotas.py`; `server/admission/quota.py` refuses what is too much;
`controllers/resourcequota.py` writes `status.used`. Source of the rules: kubernetes `pkg/apis/core/validation` (ValidateResourceQuota)
and `pkg/apis/core/helper`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.api import columns, quantity
from minik.api.columns import column
from minik.api.errors import FieldError, Path, invalid, required
from minik.api.kind import Column, Kind, status_of
from minik.api.meta import Obj, ROObj
from minik.api.validation import Errors, immutable_field
from minik.api.validation_resources import is_quota_name, quantity_value, standard_resource_name

BEST_EFFORT, NOT_BEST_EFFORT = "BestEffort", "NotBestEffort"
TERMINATING, NOT_TERMINATING = "Terminating", "NotTerminating"
PRIORITY_CLASS = "PriorityClass"
CROSS_NAMESPACE = "CrossNamespacePodAffinity"
VOLUME_CLASS = "VolumeAttributesClass"
_SPEC, _STATUS = Path("spec"), Path("status")
_ALWAYS = (BEST_EFFORT, NOT_BEST_EFFORT, TERMINATING, NOT_TERMINATING, CROSS_NAMESPACE)
"""Scopes that a selector may only name, not compare."""
_SCOPES = (*_ALWAYS, PRIORITY_CLASS, VOLUME_CLASS)
_OF_PODS = ("pods", "cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory")
_OF_CLAIMS = ("persistentvolumeclaims", "requests.storage")
_EXISTS = (
    "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
    "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
)


def prepare_create(quota: Obj) -> None:
    quota["status"] = {}


def validate(quota: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    spec = quota.get("spec") or {}
    hard = spec.get("hard") or {}
    _amounts(errors, _SPEC.child("hard"), hard)
    scopes = spec.get("scopes") or ()
    at = _SPEC.child("scopes")
    for scope in scopes:
        _scope(errors, at, at, scope, scopes, hard)
    _no_contradiction(errors, at, scopes, scopes)
    selector = spec.get("scopeSelector")
    if selector is not None:
        _selector(errors, _SPEC.child("scopeSelector").child("matchExpressions"), selector, hard)
    return errors


def _amounts(errors: Errors, path: Path, values: Mapping[str, Any]) -> None:
    for name, text in values.items():
        at = path.key(name)
        before = len(errors)
        standard_resource_name(errors, at, name)
        if len(errors) == before and "/" not in name and not is_quota_name(name):
            errors.append(invalid(at, name, "must be a standard resource for quota"))
        quantity_value(errors, at, name, text)


def _scope(errors: Errors, path: Path, named: Path, scope: str, shown: Any, hard: Mapping[str, Any]) -> None:
    if scope not in _SCOPES:
        errors.append(invalid(named, scope if named != path else shown, "unsupported scope"))
    valid = _valid_resources(scope)
    for name in hard:
        if valid is not None and is_quota_name(name) and name not in valid:
            errors.append(invalid(path, shown, "unsupported scope applied to resource"))


def _valid_resources(scope: str) -> Sequence[str] | None:
    """The standard resources that a quota of this scope may limit; None: any."""
    if scope == BEST_EFFORT:
        return ("pods",)
    if scope == VOLUME_CLASS:
        return _OF_CLAIMS
    return _OF_PODS if scope in _SCOPES else None


def _no_contradiction(errors: Errors, path: Path, scopes: Sequence[str], shown: Any) -> None:
    for pair in ({BEST_EFFORT, NOT_BEST_EFFORT}, {TERMINATING, NOT_TERMINATING}):
        if pair <= set(scopes):
            errors.append(invalid(path, shown, "conflicting scopes"))


def _selector(errors: Errors, path: Path, selector: Mapping[str, Any], hard: Mapping[str, Any]) -> None:
    expressions = selector.get("matchExpressions") or ()
    for expression in expressions:
        scope, operator = expression.get("scopeName") or "", expression.get("operator") or ""
        values = expression.get("values") or ()
        _scope(errors, path, path.child("scopeName"), scope, selector, hard)
        if scope in _ALWAYS and operator != "Exists":
            errors.append(invalid(path.child("operator"), operator, _EXISTS))
        if operator in ("In", "NotIn"):
            if not values:
                why = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
                errors.append(required(path.child("values"), why))
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                why = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
                errors.append(invalid(path.child("values"), values, why))
        else:
            errors.append(invalid(path.child("operator"), operator, "not a valid selector operator"))
    _no_contradiction(errors, path, [e.get("scopeName") or "" for e in expressions], selector)


def validate_update(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    after, before = ((quota.get("spec") or {}).get("scopes") or [] for quota in (new, old))
    if set(after) != set(before):
        immutable_field(errors, _SPEC.child("scopes"), after, before)
    return errors


def validate_status(new: ROObj, _old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    status = new.get("status") or {}
    _amounts(errors, _STATUS.child("hard"), status.get("hard") or {})
    _amounts(errors, _STATUS.child("used"), status.get("used") or {})
    return errors


def _usage(*, of_limits: bool) -> Column:
    def cell(quota: ROObj) -> str:
        status = quota.get("status") or {}
        hard, used = status.get("hard") or {}, status.get("used") or {}
        return ", ".join(
            f"{name}: {quantity.canonical(used.get(name, '0'))}/{quantity.canonical(hard[name])}"
            for name in sorted(hard)
            if name.startswith("limits.") == of_limits
        )

    return column("Limit" if of_limits else "Request", cell)


KIND = Kind(
    group="",
    version="v1",
    kind="ResourceQuota",
    plural="resourcequotas",
    singular="resourcequota",
    namespaced=True,
    schema="io.k8s.api.core.v1.ResourceQuota",
    short_names=("quota",),
    subresources=(status_of("ResourceQuota"),),
    prepare_create=prepare_create,
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_status,
    generation=False,
    columns=(_usage(of_limits=False), _usage(of_limits=True), columns.AGE),
)
