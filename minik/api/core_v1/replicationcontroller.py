"""ReplicationController, core/v1."""

from __future__ import annotations

from collections.abc import Sequence

from minik.api import columns, selectors
from minik.api.columns import column, number
from minik.api.core_v1.pod_defaults import default_template
from minik.api.errors import FieldError, required
from minik.api.kind import Kind, ScalePaths, scale_subresource, status_of
from minik.api.meta import Obj, ROObj
from minik.api.validation import Errors, non_negative
from minik.api.validation_pod import SPEC
from minik.api.validation_workload import replica_status, template_for


def default(controller: Obj) -> None:
    """Selector and labels come from the template where they are not given."""
    spec = controller.get("spec")
    if spec is None:
        return
    template = spec.get("template")
    default_template(template)
    labels = ((template or {}).get("metadata") or {}).get("labels")
    if labels:
        if not spec.get("selector"):
            spec["selector"] = dict(labels)
        if not controller["metadata"].get("labels"):
            controller["metadata"]["labels"] = dict(labels)


def prepare_create(controller: Obj) -> None:
    controller["status"] = {"replicas": 0}


def validate(controller: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    spec = controller.get("spec") or {}
    non_negative(errors, SPEC.child("minReadySeconds"), spec.get("minReadySeconds"))
    if not spec.get("selector"):
        errors.append(required(SPEC.child("selector")))
    non_negative(errors, SPEC.child("replicas"), spec.get("replicas"))
    selector = selectors.from_labels(spec.get("selector"))
    template_for(errors, spec.get("template"), selector, "ReplicationController")
    return errors


def validate_status(new: ROObj, _old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    replica_status(errors, new, "fullyLabeledReplicas", "readyReplicas", "availableReplicas")
    return errors


KIND = Kind(
    group="",
    version="v1",
    kind="ReplicationController",
    plural="replicationcontrollers",
    singular="replicationcontroller",
    namespaced=True,
    schema="io.k8s.api.core.v1.ReplicationController",
    short_names=("rc",),
    categories=("all",),
    subresources=(scale_subresource(), status_of("ReplicationController")),
    scale=ScalePaths(),
    default=default,
    prepare_create=prepare_create,
    validate=validate,
    validate_status=validate_status,
    columns=(
        number("Desired", "spec.replicas"),
        number("Current", "status.replicas"),
        number("Ready", "status.readyReplicas"),
        columns.AGE,
        *columns.containers_columns(columns.spec_template),
        column("Selector", lambda rc: columns.format_labels((rc.get("spec") or {}).get("selector")), wide=True),
    ),
    fields={"status.replicas": lambda rc: str((rc.get("status") or {}).get("replicas") or 0)},
    orphans_by_default=True,
)
