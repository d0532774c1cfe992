"""Conditions in a status: replacing one, with its transition time kept while its status stays (metav1.Condition's convention)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.api.meta import Obj


def with_condition(conditions: Sequence[Mapping[str, Any]], new: Mapping[str, Any], *, now: str) -> list[Obj]:
    """`conditions` with `new` in the place of the one of its type, or at the end. `lastTransitionTime` is `now` if the status
    changed, else what it was."""
    result: list[Obj] = []
    found = False
    for old in conditions:
        if old.get("type") != new["type"]:
            result.append(dict(old))
            continue
        found = True
        same = old.get("status") == new["status"]
        result.append({**new, "lastTransitionTime": old.get("lastTransitionTime") if same else now})
    if not found:
        result.append({**new, "lastTransitionTime": now})
    return result
