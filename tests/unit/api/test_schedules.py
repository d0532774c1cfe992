"""Cron schedules: what is one, in robfig's words, and when they run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from minik.api.batch_v1.schedules import ScheduleError, parse_schedule

START = datetime(2026, 1, 1, 0, 0, tzinfo=UTC)  # a Thursday


def runs(text: str, count: int, *, zone: str = "", after: datetime = START) -> list[str]:
    schedule, found = parse_schedule(text, zone), []
    moment: datetime | None = after
    for _ in range(count):
        assert moment is not None
        moment = schedule.next(moment)
        found.append("-" if moment is None else moment.strftime("%m-%d %H:%M"))
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("* * * * *", ["01-01 00:01", "01-01 00:02"]),
        ("*/20 * * * *", ["01-01 00:20", "01-01 00:40"]),
        ("5/20 * * * *", ["01-01 00:05", "01-01 00:25"]),
        ("0 9 * * mon-fri", ["01-01 09:00", "01-02 09:00", "01-05 09:00"]),
        ("0 9 * * SUN", ["01-04 09:00"]),
        ("0 0 ? * ?", ["01-02 00:00"]),
        ("30 4 1,15 * 5", ["01-01 04:30", "01-02 04:30", "01-09 04:30", "01-15 04:30"]),  # either day will do
        ("0 0 */2 * 1", ["01-03 00:00", "01-05 00:00", "01-07 00:00"]),  # a step is no star: robfig's rule
        ("0 0 1 FEB *", ["02-01 00:00"]),
        ("@monthly", ["02-01 00:00", "03-01 00:00"]),
        ("@weekly", ["01-04 00:00"]),
        ("@hourly", ["01-01 01:00"]),
        ("@every 1h30m", ["01-01 01:30", "01-01 03:00"]),
        ("0 0 29 2 *", ["02-29 00:00"]),
        ("0 0 31 2 *", ["-"]),
    ],
)
def test_runs(text: str, expected: list[str]) -> None:
    assert runs(text, len(expected)) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
        ("* * * * * *", "expected exactly 5 fields, found 6: [* * * * * *]"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("* * * * 7", "end of range (7) above maximum (6): 7"),
        ("5-2 * * * *", "beginning of range (5) beyond end of range (2): 5-2"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("*/2/3 * * * *", "too many slashes: */2/3"),
        ("x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'),
        ("* * * * 5L", 'failed to parse int from 5L: strconv.Atoi: parsing "5L": invalid syntax'),
        ("@often", "unrecognized descriptor: @often"),
        ("@every soon", 'failed to parse duration @every soon: time: invalid duration "soon"'),
        (" ", "empty spec string"),
    ],
)
def test_what_is_no_schedule(text: str, why: str) -> None:
    with pytest.raises(ScheduleError) as raised:
        parse_schedule(text)
    assert str(raised.value) == why


def test_time_zones_and_changes_of_the_clock() -> None:
    assert runs("0 9 * * *", 1, zone="America/New_York") == ["01-01 09:00"]
    first = parse_schedule("0 9 * * *", "America/New_York").next(START)
    assert first is not None and first.astimezone(UTC).hour == 14
    spring = datetime(2026, 3, 28, 12, tzinfo=UTC)  # on the 29th, 02:30 does not exist in Berlin: made up for at 03:00
    assert runs("30 2 * * *", 2, zone="Europe/Berlin", after=spring) == ["03-29 03:00", "03-30 02:30"]
    autumn = datetime(2026, 10, 24, 12, tzinfo=UTC)  # on the 25th it comes twice: one run
    assert runs("30 2 * * *", 2, zone="Europe/Berlin", after=autumn) == ["10-25 02:30", "10-26 02:30"]
    hours = [parse_schedule("@every 24h", "Europe/Berlin").next(spring)]
    assert hours[0] is not None and hours[0] - spring == timedelta(hours=24)


@pytest.mark.parametrize("text", ["*/7 * * * *", "0 3 * * *", "0 0 1 * *", "@every 45m"])
@pytest.mark.parametrize("zone", ["", "Europe/Berlin"])
@pytest.mark.parametrize("hours", [1, 30, 2000])
def test_the_latest_run_is_the_last_of_all(text: str, zone: str, hours: int) -> None:
    schedule, until = parse_schedule(text, zone), START + timedelta(hours=hours)
    last, moment = None, schedule.next(START)
    while moment is not None and moment <= until:
        last, moment = moment, schedule.next(moment)
    assert schedule.latest(START, until) == last
    assert schedule.upcoming(START, until) == moment
