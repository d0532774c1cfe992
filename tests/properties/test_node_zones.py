"""Zones of nodes under any history: nobody is let through faster than the rate, and nobody who may go is forgotten."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from minik.controllers.common.node_zones import RATE, Zones

NAMES = st.sampled_from([f"n{number}" for number in range(8)])
STEPS = st.lists(
    st.tuples(NAMES, st.sampled_from("ab"), st.sampled_from([True, False, False, False, None]), st.floats(0, 12)),
    max_size=40,
)


class Controller:
    """Asks as `nodelifecycle.py` does: when it is woken for a node, and after the waits it was told."""

    def __init__(self) -> None:
        self.zones = Zones()
        self.now = 0.0
        self.timers: dict[str, float] = {}
        self.known: dict[str, tuple[str, bool]] = {}
        self.granted: dict[str, float] = {}
        self.times: dict[str, list[float]] = {"a": [], "b": []}

    def change(self, name: str, zone: str, ready: bool | None) -> None:
        before = self.known.get(name)
        if ready is None:
            self.known.pop(name, None)
        else:
            self.known[name] = zone, ready
        if ready is not False:
            self.granted.pop(name, None)
        self.wake(self.zones.note(name, zone, ready))
        if before is None or before[1] != ready:  # a node that only moves is not looked at for that
            self.wake([name])

    def wake(self, names: list[str]) -> None:
        for name in names:
            self.timers.pop(name, None)
            zone, ready = self.known.get(name, ("", True))
            if ready or name in self.granted or (wait := self.zones.ask(name, self.now)) is None:
                continue
            if wait:
                self.timers[name] = self.now + wait
                continue
            self.granted[name] = self.now
            self.times[zone].append(self.now)
            if head := self.zones.head(zone):
                self.wake([head])

    def until(self, end: float) -> None:
        while self.timers and (first := min(self.timers, key=lambda n: self.timers[n])) and self.timers[first] <= end:
            self.now = max(self.now, self.timers[first])
            self.wake([first])
        self.now = end


@given(STEPS, st.sampled_from([0, 12]))
def test_turns(steps: list[tuple[str, str, bool | None, float]], well: int) -> None:
    c = Controller()
    for number in range(well):  # zones that stay normal ones
        c.change(f"first-{number}", "ab"[number % 2], True)
    for name, zone, ready, seconds in steps:
        before = c.known.get(name)
        c.change(name, before[0] if before and ready is None else zone, ready)
        c.until(c.now + seconds)
    for zone in "ab":  # neither zone is partly down any more: whoever is down gets through in time
        for number in range(10):
            c.change(f"well-{zone}{number}", zone, True)
    c.until(c.now + 200)
    assert {name for name, (_, ready) in c.known.items() if not ready} == set(c.granted)
    for times in c.times.values():
        assert all(later - earlier >= 1 / RATE - 1e-6 for earlier, later in pairwise(times))
