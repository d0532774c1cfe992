"""Namespace, core/v1."""

from __future__ import annotations

from collections.abc import Sequence

from minik.api import columns
from minik.api.errors import FieldError, Path, invalid
from minik.api.kind import ALL_VERBS, Kind, Subresource, status_of
from minik.api.meta import Obj, ROObj
from minik.api.validation_names import dns_label, qualified_name

FINALIZER = "kubernetes"
NAME_LABEL = "kubernetes.io/metadata.name"


def phase(namespace: ROObj) -> str:
    return (namespace.get("status") or {}).get("phase") or ""


def default(namespace: Obj) -> None:
    """Every namespace carries its name as a label, so that selectors can name it."""
    name = namespace["metadata"].get("name")
    if name:
        labels = namespace["metadata"].get("labels")
        if labels is None:
            labels = namespace["metadata"]["labels"] = {}
        labels[NAME_LABEL] = name
    status = namespace.get("status")
    if status is None:
        status = namespace["status"] = {}
    if not status.get("phase"):
        status["phase"] = "Active"


def prepare_create(namespace: Obj) -> None:
    """A new namespace is Active and is finalized by the namespace controller."""
    namespace["status"] = {"phase": "Active"}
    finalizers = (namespace.get("spec") or {}).get("finalizers") or []
    namespace["spec"] = {"finalizers": [*finalizers, *({FINALIZER} - set(finalizers))]}


def prepare_update(namespace: Obj, old: ROObj) -> None:
    """`spec.finalizers` change through the `finalize` subresource only."""
    finalizers = (old.get("spec") or {}).get("finalizers")
    namespace["spec"] = {"finalizers": list(finalizers)} if finalizers else {}


def validate(namespace: ROObj) -> Sequence[FieldError]:
    """The finalizers' names."""
    path = Path("spec.finalizers")
    return [
        invalid(path, finalizer, problem)
        for finalizer in (namespace.get("spec") or {}).get("finalizers") or ()
        for problem in qualified_name(finalizer)
    ]


def validate_status(new: ROObj, _old: ROObj) -> Sequence[FieldError]:
    """Terminating is exactly the phase of a namespace that is being deleted."""
    path, now = Path("status.Phase"), phase(new)
    if new["metadata"].get("deletionTimestamp"):
        if now != "Terminating":
            return [invalid(path, now, "may only be 'Terminating' if `deletionTimestamp` is not empty")]
    elif now != "Active":
        return [invalid(path, now, "may only be 'Active' if `deletionTimestamp` is empty")]
    return ()


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
    default=default,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_status=validate_status,
    validate_name=dns_label,
    columns=(columns.column("Status", phase), columns.AGE),
    fields={"status.phase": phase},
    generation=False,
)
