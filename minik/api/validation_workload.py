"""Validation that ReplicationController, ReplicaSet and Deployment share: replicas, selector against template, status numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from minik.api import selectors
from minik.api.errors import Path, field_forbidden, invalid, not_supported, required
from minik.api.meta import ROObj
from minik.api.selectors import Selector, SelectorError
from minik.api.validation import NOT_NEGATIVE, Errors, label_selector, non_negative
from minik.api.validation_pod import SPEC, pod_template

STATUS = Path("status")
_PERCENT = re.compile("[0-9]+%", re.ASCII)
_PERCENT_ERROR = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for"
    " validation is '[0-9]+%')"
)


def template_for(errors: Errors, template: Mapping[str, Any] | None, selector: Selector, kind: str) -> None:
    """`spec.template` of a kind that keeps pods running: always restarted, and selected by its own `selector`."""
    path = SPEC.child("template")
    if template is None:
        errors.append(required(path))
        return
    own = (template.get("metadata") or {}).get("labels")
    if not selector.empty and not selector.matches(own):
        why = "`selector` does not match template `labels`"
        errors.append(invalid(path.child("metadata", "labels"), own, why))
    pod_template(errors, path, template)
    spec = template.get("spec") or {}
    if spec.get("restartPolicy", "Always") != "Always":
        errors.append(not_supported(path.child("spec", "restartPolicy"), spec["restartPolicy"], ("Always",)))
    if spec.get("activeDeadlineSeconds") is not None:
        why = f"activeDeadlineSeconds in {kind} is not Supported"
        errors.append(field_forbidden(path.child("spec", "activeDeadlineSeconds"), why))


def selector_and_template(errors: Errors, spec: Mapping[str, Any], kind: str) -> None:
    """`spec.selector` (a LabelSelector) and `spec.template` of an apps/v1 kind."""
    path, selector = SPEC.child("selector"), spec.get("selector")
    if selector is None:
        errors.append(required(path))
    else:
        label_selector(errors, path, selector)
        if not selector.get("matchLabels") and not selector.get("matchExpressions"):
            errors.append(invalid(path, selector, "empty selector is invalid for deployment"))
    try:
        parsed = selectors.from_label_selector(selector)
    except SelectorError:
        errors.append(invalid(path, selector, "invalid label selector"))
        return
    template_for(errors, spec.get("template") or {}, parsed, kind)


def int_or_percent(errors: Errors, path: Path, value: Any) -> None:
    """A whole number or a percentage, not negative (ValidatePositiveIntOrPercent)."""
    if isinstance(value, str):
        if not _PERCENT.fullmatch(value):
            errors.append(invalid(path, value, _PERCENT_ERROR))
    elif value is not None and value < 0:
        errors.append(invalid(path, value, NOT_NEGATIVE))


def percent(value: Any) -> int | None:
    """50 for `50%`; None for anything else."""
    return int(value[:-1]) if isinstance(value, str) and _PERCENT.fullmatch(value) else None


def at_most_all(errors: Errors, path: Path, value: Any) -> None:
    if (percent(value) or 0) > 100:
        errors.append(invalid(path, value, "must not be greater than 100%"))


def is_zero(value: Any) -> bool:
    return value == 0 or percent(value) == 0


def replica_status(errors: Errors, obj: ROObj, *fields: str) -> None:
    """The counts in `status`: none negative, and of `fields` none above `replicas`."""
    status = obj.get("status") or {}
    total = status.get("replicas") or 0
    for field in ("replicas", *fields, "observedGeneration"):
        non_negative(errors, STATUS.child(field), status.get(field))
    for field in fields:
        number = status.get(field) or 0
        if field != "unavailableReplicas" and number > total:
            errors.append(invalid(STATUS.child(field), number, "cannot be greater than status.replicas"))
    available = status.get("availableReplicas") or 0
    if available > (status.get("readyReplicas") or 0):
        errors.append(invalid(STATUS.child("availableReplicas"), available, "cannot be greater than readyReplicas"))
