"""ValidatingAdmissionPolicy, admissionregistration.k8s.io/v1 (KEP-3488). `server/policies/` goes by it once a binding names it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.api import columns
from minik.api.admissionregistration_v1 import policies
from minik.api.admissionregistration_v1.policies import SPEC
from minik.api.admissionregistration_v1.webhooks import GROUP
from minik.api.columns import column
from minik.api.errors import FieldError, Path, duplicate, invalid, required
from minik.api.kind import Kind, status_of
from minik.api.meta import ROObj
from minik.api.validation import Errors, check_name, enum
from minik.api.validation_conditions import conditions
from minik.api.validation_names import qualified_name

_REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized")
_MAX_ANNOTATIONS = 20
_MAX_ANNOTATION_LENGTH = 5 * 1024


def validate(obj: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    spec = obj.get("spec") or {}
    policies.policy(errors, spec)
    known = policies.variables(errors, spec)
    validations, annotations = spec.get("validations") or (), spec.get("auditAnnotations") or ()
    if not validations and not annotations:
        for field in ("validations", "auditAnnotations"):
            errors.append(required(SPEC.child(field), "validations or auditAnnotations must contain at least one item"))
    for number, validation in enumerate(validations):
        _validation(errors, SPEC.child("validations").index(number), validation, spec, known)
    _annotations(errors, SPEC.child("auditAnnotations"), annotations, obj["metadata"].get("name") or "", spec, known)
    return errors


def _validation(
    errors: Errors, path: Path, validation: Mapping[str, Any], spec: Mapping[str, Any], known: Sequence[str]
) -> None:
    policies.expression(errors, path.child("expression"), validation.get("expression"), "bool", spec, known)
    text = validation.get("messageExpression") or ""
    if text and not text.strip():
        errors.append(invalid(path.child("messageExpression"), text, "must be non-empty if specified"))
    elif text:
        policies.expression(errors, path.child("messageExpression"), text, "string", spec, known)
    message = validation.get("message") or ""
    if message and not message.strip():
        errors.append(invalid(path.child("message"), message, "message must be non-empty if specified"))
    elif set("\r\n") & set(message.strip()):
        errors.append(invalid(path.child("message"), message, "message must not contain line breaks"))
    enum(errors, path.child("reason"), validation.get("reason"), _REASONS)


def _annotations(
    errors: Errors, path: Path, annotations: Sequence[Mapping[str, Any]], name: str, spec: Mapping[str, Any], known: Sequence[str]
) -> None:  # fmt: skip
    if len(annotations) > _MAX_ANNOTATIONS:
        errors.append(invalid(path, list(annotations), f"must not have more than {_MAX_ANNOTATIONS} auditAnnotations"))
    keys: set[str] = set()
    for number, annotation in enumerate(annotations):
        at, key, text = path.index(number), annotation.get("key") or "", annotation.get("valueExpression") or ""
        if name:
            check_name(errors, at.child("key"), f"{name}/{key}", qualified_name)
        else:
            errors.append(invalid(at.child("key"), key, "requires metadata.name be non-empty"))
        if len(text.strip()) > _MAX_ANNOTATION_LENGTH:
            why = f"must not exceed {_MAX_ANNOTATION_LENGTH} bytes in length"
            errors.append(required(at.child("valueExpression"), why))
        else:
            policies.expression(errors, at.child("valueExpression"), text, "dyn", spec, known)
        if key in keys:
            errors.append(duplicate(at.child("key"), key))
        keys.add(key)


def validate_status(new: ROObj, _old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    status, path = new.get("status") or {}, Path("status")
    warnings = (status.get("typeChecking") or {}).get("expressionWarnings") or ()
    for number, warning in enumerate(warnings):
        for field in ("warning", "fieldRef"):
            if not (warning.get(field) or "").strip():
                errors.append(required(path.child("typeChecking", "expressionWarnings").index(number).child(field)))
    conditions(errors, path.child("conditions"), status.get("conditions") or ())
    return errors


def _count(field: str) -> Any:
    return lambda obj: len((obj.get("spec") or {}).get(field) or ())


def param_kind(obj: ROObj) -> str:
    kind = (obj.get("spec") or {}).get("paramKind")
    return f"{kind.get('apiVersion')}/{kind.get('kind')}" if kind else "<unset>"


KIND = Kind(
    group=GROUP,
    version="v1",
    kind="ValidatingAdmissionPolicy",
    plural="validatingadmissionpolicies",
    singular="validatingadmissionpolicy",
    namespaced=False,
    schema="io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy",
    categories=("api-extensions",),
    subresources=(status_of("ValidatingAdmissionPolicy"),),
    validate=validate,
    validate_status=validate_status,
    columns=(
        column("Validations", _count("validations"), type="integer"),
        column("ParamKind", param_kind),
        columns.AGE,
    ),
)
