"""StatefulSet, apps/v1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.api import columns
from minik.api.columns import column
from minik.api.core_v1.pod_defaults import default_template
from minik.api.errors import FieldError, Path, field_forbidden, invalid, not_supported
from minik.api.kind import Kind, ScalePaths, scale_subresource, status_of
from minik.api.meta import Obj, ROObj
from minik.api.validation import Errors, dns_label, non_negative
from minik.api.validation_pod import SPEC
from minik.api.validation_workload import STATUS, at_most_all, int_or_percent, is_zero, selector_and_template

ROLLING, ON_DELETE = "RollingUpdate", "OnDelete"
ORDERED, PARALLEL = "OrderedReady", "Parallel"
RETAIN, DELETE = "Retain", "Delete"
_CHANGEABLE = (
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit", "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)  # fmt: skip
_FIXED = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy',"
    " 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)


def default(stateful_set: Obj) -> None:
    spec = stateful_set.get("spec")
    if spec is None:
        return
    default_template(spec.get("template"))
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", ROLLING) == ROLLING:
        rolling = strategy.get("rollingUpdate")
        if rolling is None:
            rolling = strategy["rollingUpdate"] = {}
        if rolling.get("partition") is None:
            rolling["partition"] = 0
    for claim in spec.get("volumeClaimTemplates") or ():
        claim.setdefault("apiVersion", "v1")
        claim.setdefault("kind", "PersistentVolumeClaim")
        claim.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
        claim.setdefault("status", {}).setdefault("phase", "Pending")


def prepare_create(stateful_set: Obj) -> None:
    stateful_set["status"] = {"replicas": 0, "availableReplicas": 0}


def validate(stateful_set: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    spec = stateful_set.get("spec") or {}
    policy = spec.get("podManagementPolicy", ORDERED)
    if policy not in (ORDERED, PARALLEL):
        errors.append(invalid(SPEC.child("podManagementPolicy"), policy, f"must be '{ORDERED}' or '{PARALLEL}'"))
    _strategy(errors, SPEC.child("updateStrategy"), spec.get("updateStrategy") or {})
    retention = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    for field in ("whenDeleted", "whenScaled"):
        if retention.get(field, RETAIN) not in (RETAIN, DELETE):
            at = SPEC.child("persistentVolumeClaimRetentionPolicy", field)
            errors.append(not_supported(at, retention[field], (RETAIN, DELETE)))
    for field in ("replicas", "minReadySeconds", "revisionHistoryLimit"):
        non_negative(errors, SPEC.child(field), spec.get(field))
    non_negative(errors, SPEC.child("ordinals.start"), (spec.get("ordinals") or {}).get("start"))
    selector_and_template(errors, _with_claims(spec), "StatefulSet")
    return errors


def _with_claims(spec: ROObj) -> ROObj:
    """The spec with a template whose pods have the volumes that their claims will be: containers may mount them."""
    names = [(claim.get("metadata") or {}).get("name") or "" for claim in spec.get("volumeClaimTemplates") or ()]
    if not names or not spec.get("template"):
        return spec
    pod = spec["template"].get("spec") or {}
    own = [volume for volume in pod.get("volumes") or () if volume.get("name") not in names]
    claims = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in dict.fromkeys(names)]
    return {**spec, "template": {**spec["template"], "spec": {**pod, "volumes": [*own, *claims]}}}


def _strategy(errors: Errors, path: Path, strategy: Mapping[str, Any]) -> None:
    kind, rolling = strategy.get("type", ROLLING), strategy.get("rollingUpdate")
    at = path.child("rollingUpdate")
    if kind == ON_DELETE:
        if rolling is not None:
            errors.append(invalid(at, rolling, f"only allowed for updateStrategy '{ROLLING}'"))
    elif kind != ROLLING:
        errors.append(invalid(path, strategy, f"must be '{ROLLING}' or '{ON_DELETE}'"))
    elif rolling is not None:
        non_negative(errors, at.child("partition"), rolling.get("partition"))
        bound = rolling.get("maxUnavailable")
        if bound is not None:
            int_or_percent(errors, at.child("maxUnavailable"), bound)
            if is_zero(bound):
                errors.append(invalid(at.child("maxUnavailable"), bound, "cannot be 0"))
            at_most_all(errors, at.child("maxUnavailable"), bound)


def validate_update(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    after, before = ({k: v for k, v in (obj.get("spec") or {}).items() if k not in _CHANGEABLE} for obj in (new, old))
    return [field_forbidden(SPEC, _FIXED)] if after != before else ()


def validate_status(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    status = new.get("status") or {}
    counts = ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")
    for field in ("replicas", *counts, "observedGeneration", "collisionCount"):
        non_negative(errors, STATUS.child(field), status.get(field))
    for field in counts:
        if (status.get(field) or 0) > (status.get("replicas") or 0):
            errors.append(invalid(STATUS.child(field), status[field], "cannot be greater than status.replicas"))
    available = status.get("availableReplicas") or 0
    if available > (status.get("readyReplicas") or 0):
        why = "cannot be greater than status.readyReplicas"
        errors.append(invalid(STATUS.child("availableReplicas"), available, why))
    count = status.get("collisionCount") or 0
    if count < ((old.get("status") or {}).get("collisionCount") or 0):
        errors.append(invalid(STATUS.child("collisionCount"), count, "cannot be decremented"))
    return errors


def _ready(stateful_set: ROObj) -> str:
    ready = (stateful_set.get("status") or {}).get("readyReplicas") or 0
    return f"{ready}/{(stateful_set.get('spec') or {}).get('replicas', 1)}"


KIND = Kind(
    group="apps",
    version="v1",
    kind="StatefulSet",
    plural="statefulsets",
    singular="statefulset",
    namespaced=True,
    schema="io.k8s.api.apps.v1.StatefulSet",
    short_names=("sts",),
    categories=("all",),
    subresources=(scale_subresource(), status_of("StatefulSet")),
    scale=ScalePaths(),
    default=default,
    prepare_create=prepare_create,
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_status,
    validate_name=dns_label,
    columns=(
        column("Ready", _ready),
        columns.AGE,
        *columns.containers_columns(columns.spec_template),
    ),
)
