"""How long a Job waits before it replaces failed pods: 10 s after the first failure in a row, doubling up to ten minutes.

A `Streak` is what the controller remembers of one Job; after a restart it is read off the pods that are still there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from minik.api.meta import ROObj
from minik.controllers.common.job_pods import failures_of_index, finished_at, ignored_failures_of_index

FIRST, LONGEST = 10.0, 600.0


@dataclass(frozen=True, slots=True)
class Streak:
    """Failures since the last success, and when the last one was."""

    failures: int = 0
    last: datetime | None = None


def continued(streak: Streak, succeeded: Sequence[ROObj], failed: Sequence[ROObj]) -> Streak:
    """The streak after these newly finished pods."""
    success = max((finished_at(pod) for pod in succeeded), default=None)
    ends = [finished_at(pod) for pod in failed]
    if success is not None:
        streak = Streak(0, streak.last)
        ends = [end for end in ends if end >= success]
    if not ends:
        return streak
    last = max(ends) if streak.last is None else max(streak.last, *ends)
    return Streak(streak.failures + len(ends), last)


def seconds_left(failures: int, last: datetime | None, *, now: datetime) -> float:
    """Until pods may be created again after that many failures in a row; 0 if they may now."""
    if failures <= 0 or last is None:
        return 0.0
    pause = min(FIRST * 2.0 ** min(failures - 1, 10), LONGEST)
    return max(0.0, pause - (now - last).total_seconds())


def seconds_left_of_index(failed: ROObj | None, *, now: datetime) -> float:
    """The same for one index of a Job with backoffLimitPerIndex, whose last pod is `failed`."""
    if failed is None:
        return 0.0
    failures = failures_of_index(failed) + ignored_failures_of_index(failed) + 1
    return seconds_left(failures, finished_at(failed), now=now)
