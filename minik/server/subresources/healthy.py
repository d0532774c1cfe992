"""`HealthyPods`: which pods of a disruption budget are healthy, as of now. Used by `budgets.py` alone.

A budget is followed from its first eviction on: a drain of many pods looks at each once, not at all for each. What is known is what the
cache shows, in the same turn in which it shows it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.meta import ROObj
from minik.api.policy_v1 import poddisruptionbudget as budgets
from minik.api.selectors import Selector
from minik.storage.cache import Cache
from minik.storage.entry import Entry


@dataclass(slots=True)
class _Followed:
    selector: Selector
    names: set[str] = field(default_factory=set)

    def look(self, name: str, pod: ROObj | None) -> None:
        if (
            pod is not None
            and not meta.is_deleting(pod)
            and pods.is_ready(pod)
            and self.selector.matches(meta.labels(pod))
        ):
            self.names.add(name)
        else:
            self.names.discard(name)


class HealthyPods:
    """One per server."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._followed: dict[str, dict[str, _Followed]] = {}
        """namespace → name of the budget → its healthy pods."""
        self._follows = False

    def of(self, budget: ROObj) -> Collection[str]:
        """The names of the budget's pods that are ready and not being deleted. A live view."""
        if not self._follows:
            self._follows = True
            self._cache.follow("pods", self._pod_changed)
            self._cache.follow(budgets.RESOURCE, self._budget_changed)
        namespace, name = meta.key(budget)
        selector = budgets.selector_of(budget)
        known = self._followed.setdefault(namespace, {}).get(name)
        if known is None or known.selector != selector:
            known = self._followed[namespace][name] = _Followed(selector)
            for entry in self._cache.list("pods", namespace):
                known.look(entry.name, entry.obj)
        return known.names

    def _pod_changed(self, key: str, entry: Entry | None) -> None:
        _, namespace, name = key.split("/", 2)
        for followed in self._followed.get(namespace, {}).values():
            followed.look(name, entry.obj if entry is not None else None)

    def _budget_changed(self, key: str, entry: Entry | None) -> None:
        if entry is not None:
            return
        _, namespace, name = key.split("/", 2)
        known = self._followed.get(namespace)
        if known is not None and known.pop(name, None) is not None and not known:
            del self._followed[namespace]
