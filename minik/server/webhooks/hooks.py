"""`Hook`: one webhook of a configuration, taken apart; `Hooks`: all of them, in step with the cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from minik.api import meta
from minik.api.admissionregistration_v1 import mutatingwebhookconfiguration, validatingwebhookconfiguration
from minik.api.meta import ROObj
from minik.api.selectors import Selector, from_label_selector

if TYPE_CHECKING:
    from minik.storage.cache import Cache, Entry

_MUTATING = mutatingwebhookconfiguration.KIND.resource
_VALIDATING = validatingwebhookconfiguration.KIND.resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """ "*" stands for all. `resources` are `plural`, `plural/subresource`, or either with "*"."""

    operations: frozenset[str]
    groups: frozenset[str]
    versions: frozenset[str]
    resources: tuple[tuple[str, str], ...]
    """(plural, subresource)."""
    scope: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    configuration: str
    name: str
    rules: tuple[Rule, ...]
    is_ignored: bool
    """A failure to call it counts as its consent (failurePolicy Ignore)."""
    is_exact: bool
    """It hears only of the versions that its rules name (matchPolicy Exact)."""
    is_reinvoked: bool
    """It is asked again if others changed the object after it (reinvocationPolicy IfNeeded)."""
    namespaces: Selector
    objects: Selector
    conditions: tuple[tuple[str, str], ...]
    """(name, CEL expression)."""
    seconds: int
    client: Mapping[str, Any]
    """`clientConfig`: a url or a service, and the caBundle."""
    review_version: str
    """Of the AdmissionReview that it understands."""


class Hooks:
    """The hooks that there are, in the order in which they are asked: by the configurations' names, then as they stand there."""

    def __init__(self, cache: Cache) -> None:
        self.mutating: tuple[Hook, ...] = ()
        self.validating: tuple[Hook, ...] = ()
        self._configurations: dict[str, tuple[Hook, ...]] = {}
        cache.follow(_MUTATING, self._follow)
        cache.follow(_VALIDATING, self._follow)

    def _follow(self, key: str, entry: Entry | None) -> None:
        if entry is None:
            self._configurations.pop(key, None)
        else:
            self._configurations[key] = parse(entry.obj)
        self.mutating, self.validating = self._of(_MUTATING), self._of(_VALIDATING)

    def _of(self, resource: str) -> tuple[Hook, ...]:
        keys = sorted(key for key in self._configurations if key.startswith(f"{resource}/"))
        return tuple(hook for key in keys for hook in self._configurations[key])


def parse(configuration: ROObj) -> tuple[Hook, ...]:
    """The hooks of a valid configuration."""
    return tuple(_hook(meta.name(configuration), webhook) for webhook in configuration.get("webhooks") or ())


def _hook(configuration: str, webhook: Mapping[str, Any]) -> Hook:
    versions = webhook["admissionReviewVersions"]
    return Hook(
        configuration=configuration,
        name=webhook["name"],
        rules=tuple(parse_rule(rule) for rule in webhook.get("rules") or ()),
        is_ignored=webhook.get("failurePolicy") == "Ignore",
        is_exact=webhook.get("matchPolicy") == "Exact",
        is_reinvoked=webhook.get("reinvocationPolicy") == "IfNeeded",
        namespaces=from_label_selector(webhook.get("namespaceSelector") or {}),
        objects=from_label_selector(webhook.get("objectSelector") or {}),
        conditions=tuple((c["name"], c["expression"]) for c in webhook.get("matchConditions") or ()),
        seconds=webhook.get("timeoutSeconds") or 10,
        client=webhook["clientConfig"],
        review_version=next(version for version in versions if version in ("v1", "v1beta1")),
    )


def parse_rule(rule: Mapping[str, Any]) -> Rule:
    return Rule(
        operations=frozenset(rule["operations"]),
        groups=frozenset(rule["apiGroups"]),
        versions=frozenset(rule["apiVersions"]),
        resources=tuple((text.partition("/")[0], text.partition("/")[2]) for text in rule["resources"]),
        scope=rule.get("scope") or "*",
    )
