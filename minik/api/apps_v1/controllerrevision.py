"""ControllerRevision, apps/v1: one state of a DaemonSet's or StatefulSet's template, kept for going back to. Its data never changes."""

from __future__ import annotations

from collections.abc import Sequence

from minik.api import columns, meta
from minik.api.columns import NONE, column
from minik.api.errors import FieldError, Path, required
from minik.api.kind import Kind
from minik.api.meta import ROObj
from minik.api.validation import Errors, immutable_field, non_negative


def validate(revision: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    if revision.get("data") is None:
        errors.append(required(Path("data"), "data is mandatory"))
    non_negative(errors, Path("revision"), revision.get("revision"))
    return errors


def validate_update(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    immutable_field(errors, Path("data"), new.get("data"), old.get("data"))
    return errors


def _controller(revision: ROObj) -> str:
    ref = meta.controller_of(revision)
    if ref is None:
        return NONE
    group, _ = meta.parse_api_version(ref["apiVersion"])
    return f"{'.'.join(filter(None, (ref['kind'].lower(), group)))}/{ref['name']}"


KIND = Kind(
    group="apps",
    version="v1",
    kind="ControllerRevision",
    plural="controllerrevisions",
    singular="controllerrevision",
    namespaced=True,
    schema="io.k8s.api.apps.v1.ControllerRevision",
    validate=validate,
    validate_update=validate_update,
    columns=(
        column("Controller", _controller),
        column("Revision", lambda revision: int(revision.get("revision") or 0), type="integer"),
        columns.AGE,
    ),
    generation=False,
)
