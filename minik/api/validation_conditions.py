"""Validation of meta/v1 Conditions (apimachinery `pkg/apis/meta/v1/validation`, ValidateConditions)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from minik.api.errors import Path, duplicate, invalid, not_supported, required, too_long
from minik.api.validation import NOT_NEGATIVE, Errors, check_name
from minik.api.validation_names import qualified_name, regex_error

_STATUSES = ("False", "True", "Unknown")
_REASON = r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?"
_REASON_SHAPE = re.compile(_REASON, re.ASCII)
_REASON_ERROR = regex_error(
    "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', "
    "and must end with an alphanumeric character or '_'",
    _REASON,
    "my_name", "MY_NAME", "MyName", "ReasonA,ReasonB", "ReasonA:ReasonB",
)  # fmt: skip
MAX_REASON = 1024
MAX_MESSAGE = 32 * 1024


def conditions(errors: Errors, path: Path, values: Sequence[Mapping[str, Any]]) -> None:
    """Each condition, and that there are no two of one type."""
    seen: set[str] = set()
    for number, condition in enumerate(values):
        at, type_ = path.index(number), condition.get("type") or ""
        if type_ in seen:
            errors.append(duplicate(at.child("type"), type_))
        seen.add(type_)
        _condition(errors, at, condition)


def _condition(errors: Errors, path: Path, condition: Mapping[str, Any]) -> None:
    if condition.get("type"):
        check_name(errors, path.child("type"), condition["type"], qualified_name)
    else:
        errors.append(required(path.child("type"), "must be set"))
    if condition.get("status") not in _STATUSES:
        errors.append(not_supported(path.child("status"), condition.get("status") or "", _STATUSES))
    if (condition.get("observedGeneration") or 0) < 0:
        errors.append(invalid(path.child("observedGeneration"), condition["observedGeneration"], NOT_NEGATIVE))
    if not condition.get("lastTransitionTime"):
        errors.append(required(path.child("lastTransitionTime"), "must be set"))
    reason = condition.get("reason") or ""
    if not reason:
        errors.append(required(path.child("reason"), "must be set"))
    elif len(reason) > MAX_REASON:
        errors.append(too_long(path.child("reason"), reason, MAX_REASON))
    elif not _REASON_SHAPE.fullmatch(reason):
        errors.append(invalid(path.child("reason"), reason, _REASON_ERROR))
    if len(condition.get("message") or "") > MAX_MESSAGE:
        errors.append(too_long(path.child("message"), "", MAX_MESSAGE))
