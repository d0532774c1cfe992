"""Secret, core/v1."""

from __future__ import annotations

from minik.api import columns
from minik.api.columns import column
from minik.api.kind import Kind
from minik.api.meta import ROObj


def type_of(secret: ROObj) -> str:
    return secret.get("type") or ""


KIND = Kind(
    group="",
    version="v1",
    kind="Secret",
    plural="secrets",
    singular="secret",
    namespaced=True,
    schema="io.k8s.api.core.v1.Secret",
    columns=(column("Type", type_of), column("Data", lambda secret: len(secret.get("data") or ())), columns.AGE),
    fields={"type": type_of},
    generation=False,
)
