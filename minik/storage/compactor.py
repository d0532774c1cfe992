"""Retention: up to which revision the history may be forgotten, and in how small steps. Pure; the SQLite store acts on it.

History is kept for an hour, but no more than a number of revisions, but at least five minutes whatever their number. It is
forgotten in slices that ride in the transactions of ordinary batches (and go on by themselves while a backlog remains), so there
is no pause, no timer, and an idle store does not write.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from dataclasses import dataclass

from minik.storage.base import Revision

SLICE_ROWS = 512
"""Rows forgotten at a time: 1 to 4 ms."""

_MARK_SECONDS = 30
_STEP = 512
"""Revisions that must be due before the floor moves because of their number."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How much history to keep: seconds, revisions, seconds."""

    age: float = 3600.0
    revisions: int = 250_000
    at_least: float = 300.0


class Marks:
    """When the log was where: pairs (revision, time), all writes up to the revision having happened before the time."""

    def __init__(self, retention: Retention, marks: Iterable[tuple[int, int]] = ()) -> None:
        self.retention = retention
        self._revisions: list[int] = []
        self._times: list[int] = []
        for revision, written in marks:
            self.add(revision, written)

    def add(self, revision: int, written: int) -> None:
        self._revisions.append(revision)
        self._times.append(written)

    def is_due(self, now: float) -> bool:
        """Whether a new mark should be made (with the next write)."""
        return not self._times or not self._times[-1] <= now < self._times[-1] + _MARK_SECONDS

    def _before(self, time: float) -> int:
        """A revision up to which everything was written before `time`; 0 if none is known."""
        place = bisect.bisect_right(self._times, time)
        return self._revisions[place - 1] if place else 0

    def plan_floor(self, floor: Revision, current: Revision, now: float) -> Revision:
        """The revision up to which history may go; never below `floor`."""
        wanted = self._before(now - self.retention.age)
        excess = current - self.retention.revisions
        if excess >= max(floor, wanted) + _STEP:
            wanted = max(wanted, min(excess, self._before(now - self.retention.at_least)))
        return Revision(max(wanted, floor))

    def forget(self, floor: Revision) -> None:
        """Drop the marks before the new floor."""
        place = bisect.bisect_left(self._revisions, floor)
        del self._revisions[:place], self._times[:place]
