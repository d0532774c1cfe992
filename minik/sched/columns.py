"""`Column` and `Window`: what was found of each node, and the part of it that a decision looks at.

A decision rates hundreds of nodes, and equal pods come by the thousand, each of which changes one node. So what depends on a node's own
state and on the shape of the pod alone (its requests, its owner) stands in a list in the order of the nodes, until the node changes;
a decision takes a slice of it. Kept by `snapshot.Cluster`, read by filters, scores and `cycle.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from minik.sched.snapshot import NodeInfo

_UNKNOWN = -1.0


class Column:
    """A number of each node, none of them negative, computed when first asked for."""

    __slots__ = ("_compute", "_values")

    def __init__(self, compute: Callable[[NodeInfo], float], size: int) -> None:
        self._compute = compute
        self._values = [_UNKNOWN] * size

    def forget(self, index: int) -> None:
        """The node of that index has changed."""
        self._values[index] = _UNKNOWN

    def grow(self) -> None:
        """There is another node."""
        self._values.append(_UNKNOWN)

    def of(self, node: NodeInfo) -> float:
        value = self._values[node.index]
        if value == _UNKNOWN:
            value = self._values[node.index] = self._compute(node)
        return value

    def slice(self, nodes: Sequence[NodeInfo], start: int, end: int) -> list[float]:
        """The values of all of `nodes` from one index to another."""
        found = self._values[start:end]
        at = 0
        with contextlib.suppress(ValueError):  # few are unknown: the search for them runs in C
            while True:
                at = found.index(_UNKNOWN, at)
                found[at] = self.of(nodes[start + at])
        return found


class Window(Sequence["NodeInfo"]):
    """Some of the cluster's nodes: `count` of them from `start` on, beginning anew after the last one; or just those of `chosen`."""

    __slots__ = ("_chosen", "_count", "_nodes", "_spans")

    def __init__(
        self, nodes: Sequence[NodeInfo], start: int, count: int, *, chosen: Sequence[NodeInfo] | None = None
    ) -> None:
        self._nodes = nodes
        end = start + count
        self._spans = ((start, min(end, len(nodes))), (0, max(0, end - len(nodes))))
        self._chosen = chosen
        self._count = count if chosen is None else len(chosen)

    def take(self, column: Column) -> list[float]:
        """The column's values of these nodes, in their order."""
        if self._chosen is not None:
            return [column.of(node) for node in self._chosen]
        (first, second), nodes = self._spans, self._nodes
        found = column.slice(nodes, *first)
        return found + column.slice(nodes, *second) if second[1] else found

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
            return list(self)[index]
        if not -self._count <= index < self._count:
            raise IndexError(index)
        return self._nodes[(self._spans[0][0] + index % self._count) % len(self._nodes)]

    def __iter__(self) -> Iterator[NodeInfo]:
        if self._chosen is not None:
            return iter(self._chosen)
        (start, end), (_, rest) = self._spans
        return iter([*self._nodes[start:end], *self._nodes[:rest]])
