"""ValidatingAdmissionPolicyBinding, admissionregistration.k8s.io/v1: where a policy holds, with which parameters, and what follows."""

from __future__ import annotations

from collections.abc import Sequence

from minik.api import columns
from minik.api.admissionregistration_v1 import policies
from minik.api.admissionregistration_v1.policies import SPEC
from minik.api.admissionregistration_v1.webhooks import GROUP
from minik.api.columns import column
from minik.api.errors import FieldError, duplicate, invalid, not_supported, required
from minik.api.kind import Kind
from minik.api.meta import ROObj
from minik.api.validation import Errors

_ACTIONS = ("Audit", "Deny", "Warn")


def validate(obj: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    spec = obj.get("spec") or {}
    policies.binding(errors, spec)
    path, actions = SPEC.child("validationActions"), spec.get("validationActions") or []
    for number, action in enumerate(actions):
        if action not in _ACTIONS:
            errors.append(not_supported(path.index(number), action, _ACTIONS))
        if action in actions[:number]:
            errors.append(duplicate(path.index(number), action))
    if {"Deny", "Warn"} <= set(actions):
        why = (
            "must not contain both Deny and Warn (repeating the same validation failure information in the API response and "
            "headers serves no purpose)"
        )
        errors.append(invalid(path, list(actions), why))
    if not actions:
        errors.append(required(path, "at least one validation action is required"))
    return errors


def param_ref(obj: ROObj) -> str:
    ref = (obj.get("spec") or {}).get("paramRef")
    if not ref:
        return "<unset>"
    return f"{ref['namespace']}/{ref.get('name', '')}" if ref.get("namespace") else f"*/{ref.get('name', '')}"


def policy_name(obj: ROObj) -> str:
    return (obj.get("spec") or {}).get("policyName") or ""


KIND = Kind(
    group=GROUP,
    version="v1",
    kind="ValidatingAdmissionPolicyBinding",
    plural="validatingadmissionpolicybindings",
    singular="validatingadmissionpolicybinding",
    namespaced=False,
    schema="io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicyBinding",
    categories=("api-extensions",),
    validate=validate,
    columns=(column("PolicyName", policy_name), column("ParamRef", param_ref), columns.AGE),
)
