"""Triggers: which other objects' changes bring a controller's primary objects back into its queue.

    owned_by("pods")              the object's controlling owner, if it is of the primary kind
    selected_by("pods")           primaries of the same namespace whose label selector matches the object
    same_key("endpoints")         the primary with the same namespace and name
    maps("secrets", fn)           whatever fn(obj) names
    maps_with("nodes", fn)        the same with caches at hand: fn(scope, obj)

On an update both states of the object are asked, so that whoever lost it learns of it too. `when(old, new)` skips updates that
cannot matter. A trigger only names keys; what is to be done is decided by level, in `reconcile`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from minik.api import meta
from minik.api.kind import Kind
from minik.api.meta import Key, ROObj
from minik.api.selectors import NOTHING, Selector, SelectorError, from_label_selector, from_labels
from minik.client.store import IndexFunction, Lister

_NONE: Mapping[Key, ROObj] = {}

Changed: TypeAlias = Callable[[ROObj, ROObj], bool]
"""(old, new) → whether the update matters."""
Keys: TypeAlias = Callable[[ROObj], Iterable[Key]]
SelectorOf: TypeAlias = Callable[[ROObj], Selector]


class Scope(Protocol):
    """What a trigger may know when it is set up."""

    @property
    def controller(self) -> str: ...

    @property
    def primary(self) -> Kind: ...

    def cache(self, resource: str) -> Lister:
        """The cache of a resource that the controller declared."""
        ...

    def add_index(self, resource: str, name: str, function: IndexFunction) -> None: ...


@dataclass(frozen=True, slots=True)
class Trigger:
    """Changes of `resource` enqueue the keys that the bound function names. Make it with the functions of this module."""

    resource: str
    bind: Callable[[Scope], Keys]
    when: Changed | None = None


def owned_by(resource: str, *, when: Changed | None = None) -> Trigger:
    """Enqueue the controlling owner (`ownerReferences[controller=true]`) if it is of the primary's kind and group."""

    def bind(scope: Scope) -> Keys:
        kind, group, namespaced = scope.primary.kind, scope.primary.group, scope.primary.namespaced

        def owner(obj: ROObj) -> Iterable[Key]:
            ref = meta.controller_of(obj)
            if ref is None or ref.get("kind") != kind or meta.parse_api_version(ref["apiVersion"])[0] != group:
                return ()
            return (Key(meta.namespace(obj) if namespaced else "", ref["name"]),)

        return owner

    return Trigger(resource, bind, when)


def same_key(resource: str, *, when: Changed | None = None) -> Trigger:
    """Enqueue the primary of the same namespace and name."""
    return Trigger(resource, lambda _scope: lambda obj: (meta.key(obj),), when)


def maps(resource: str, keys: Keys, *, when: Changed | None = None) -> Trigger:
    """Enqueue what `keys(obj)` names."""
    return Trigger(resource, lambda _scope: keys, when)


def maps_with(resource: str, keys: Callable[[Scope, ROObj], Iterable[Key]], *, when: Changed | None = None) -> Trigger:
    """Enqueue what `keys(scope, obj)` names; `scope.cache("pods")` reads a cache."""
    return Trigger(resource, lambda scope: lambda obj: keys(scope, obj), when)


def selected_by(
    resource: str, selector: SelectorOf | None = None, *, orphans_only: bool = False, when: Changed | None = None
) -> Trigger:
    """Enqueue the primaries in the object's namespace whose selector matches its labels.

    `selector(primary)` is by default `spec.selector`: a map of labels in the core group (none: selects nothing), a LabelSelector
    elsewhere. `orphans_only`: only for objects without a controller, that is for adoption. Costs a look-up per label of the
    object, not a pass over all primaries: primaries are indexed by one label that they demand."""
    found: dict[bool, SelectorOf] = {}

    def selector_of(primary: ROObj) -> Selector:
        choose = selector or found.setdefault(
            "/" in primary["apiVersion"], _spec_selector("/" in primary["apiVersion"])
        )
        try:
            return choose(primary)
        except (SelectorError, KeyError, TypeError):
            return NOTHING

    def hints(primary: ROObj) -> Iterable[str]:
        chosen = selector_of(primary)
        if chosen.nothing:
            return ()
        namespace = meta.namespace(primary)
        for key, value in chosen.equalities().items():
            return (f"{namespace}/{key}={value}",)
        return (f"{namespace}/",)

    def bind(scope: Scope) -> Keys:
        index = f"selected-by/{scope.controller}/{resource}"
        primaries = scope.primary.resource
        scope.add_index(primaries, index, hints)
        cache = scope.cache(primaries)

        def selecting(obj: ROObj) -> Iterable[Key]:
            hinted = cache.index(index)
            if not hinted or (orphans_only and meta.controller_of(obj) is not None):
                return ()
            labels, namespace = meta.labels(obj), meta.namespace(obj)
            return [
                key
                for hint in (f"{namespace}/", *(f"{namespace}/{k}={v}" for k, v in labels.items()))
                for key, primary in hinted.get(hint, _NONE).items()
                if selector_of(primary).matches(labels)
            ]

        return selecting

    return Trigger(resource, bind, when)


def _spec_selector(is_object: bool) -> SelectorOf:
    def of_object(primary: ROObj) -> Selector:
        return from_label_selector(_selector(primary))

    def of_map(primary: ROObj) -> Selector:
        labels = _selector(primary)
        return from_labels(labels) if labels else NOTHING

    return of_object if is_object else of_map


def _selector(primary: ROObj) -> Mapping[str, Any] | None:
    return (primary.get("spec") or {}).get("selector")
