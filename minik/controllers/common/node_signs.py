"""When nodes were heard of last. Pure: names and seconds in. A renewal costs two dictionary operations, whatever the number of nodes.

Nodes stand in the order in which they were heard of, so the first of them is the one that falls silent next, and one timer is enough
for all: `nodelifecycle.py` asks `overdue` when that moment has come.
"""

from __future__ import annotations

from collections import OrderedDict

GRACE = 40.0
"""Seconds without a sign of life after which a node is Unknown (--node-monitor-grace-period)."""
STARTUP_GRACE = 60.0
"""The same for a node that never gave one (--node-startup-grace-period)."""


class Signs:
    """See the module. `silent`: nodes that were overdue and have not been heard of since."""

    def __init__(self) -> None:
        self.silent: set[str] = set()
        self._heard: OrderedDict[str, float] = OrderedDict()
        self._mute: OrderedDict[str, float] = OrderedDict()

    def __contains__(self, name: str) -> bool:
        return name in self._heard or name in self._mute or name in self.silent

    def appeared(self, name: str, now: float, *, heard: bool) -> None:
        """A node is there; one that is known already keeps its time. `heard`: it has given a sign of life some time."""
        if name not in self:
            (self._heard if heard else self._mute)[name] = now

    def heard(self, name: str, now: float) -> bool:
        """A sign of life. Returns whether the node was silent."""
        self._mute.pop(name, None)
        self._heard[name] = now
        self._heard.move_to_end(name)
        if name not in self.silent:
            return False
        self.silent.discard(name)
        return True

    def gone(self, name: str) -> None:
        self._heard.pop(name, None)
        self._mute.pop(name, None)
        self.silent.discard(name)

    def overdue(self, now: float) -> list[str]:
        """The nodes that have just become silent."""
        found = []
        for nodes, grace in ((self._heard, GRACE), (self._mute, STARTUP_GRACE)):
            while nodes and (first := next(iter(nodes.items())))[1] + grace <= now:
                del nodes[first[0]]
                found.append(first[0])
        self.silent.update(found)
        return found

    def next_check(self, now: float) -> float | None:
        """Seconds until `overdue` may have something to say; None: there is nobody to wait for. Nobody who is heard of after `now` is
        overdue before it."""
        ends = [
            next(iter(nodes.values())) + grace
            for nodes, grace in ((self._heard, GRACE), (self._mute, STARTUP_GRACE))
            if nodes
        ]
        return min(min(ends) - now, GRACE) if ends else None
