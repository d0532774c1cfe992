"""MutatingAdmissionPolicy, admissionregistration.k8s.io/v1 (KEP-3962). `server/policies/` goes by it once a binding names it."""

from __future__ import annotations

from collections.abc import Sequence

from minik.api import columns
from minik.api.admissionregistration_v1 import policies
from minik.api.admissionregistration_v1.policies import SPEC
from minik.api.admissionregistration_v1.validatingadmissionpolicy import param_kind
from minik.api.admissionregistration_v1.webhooks import GROUP
from minik.api.columns import column
from minik.api.errors import FieldError, field_forbidden, not_supported, required
from minik.api.kind import Kind
from minik.api.meta import ROObj
from minik.api.validation import Errors

PATCHES = {"ApplyConfiguration": "applyConfiguration", "JSONPatch": "jsonPatch"}
"""patchType → the field that has its expression."""


def validate(obj: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    spec = obj.get("spec") or {}
    policies.policy(errors, spec)
    known = policies.variables(errors, spec)
    mutations = spec.get("mutations") or ()
    if not mutations:
        errors.append(required(SPEC.child("mutations"), "mutations must contain at least one item"))
    for number, mutation in enumerate(mutations):
        path, type_ = SPEC.child("mutations").index(number), mutation.get("patchType") or ""
        if not type_:
            errors.append(required(path.child("patchType"), "patchType must be specified"))
            continue
        if type_ not in PATCHES:
            errors.append(not_supported(path.child("patchType"), type_, PATCHES))
            continue
        for other, field in PATCHES.items():
            if other != type_ and mutation.get(field) is not None:
                why = f"{field} is forbidden when patchType is not {other}"
                errors.append(field_forbidden(path.child(field), why))
        field = PATCHES[type_]
        if mutation.get(field) is None:
            why = f"{field} is required when patchType is {type_}"
            errors.append(required(path.child(field), why))
            continue
        text = mutation[field].get("expression")
        policies.expression(errors, path.child(field, "expression"), text, "dyn", spec, known)
    policies.required_enum(
        errors, SPEC.child("reinvocationPolicy"), spec.get("reinvocationPolicy"), ("IfNeeded", "Never")
    )
    return errors


KIND = Kind(
    group=GROUP,
    version="v1",
    kind="MutatingAdmissionPolicy",
    plural="mutatingadmissionpolicies",
    singular="mutatingadmissionpolicy",
    namespaced=False,
    schema="io.k8s.api.admissionregistration.v1.MutatingAdmissionPolicy",
    categories=("api-extensions",),
    validate=validate,
    columns=(
        column("Mutations", lambda obj: len((obj.get("spec") or {}).get("mutations") or ()), type="integer"),
        column("ParamKind", param_kind),
        columns.AGE,
    ),
)
