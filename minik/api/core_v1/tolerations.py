"""Whether tolerations tolerate a taint (core/v1 Toleration.ToleratesTaint). Used by scheduler, node lifecycle and agent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def tolerates_taint(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    """Whether one toleration tolerates one taint."""
    effect = toleration.get("effect")
    if effect and effect != taint.get("effect"):
        return False
    key = toleration.get("key")
    if key and key != taint.get("key"):
        return False
    operator = toleration.get("operator") or "Equal"
    if operator == "Exists":
        return True
    return operator == "Equal" and bool(key) and (toleration.get("value") or "") == (taint.get("value") or "")


def tolerates(tolerations: Iterable[Mapping[str, Any]], taint: Mapping[str, Any]) -> bool:
    """Whether any of the tolerations tolerates the taint."""
    return any(tolerates_taint(toleration, taint) for toleration in tolerations)


def seconds_tolerated(tolerations: Iterable[Mapping[str, Any]], taint: Mapping[str, Any]) -> float:
    """For a NoExecute taint: how many seconds a pod may stay. 0: not at all; infinity: for ever; else the smallest
    `tolerationSeconds` of the tolerations that match."""
    bounds = [toleration.get("tolerationSeconds") for toleration in tolerations if tolerates_taint(toleration, taint)]
    if not bounds:
        return 0.0
    finite = [max(0, bound) for bound in bounds if bound is not None]
    return float(min(finite)) if finite else float("inf")
