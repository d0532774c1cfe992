"""Binding, core/v1: created to bind a pod to a node, never stored."""

from __future__ import annotations

from minik.api.kind import Kind
from minik.api.validation_pod import validate_binding

KIND = Kind(
    group="",
    version="v1",
    kind="Binding",
    plural="bindings",
    singular="binding",
    namespaced=True,
    schema="io.k8s.api.core.v1.Binding",
    verbs=("create",),
    validate=validate_binding,
    generation=False,
)
