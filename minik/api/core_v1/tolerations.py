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


def merged(first: Iterable[Mapping[str, Any]], second: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Both, without those of which another tolerates all that they do; of equal ones the first (pkg/util/tolerations)."""
    every = [*first, *second]
    kept: list[Mapping[str, Any]] = []
    for number, one in enumerate(every):
        wider = (*kept, *(other for other in every[number + 1 :] if other != one))
        if not any(_covers(other, one) for other in wider):
            kept.append(one)
    return kept


def _covers(wide: Mapping[str, Any], narrow: Mapping[str, Any]) -> bool:
    if wide == narrow:
        return True
    exists = wide.get("operator") == "Exists"
    key, effect = wide.get("key") or "", wide.get("effect") or ""
    if key != (narrow.get("key") or "") and (key or not exists):
        return False
    if effect and effect != narrow.get("effect"):
        return False
    if effect == "NoExecute" and wide.get("tolerationSeconds") is not None:
        seconds = narrow.get("tolerationSeconds")
        if seconds is None or seconds > wide["tolerationSeconds"]:
            return False
    if exists:
        return True
    return narrow.get("operator") != "Exists" and (narrow.get("value") or "") == (wide.get("value") or "")
