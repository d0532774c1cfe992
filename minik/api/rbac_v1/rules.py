"""PolicyRule, the one thing that roles are made of: what is right of one, what it matches, and whether some cover others. Pure.

Used by the roles' kinds, the authorizer (`server/authz/rbac.py`), the escalation check and the aggregation controller. Source: kubernetes
`pkg/apis/rbac/validation`, `component-helpers/auth/rbac/validation/policy_comparator.go`, `pkg/apis/rbac/v1/evaluation_helpers.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from minik.api.errors import Path, invalid, required
from minik.api.meta import ROObj
from minik.api.validation import Errors

GROUP = "rbac.authorization.k8s.io"
ROLES = f"roles.{GROUP}"
CLUSTER_ROLES = f"clusterroles.{GROUP}"
ROLE_BINDINGS = f"rolebindings.{GROUP}"
CLUSTER_ROLE_BINDINGS = f"clusterrolebindings.{GROUP}"
AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
ALL = "*"

Rule = Mapping[str, Any]
Rules = Sequence[Rule]

EVERYTHING: Rules = (
    {"apiGroups": [ALL], "resources": [ALL], "verbs": [ALL]},
    {"nonResourceURLs": [ALL], "verbs": [ALL]},
)
"""What cluster-admin may."""
_FIELDS = (
    ("APIGroups", "apiGroups"), ("Resources", "resources"), ("NonResourceURLs", "nonResourceURLs"),
    ("ResourceNames", "resourceNames"), ("Verbs", "verbs"),
)  # fmt: skip


def rules_of(role: ROObj) -> Rules:
    """A role's rules."""
    return role.get("rules") or ()


def validate(role: ROObj, *, namespaced: bool) -> Errors:
    """Of a Role or ClusterRole."""
    errors: Errors = []
    for number, rule in enumerate(rules_of(role)):
        _validate(errors, Path("rules").index(number), rule, namespaced)
    return errors


def _validate(errors: Errors, path: Path, rule: Rule, namespaced: bool) -> None:
    if not rule.get("verbs"):
        errors.append(required(path.child("verbs"), "verbs must contain at least one value"))
    urls = rule.get("nonResourceURLs")
    if urls:
        at = path.child("nonResourceURLs")
        if namespaced:
            errors.append(invalid(at, urls, "namespaced rules cannot apply to non-resource URLs"))
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            errors.append(invalid(at, urls, "rules cannot apply to both regular resources and non-resource URLs"))
        return
    if not rule.get("apiGroups"):
        errors.append(required(path.child("apiGroups"), "resource rules must supply at least one api group"))
    if not rule.get("resources"):
        errors.append(required(path.child("resources"), "resource rules must supply at least one resource"))


# --- matching ------------------------------------------------------------------------------------------------------------


def allows_resource(rule: Rule, verb: str, group: str, plural: str, subresource: str, name: str) -> bool:
    """Whether a rule lets `verb` be done to a resource, or to one object of it. "" as name: to no particular one."""
    verbs = rule["verbs"]
    if verb not in verbs and ALL not in verbs:
        return False
    groups = rule.get("apiGroups") or ()
    if group not in groups and ALL not in groups:
        return False
    names = rule.get("resourceNames")
    if names and name not in names:
        return False
    resources = rule.get("resources") or ()
    if ALL in resources:
        return True
    if subresource:
        return f"{plural}/{subresource}" in resources or f"*/{subresource}" in resources
    return plural in resources


def allows_path(rule: Rule, verb: str, path: str) -> bool:
    """Whether a rule lets `verb` be done to a path that is not of a resource."""
    urls = rule.get("nonResourceURLs")
    return bool(urls) and (verb in rule["verbs"] or ALL in rule["verbs"]) and any(_url(u, path) for u in urls or ())


def _url(pattern: str, path: str) -> bool:
    if pattern in (ALL, path):
        return True
    return pattern.endswith("*") and path.startswith(pattern.rstrip("*"))


# --- comparing -----------------------------------------------------------------------------------------------------------


def missing(owned: Iterable[Rule], wanted: Iterable[Rule]) -> list[Rule]:
    """What of `wanted` no rule of `owned` allows, each broken down to one verb of one resource (or URL) of one group."""
    held = list(owned)
    return [single for rule in wanted for single in _singles(rule) if not any(_covers(own, single) for own in held)]


def _singles(rule: Rule) -> Iterator[Rule]:
    names = rule.get("resourceNames") or ()
    for group in rule.get("apiGroups") or ():
        for resource in rule.get("resources") or ():
            for verb in rule["verbs"]:
                plain = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
                if not names:
                    yield plain
                for name in names:
                    yield {**plain, "resourceNames": [name]}
    for url in rule.get("nonResourceURLs") or ():
        for verb in rule["verbs"]:
            yield {"nonResourceURLs": [url], "verbs": [verb]}


def _covers(own: Rule, single: Rule) -> bool:
    if not _has(own, single, "verbs"):
        return False
    if urls := single.get("nonResourceURLs"):
        return any(_url(pattern, urls[0]) for pattern in own.get("nonResourceURLs") or ())
    if not _has(own, single, "apiGroups"):
        return False
    names, wanted = own.get("resourceNames"), single.get("resourceNames")
    if names and (not wanted or wanted[0] not in names):
        return False
    resource = single["resources"][0]
    if _has(own, single, "resources"):
        return True
    _, slash, subresource = resource.partition("/")
    return bool(slash) and f"*/{subresource}" in (own.get("resources") or ())


def _has(own: Rule, single: Rule, field: str) -> bool:
    values = own.get(field) or ()
    return ALL in values or single[field][0] in values


def compact(rules: Iterable[Rule]) -> list[Rule]:
    """Rules of one resource each, those that differ in their verbs alone made one (validation.CompactRules)."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for rule in rules:
        key = tuple(tuple(rule.get(field) or ()) for _, field in _FIELDS[:-1])
        made = found.setdefault(key, {**rule, "verbs": []})
        made["verbs"] += [verb for verb in rule["verbs"] if verb not in made["verbs"]]
    return list(found.values())


def describe(rule: Rule) -> str:
    """`{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}` (rbacv1helpers.CompactString)."""
    parts = [f"{shown}:{quoted(rule[field])}" for shown, field in _FIELDS if rule.get(field)]
    return "{" + ", ".join(parts) + "}"


def quoted(values: Iterable[str]) -> str:
    """Go's %q of strings: `["a" "b"]`."""
    return "[" + " ".join(f'"{value}"' for value in values) + "]"
