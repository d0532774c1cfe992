"""`Tally`: what the objects of one resource in one namespace use together, by scope, kept up as they come, change and go.

The server has one for each resource that a namespace's quotas limit, and so has the controller; nobody adds up all objects for one more.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Collection, Iterable, Mapping
from typing import TypeAlias

from minik.api.core_v1 import pods
from minik.api.core_v1.quotas import CLAIMS, PODS, SERVICES, Scope, Usage, in_scope, until, usage
from minik.api.meta import ROObj

_Print: TypeAlias = tuple[object, ...]
_NONE: Mapping[str, int] = {}


class Tally:
    """`scopes`: those that are kept apart. Keys are whatever names an object for whoever fills the tally."""

    def __init__(
        self, resource: str, scopes: Iterable[Scope], objects: Iterable[tuple[str, ROObj]], *, now: float
    ) -> None:
        self.resource = resource
        self.scopes = frozenset(scopes)
        self._used: dict[Scope, dict[str, int]] = {scope: {} for scope in self.scopes}
        self._of: dict[str, tuple[_Print, Usage, Collection[Scope]]] = {}
        self._ends: list[tuple[float, int, str, ROObj]] = []
        """The numbers keep apart two states of one pod that end at the same moment."""
        self._numbers = itertools.count()
        for key, obj in objects:
            self.put(key, obj, now=now)

    def put(self, key: str, obj: ROObj, *, now: float) -> bool:
        """Count the object as it is now. Whether that changed anything."""
        known = self._of.get(key)
        shape = _fingerprint(self.resource, obj)
        if known is not None and known[0] == shape:
            return False
        used = usage(self.resource, obj, now=now)
        scopes = [scope for scope in self.scopes if in_scope(scope, self.resource, obj)]
        self._of[key] = shape, used, scopes
        end = until(self.resource, obj)
        if end is not None and end >= now and not pods.is_finished(obj):
            heapq.heappush(self._ends, (end, next(self._numbers), key, obj))
        if known is not None:
            if known[1] == used and known[2] == scopes:
                return False
            self._add(known[1], known[2], -1)
        self._add(used, scopes, 1)
        return True

    def drop(self, key: str) -> bool:
        """The object is gone."""
        known = self._of.pop(key, None)
        if known is None:
            return False
        self._add(known[1], known[2], -1)
        return True

    def pass_time(self, now: float) -> float | None:
        """No longer count what should have gone by now. Returns when the next object's time comes, or None."""
        while self._ends and self._ends[0][0] < now:
            _, _, key, obj = heapq.heappop(self._ends)
            known = self._of.get(key)
            if known is None or known[0] != _fingerprint(self.resource, obj):
                continue  # it is gone, or another by now
            self._add(known[1], known[2], -1)
            used = usage(self.resource, obj, now=now)
            self._of[key] = known[0], used, known[2]
            self._add(used, known[2], 1)
        return self._ends[0][0] if self._ends else None

    def used(self, scope: Scope) -> Usage:
        """What the objects of one of `scopes` use. A live view."""
        return self._used.get(scope, _NONE)

    def __len__(self) -> int:
        return len(self._of)

    def _add(self, used: Usage, scopes: Iterable[Scope], times: int) -> None:
        for scope in scopes:
            total = self._used[scope]
            for name, nanos in used.items():
                total[name] = total.get(name, 0) + times * nanos


def _fingerprint(resource: str, obj: ROObj) -> _Print:
    """Equal as long as the object uses the same."""
    metadata = obj["metadata"]
    if resource == PODS:
        held = [(row.get("allocatedResources"), row.get("resources")) for row in pods.statuses(obj)]
        return (
            metadata.get("uid"), metadata.get("generation"), metadata.get("deletionTimestamp"),
            metadata.get("deletionGracePeriodSeconds"), pods.is_finished(obj), [h for h in held if h != (None, None)],
        )  # fmt: skip
    if resource in (CLAIMS, SERVICES):
        return (
            metadata.get("uid"),
            metadata.get("generation"),
            metadata.get("annotations"),
            obj.get("spec"),
            obj.get("status"),
        )
    return ()
