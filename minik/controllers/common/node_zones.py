"""How fast pods may be driven from nodes that are down: a rate per zone, less while much of the zone is down, none while all nodes are.

Upstream's disruption states (`pkg/controller/nodelifecycle`, ComputeZoneState and handleDisruption). Pure: names and seconds in, waits
out. `nodelifecycle.py` keeps one `Zones` true and asks it before each NoExecute taint. Within a zone nodes are let through in the order
in which they asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from minik.api import meta
from minik.api.meta import ROObj

RATE = 0.1
"""Nodes per second in a zone (--node-eviction-rate)."""
SECONDARY_RATE = 0.01
"""The same while a large zone is partly down (--secondary-node-eviction-rate)."""
LARGE = 50
"""Nodes; smaller zones are left alone while they are partly down (--large-cluster-size-threshold)."""
UNHEALTHY = 0.55
"""The share of nodes that are down from which a zone is partly down, if they are more than two (--unhealthy-zone-threshold)."""

State = Literal["normal", "partial", "full"]


def zone_of(node: ROObj) -> str:
    """`region/zone` by the well-known labels; "/" for nodes that do not say."""
    labels = meta.labels(node)
    return f"{labels.get('topology.kubernetes.io/region', '')}/{labels.get('topology.kubernetes.io/zone', '')}"


def state_of(ready: int, down: int) -> State:
    """Of a zone with that many nodes."""
    if not ready and down:
        return "full"
    if down > 2 and down / (down + ready) >= UNHEALTHY:
        return "partial"
    return "normal"


def rate_of(state: State, size: int) -> float:
    """Nodes per second. A zone that is down as a whole, while others are not, is not the server's trouble: it is evicted as usual."""
    if state != "partial":
        return RATE
    return SECONDARY_RATE if size > LARGE else 0.0


@dataclass(slots=True)
class _Zone:
    ready: int = 0
    down: int = 0
    waiting: dict[str, None] = field(default_factory=dict)
    """Names, in the order in which they asked."""
    free_at: float = 0.0
    """When the next one may go."""

    @property
    def rate(self) -> float:
        return rate_of(state_of(self.ready, self.down), self.ready + self.down)


class Zones:
    """See the module."""

    def __init__(self) -> None:
        self._zones: dict[str, _Zone] = {}
        self._nodes: dict[str, tuple[str, bool]] = {}
        self._ready = 0

    @property
    def all_down(self) -> bool:
        """Whether no node at all is ready: then it is more likely the server that is cut off."""
        return not self._ready

    def down(self) -> list[str]:
        """The nodes that are not ready."""
        return [name for name, (_, ready) in self._nodes.items() if not ready]

    def note(self, name: str, zone: str, ready: bool | None) -> list[str]:
        """A node is ready, is not, or (None) is gone. Returns the nodes that have to be looked at again because of it."""
        known = self._nodes.get(name)
        if known == (zone, ready):
            return []
        before, touched = self.all_down, {zone: self._rate(zone)}
        if known is not None:
            touched.setdefault(known[0], self._rate(known[0]))
            self._count(*known, -1)
        if ready is None:
            self._nodes.pop(name, None)
        else:
            self._nodes[name] = zone, ready
            self._count(zone, ready, 1)
        again = []
        if known is not None and (ready is not False or known[0] != zone):
            again += self._leave(name, known[0])
            again += [name] * (ready is False)  # it waits in another zone now
        if self.all_down != before:
            return self.down()
        again += [head for each, rate in touched.items() if self._rate(each) != rate and (head := self.head(each))]
        return again

    def _rate(self, zone: str) -> float:
        found = self._zones.get(zone)
        return found.rate if found is not None else RATE

    def _count(self, zone: str, ready: bool, change: int) -> None:
        found = self._zones.setdefault(zone, _Zone())
        if ready:
            found.ready += change
            self._ready += change
        else:
            found.down += change
        if not found.ready and not found.down:
            del self._zones[zone]

    def _leave(self, name: str, zone: str) -> list[str]:
        found = self._zones.get(zone)
        if found is None or name not in found.waiting:
            return []
        del found.waiting[name]
        head = self.head(zone)
        return [head] if head else []

    def head(self, zone: str) -> str:
        """Whose turn is next; "" if nobody waits."""
        found = self._zones.get(zone)
        return next(iter(found.waiting), "") if found is not None else ""

    def ask(self, name: str, now: float) -> float | None:
        """Seconds until the pods of a node may be driven off; 0: now, and the turn is taken. None: it is not its turn, or nothing goes at
        present; it will be named by `note`, or is the `head` after a turn was taken."""
        known = self._nodes.get(name)
        if known is None or self.all_down:
            return None
        zone = self._zones[known[0]]
        zone.waiting.setdefault(name)
        rate = zone.rate
        if not rate or self.head(known[0]) != name:
            return None
        wait = min(zone.free_at - now, 1 / rate)
        if wait > 0:
            return wait
        del zone.waiting[name]
        zone.free_at = now + 1 / rate
        return 0.0
