"""What validating policies say of a write: the first refusal is raised, warnings are noted. Source: `policy/validating/dispatcher.go`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minik.api.cel import CelError
from minik.api.errors import StatusError, forbidden
from minik.api.meta import ROObj
from minik.server.core import Attributes, Core
from minik.server.policies.bound import Bound
from minik.server.policies.evaluate import Case, Failure, cases
from minik.server.webhooks.matching import Subject

_CODES = {"Unauthorized": 401, "Forbidden": 403, "RequestEntityTooLarge": 413, "Invalid": 422}
_MAX_MESSAGE = 5 * 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """A validation that does not hold."""

    message: str
    reason: str = "Invalid"
    is_configuration: bool = False
    """The policy cannot be gone by as it is: a refusal, whatever the binding's actions are."""


def judge(
    core: Core,
    attributes: Attributes,
    policies: Sequence[tuple[Bound, Mapping[str, Any]]],
    subject: Subject,
    namespace: Callable[[], ROObj | None],
) -> None:
    """Raises the refusal of the first policy that has one. `policies`: those that the write concerns, each with the `request` of a
    review in the version that it wants."""
    refusal: StatusError | None = None
    around = None if subject.is_namespace else namespace()
    for bound, request in policies:
        actions = bound.binding.get("validationActions") or ()
        for finding in _findings(core, bound, subject, request, around):
            where = f"ValidatingAdmissionPolicy '{bound.policy}' with binding '{bound.name}'"
            if "Warn" in actions and not finding.is_configuration:
                attributes.warnings.append(f"Validation failed for {where}: {finding.message}")
            if ("Deny" in actions or finding.is_configuration) and refusal is None:
                refusal = _refusal(subject, f"{where} denied request: {finding.message}", finding.reason)
    if refusal is not None:
        raise refusal


def _findings(
    core: Core, bound: Bound, subject: Subject, request: Mapping[str, Any], namespace: ROObj | None
) -> Iterator[Finding]:
    try:
        found = list(cases(core, bound, subject, request, namespace))
    except Failure as error:
        if not bound.is_ignored:
            yield Finding(f"failed to configure binding: {error}", is_configuration=True)
        return
    for case in found:
        try:
            applies = case.applies()
        except Failure as error:
            if not bound.is_ignored:
                yield Finding(str(error))
            continue
        if applies:
            yield from _of_case(case)


def _of_case(case: Case) -> Iterator[Finding]:
    for validation in case.bound.spec.get("validations") or ():
        expression = validation["expression"]
        try:
            holds = case.value(expression, "bool")
        except CelError as error:
            if not case.bound.is_ignored:
                yield Finding(f"expression '{expression.strip()}' resulted in error: {error}")
            continue
        if holds is not True:
            yield Finding(_message(case, validation), validation.get("reason") or "Invalid")
    for annotation in case.bound.spec.get("auditAnnotations") or ():
        why = _wrong_annotation(case, annotation["valueExpression"].strip())
        if why and not case.bound.is_ignored:
            yield Finding(why, is_configuration=True)


def _wrong_annotation(case: Case, expression: str) -> str:
    """There is no audit log to put it into, but one that has no value is a failure of the policy."""
    try:
        value = case.value(expression, "dyn")
    except CelError as error:
        return f"valueExpression '{expression}' resulted in error: {error}"
    if value is None or isinstance(value, str):
        return ""
    return (
        f"valueExpression '{expression}' resulted in unsupported return type. Return type must be either string or null"
    )


def _message(case: Case, validation: Mapping[str, Any]) -> str:
    """As its messageExpression says, if that says anything usable."""
    if validation.get("messageExpression"):
        try:
            text = case.value(validation["messageExpression"], "string")
        except CelError:
            text = ""
        if isinstance(text, str) and text.strip() and len(text) <= _MAX_MESSAGE and not set("\r\n") & set(text.strip()):
            return text.strip()
    return (validation.get("message") or "").strip() or f"failed expression: {validation['expression'].strip()}"


def _refusal(subject: Subject, message: str, reason: str) -> StatusError:
    error = forbidden(subject.resource, subject.group, subject.name, message)
    error.status_code, error.status_reason = _CODES[reason], reason
    error.details = {**(error.details or {}), "causes": [{"message": message}]}
    return error
