"""DaemonSet, apps/v1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.api import columns, meta, selectors
from minik.api.columns import column, number
from minik.api.core_v1.pod_defaults import default_template
from minik.api.errors import FieldError, Path, invalid, not_supported, required
from minik.api.kind import Kind, status_of
from minik.api.meta import Obj, ROObj
from minik.api.validation import Errors, immutable_field, non_negative
from minik.api.validation_pod import SPEC
from minik.api.validation_workload import STATUS, at_most_all, int_or_percent, is_zero, selector_and_template

ROLLING, ON_DELETE = "RollingUpdate", "OnDelete"
TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
"""Annotation: counts the changes of the template. Deprecated for fifteen years to come, and still what clients see."""


def default(daemon_set: Obj) -> None:
    spec = daemon_set.get("spec")
    if spec is None:
        return
    default_template(spec.get("template"))
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", ROLLING) == ROLLING:
        rolling = strategy.get("rollingUpdate")
        if rolling is None:
            rolling = strategy["rollingUpdate"] = {}
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)


def prepare_create(daemon_set: Obj) -> None:
    daemon_set["status"] = {
        "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0,
    }  # fmt: skip
    annotations = daemon_set["metadata"].setdefault("annotations", {})
    annotations.setdefault(TEMPLATE_GENERATION, "1")


def prepare_update(draft: Obj, old: ROObj) -> None:
    before = template_generation(old)
    changed = (draft.get("spec") or {}).get("template") != (old.get("spec") or {}).get("template")
    annotations = dict(meta.annotations(draft))
    annotations[TEMPLATE_GENERATION] = str(before + 1 if changed else before)
    draft["metadata"]["annotations"] = annotations


def template_generation(daemon_set: ROObj) -> int:
    text = meta.annotations(daemon_set).get(TEMPLATE_GENERATION, "1")
    return int(text) if text.isascii() and text.isdigit() else 1


def validate(daemon_set: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    spec = daemon_set.get("spec") or {}
    selector_and_template(errors, spec, "DaemonSet")
    _strategy(errors, SPEC.child("updateStrategy"), spec.get("updateStrategy") or {})
    for field in ("minReadySeconds", "revisionHistoryLimit"):
        non_negative(errors, SPEC.child(field), spec.get(field))
    return errors


def _strategy(errors: Errors, path: Path, strategy: Mapping[str, Any]) -> None:
    kind, rolling = strategy.get("type", ROLLING), strategy.get("rollingUpdate")
    if kind == ON_DELETE:
        return
    if kind != ROLLING:
        errors.append(not_supported(path, strategy, (ROLLING, ON_DELETE)))
        return
    at = path.child("rollingUpdate")
    if rolling is None:
        errors.append(required(at))
        return
    unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    for field, value in (("maxUnavailable", unavailable), ("maxSurge", surge)):
        int_or_percent(errors, at.child(field), value)
        at_most_all(errors, at.child(field), value)
    if not is_zero(unavailable) and not is_zero(surge):
        errors.append(invalid(at.child("maxSurge"), surge, "may not be set when maxUnavailable is non-zero"))
    if is_zero(unavailable) and is_zero(surge):
        errors.append(required(at.child("maxUnavailable"), "cannot be 0 when maxSurge is 0"))


def validate_update(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    after, before = (obj.get("spec") or {} for obj in (new, old))
    immutable_field(errors, SPEC.child("selector"), after.get("selector"), before.get("selector"))
    return errors


def validate_status(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    status = new.get("status") or {}
    for field in (
        "currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady", "observedGeneration",
        "updatedNumberScheduled", "numberAvailable", "numberUnavailable", "collisionCount",
    ):  # fmt: skip
        non_negative(errors, STATUS.child(field), status.get(field))
    count = status.get("collisionCount") or 0
    if count < ((old.get("status") or {}).get("collisionCount") or 0):
        errors.append(invalid(STATUS.child("collisionCount"), count, "cannot be decremented"))
    return errors


def _node_selector(daemon_set: ROObj) -> str:
    return columns.format_labels((columns.spec_template(daemon_set).get("spec") or {}).get("nodeSelector"))


KIND = Kind(
    group="apps",
    version="v1",
    kind="DaemonSet",
    plural="daemonsets",
    singular="daemonset",
    namespaced=True,
    schema="io.k8s.api.apps.v1.DaemonSet",
    short_names=("ds",),
    categories=("all",),
    subresources=(status_of("DaemonSet"),),
    default=default,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_status,
    columns=(
        number("Desired", "status.desiredNumberScheduled"),
        number("Current", "status.currentNumberScheduled"),
        number("Ready", "status.numberReady"),
        number("Up-to-date", "status.updatedNumberScheduled"),
        number("Available", "status.numberAvailable"),
        column("Node Selector", _node_selector),
        columns.AGE,
        *columns.containers_columns(columns.spec_template),
        column(
            "Selector", lambda ds: selectors.format_label_selector((ds.get("spec") or {}).get("selector")), wide=True
        ),
    ),
)
