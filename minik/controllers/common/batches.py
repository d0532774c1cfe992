"""Many requests at once, carefully: batches that double while all goes well, so that what is refused is refused once (slow start)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from minik.api.errors import StatusError

Call: TypeAlias = Callable[[], Awaitable[Any]]


async def in_batches(calls: Sequence[Call], *, first: int = 1) -> tuple[int, StatusError | None]:
    """Make the calls, `first` at once, then twice as many, and so on; stop after a batch in which one failed.

    How many succeeded, and the first StatusError. Other exceptions are raised."""
    done, size, succeeded = 0, first, 0
    while done < len(calls):
        results = await at_once(calls[done : done + size])
        succeeded += sum(result is None for result in results)
        failure = next((result for result in results if result is not None), None)
        if failure is not None:
            return succeeded, failure
        done += size
        size *= 2
    return succeeded, None


async def at_once(calls: Sequence[Call]) -> list[StatusError | None]:
    """Make all calls at once; for each its StatusError, or None. Other exceptions are raised, after all have ended."""
    results = await asyncio.gather(*(call() for call in calls), return_exceptions=True)
    found: list[StatusError | None] = []
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, StatusError):
            raise result
        found.append(result if isinstance(result, StatusError) else None)
    return found
