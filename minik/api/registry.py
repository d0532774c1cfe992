"""The kinds that are served: built-in ones from their packages, custom ones added while running."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from minik.api.kind import Kind


class Registry:
    """Finds a `Kind` by any of its names. Single-threaded, like everything in the process."""

    def __init__(self, kinds: Iterable[Kind] = ()) -> None:
        self._by_resource: dict[str, Kind] = {}
        self._by_plural: dict[tuple[str, str, str], Kind] = {}
        self._by_kind: dict[tuple[str, str, str], Kind] = {}
        self._changed: list[Callable[[], None]] = []
        for kind in kinds:
            self.add(kind)

    def add(self, kind: Kind) -> None:
        """Serve `kind`; replaces an earlier one of the same group, version and plural."""
        self._by_resource[kind.resource] = kind
        self._by_plural[kind.group, kind.version, kind.plural] = kind
        self._by_kind[kind.group, kind.version, kind.kind] = kind
        for changed in self._changed:
            changed()

    def remove(self, kind: Kind) -> None:
        self._by_resource.pop(kind.resource, None)
        self._by_plural.pop((kind.group, kind.version, kind.plural), None)
        self._by_kind.pop((kind.group, kind.version, kind.kind), None)
        for changed in self._changed:
            changed()

    def on_change(self, changed: Callable[[], None]) -> None:
        """Have `changed` called whenever a kind was added or removed."""
        self._changed.append(changed)

    def __iter__(self) -> Iterator[Kind]:
        return iter(list(self._by_plural.values()))

    def __getitem__(self, resource: str) -> Kind:
        """By `pods` or `deployments.apps`. KeyError if it is not served."""
        return self._by_resource[resource]

    def get(self, resource: str) -> Kind | None:
        return self._by_resource.get(resource)

    def by_plural(self, group: str, version: str, plural: str) -> Kind | None:
        return self._by_plural.get((group, version, plural))

    def by_kind(self, group: str, version: str, kind: str) -> Kind | None:
        return self._by_kind.get((group, version, kind))

    def groups(self) -> dict[str, list[str]]:
        """group → its served versions, in the order they were added."""
        found: dict[str, list[str]] = {}
        for kind in self._by_plural.values():
            versions = found.setdefault(kind.group, [])
            if kind.version not in versions:
                versions.append(kind.version)
        return found
