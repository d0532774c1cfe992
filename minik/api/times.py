"""Times on the wire and spans of time as kubectl shows them.

`metav1.Time` is RFC 3339 in whole seconds, `metav1.MicroTime` has six digits; both are written in UTC with `Z`. Nothing here
reads a clock: callers pass the time in.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)",
    re.ASCII,
)


def format_time(moment: datetime) -> str:
    """`2026-01-01T00:00:00Z`. `moment` must be aware; fractions of a second are cut off."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def format_micro_time(moment: datetime) -> str:
    """`2026-01-01T00:00:00.000000Z`. `moment` must be aware."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


@lru_cache(maxsize=8192)
def parse_time(text: str) -> datetime:
    """The moment that an RFC 3339 text names, aware, in UTC. ValueError if it is none. Digits beyond micros are cut off."""
    if not _RFC3339.fullmatch(text):
        raise ValueError(f"{text!r} is not an RFC 3339 time")
    return datetime.fromisoformat(text.upper()).astimezone(UTC)


def is_time(text: str) -> bool:
    try:
        parse_time(text)
    except ValueError:
        return False
    return True


def human_duration(span: timedelta) -> str:
    """A span as kubectl shows ages: `5s`, `3m20s`, `5h`, `2d3h`, `1y40d` (apimachinery `duration.HumanDuration`)."""
    total = span.total_seconds()
    seconds = int(total)  # towards zero, as Go's conversion
    if seconds < -1:
        return "<invalid>"
    if seconds < 0:
        return "0s"
    if seconds < 120:
        return f"{seconds}s"
    minutes, hours = seconds // 60, seconds // 3600
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    days = hours // 24
    if hours < 24 * 8:
        return _two(days, "d", hours % 24, "h")
    if hours < 24 * 365 * 2:
        return f"{days}d"
    if hours < 24 * 365 * 8:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _two(major: int, major_unit: str, minor: int, minor_unit: str) -> str:
    return f"{major}{major_unit}{minor}{minor_unit}" if minor else f"{major}{major_unit}"


def since(text: str | None, now: datetime) -> str:
    """How long ago the moment `text` was, for humans; `<unknown>` for none (printers' translateTimestampSince)."""
    if not text:
        return "<unknown>"
    try:
        return human_duration(now - parse_time(text))
    except ValueError:
        return "<unknown>"
