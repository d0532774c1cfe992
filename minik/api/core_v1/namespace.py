"""Namespace, core/v1."""

from __future__ import annotations

from minik.api import columns
from minik.api.kind import ALL_VERBS, Kind, Subresource, status_of
from minik.api.meta import ROObj


def phase(namespace: ROObj) -> str:
    return (namespace.get("status") or {}).get("phase") or ""


KIND = Kind(
    group="",
    version="v1",
    kind="Namespace",
    plural="namespaces",
    singular="namespace",
    namespaced=False,
    schema="io.k8s.api.core.v1.Namespace",
    short_names=("ns",),
    verbs=tuple(verb for verb in ALL_VERBS if verb != "deletecollection"),
    subresources=(Subresource(name="finalize", kind="Namespace", verbs=("update",)), status_of("Namespace")),
    columns=(columns.column("Status", phase), columns.AGE),
    fields={"status.phase": phase},
    generation=False,
)
