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
_DURATION_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)", re.ASCII)
_DURATION = re.compile(rf"[+-]?(?:{_DURATION_PART.pattern})+", re.ASCII)
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


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


def format_duration(seconds: float) -> str:
    """A span as Go writes it and `metav1.Duration` goes over the wire, to the millisecond: `15.023s`, `1m15s`, `500ms`, `0s`."""
    millis = round(seconds * 1000)
    if not millis:
        return "0s"
    sign, millis = ("-", -millis) if millis < 0 else ("", millis)
    if millis < 1000:
        return f"{sign}{millis}ms"
    whole, rest = divmod(millis, 1000)
    hours, minutes, whole = whole // 3600, whole // 60 % 60, whole % 60
    fraction = f".{rest:03}".rstrip("0") if rest else ""
    ahead = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{ahead}{whole}{fraction}s"


def parse_duration(text: str) -> float:
    """Seconds that a span in Go's notation lasts. ValueError if it is none."""
    if text == "0":
        return 0.0
    if not _DURATION.fullmatch(text):
        raise ValueError(f"time: invalid duration {text!r}")
    total = sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text))
    return -total if text.startswith("-") else total


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
