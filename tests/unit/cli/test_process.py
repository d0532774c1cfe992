"""How a long-lived command ends: by a signal, or because what it runs has ended by itself."""

from __future__ import annotations

import asyncio
import os
import signal

import click
import pytest

from minik.cli.process import run


class Process:
    def __init__(self) -> None:
        self.closed = False

    async def start(self) -> None: ...

    async def close(self) -> None:
        self.closed = True


def test_a_process_that_ends_by_itself_says_why_and_is_closed() -> None:
    process = Process()

    async def announce() -> None: ...

    async def ended() -> str:
        await asyncio.sleep(0.01)
        return "the store stopped"

    with pytest.raises(click.ClickException, match="the store stopped"):
        run(process, announce, ended=ended)
    assert process.closed


@pytest.mark.parametrize("ended", [None, asyncio.Event().wait])
def test_a_signal_ends_it_in_order(ended: object) -> None:
    process = Process()

    async def announce() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    run(process, announce, ended=ended)  # type: ignore[arg-type]  # it never ends
    assert process.closed
