"""Validation of where a pod may run: node selectors, affinity, tolerations, taints, topology spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.api.errors import FieldError, Path, duplicate, field_forbidden, invalid, not_supported, required, show
from minik.api.validation import Errors, check_name, enum, label_key, label_selector
from minik.api.validation_names import dns_label, dns_subdomain, label_value

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def affinity(errors: Errors, path: Path, value: Mapping[str, Any] | None) -> None:
    """core/v1 Affinity."""
    if not value:
        return
    node = value.get("nodeAffinity")
    if node:
        _node_affinity(errors, path.child("nodeAffinity"), node)
    for field in ("podAffinity", "podAntiAffinity"):
        terms = value.get(field)
        if not terms:
            continue
        at = path.child(field)
        for number, term in enumerate(terms.get(_REQUIRED) or ()):
            _pod_affinity_term(errors, at.child(_REQUIRED).index(number), term)
        for number, weighted in enumerate(terms.get(_PREFERRED) or ()):
            here = at.child(_PREFERRED).index(number)
            _weight(errors, here, weighted)
            _pod_affinity_term(errors, here.child("podAffinityTerm"), weighted.get("podAffinityTerm") or {})


def _weight(errors: Errors, path: Path, term: Mapping[str, Any]) -> None:
    weight = term.get("weight", 0)
    if not 1 <= weight <= 100:
        errors.append(invalid(path.child("weight"), weight, "must be in the range 1-100"))


def _node_affinity(errors: Errors, path: Path, value: Mapping[str, Any]) -> None:
    if value.get(_REQUIRED) is not None:
        node_selector(errors, path.child(_REQUIRED), value[_REQUIRED])
    for number, term in enumerate(value.get(_PREFERRED) or ()):
        at = path.child(_PREFERRED).index(number)
        _weight(errors, at, term)
        _node_selector_term(errors, at.child("preference"), term.get("preference") or {}, values=False)


def node_selector(errors: Errors, path: Path, selector: Mapping[str, Any]) -> None:
    """core/v1 NodeSelector."""
    at = path.child("nodeSelectorTerms")
    terms = selector.get("nodeSelectorTerms") or ()
    if not terms:
        errors.append(required(at, "must have at least one node selector term"))
    for number, term in enumerate(terms):
        _node_selector_term(errors, at.index(number), term, values=True)


def _node_selector_term(errors: Errors, path: Path, term: Mapping[str, Any], *, values: bool) -> None:
    for number, requirement in enumerate(term.get("matchExpressions") or ()):
        _node_expression(errors, path.child("matchExpressions").index(number), requirement, values=values)
    for number, requirement in enumerate(term.get("matchFields") or ()):
        _node_field(errors, path.child("matchFields").index(number), requirement)


def _node_expression(errors: Errors, path: Path, requirement: Mapping[str, Any], *, values: bool) -> None:
    operator, given = requirement.get("operator", ""), requirement.get("values") or ()
    if operator in ("In", "NotIn"):
        if not given:
            errors.append(required(path.child("values"), "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in ("Exists", "DoesNotExist"):
        if given:
            why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            errors.append(field_forbidden(path.child("values"), why))
    elif operator in ("Gt", "Lt"):
        if len(given) != 1:
            errors.append(
                required(path.child("values"), "must be specified single value when `operator` is 'Lt' or 'Gt'")
            )
    else:
        errors.append(invalid(path.child("operator"), operator, "not a valid selector operator"))
    label_key(errors, path.child("key"), requirement.get("key", ""))
    if values:
        for number, value in enumerate(given):
            check_name(errors, path.child("values").index(number), value, label_value)


def _node_field(errors: Errors, path: Path, requirement: Mapping[str, Any]) -> None:
    operator, given = requirement.get("operator", ""), requirement.get("values") or ()
    if operator not in ("In", "NotIn"):
        errors.append(invalid(path.child("operator"), operator, "not a valid selector operator"))
    elif len(given) != 1:
        why = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        errors.append(required(path.child("values"), why))
    if requirement.get("key") != "metadata.name":
        errors.append(invalid(path.child("key"), requirement.get("key", ""), "not a valid field selector key"))
        return
    for number, value in enumerate(given):
        check_name(errors, path.child("values").index(number), value, dns_subdomain)


def _pod_affinity_term(errors: Errors, path: Path, term: Mapping[str, Any]) -> None:
    label_selector(errors, path.child("labelSelector"), term.get("labelSelector"))
    label_selector(errors, path.child("namespaceSelector"), term.get("namespaceSelector"))
    for name in term.get("namespaces") or ():
        check_name(errors, path.child("namespace"), name, dns_label)
    match, mismatch = term.get("matchLabelKeys") or (), term.get("mismatchLabelKeys") or ()
    for field, keys in (("matchLabelKeys", match), ("mismatchLabelKeys", mismatch)):
        if keys and term.get("labelSelector") is None:
            errors.append(field_forbidden(path.child(field), "must not be specified when labelSelector is not set"))
        else:
            for number, key in enumerate(keys):
                label_key(errors, path.child(field).index(number), key)
    for number, key in enumerate(match):
        if key in mismatch:
            at = path.child("matchLabelKeys").index(number)
            errors.append(invalid(at, key, "exists in both matchLabelKeys and mismatchLabelKeys"))
    _topology_key(errors, path.child("topologyKey"), term.get("topologyKey") or "")


def _topology_key(errors: Errors, path: Path, key: str) -> None:
    if not key:
        errors.append(required(path, "can not be empty"))
    label_key(errors, path, key)


def tolerations(errors: Errors, path: Path, values: Sequence[Mapping[str, Any]]) -> None:
    """A list of core/v1 Toleration."""
    for number, toleration in enumerate(values):
        at = path.index(number)
        key, operator, value = (toleration.get(f) or "" for f in ("key", "operator", "value"))
        effect = toleration.get("effect") or ""
        if key:
            label_key(errors, at.child("key"), key)
        elif operator != "Exists":
            why = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            errors.append(invalid(at.child("operator"), operator, why))
        if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
            why = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            errors.append(invalid(at.child("effect"), effect, why))
        if operator in ("", "Equal"):
            problems = label_value(value)
            if problems:
                errors.append(invalid(at.child("operator"), value, ";".join(problems)))
        elif operator == "Exists":
            if value:
                errors.append(invalid(at.child("operator"), value, "value must be empty when `operator` is 'Exists'"))
        else:
            errors.append(not_supported(at.child("operator"), operator, ("Equal", "Exists")))
        enum(errors, at.child("effect"), effect, EFFECTS)


def taints(errors: Errors, path: Path, values: Sequence[Mapping[str, Any]]) -> None:
    """A list of core/v1 Taint."""
    seen: set[tuple[str, str]] = set()
    for number, taint in enumerate(values):
        at = path.index(number)
        label_key(errors, at.child("key"), taint.get("key") or "")
        problems = label_value(taint.get("value") or "")
        if problems:
            errors.append(invalid(at.child("value"), taint.get("value"), ";".join(problems)))
        enum(errors, at.child("effect"), taint.get("effect"), EFFECTS, optional=False)
        identity = (taint.get("key") or "", taint.get("effect") or "")
        if identity in seen:
            body = f"Duplicate value: {show(taint)}: taints must be unique by key and effect pair"
            errors.append(FieldError("FieldValueDuplicate", at, body))
        seen.add(identity)


def topology_spread(errors: Errors, path: Path, constraints: Sequence[Mapping[str, Any]]) -> None:
    """A list of core/v1 TopologySpreadConstraint."""
    seen: set[tuple[str, str]] = set()
    for number, constraint in enumerate(constraints):
        at = path.index(number)
        skew = constraint.get("maxSkew", 0)
        if skew <= 0:
            errors.append(invalid(at.child("maxSkew"), skew, "must be greater than zero"))
        key, action = constraint.get("topologyKey") or "", constraint.get("whenUnsatisfiable") or ""
        _topology_key(errors, at.child("topologyKey"), key)
        if action not in ("DoNotSchedule", "ScheduleAnyway"):
            errors.append(not_supported(at.child("whenUnsatisfiable"), action, ("DoNotSchedule", "ScheduleAnyway")))
        if (key, action) in seen:
            errors.append(duplicate(at, f"{{{key}, {action}}}"))
        seen.add((key, action))
        _min_domains(errors, at.child("minDomains"), constraint.get("minDomains"), action)
        enum(errors, at.child("nodeAffinityPolicy"), constraint.get("nodeAffinityPolicy"), ("Honor", "Ignore"))
        enum(errors, at.child("nodeTaintsPolicy"), constraint.get("nodeTaintsPolicy"), ("Honor", "Ignore"))
        label_selector(errors, at.child("labelSelector"), constraint.get("labelSelector"))
        _spread_label_keys(errors, at.child("matchLabelKeys"), constraint)


def _min_domains(errors: Errors, path: Path, value: int | None, action: str) -> None:
    if value is None:
        return
    if value <= 0:
        errors.append(invalid(path, value, "must be greater than zero"))
    if action != "DoNotSchedule":
        why = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
        errors.append(invalid(path, value, why))


def _is_own_value(expression: Mapping[str, Any]) -> bool:
    return expression.get("operator") == "In" and len(expression.get("values") or ()) == 1


def _spread_label_keys(errors: Errors, path: Path, constraint: Mapping[str, Any]) -> None:
    keys = constraint.get("matchLabelKeys") or ()
    selector = constraint.get("labelSelector")
    if keys and selector is None:
        errors.append(field_forbidden(path, "must not be specified when labelSelector is not set"))
    selected = {*((selector or {}).get("matchLabels") or ())}
    # "key in (one value)" is what became of the key itself when the pod was created (core_v1/pod_label_keys.py)
    selected |= {e.get("key") for e in (selector or {}).get("matchExpressions") or () if not _is_own_value(e)}
    for number, key in enumerate(keys):
        label_key(errors, path.index(number), key)
        if key in selected:
            errors.append(invalid(path.index(number), key, "exists in both matchLabelKeys and labelSelector"))
