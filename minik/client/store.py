"""`ObjectStore` and `Lister`: the objects that an informer holds, and how controllers read them.

One store per informer, written by the informer alone. Objects are shared and read-only. Indexes are built when first asked for and
kept up from then on: a resource that nobody looks up by owner pays nothing for owners.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from minik.api import meta
from minik.api.meta import Key, ROObj
from minik.api.selectors import Selector
from minik.memory import untrack

IndexFunction: TypeAlias = Callable[[ROObj], Iterable[str]]
"""object → the values under which it is found. Pure: the same for the same object."""

_Index: TypeAlias = dict[str, dict[Key, ROObj]]

NAMESPACE = "namespace"
CONTROLLER_UID = "controller-uid"
_NONE: Mapping[Key, ROObj] = {}


def _controller_uid(obj: ROObj) -> Iterable[str]:
    owner = meta.controller_of(obj)
    return (owner["uid"],) if owner else ()


def _namespace(obj: ROObj) -> Iterable[str]:
    return (meta.namespace(obj),)


class ObjectStore:
    """Objects by key, with indexes."""

    def __init__(self) -> None:
        self.objects: dict[Key, ROObj] = {}
        self._functions: dict[str, IndexFunction] = {NAMESPACE: _namespace, CONTROLLER_UID: _controller_uid}
        self._indexes: dict[str, _Index] = {}

    def add_index(self, name: str, function: IndexFunction) -> None:
        """Let objects be looked up by `function`. Naming the same function again is fine; another one is a ValueError."""
        known = self._functions.setdefault(name, function)
        if known is not function:
            raise ValueError(f"there is another index {name!r} already")

    def put(self, key: Key, obj: ROObj, old: ROObj | None) -> None:
        """`old` is what was stored under `key` before, or None."""
        if old is None:
            untrack(key)
        self.objects[key] = obj
        for name, index in self._indexes.items():
            function = self._functions[name]
            values = function(obj)
            if old is not None:
                before = function(old)
                if before != values:
                    _drop(index, before, key)
            for value in values:
                found = index.get(value)
                if found is None:
                    found = index[value] = {}
                found[key] = obj

    def remove(self, key: Key) -> ROObj | None:
        old = self.objects.pop(key, None)
        if old is not None:
            for name, index in self._indexes.items():
                _drop(index, self._functions[name](old), key)
        return old

    def index(self, name: str) -> Mapping[str, Mapping[Key, ROObj]]:
        """An index: value → the objects that it files under it. KeyError for an unknown one."""
        index = self._indexes.get(name)
        if index is None:
            function = self._functions[name]
            index = self._indexes[name] = {}
            for key, obj in self.objects.items():
                for each in function(obj):
                    index.setdefault(each, {})[key] = obj
        return index

    def lookup(self, name: str, value: str) -> Mapping[Key, ROObj]:
        """The objects that index `name` files under `value`. KeyError for an unknown index."""
        return self.index(name).get(value, _NONE)


def _drop(index: _Index, values: Iterable[str], key: Key) -> None:
    for value in values:
        found = index.get(value)
        if found is not None:
            found.pop(key, None)
            if not found:
                del index[value]


class Lister:
    """Reads one resource from its informer's store: no I/O, no copies. What it returns must not be changed."""

    __slots__ = ("_store", "resource")

    def __init__(self, resource: str, store: ObjectStore) -> None:
        self.resource = resource
        self._store = store

    def __len__(self) -> int:
        return len(self._store.objects)

    def __iter__(self) -> Iterator[ROObj]:
        return iter(list(self._store.objects.values()))

    def get(self, key: Key) -> ROObj | None:
        """The object, or None. `key` is any (namespace, name); namespace "" for cluster-scoped kinds."""
        return self._store.objects.get(key)

    def list(self, namespace: str = "", selector: Selector | None = None) -> list[ROObj]:
        """The objects of a namespace ("": of all) whose labels match, in no particular order."""
        found = self._store.lookup(NAMESPACE, namespace) if namespace else self._store.objects
        if selector is None or selector.empty:
            return list(found.values())
        return [obj for obj in found.values() if selector.matches(meta.labels(obj))]

    def owned_by(self, owner: ROObj) -> Sequence[ROObj]:
        """The objects whose controlling owner reference names `owner`'s uid."""
        return list(self._store.lookup(CONTROLLER_UID, meta.uid(owner)).values())

    def by_index(self, name: str, value: str) -> Sequence[ROObj]:
        """The objects that a declared index files under `value` (`Controller.indexes`, `Informer.add_index`)."""
        return list(self._store.lookup(name, value).values())

    def index(self, name: str) -> Mapping[str, Mapping[Key, ROObj]]:
        """A declared index as it is now: value → objects."""
        return self._store.index(name)
