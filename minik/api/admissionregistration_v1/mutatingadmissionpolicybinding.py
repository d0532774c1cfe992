"""MutatingAdmissionPolicyBinding, admissionregistration.k8s.io/v1: where a mutating policy holds, and with which parameters."""

from __future__ import annotations

from collections.abc import Sequence

from minik.api import columns
from minik.api.admissionregistration_v1 import policies
from minik.api.admissionregistration_v1.validatingadmissionpolicybinding import param_ref, policy_name
from minik.api.admissionregistration_v1.webhooks import GROUP
from minik.api.columns import column
from minik.api.errors import FieldError
from minik.api.kind import Kind
from minik.api.meta import ROObj
from minik.api.validation import Errors


def validate(obj: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    policies.binding(errors, obj.get("spec") or {})
    return errors


KIND = Kind(
    group=GROUP,
    version="v1",
    kind="MutatingAdmissionPolicyBinding",
    plural="mutatingadmissionpolicybindings",
    singular="mutatingadmissionpolicybinding",
    namespaced=False,
    schema="io.k8s.api.admissionregistration.v1.MutatingAdmissionPolicyBinding",
    categories=("api-extensions",),
    validate=validate,
    columns=(column("PolicyName", policy_name), column("ParamRef", param_ref), columns.AGE),
)
