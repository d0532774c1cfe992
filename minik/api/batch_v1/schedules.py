"""Cron schedules as Kubernetes has them (robfig/cron's ParseStandard): five fields, names, `@daily` and its like, `@every 90m`.

`parse_schedule` checks and reads the text; `Schedule` finds the runs. The search through the calendar is cronsim's, whose rules at
changes of the clock are Debian cron's: a run at a time that a day skips is made up for at once, one at a time that comes twice happens
once. (robfig's skip the former and repeat the latter; minik differs from Kubernetes here on purpose.)
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

_MONTHS = {
    "jan": 1,
    "feb": 2,
    "mar": 3,
    "apr": 4,
    "may": 5,
    "jun": 6,
    "jul": 7,
    "aug": 8,
    "sep": 9,
    "oct": 10,
    "nov": 11,
    "dec": 12,
}
_DAYS = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
_BOUNDS: tuple[tuple[int, int, Mapping[str, int]], ...] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, _MONTHS),
    (0, 6, _DAYS),
)
_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EVERY = "@every "
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h)", re.ASCII)
_FIRST_WINDOW = timedelta(hours=1)
_HORIZON = timedelta(days=366 * 5)
"""A schedule without a run for so long has none (as robfig's)."""


class ScheduleError(ValueError):
    """The text is no schedule; says why, in robfig's words."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a CronJob runs. Moments are aware; those returned are in the schedule's zone."""

    expression: str
    """Five fields for cronsim; "" if `every` is given."""
    zone: tzinfo
    every: int = 0
    """Seconds between two runs."""

    def next(self, after: datetime) -> datetime | None:
        """The first run after a moment; None if there is none in five years."""
        if self.every:
            whole = after.astimezone(UTC).replace(microsecond=0)
            return (whole + timedelta(seconds=self.every)).astimezone(self.zone)
        start = after.astimezone(self.zone)
        try:
            found = next(CronSim(self.expression, start))
        except (CronSimError, StopIteration):
            return None
        return found if found - start <= _HORIZON else None

    def latest(self, after: datetime, until: datetime) -> datetime | None:
        """The last run after `after` that is not after `until`; None if there is none."""
        first = self.next(after)
        if first is None or first > until:
            return None
        if self.every:
            return self._in_step(first, (until - first.astimezone(UTC)).total_seconds() // self.every)
        window = _FIRST_WINDOW
        while until - window > after:
            found = self._last_between(until - window, until)
            if found is not None:
                return found
            window *= 8
        return self._last_between(after, until)

    def upcoming(self, since: datetime, now: datetime) -> datetime | None:
        """The first run after `now`, of those that follow `since` (from which `@every` counts)."""
        first = self.next(since)
        if first is None or first > now or not self.every:
            return first if first is None or first > now else self.next(now)
        return self._in_step(first, (now - first.astimezone(UTC)).total_seconds() // self.every + 1)

    def _in_step(self, first: datetime, steps: float) -> datetime:
        return (first.astimezone(UTC) + timedelta(seconds=steps * self.every)).astimezone(self.zone)

    def _last_between(self, after: datetime, until: datetime) -> datetime | None:
        runs = takewhile(lambda run: run <= until, CronSim(self.expression, after.astimezone(self.zone)))
        return next(iter(deque(runs, maxlen=1)), None)


@lru_cache(maxsize=4096)
def parse_schedule(text: str, zone: str = "") -> Schedule:
    """Read `spec.schedule`; `zone` is an IANA name, "" for UTC. Raises ScheduleError, and for the zone what ZoneInfo raises."""
    place: tzinfo = ZoneInfo(zone or "UTC")
    if not text.strip():
        raise ScheduleError("empty spec string")
    if text.startswith(_EVERY):
        return Schedule("", place, every=_duration(text.removeprefix(_EVERY)))
    if text.startswith("@"):
        if text not in _DESCRIPTORS:
            raise ScheduleError(f"unrecognized descriptor: {text}")
        text = _DESCRIPTORS[text]
    fields = text.split()
    if len(fields) != 5:
        raise ScheduleError(f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]")
    return Schedule(" ".join(_field(field, *bounds) for field, bounds in zip(fields, _BOUNDS, strict=True)), place)


def _field(text: str, least: int, most: int, names: Mapping[str, int]) -> str:
    """One field in cronsim's writing: a star only where robfig sees one, else numbers."""
    numbers: set[int] = set()
    star = False
    for part in filter(None, text.split(",")):
        found, is_star = _range(part, least, most, names)
        numbers |= found
        star = star or is_star
    if not numbers:
        raise ScheduleError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    if star:
        return "*"
    if text[0] in "*?" and most in (59, 23):  # cronsim must know that it is no fixed time of the day
        return "*/" + text.partition("/")[2] if "," not in text else "*"
    return ",".join(map(str, sorted(numbers)))


def _range(text: str, least: int, most: int, names: Mapping[str, int]) -> tuple[set[int], bool]:
    """`*`, `5`, `mon-fri`, `*/15`, `10-40/5`, `7/3` as numbers, and whether it is a star."""
    span, *steps = text.split("/")
    ends = span.split("-")
    star = ends[0] in ("*", "?")
    if star:
        start, end = least, most
    elif len(ends) > 2:
        raise ScheduleError(f"too many hyphens: {text}")
    else:
        start = _number(ends[0], names)
        end = _number(ends[1], names) if len(ends) == 2 else start
    if len(steps) > 1:
        raise ScheduleError(f"too many slashes: {text}")
    step = _number(steps[0], {}) if steps else 1
    if steps and len(ends) == 1:
        end = most
    if start < least:
        raise ScheduleError(f"beginning of range ({start}) below minimum ({least}): {text}")
    if end > most:
        raise ScheduleError(f"end of range ({end}) above maximum ({most}): {text}")
    if start > end:
        raise ScheduleError(f"beginning of range ({start}) beyond end of range ({end}): {text}")
    if step == 0:
        raise ScheduleError(f"step of range should be a positive number: {text}")
    return set(range(start, end + 1, step)), star and step == 1


def _number(text: str, names: Mapping[str, int]) -> int:
    if text.lower() in names:
        return names[text.lower()]
    if not (text.isascii() and text.isdigit()):
        raise ScheduleError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    return int(text)


def _duration(text: str) -> int:
    """A Go duration in whole seconds, at least one."""
    parts = _DURATION.findall(text)
    if not parts or "".join(parts) != text:
        raise ScheduleError(f'failed to parse duration {_EVERY}{text}: time: invalid duration "{text}"')
    total = 0.0
    for part in parts:
        number = part.rstrip("nsuµmh")
        total += float(number) * _UNITS[part[len(number) :]]
    return max(1, int(total))
