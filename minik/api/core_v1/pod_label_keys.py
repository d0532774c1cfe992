"""`matchLabelKeys` and `mismatchLabelKeys` of a new pod: they become requirements of the label selector beside them, with the pod's own
values (KEP-3633 for pod affinity, KEP-3243 for topology spread; podStrategy's applyMatchLabelKeysAndMismatchLabelKeys).

Done once, when the pod is created: changing its labels later changes no rule. Called by `pod.prepare_create`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from minik.api.meta import Obj

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def merge_label_keys(pod: Obj) -> None:
    """Extend the selectors of the pod's affinity terms and spread constraints."""
    spec, labels = pod.get("spec") or {}, pod["metadata"].get("labels") or {}
    for term in _terms(spec.get("affinity") or {}):
        _merge(term, term.get("matchLabelKeys") or (), "In", labels)
        _merge(term, term.get("mismatchLabelKeys") or (), "NotIn", labels)
    for constraint in spec.get("topologySpreadConstraints") or ():
        _merge(constraint, constraint.get("matchLabelKeys") or (), "In", labels)


def _terms(affinity: Obj) -> Iterator[Obj]:
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(kind) or {}
        yield from rules.get(_REQUIRED) or ()
        for weighted in rules.get(_PREFERRED) or ():
            yield weighted.get("podAffinityTerm") or {}


def _merge(term: Obj, keys: Sequence[str], operator: str, labels: Mapping[str, str]) -> None:
    selector = term.get("labelSelector")
    if selector is None:
        return  # refused by validation
    expressions = list(selector.get("matchExpressions") or ())
    for key in keys:
        if key in labels:
            requirement = {"key": key, "operator": operator, "values": [labels[key]]}
            if requirement not in expressions:
                expressions.append(requirement)
    if expressions:
        selector["matchExpressions"] = expressions
