"""The kinds that are served: built-in ones from their packages, custom ones added while running."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from minik.api.kind import Kind
from minik.api.versions import preferred_first


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
        self.replace((), (kind,))

    def remove(self, kind: Kind) -> None:
        self.replace((kind,), ())

    def replace(self, old: Iterable[Kind], new: Iterable[Kind]) -> None:
        """Serve `new` in the place of `old`, in one step: nobody sees a state between. Of several versions of one resource, the one
        added last is the one that is found by its resource's name."""
        for kind in old:
            self._by_plural.pop((kind.group, kind.version, kind.plural), None)
            self._by_kind.pop((kind.group, kind.version, kind.kind), None)
            if self._by_resource.get(kind.resource) is kind:
                del self._by_resource[kind.resource]
                for other in self._by_plural.values():
                    if other.resource == kind.resource:
                        self._by_resource[kind.resource] = other
        for kind in new:
            self._by_resource[kind.resource] = kind
            self._by_plural[kind.group, kind.version, kind.plural] = kind
            self._by_kind[kind.group, kind.version, kind.kind] = kind
        for changed in list(self._changed):
            changed()

    def on_change(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Have `changed` called whenever kinds were added or removed. Returns what ends that."""
        self._changed.append(changed)

        def forget() -> None:
            if changed in self._changed:
                self._changed.remove(changed)

        return forget

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
        """group → its served versions, the preferred one first; groups in the order they were added."""
        found: dict[str, list[str]] = {}
        for kind in self._by_plural.values():
            versions = found.setdefault(kind.group, [])
            if kind.version not in versions:
                versions.append(kind.version)
        return {group: preferred_first(versions) for group, versions in found.items()}
