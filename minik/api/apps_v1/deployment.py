"""Deployment, apps/v1."""

from __future__ import annotations

from minik.api import columns, selectors
from minik.api.columns import column, number
from minik.api.kind import Kind, ScalePaths, scale_subresource, status_of
from minik.api.meta import ROObj


def _ready(deployment: ROObj) -> str:
    ready = (deployment.get("status") or {}).get("readyReplicas") or 0
    return f"{ready}/{(deployment.get('spec') or {}).get('replicas', 1)}"


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
    columns=(
        column("Ready", _ready),
        number("Up-to-date", "status.updatedReplicas"),
        number("Available", "status.availableReplicas"),
        columns.AGE,
        *columns.containers_columns(columns.spec_template),
        column("Selector", lambda d: selectors.format_label_selector((d.get("spec") or {}).get("selector")), wide=True),
    ),
)
