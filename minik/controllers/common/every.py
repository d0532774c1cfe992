"""`follow_every`: an informer for every kind that can be listed, watched and deleted, built-in and custom, as they come and go."""

from __future__ import annotations

from collections.abc import Callable

from minik.api.kind import Kind
from minik.api.registry import Registry
from minik.client.controller import Setup
from minik.client.informer import Informer

_NEEDED = frozenset({"list", "watch", "delete"})
IGNORED = frozenset({"events", "events.events.k8s.io"})
"""Nobody owns or waits for Events, there are many of them, and they expire (kube-controller-manager's GC ignores them too)."""


def followed(registry: Registry) -> dict[str, Kind]:
    """resource → kind of everything that can be listed, watched and deleted. Of several versions, the registry's preferred."""
    kinds = {kind.resource: registry[kind.resource] for kind in registry}
    return {
        resource: kind for resource, kind in kinds.items() if _NEEDED.issubset(kind.verbs) and resource not in IGNORED
    }


def follow_every(
    setup: Setup, *, begin: Callable[[Kind, Informer], None], end: Callable[[Kind, Informer], None] | None = None
) -> None:
    """Call `begin` for each kind now and for each that is added later (with its informer, to add handlers and indexes to), and
    `end` when a kind is no longer served (its informer still holds the last known objects)."""
    current: dict[str, tuple[Kind, Informer]] = {}

    def changed() -> None:
        wanted = followed(setup.registry)
        for resource in [r for r in current if r not in wanted]:
            kind, informer = current.pop(resource)
            if end is not None:
                end(kind, informer)
            setup.tasks.start(f"drop {resource}", setup.drop(resource))
        for resource, kind in wanted.items():
            if resource not in current:
                informer = setup.informer(resource)
                current[resource] = kind, informer
                begin(kind, informer)

    def changed_while_running() -> None:
        if not setup.tasks.closed:
            changed()

    changed()
    setup.registry.on_change(changed_while_running)
