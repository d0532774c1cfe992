"""Waiting for something, and saying for what when it does not come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable


class Skip(Exception):
    """The section cannot run here; says why."""


async def until(condition: Callable[[], Awaitable[bool]], what: str, *, timeout: float, every: float = 0.02) -> float:
    """Seconds until the condition holds. Raises TimeoutError that says `what` did not happen."""
    start = time.monotonic()
    while not await condition():
        if time.monotonic() - start > timeout:
            raise TimeoutError(f"not within {timeout:g} s: {what}")
        await asyncio.sleep(every)
    return time.monotonic() - start
