from __future__ import annotations

from datetime import timedelta

import click
import pytest

from minik.cli.durations import parse_ttl


@pytest.mark.parametrize(
    "text", ["", "m", "5", "-5m", "0m", "1.5h", "5w", "²d", "9999999999d", "99999999999999999999s"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        parse_ttl(text)


def test_times() -> None:
    assert parse_ttl("0") is None
    assert parse_ttl("90s") == timedelta(seconds=90)
    assert parse_ttl("9999999d") == timedelta(days=9_999_999)
