"""PriorityLevelConfiguration, flowcontrol.apiserver.k8s.io/v1: how many requests of a priority are served at once, and how others wait.

Kept and checked, as FlowSchema. Validation and defaults: kubernetes `pkg/apis/flowcontrol`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from minik.api import columns
from minik.api.columns import column
from minik.api.errors import FieldError, Path, field_forbidden, invalid, not_supported, required
from minik.api.flowcontrol_v1.status import GROUP, NOT_ENFORCED, validate_status
from minik.api.kind import Kind, status_of
from minik.api.meta import Obj, ROObj
from minik.api.validation import Errors

_MAX_QUEUES = 10_000_000
_MAX_BITS = 60
_SPEC = Path("spec")


def default(level: Obj) -> None:
    spec = level.get("spec") or {}
    if spec.get("type") == "Exempt":
        spec.setdefault("exempt", {})
    for name, shares in (("exempt", 0), ("limited", 30)):
        part = spec.get(name)
        if part is not None:
            part.setdefault("nominalConcurrencyShares", shares)
            part.setdefault("lendablePercent", 0)
    queuing = ((spec.get("limited") or {}).get("limitResponse") or {}).get("queuing")
    if queuing is not None:
        for name, value in (("handSize", 8), ("queues", 64), ("queueLengthLimit", 50)):
            if not queuing.get(name):
                queuing[name] = value


def validate(level: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    spec = level.get("spec") or {}
    type_, limited, exempt = spec.get("type") or "", spec.get("limited"), spec.get("exempt")
    if (level["metadata"].get("name") == "exempt") != (type_ == "Exempt"):
        errors.append(invalid(_SPEC.child("type"), type_, "type must be 'Exempt' if and only if name is 'exempt'"))
    if type_ == "Exempt":
        if limited is not None:
            errors.append(field_forbidden(_SPEC.child("limited"), "must be nil if the type is not Limited"))
        _shares(errors, _SPEC.child("exempt"), exempt or {})
    elif type_ == "Limited":
        if exempt is not None:
            errors.append(field_forbidden(_SPEC.child("exempt"), "must be nil if the type is Limited"))
        if limited is None:
            errors.append(required(_SPEC.child("limited"), "must not be empty when type is Limited"))
        else:
            _limited(errors, _SPEC.child("limited"), limited)
    else:
        errors.append(not_supported(_SPEC.child("type"), type_, ("Exempt", "Limited")))
    return errors


def _shares(errors: Errors, path: Path, part: Mapping[str, Any]) -> None:
    if (part.get("nominalConcurrencyShares") or 0) < 0:
        why = "must be a non-negative integer"
        errors.append(invalid(path.child("nominalConcurrencyShares"), part["nominalConcurrencyShares"], why))
    if not 0 <= (part.get("lendablePercent") or 0) <= 100:
        why = "must be between 0 and 100, inclusive"
        errors.append(invalid(path.child("lendablePercent"), part["lendablePercent"], why))


def _limited(errors: Errors, path: Path, limited: Mapping[str, Any]) -> None:
    _shares(errors, path, limited)
    borrowing = limited.get("borrowingLimitPercent")
    if borrowing is not None and borrowing < 0:
        why = "if specified, must be a non-negative integer"
        errors.append(invalid(path.child("borrowingLimitPercent"), borrowing, why))
    path, response = path.child("limitResponse"), limited.get("limitResponse") or {}
    type_, queuing = response.get("type") or "", response.get("queuing")
    if type_ == "Reject":
        if queuing is not None:
            why = "must be nil if limited.limitResponse.type is not Limited"
            errors.append(field_forbidden(path.child("queuing"), why))
    elif type_ == "Queue":
        if queuing is None:
            why = "must not be empty if limited.limitResponse.type is Limited"
            errors.append(required(path.child("queuing"), why))
        else:
            _queuing(errors, path.child("queuing"), queuing)
    else:
        errors.append(not_supported(path.child("type"), type_, ("Queue", "Reject")))


def _queuing(errors: Errors, path: Path, queuing: Mapping[str, Any]) -> None:
    length, queues, hand = (queuing.get(name) or 0 for name in ("queueLengthLimit", "queues", "handSize"))
    if length <= 0:
        errors.append(invalid(path.child("queueLengthLimit"), length, "must be positive"))
    if queues <= 0:
        errors.append(invalid(path.child("queues"), queues, "must be positive"))
    elif queues > _MAX_QUEUES:
        errors.append(invalid(path.child("queues"), queues, f"must not be greater than {_MAX_QUEUES}"))
    if hand <= 0:
        errors.append(invalid(path.child("handSize"), hand, "must be positive"))
    elif hand > queues:
        errors.append(invalid(path.child("handSize"), hand, f"should not be greater than queues ({queues})"))
    elif _entropy_bits(queues, hand) > _MAX_BITS:
        why = f"required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {_MAX_BITS}"
        errors.append(invalid(path.child("handSize"), hand, why))


def _entropy_bits(deck: int, hand: int) -> int:
    """How many random bits it takes to deal a hand (shufflesharding.RequiredEntropyBits)."""
    return math.ceil(sum(math.log2(deck - dealt) for dealt in range(min(hand, 1000))))


def _of_limited(read: Any) -> Any:
    return lambda level: read((level.get("spec") or {}).get("limited") or {})


def _queuing_column(name: str) -> Any:
    return _of_limited(lambda limited: ((limited.get("limitResponse") or {}).get("queuing") or {}).get(name, "<none>"))


KIND = Kind(
    group=GROUP,
    version="v1",
    kind="PriorityLevelConfiguration",
    plural="prioritylevelconfigurations",
    singular="prioritylevelconfiguration",
    namespaced=False,
    schema="io.k8s.api.flowcontrol.v1.PriorityLevelConfiguration",
    subresources=(status_of("PriorityLevelConfiguration"),),
    default=default,
    validate=validate,
    validate_status=validate_status,
    warnings=lambda _level: NOT_ENFORCED,
    columns=(
        column("Type", lambda level: (level.get("spec") or {}).get("type") or ""),
        column(
            "NominalConcurrencyShares", _of_limited(lambda limited: limited.get("nominalConcurrencyShares", "<none>"))
        ),
        column("Queues", _queuing_column("queues")),
        column("HandSize", _queuing_column("handSize")),
        column("QueueLengthLimit", _queuing_column("queueLengthLimit")),
        columns.AGE,
    ),
)
