"""Serves what CustomResourceDefinitions define: keeps the registry in step with the definitions in the cache.

`follow` is called once by `app.py`. The cache tells of each change in the turn in which its writer is answered, so a kind is served by
the time the creation of its definition is answered, and at every start before the first request. Without definitions nothing of all
this is imported but this module.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import orjson

from minik.api.apiextensions_v1.customresourcedefinition import RESOURCE
from minik.api.kind import Kind
from minik.api.registry import Registry

if TYPE_CHECKING:
    from minik.api.meta import ROObj
    from minik.storage.cache import Cache, Entry

log = logging.getLogger("minik.server.crd")


def follow(cache: Cache, registry: Registry) -> CustomKinds:
    """From now on the registry has the kinds of the definitions in the cache."""
    kinds = CustomKinds(cache, registry)
    cache.follow(RESOURCE, kinds.changed)
    return kinds


class CustomKinds:
    """The custom kinds that are served, by the definition they come from."""

    def __init__(self, cache: Cache, registry: Registry) -> None:
        self._cache = cache
        self._registry = registry
        self._served: dict[str, tuple[bytes, list[Kind]]] = {}

    def changed(self, key: str, entry: Entry | None) -> None:
        """A definition is there in a new state, or (None) gone."""
        before, old = self._served.get(key, (b"", []))
        try:
            print_ = _fingerprint(entry.obj) if entry is not None else b""
            if print_ == before:
                return
            new = self._kinds(entry.obj, old) if entry is not None else []
        except Exception:  # a definition that nobody could have stored must not stop the log
            log.exception("a CustomResourceDefinition cannot be served", extra={"key": key})
            print_, new = b"", []
        if entry is None:
            self._served.pop(key, None)
        else:
            self._served[key] = print_, new
        if old or new:
            self._registry.replace(old, new)
            for resource in {kind.resource for kind in (*old, *new)}:
                self._cache.end_watches(resource)  # their readers go on from where they were, with the new form

    def _kinds(self, crd: ROObj, own: list[Kind]) -> list[Kind]:
        from minik.api.apiextensions_v1.kinds import kinds_of

        return [kind for kind in kinds_of(crd) if self._is_free(kind, own)]

    def _is_free(self, kind: Kind, own: list[Kind]) -> bool:
        """Whether no built-in kind has its place or its name."""
        registry, group, version = self._registry, kind.group, kind.version
        there = (registry.by_plural(group, version, kind.plural), registry.by_kind(group, version, kind.kind))
        return all(each is None or any(each is mine for mine in own) for each in there)


def _fingerprint(crd: ROObj) -> bytes:
    """Changes when what is served changes, and not with conditions or labels."""
    from minik.api.apiextensions_v1.names import ESTABLISHED, is_true

    names = (crd.get("status") or {}).get("acceptedNames")
    deleting = bool(crd["metadata"].get("deletionTimestamp"))
    return orjson.dumps([crd.get("spec"), names, is_true(crd, ESTABLISHED), deleting])
