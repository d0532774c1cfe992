"""ReplicaSet, apps/v1."""

from __future__ import annotations

from collections.abc import Sequence

from minik.api import columns, selectors
from minik.api.columns import column, number
from minik.api.core_v1.pod_defaults import default_template
from minik.api.errors import FieldError
from minik.api.kind import Kind, ScalePaths, scale_subresource, status_of
from minik.api.meta import Obj, ROObj
from minik.api.validation import Errors, immutable_field, non_negative
from minik.api.validation_pod import SPEC
from minik.api.validation_workload import replica_status, selector_and_template


def default(replica_set: Obj) -> None:
    default_template((replica_set.get("spec") or {}).get("template"))


def prepare_create(replica_set: Obj) -> None:
    replica_set["status"] = {"replicas": 0}


def validate(replica_set: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    spec = replica_set.get("spec") or {}
    non_negative(errors, SPEC.child("replicas"), spec.get("replicas"))
    non_negative(errors, SPEC.child("minReadySeconds"), spec.get("minReadySeconds"))
    selector_and_template(errors, spec, "ReplicaSet")
    return errors


def validate_update(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    after, before = (obj.get("spec") or {} for obj in (new, old))
    immutable_field(errors, SPEC.child("selector"), after.get("selector"), before.get("selector"))
    return errors


def validate_status(new: ROObj, _old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    replica_status(errors, new, "fullyLabeledReplicas", "readyReplicas", "availableReplicas")
    return errors


KIND = Kind(
    group="apps",
    version="v1",
    kind="ReplicaSet",
    plural="replicasets",
    singular="replicaset",
    namespaced=True,
    schema="io.k8s.api.apps.v1.ReplicaSet",
    short_names=("rs",),
    categories=("all",),
    subresources=(scale_subresource(), status_of("ReplicaSet")),
    scale=ScalePaths(),
    default=default,
    prepare_create=prepare_create,
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_status,
    columns=(
        number("Desired", "spec.replicas"),
        number("Current", "status.replicas"),
        number("Ready", "status.readyReplicas"),
        columns.AGE,
        *columns.containers_columns(columns.spec_template),
        column(
            "Selector", lambda rs: selectors.format_label_selector((rs.get("spec") or {}).get("selector")), wide=True
        ),
    ),
    fields={"status.replicas": lambda rs: str((rs.get("status") or {}).get("replicas") or 0)},
)
