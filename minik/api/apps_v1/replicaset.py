"""ReplicaSet, apps/v1."""

from __future__ import annotations

from minik.api import columns, selectors
from minik.api.columns import column, number
from minik.api.kind import Kind, ScalePaths, scale_subresource, status_of

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
