"""Node selectors (core/v1 NodeSelector): terms are alternatives, the requirements of a term all hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.api.selectors import whole_number


def matches(selector: Mapping[str, Any], labels: Mapping[str, str], name: str) -> bool:
    """Whether a node of these labels and this name is selected. No term selects nothing."""
    return any(matches_term(term, labels, name) for term in selector.get("nodeSelectorTerms") or ())


def matches_term(term: Mapping[str, Any], labels: Mapping[str, str], name: str) -> bool:
    """One term; an empty one matches nothing."""
    expressions = term.get("matchExpressions") or ()
    fields = term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    return all(_holds(r, labels.get(r["key"])) for r in expressions) and all(
        _holds(r, name if r["key"] == "metadata.name" else None) for r in fields
    )


def _holds(requirement: Mapping[str, Any], value: str | None) -> bool:
    operator = requirement["operator"]
    values: Sequence[str] = requirement.get("values") or ()
    if operator == "In":
        return value is not None and value in values
    if operator == "NotIn":
        return value is None or value not in values
    if operator == "Exists":
        return value is not None
    if operator == "DoesNotExist":
        return value is None
    if operator in ("Gt", "Lt"):
        have, bound = whole_number(value or ""), whole_number(values[0] if values else "")
        if have is None or bound is None:
            return False
        return have > bound if operator == "Gt" else have < bound
    return False
