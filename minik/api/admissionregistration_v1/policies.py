"""What the four kinds of admission policy share: validation of what they match, of their expressions and of their parameters.

Source: kubernetes `pkg/apis/admissionregistration/validation`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from minik.api.admissionregistration_v1.expressions import environment, what_is_wrong
from minik.api.admissionregistration_v1.webhooks import MAX_CONDITIONS, validate_conditions, validate_rule
from minik.api.errors import Path, duplicate, field_forbidden, invalid, not_supported, required, too_many
from minik.api.meta import parse_api_version
from minik.api.validation import Errors, check_name, enum, label_selector
from minik.api.validation_names import dns_1035_label, dns_subdomain, path_segment

SPEC = Path("spec")
_IDENTIFIER = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_WORDS = "true false null in as break const continue else for function if import let loop package namespace return var void while"
_RESERVED = frozenset(_WORDS.split(" "))


def policy(errors: Errors, spec: Mapping[str, Any]) -> None:
    """What validating and mutating policies have in common."""
    required_enum(errors, SPEC.child("failurePolicy"), spec.get("failurePolicy"), ("Fail", "Ignore"))
    if spec.get("paramKind") is not None:
        _param_kind(errors, SPEC.child("paramKind"), spec["paramKind"])
    path = SPEC.child("matchConstraints")
    constraints = spec.get("matchConstraints")
    if constraints is None:
        errors.append(required(path))
    else:
        match_resources(errors, path, constraints)
        if not constraints.get("resourceRules"):
            errors.append(required(path.child("resourceRules")))
    path, conditions = SPEC.child("matchConditions"), spec.get("matchConditions") or ()
    if len(conditions) > MAX_CONDITIONS:
        errors.append(too_many(path, len(conditions), MAX_CONDITIONS))
    where = environment("bool", params=bool(spec.get("paramKind")))
    validate_conditions(errors, path, conditions, lambda text: what_is_wrong(text, where))


def variables(errors: Errors, spec: Mapping[str, Any]) -> list[str]:
    """Their names, as the expressions after them may use them."""
    known: list[str] = []
    for number, variable in enumerate(spec.get("variables") or ()):
        path, name = SPEC.child("variables").index(number), (variable.get("name") or "").strip()
        if not name:
            errors.append(required(path.child("name"), "name is not specified"))
        elif not _IDENTIFIER.fullmatch(name) or name in _RESERVED:
            errors.append(invalid(path.child("name"), name, "name is not a valid CEL identifier"))
        expression(errors, path.child("expression"), variable.get("expression"), "dyn", spec, known)
        known.append(name)
    return known


def expression(
    errors: Errors, path: Path, text: str | None, returns: str, spec: Mapping[str, Any], known: Sequence[str]
) -> None:
    """One that must be there. `known`: variables that it may use."""
    if not (text or "").strip():
        errors.append(required(path, f"{path.rpartition('.')[2]} is not specified"))
        return
    assert text is not None
    if why := what_is_wrong(text, environment(returns, params=bool(spec.get("paramKind"))), known):
        errors.append(invalid(path, text, why))


def required_enum(errors: Errors, path: Path, value: str | None, values: Sequence[str]) -> None:
    if value is None:
        errors.append(required(path))
    else:
        enum(errors, path, value, values)


def match_resources(errors: Errors, path: Path, match: Mapping[str, Any] | None) -> None:
    if match is None:
        return
    required_enum(errors, path.child("matchPolicy"), match.get("matchPolicy"), ("Equivalent", "Exact"))
    for field in ("namespaceSelector", "objectSelector"):
        label_selector(errors, path.child(field), match.get(field))
    for field in ("resourceRules", "excludeResourceRules"):
        for number, rule in enumerate(match.get(field) or ()):
            at = path.child(field).index(number)
            names: set[str] = set()
            for index, name in enumerate(rule.get("resourceNames") or ()):
                check_name(errors, at.child("resourceNames").index(index), name, path_segment)
                if name in names:
                    errors.append(duplicate(at.child("resourceNames").index(index), name))
                names.add(name)
            validate_rule(errors, at, rule)


def _param_kind(errors: Errors, path: Path, kind: Mapping[str, Any]) -> None:
    api_version = kind.get("apiVersion") or ""
    if not api_version:
        errors.append(required(path.child("apiVersion")))
    elif api_version.count("/") > 1:
        why = f"unexpected GroupVersion string: {api_version}"
        errors.append(invalid(path.child("apiVersion"), api_version, why))
    else:
        group, version = parse_api_version(api_version)
        if group and (wrong := dns_subdomain(group)):
            errors.append(invalid(path.child("apiVersion"), group, ",".join(wrong)))
        if not version:
            errors.append(invalid(path.child("apiVersion"), api_version, "version must be specified"))
        elif wrong := dns_1035_label(version):
            errors.append(invalid(path.child("apiVersion"), version, ",".join(wrong)))
    name = kind.get("kind") or ""
    if not name:
        errors.append(required(path.child("kind")))
    elif wrong := dns_1035_label(name.lower()):
        why = f"may have mixed case, but should otherwise match: {','.join(wrong)}"
        errors.append(invalid(path.child("kind"), name, why))


def binding(errors: Errors, spec: Mapping[str, Any]) -> None:
    """What the bindings of both kinds have in common."""
    path, name = SPEC.child("policyName"), spec.get("policyName") or ""
    if not name:
        errors.append(required(path))
    else:
        check_name(errors, path, name, dns_subdomain)
    if spec.get("paramRef") is not None:
        _param_ref(errors, SPEC.child("paramRef"), spec["paramRef"])
    match_resources(errors, SPEC.child("matchResources"), spec.get("matchResources"))


def _param_ref(errors: Errors, path: Path, ref: Mapping[str, Any]) -> None:
    name, selector = ref.get("name") or "", ref.get("selector")
    if name:
        check_name(errors, path.child("name"), name, path_segment)
    if selector is not None:
        label_selector(errors, path.child("selector"), selector)
    if name and selector is not None:
        for field in ("name", "selector"):
            errors.append(field_forbidden(path.child(field), "name and selector are mutually exclusive"))
    if not name and selector is None:
        errors.append(required(path, "one of name or selector must be specified"))
    action = ref.get("parameterNotFoundAction")
    if not action:
        errors.append(required(path.child("parameterNotFoundAction")))
    elif action not in ("Allow", "Deny"):
        errors.append(not_supported(path.child("parameterNotFoundAction"), action, ("Allow", "Deny")))
