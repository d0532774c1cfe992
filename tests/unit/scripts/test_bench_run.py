"""A section has an end in any case, and says what it waits for."""

from __future__ import annotations

import asyncio
import json

import pytest

from scripts.benchlib.run import Options, OutOfTime, within


async def test_a_section_that_ends_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    async def section() -> None:
        await asyncio.sleep(0)

    await within(60, section())
    assert capsys.readouterr().out == ""


async def test_a_section_that_does_not_end_says_where_it_waits_and_cleans_up(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cleaned = False

    async def wait_for_godot() -> None:
        nonlocal cleaned
        try:
            await asyncio.Event().wait()
        finally:
            cleaned = True

    with pytest.raises(OutOfTime):
        await within(0.01, wait_for_godot())
    assert cleaned
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"what": "fail", "reason": "not done after 0.01 s"}
    assert "wait_for_godot" in printed.err


async def test_what_a_section_raises_comes_through() -> None:
    async def section() -> None:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        await within(60, section())


def test_a_trial_is_smaller_but_never_nothing() -> None:
    assert Options(scale=0.1).sized(50_000) == 5_000
    assert Options(scale=0.0001).sized(100) == 1
