"""`Column` and `Window`: what was found of each node, and the part of it that a decision looks at.

A decision rates hundreds of nodes, and equal pods come by the thousand, each of which changes one node. So what depends on a node's own
state and on the shape of the pod alone (its requests, its owner) stands in a list in the order of the nodes, until the node changes;
a decision takes a slice of it. Kept by `snapshot.Cluster`, read by filters, scores and `cycle.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from itertools import compress
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from minik.sched.snapshot import NodeInfo

_UNKNOWN = -1.0


MAX_CHANGES = 4096
"""So many changes are remembered; a column that was not asked for longer begins anew."""


class Changes:
    """The places of nodes that have changed, in order: so that a change costs the same however many columns there are."""

    __slots__ = ("_begin", "_places", "end")

    def __init__(self) -> None:
        self._places: list[int] = []
        self._begin = 0
        self.end = 0
        """How many changes there ever were."""

    def add(self, place: int) -> None:
        self._places.append(place)
        self.end += 1
        if len(self._places) > MAX_CHANGES:
            del self._places[: MAX_CHANGES // 2]
            self._begin = self.end - len(self._places)

    def since(self, end: int) -> Sequence[int] | None:
        """What has changed since there were `end` changes; None if that is not known any more."""
        return self._places[end - self._begin :] if end >= self._begin else None


class Column:
    """A number of each node, none of them negative, computed when first asked for."""

    __slots__ = ("_changes", "_compute", "_nodes", "_seen", "_values")

    def __init__(self, compute: Callable[[NodeInfo], float], nodes: Sequence[NodeInfo], changes: Changes) -> None:
        """`nodes`: all of them, in the order of their places; the end of it may grow, with a change of that place."""
        self._compute = compute
        self._nodes, self._changes = nodes, changes
        self._values = [_UNKNOWN] * len(nodes)
        self._seen = changes.end

    def _catch_up(self) -> list[float]:
        values, changed = self._values, self._changes.since(self._seen)
        self._seen = self._changes.end
        if changed is None:
            values = self._values = [_UNKNOWN] * len(self._nodes)
            return values
        values += [_UNKNOWN] * (len(self._nodes) - len(values))
        for place in changed:
            values[place] = _UNKNOWN
        return values

    def of(self, node: NodeInfo) -> float:
        values = self._values if self._seen == self._changes.end else self._catch_up()
        value = values[node.index]
        if value == _UNKNOWN:
            value = values[node.index] = self._compute(node)
        return value

    def slice(self, start: int, end: int) -> list[float]:
        """The values of all nodes from one place to another."""
        values = self._values if self._seen == self._changes.end else self._catch_up()
        found = values[start:end]
        at = 0
        with contextlib.suppress(ValueError):  # few are unknown: the search for them runs in C
            while True:
                at = found.index(_UNKNOWN, at)
                found[at] = values[start + at] = self._compute(self._nodes[start + at])
        return found


class Window(Sequence["NodeInfo"]):
    """Some of the cluster's nodes: `count` of them from `start` on, beginning anew after the last one, of these only those where `mask`
    is not 0; or just those of `chosen`."""

    __slots__ = ("_chosen", "_count", "_mask", "_nodes", "_spans")

    def __init__(
        self,
        nodes: Sequence[NodeInfo],
        start: int,
        count: int,
        *,
        mask: Sequence[float] | None = None,
        chosen: Sequence[NodeInfo] | None = None,
    ) -> None:
        self._nodes, self._mask = nodes, mask
        end = start + count
        self._spans = ((start, min(end, len(nodes))), (0, max(0, end - len(nodes))))
        if mask is not None:
            chosen = list(compress(self._all(), mask))
        self._chosen = chosen
        self._count = count if chosen is None else len(chosen)

    def _all(self) -> list[NodeInfo]:
        (start, end), (_, rest) = self._spans
        return [*self._nodes[start:end], *self._nodes[:rest]]

    def take(self, column: Column) -> list[float]:
        """The column's values of these nodes, in their order."""
        if self._chosen is not None and self._mask is None:
            return [column.of(node) for node in self._chosen]
        first, second = self._spans
        found = column.slice(*first)
        if second[1]:
            found += column.slice(*second)
        return found if self._mask is None else list(compress(found, self._mask))

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> NodeInfo: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[NodeInfo]: ...
    def __getitem__(self, index: int | slice) -> NodeInfo | Sequence[NodeInfo]:
        if self._chosen is not None:
            return self._chosen[index]
        if isinstance(index, slice):
            return self._all()[index]
        if not -self._count <= index < self._count:
            raise IndexError(index)
        return self._nodes[(self._spans[0][0] + index % self._count) % len(self._nodes)]

    def __iter__(self) -> Iterator[NodeInfo]:
        return iter(self._chosen if self._chosen is not None else self._all())
