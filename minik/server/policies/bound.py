"""`Bound`: a policy where one of its bindings applies it; `Policies`: all of them, in step with the cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from minik.api import meta
from minik.api.admissionregistration_v1 import (
    mutatingadmissionpolicy,
    mutatingadmissionpolicybinding,
    validatingadmissionpolicy,
    validatingadmissionpolicybinding,
)
from minik.api.admissionregistration_v1.webhooks import GROUP
from minik.api.meta import ROObj
from minik.api.selectors import Selector, from_label_selector
from minik.server.webhooks.hooks import Rule, parse_rule
from minik.server.webhooks.matching import Subject, covers, selects

if TYPE_CHECKING:
    from minik.storage.cache import Cache, Entry

_VALIDATING = validatingadmissionpolicy.KIND.resource, validatingadmissionpolicybinding.KIND.resource
_MUTATING = mutatingadmissionpolicy.KIND.resource, mutatingadmissionpolicybinding.KIND.resource


@dataclass(frozen=True, slots=True)
class Match:
    """MatchResources: of what a policy, or a binding, wants to hear."""

    rules: tuple[tuple[Rule, frozenset[str]], ...]
    """Each with the names it is limited to; none: everything."""
    excluded: tuple[tuple[Rule, frozenset[str]], ...]
    is_exact: bool
    namespaces: Selector
    objects: Selector

    def version(self, subject: Subject) -> str | None:
        """In which version it wants to hear of the write; None if not at all."""
        versions = (subject.version,) if self.is_exact else (subject.version, *subject.other_versions)
        for version in versions:
            if any(_has(rule, names, subject, version) for rule, names in self.excluded):
                return None
        if not self.rules:
            return subject.version
        for version in versions:
            if any(_has(rule, names, subject, version) for rule, names in self.rules):
                return version
        return None


def _has(rule: Rule, names: frozenset[str], subject: Subject, version: str) -> bool:
    return covers(rule, subject, version) and (not names or subject.name in names)


@dataclass(frozen=True, slots=True)
class Bound:
    """`spec`: of the policy; `binding`: of the binding."""

    policy: str
    name: str
    """Of the binding."""
    spec: Mapping[str, Any]
    binding: Mapping[str, Any]
    match: Match
    narrowed: Match | None
    """By the binding."""

    @property
    def is_ignored(self) -> bool:
        """What cannot be evaluated counts as consent."""
        return self.spec.get("failurePolicy") == "Ignore"

    @property
    def is_reinvoked(self) -> bool:
        """It is asked again if others changed the object after it."""
        return self.spec.get("reinvocationPolicy") == "IfNeeded"

    def version(
        self, subject: Subject, namespace: Callable[[], ROObj | None], obj: ROObj | None, old: ROObj | None
    ) -> str | None:
        """In which version it wants to hear of the write; None if not at all. A policy must not be able to keep itself, or
        another one, from being mended."""
        if subject.group == GROUP:
            return None
        version = self.match.version(subject)
        if version is None or (self.narrowed is not None and self.narrowed.version(subject) is None):
            return None
        matches = [match for match in (self.match, self.narrowed) if match is not None]
        there = namespace()
        return version if all(selects(m.namespaces, m.objects, there, (obj, old)) for m in matches) else None


class Policies:
    """The policies that are bound, by their names and then by those of their bindings."""

    def __init__(self, cache: Cache) -> None:
        self.validating: tuple[Bound, ...] = ()
        self.mutating: tuple[Bound, ...] = ()
        self._objects: dict[str, ROObj] = {}
        for resource in (*_VALIDATING, *_MUTATING):
            cache.follow(resource, self._follow)

    def _follow(self, key: str, entry: Entry | None) -> None:
        if entry is None:
            self._objects.pop(key, None)
        else:
            self._objects[key] = entry.obj
        if key.startswith("validating"):
            self.validating = self._bound(*_VALIDATING)
        else:
            self.mutating = self._bound(*_MUTATING)

    def _bound(self, policies: str, bindings: str) -> tuple[Bound, ...]:
        found = []
        for key in sorted(key for key in self._objects if key.startswith(f"{bindings}/")):
            binding = self._objects[key]
            policy = self._objects.get(f"{policies}//{binding['spec']['policyName']}")
            if policy is not None:
                found.append(bound(policy, binding))
        return tuple(sorted(found, key=lambda each: (each.policy, each.name)))


def bound(policy: ROObj, binding: ROObj) -> Bound:
    spec, own = policy["spec"], binding["spec"]
    narrowed = own.get("matchResources")
    return Bound(
        meta.name(policy), meta.name(binding), spec, own, _match(spec["matchConstraints"]),
        None if narrowed is None else _match(narrowed),
    )  # fmt: skip


def _match(match: Mapping[str, Any]) -> Match:
    def rules(field: str) -> tuple[tuple[Rule, frozenset[str]], ...]:
        return tuple((parse_rule(rule), frozenset(rule.get("resourceNames") or ())) for rule in match.get(field) or ())

    return Match(
        rules("resourceRules"),
        rules("excludeResourceRules"),
        match.get("matchPolicy") == "Exact",
        from_label_selector(match.get("namespaceSelector") or {}),
        from_label_selector(match.get("objectSelector") or {}),
    )
