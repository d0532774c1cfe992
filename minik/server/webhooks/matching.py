"""Which hooks want to hear of a write. Pure. Source: apiserver `pkg/admission/plugin/webhook/{rules,predicates,generic}`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minik.api import cel, meta
from minik.api.admissionregistration_v1.webhooks import CONDITIONS, GROUP
from minik.api.cel import CelError
from minik.api.meta import ROObj
from minik.api.selectors import Selector
from minik.server.request import User
from minik.server.webhooks.hooks import Hook, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The write that is asked about."""

    operation: str
    """CREATE, UPDATE, DELETE or CONNECT."""
    group: str
    version: str
    resource: str
    """The plural."""
    subresource: str = ""
    kind: str
    """Of the object; with it, its group and version: for a subresource they may be others than the resource's."""
    api_version: str
    is_namespaced: bool
    is_namespace: bool = False
    """It is about a Namespace itself; `namespace` is its name then."""
    namespace: str
    name: str
    user: User
    options: Mapping[str, Any]
    """CreateOptions, UpdateOptions, PatchOptions, DeleteOptions; {} for a connection."""
    dry_run: bool = False
    other_versions: tuple[str, ...] = ()
    """In which the resource is served too, its objects being the same but for the name of the version."""


class Undecided(Exception):
    """A condition that cannot be evaluated."""


def wanted_version(hook: Hook, subject: Subject) -> str | None:
    """The version of the resource in which the hook wants to hear of the write; None if its rules do not cover it."""
    if subject.group == GROUP:
        return None  # a hook must not be able to keep itself from being mended
    versions = (subject.version,) if hook.is_exact else (subject.version, *subject.other_versions)
    for version in versions:
        if any(covers(rule, subject, version) for rule in hook.rules):
            return version
    return None


def covers(rule: Rule, subject: Subject, version: str) -> bool:
    return (
        _has(rule.operations, subject.operation)
        and _has(rule.groups, subject.group)
        and _has(rule.versions, version)
        and (rule.scope == "*" or (rule.scope == "Namespaced") == subject.is_namespaced)
        and any(_names(*pair, subject) for pair in rule.resources)
    )


def _has(values: frozenset[str], value: str) -> bool:
    return "*" in values or value in values


def _names(resource: str, subresource: str, subject: Subject) -> bool:
    return resource in ("*", subject.resource) and subresource in (
        ("*", subject.subresource) if subresource else (subject.subresource,)
    )


def selects(namespaces: Selector, objects: Selector, namespace: ROObj | None, states: Sequence[ROObj | None]) -> bool:
    """Whether these two selectors, of a hook or a policy, do. `namespace`: the Namespace that counts; None for what is in none. `states`:
    the object and the old one."""
    if not namespaces.empty and namespace is not None and not namespaces.matches(meta.labels(namespace)):
        return False
    return objects.empty or any(_selected(objects, obj) for obj in states)


def _selected(selector: Selector, obj: ROObj | None) -> bool:
    return obj is not None and "metadata" in obj and selector.matches(meta.labels(obj))


def meets(hook: Hook, request: Mapping[str, Any]) -> bool:
    """Whether all of its matchConditions hold for the `request` of a review. Raises Undecided if one of them has no answer and no other
    one says no."""
    failure = ""
    for name, expression in hook.conditions:
        values = {"object": request.get("object"), "oldObject": request.get("oldObject"), "request": request}
        try:
            if cel.compile(expression.strip(), CONDITIONS).evaluate(values) is not True:
                return False
        except CelError as error:
            failure = failure or f"condition {name!r}: {error}"
    if failure:
        raise Undecided(failure)
    return True
