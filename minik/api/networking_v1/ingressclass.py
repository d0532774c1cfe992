"""IngressClass, networking.k8s.io/v1: which controller looks after an Ingress, and which class an Ingress without one gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.api import columns, meta
from minik.api.columns import NONE, column
from minik.api.errors import FieldError, Path, field_forbidden, not_supported, required, too_long
from minik.api.kind import Kind
from minik.api.meta import ROObj
from minik.api.networking_v1.ingress import object_reference
from minik.api.validation import Errors, check_name, immutable_field
from minik.api.validation_names import dns_label, domain_prefixed_path

DEFAULT_ANNOTATION = "ingressclass.kubernetes.io/is-default-class"
MAX_CONTROLLER = 250
_CONTROLLER = Path("spec").child("controller")
_SCOPES = ("Cluster", "Namespace")


def is_default(ingress_class: ROObj) -> bool:
    """Whether an Ingress without a class gets this one."""
    return meta.annotations(ingress_class).get(DEFAULT_ANNOTATION) == "true"


def validate(ingress_class: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    spec = ingress_class.get("spec") or {}
    controller = spec.get("controller") or ""
    if not controller:
        errors.append(required(_CONTROLLER))
    else:
        if len(controller) > MAX_CONTROLLER:
            errors.append(too_long(_CONTROLLER, "", MAX_CONTROLLER))
        check_name(errors, _CONTROLLER, controller, domain_prefixed_path)
    if spec.get("parameters") is not None:
        _parameters(errors, Path("spec").child("parameters"), spec["parameters"])
    return errors


def _parameters(errors: Errors, path: Path, reference: Mapping[str, Any]) -> None:
    object_reference(errors, path, reference)
    scope, namespace = reference.get("scope"), reference.get("namespace")
    if scope not in _SCOPES:
        errors.append(not_supported(path.child("scope"), scope or "", _SCOPES))
    elif scope == "Cluster":
        if namespace is not None:
            errors.append(field_forbidden(path.child("namespace"), "`parameters.scope` is set to 'Cluster'"))
    elif namespace is None:
        errors.append(required(path.child("namespace"), "`parameters.scope` is set to 'Namespace'"))
    else:
        check_name(errors, path.child("namespace"), namespace, dns_label)


def validate_update(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    after, before = ((obj.get("spec") or {}).get("controller") or "" for obj in (new, old))
    immutable_field(errors, _CONTROLLER, after, before)
    return errors


def _shown_parameters(ingress_class: ROObj) -> str:
    reference = (ingress_class.get("spec") or {}).get("parameters")
    if reference is None:
        return NONE
    kind = reference.get("kind", "")
    if reference.get("apiGroup") is not None:
        kind = f"{kind}.{reference['apiGroup']}"
    return f"{kind}/{reference.get('name', '')}"


KIND = Kind(
    group="networking.k8s.io",
    version="v1",
    kind="IngressClass",
    plural="ingressclasses",
    singular="ingressclass",
    namespaced=False,
    schema="io.k8s.api.networking.v1.IngressClass",
    validate=validate,
    validate_update=validate_update,
    columns=(
        column("Controller", lambda obj: (obj.get("spec") or {}).get("controller") or ""),
        column("Parameters", _shown_parameters),
        columns.AGE,
    ),
)
