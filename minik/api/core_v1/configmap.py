"""ConfigMap, core/v1."""

from __future__ import annotations

from minik.api import columns
from minik.api.columns import column
from minik.api.kind import Kind
from minik.api.meta import ROObj


def _count(config: ROObj) -> int:
    return len(config.get("data") or ()) + len(config.get("binaryData") or ())


KIND = Kind(
    group="",
    version="v1",
    kind="ConfigMap",
    plural="configmaps",
    singular="configmap",
    namespaced=True,
    schema="io.k8s.api.core.v1.ConfigMap",
    short_names=("cm",),
    columns=(column("Data", _count), columns.AGE),
    generation=False,
)
