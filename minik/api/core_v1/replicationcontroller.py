"""ReplicationController, core/v1."""

from __future__ import annotations

from minik.api import columns
from minik.api.columns import column, number
from minik.api.kind import Kind, ScalePaths, scale_subresource, status_of

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
