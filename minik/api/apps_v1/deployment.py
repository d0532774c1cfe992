"""Deployment, apps/v1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.api import columns, selectors
from minik.api.columns import column, number
from minik.api.core_v1.pod_defaults import default_template
from minik.api.errors import FieldError, field_forbidden, invalid, not_supported
from minik.api.kind import Kind, ScalePaths, scale_subresource, status_of
from minik.api.meta import Obj, ROObj
from minik.api.validation import Errors, immutable_field, non_negative
from minik.api.validation_pod import SPEC
from minik.api.validation_workload import (
    at_most_all,
    int_or_percent,
    is_zero,
    replica_status,
    selector_and_template,
)

ROLLING, RECREATE = "RollingUpdate", "Recreate"


def _ready(deployment: ROObj) -> str:
    ready = (deployment.get("status") or {}).get("readyReplicas") or 0
    return f"{ready}/{(deployment.get('spec') or {}).get('replicas', 1)}"


def default(deployment: Obj) -> None:
    spec = deployment.get("spec")
    if spec is None:
        return
    default_template(spec.get("template"))
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", ROLLING) == ROLLING:
        rolling = strategy.get("rollingUpdate")
        if rolling is None:
            rolling = strategy["rollingUpdate"] = {}
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")


def prepare_create(deployment: Obj) -> None:
    deployment["status"] = {}


def validate(deployment: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    spec = deployment.get("spec") or {}
    non_negative(errors, SPEC.child("replicas"), spec.get("replicas"))
    selector_and_template(errors, spec, "Deployment")
    _strategy(errors, spec.get("strategy") or {})
    for field in ("minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
        non_negative(errors, SPEC.child(field), spec.get(field))
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= (spec.get("minReadySeconds") or 0):
        errors.append(invalid(SPEC.child("progressDeadlineSeconds"), deadline, "must be greater than minReadySeconds"))
    return errors


def _strategy(errors: Errors, strategy: Mapping[str, Any]) -> None:
    path, kind = SPEC.child("strategy"), strategy.get("type", ROLLING)
    rolling = strategy.get("rollingUpdate")
    at = path.child("rollingUpdate")
    if kind == RECREATE:
        if rolling is not None:
            errors.append(field_forbidden(at, "may not be specified when strategy `type` is 'Recreate'"))
    elif kind != ROLLING:
        errors.append(not_supported(path, strategy, (RECREATE, ROLLING)))
    elif rolling is not None:
        surge, unavailable = rolling.get("maxSurge"), rolling.get("maxUnavailable")
        int_or_percent(errors, at.child("maxUnavailable"), unavailable)
        int_or_percent(errors, at.child("maxSurge"), surge)
        if is_zero(unavailable) and is_zero(surge):
            errors.append(invalid(at.child("maxUnavailable"), unavailable, "may not be 0 when `maxSurge` is 0"))
        at_most_all(errors, at.child("maxUnavailable"), unavailable)


def validate_update(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    after, before = (obj.get("spec") or {} for obj in (new, old))
    immutable_field(errors, SPEC.child("selector"), after.get("selector"), before.get("selector"))
    return errors


def validate_status(new: ROObj, _old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    replica_status(errors, new, "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas")
    return errors


KIND = Kind(
    group="apps",
    version="v1",
    kind="Deployment",
    plural="deployments",
    singular="deployment",
    namespaced=True,
    schema="io.k8s.api.apps.v1.Deployment",
    short_names=("deploy",),
    categories=("all",),
    subresources=(scale_subresource(), status_of("Deployment")),
    scale=ScalePaths(),
    default=default,
    prepare_create=prepare_create,
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_status,
    columns=(
        column("Ready", _ready),
        number("Up-to-date", "status.updatedReplicas"),
        number("Available", "status.availableReplicas"),
        columns.AGE,
        *columns.containers_columns(columns.spec_template),
        column("Selector", lambda d: selectors.format_label_selector((d.get("spec") or {}).get("selector")), wide=True),
    ),
)
