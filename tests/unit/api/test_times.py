"""Times on the wire and spans as kubectl shows them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from minik.api import times

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_formats() -> None:
    moment = datetime(2026, 1, 1, 13, 0, 0, 120, tzinfo=timezone(timedelta(hours=1)))
    assert times.format_time(moment) == "2026-01-01T12:00:00Z"
    assert times.format_micro_time(moment) == "2026-01-01T12:00:00.000120Z"


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01T12:00:00Z",
        "2026-01-01T13:00:00+01:00",
        "2026-01-01T12:00:00.000000Z",
        "2026-01-01T12:00:00.000000001Z",
    ],
)
def test_parse(text: str) -> None:
    assert times.parse_time(text) == NOON


@pytest.mark.parametrize("text", ["", "2026-01-01", "20260101T120000Z", "2026-01-01 12:00:00Z", "2026-13-01T12:00:00Z"])
def test_no_time(text: str) -> None:
    assert not times.is_time(text)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-2, "<invalid>"), (-1, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (200, "3m20s"), (599, "9m59s"), (600, "10m"),
        (179 * 60, "179m"), (180 * 60, "3h"), (3 * 3600 + 60, "3h1m"), (8 * 3600 + 60, "8h"), (47 * 3600, "47h"),
        (48 * 3600, "2d"), (51 * 3600, "2d3h"), (8 * 86400, "8d"), (729 * 86400, "729d"), (730 * 86400, "2y"),
        (800 * 86400, "2y70d"), (3000 * 86400, "8y"),
    ],
)  # fmt: skip
def test_human_duration(seconds: int, shown: str) -> None:
    assert times.human_duration(timedelta(seconds=seconds)) == shown


def test_since_nothing_is_unknown() -> None:
    assert times.since(None, NOON) == "<unknown>"
