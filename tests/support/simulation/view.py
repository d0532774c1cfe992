"""`View`: what the server's cache holds, decoded, for the checks at the end of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.meta import ROObj
from minik.storage.cache import Cache


class View:
    """The cache's objects."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self._lists: dict[str, list[ROObj]] = {}

    def all(self, resource: str) -> list[ROObj]:
        if resource not in self._lists:
            self._lists[resource] = [entry.obj for entry in self.cache.list(resource)]
        return self._lists[resource]

    def using(self, claim: ROObj) -> list[ROObj]:
        """The pods that use a claim and have not ended."""
        return [
            pod
            for pod in self.all("pods")
            if meta.namespace(pod) == meta.namespace(claim)
            and meta.name(claim) in pods.claim_names(pod)
            and not pods.is_finished(pod)
        ]

    def owned(self, resource: str, owner: ROObj) -> list[ROObj]:
        return [obj for obj in self.all(resource) if meta.is_controlled_by(obj, owner)]


def name_of(obj: ROObj) -> str:
    return str(meta.key(obj))


def expect(what: str, status: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    """A line for each field of `status` that is not as wanted; what is absent counts as 0."""
    for field, value in wanted.items():
        if (status.get(field) or 0) != value:
            yield f"{what}: {field} is {status.get(field)}, not {value}"
