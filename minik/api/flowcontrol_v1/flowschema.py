"""FlowSchema, flowcontrol.apiserver.k8s.io/v1: which requests count to which priority level.

Kept and checked, so that manifests and clients that bring one work; nothing goes by it, and whoever writes one is told so.
Validation: kubernetes `pkg/apis/flowcontrol/validation`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.api import columns
from minik.api.columns import column
from minik.api.errors import FieldError, Path, field_forbidden, invalid, not_supported, required
from minik.api.flowcontrol_v1.status import GROUP, NOT_ENFORCED, validate_status
from minik.api.kind import Kind, status_of
from minik.api.meta import Obj, ROObj
from minik.api.validation import Errors, check_name
from minik.api.validation_names import dns_label, dns_subdomain

_METHODS = ("ByNamespace", "ByUser")
_SUBJECTS = {"ServiceAccount": "serviceAccount", "User": "user", "Group": "group"}
_VERBS = ("get", "list", "create", "update", "delete", "deletecollection", "patch", "watch", "proxy")
_MAX_PRECEDENCE = 10_000
_SPEC = Path("spec")


def default(schema: Obj) -> None:
    spec = schema.get("spec")
    if spec is not None and not spec.get("matchingPrecedence"):
        spec["matchingPrecedence"] = 1000


def validate(schema: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    spec, name = schema.get("spec") or {}, schema["metadata"].get("name")
    path, precedence = _SPEC.child("matchingPrecedence"), spec.get("matchingPrecedence") or 0
    if precedence <= 0:
        errors.append(invalid(path, precedence, "must be a positive value"))
    if precedence > _MAX_PRECEDENCE:
        errors.append(invalid(path, precedence, f"must not be greater than {_MAX_PRECEDENCE}"))
    if precedence == 1 and name != "exempt":
        errors.append(invalid(path, 1, "only the schema named 'exempt' may have matchingPrecedence 1"))
    method = spec.get("distinguisherMethod")
    if method is not None and method.get("type") not in _METHODS:
        errors.append(not_supported(_SPEC.child("distinguisherMethod", "type"), method.get("type") or "", _METHODS))
    path = _SPEC.child("priorityLevelConfiguration", "name")
    level = (spec.get("priorityLevelConfiguration") or {}).get("name")
    if level:
        check_name(errors, path, level, dns_subdomain)
    else:
        errors.append(required(path, "must reference a priority level"))
    for number, rule in enumerate(spec.get("rules") or ()):
        _rule(errors, _SPEC.child("rules").index(number), rule)
    return errors


def _rule(errors: Errors, path: Path, rule: Mapping[str, Any]) -> None:
    if not rule.get("subjects"):
        errors.append(required(path.child("subjects"), "subjects must contain at least one value"))
    for number, subject in enumerate(rule.get("subjects") or ()):
        _subject(errors, path.child("subjects").index(number), subject)
    if not rule.get("resourceRules") and not rule.get("nonResourceRules"):
        errors.append(required(path, "at least one of resourceRules and nonResourceRules has to be non-empty"))
    for number, each in enumerate(rule.get("resourceRules") or ()):
        _resources(errors, path.child("resourceRules").index(number), each)
    for number, each in enumerate(rule.get("nonResourceRules") or ()):
        _urls(errors, path.child("nonResourceRules").index(number), each)


def _subject(errors: Errors, path: Path, subject: Mapping[str, Any]) -> None:
    kind = subject.get("kind") or ""
    if kind not in _SUBJECTS:
        errors.append(not_supported(path.child("kind"), kind, _SUBJECTS))
        return
    for other, field in _SUBJECTS.items():
        if other != kind and subject.get(field) is not None:
            errors.append(
                field_forbidden(path.child(field), f"{field} is forbidden when subject kind is not '{other}'")
            )
    field = _SUBJECTS[kind]
    path, named = path.child(field), subject.get(field)
    if named is None:
        errors.append(required(path, f"{field} is required when subject kind is '{kind}'"))
        return
    if not named.get("name"):
        errors.append(required(path.child("name")))
    if kind == "ServiceAccount":
        if named.get("name") not in (None, "", "*"):
            check_name(errors, path.child("name"), named["name"], dns_subdomain)
        if named.get("namespace"):
            check_name(errors, path.child("namespace"), named["namespace"], dns_label)
        else:
            errors.append(required(path.child("namespace"), "must specify namespace for service account"))


def _verbs(errors: Errors, path: Path, verbs: Sequence[str]) -> None:
    if not verbs:
        errors.append(required(path, "verbs must contain at least one value"))
    elif "*" in verbs:
        if len(verbs) > 1:
            errors.append(invalid(path, list(verbs), "if '*' is present, must not specify other verbs"))
    elif not set(verbs) <= set(_VERBS):
        errors.append(not_supported(path, list(verbs), _VERBS))


def _some(errors: Errors, path: Path, values: Sequence[str], what: str) -> None:
    if not values:
        errors.append(required(path, f"resource rules must supply at least one {what}"))
    elif len(values) > 1 and "*" in values:
        errors.append(invalid(path, list(values), f"if '*' is present, must not specify other {what}s"))


def _resources(errors: Errors, path: Path, rule: Mapping[str, Any]) -> None:
    _verbs(errors, path.child("verbs"), rule.get("verbs") or ())
    _some(errors, path.child("apiGroups"), rule.get("apiGroups") or (), "api group")
    _some(errors, path.child("resources"), rule.get("resources") or (), "resource")
    path, namespaces = path.child("namespaces"), rule.get("namespaces") or ()
    if not namespaces and not rule.get("clusterScope"):
        why = "resource rules that are not cluster scoped must supply at least one namespace"
        errors.append(required(path, why))
    elif "*" in namespaces:
        if len(namespaces) > 1:
            errors.append(invalid(path, list(namespaces), "if '*' is present, must not specify other namespaces"))
    else:
        for number, namespace in enumerate(namespaces):
            errors.extend(
                invalid(
                    path.index(number), namespace, f"each member of this list must be '*' or a DNS-1123 label; {why}"
                )
                for why in dns_label(namespace)
            )


def _urls(errors: Errors, path: Path, rule: Mapping[str, Any]) -> None:
    _verbs(errors, path.child("verbs"), rule.get("verbs") or ())
    path, urls = path.child("nonResourceURLs"), rule.get("nonResourceURLs") or ()
    if not urls:
        errors.append(required(path, "nonResourceURLs must contain at least one value"))
    elif "*" in urls:
        if len(urls) > 1:
            errors.append(invalid(path, list(urls), "if '*' is present, must not specify other non-resource URLs"))
    else:
        for number, url in enumerate(urls):
            if why := _wrong_url(url):
                errors.append(invalid(path.index(number), url, why))


def _wrong_url(url: str) -> str:
    if not url:
        return "must not be empty"
    if not url.startswith("/"):
        return "must start with slash"
    if " " in url:
        return "must not contain white-space"
    if "//" in url:
        return "must not contain double slash"
    if "*" in url and (url.count("*") > 1 or not url.endswith("/*")):
        return "wildcard can only do suffix matching"
    return ""


def _missing(schema: ROObj) -> str:
    conditions = (schema.get("status") or {}).get("conditions") or ()
    return next((each.get("status") or "?" for each in conditions if each.get("type") == "Dangling"), "?")


KIND = Kind(
    group=GROUP,
    version="v1",
    kind="FlowSchema",
    plural="flowschemas",
    singular="flowschema",
    namespaced=False,
    schema="io.k8s.api.flowcontrol.v1.FlowSchema",
    subresources=(status_of("FlowSchema"),),
    default=default,
    validate=validate,
    validate_status=validate_status,
    warnings=lambda _schema: NOT_ENFORCED,
    columns=(
        column(
            "PriorityLevel", lambda s: (s.get("spec") or {}).get("priorityLevelConfiguration", {}).get("name") or ""
        ),
        column("MatchingPrecedence", lambda s: (s.get("spec") or {}).get("matchingPrecedence") or 0, type="integer"),
        column(
            "DistinguisherMethod",
            lambda s: ((s.get("spec") or {}).get("distinguisherMethod") or {}).get("type") or "<none>",
        ),
        columns.AGE,
        column("MissingPL", _missing),
    ),
)
