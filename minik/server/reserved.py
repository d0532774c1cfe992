"""`Reserved`: what writes under way hold, so that two of them do not both count on the same thing. In memory, for the length of a request.

A process that dies forgets what was held, and nothing was lost by it: what was held was not done. Used by admission and subresources
through `Core.reserved`; subjects are the names of rules ("evictions").
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection


class Reserved:
    """Values held by subject, and turns at things that only one request at a time should try to change."""

    def __init__(self) -> None:
        self._held: dict[str, Counter[str]] = {}
        self._turns: dict[str, tuple[asyncio.Lock, list[None]]] = {}

    def hold(self, subject: str, value: str) -> Callable[[], None]:
        """Hold `value` (it may be held several times); call what is returned to let go, once."""
        held = self._held.setdefault(subject, Counter())
        held[value] += 1

        def release() -> None:
            held[value] -= 1
            if not held[value]:
                del held[value]

        return release

    def held(self, subject: str) -> Collection[str]:
        """What is held now. A view: it changes."""
        return self._held.get(subject, {}).keys()

    @contextlib.asynccontextmanager
    async def turn(self, key: str) -> AsyncIterator[None]:
        """Wait for one's turn at `key`, first come, first served: fairer and cheaper than to lose races."""
        lock, waiting = self._turns.setdefault(key, (asyncio.Lock(), []))
        waiting.append(None)
        try:
            async with lock:
                yield
        finally:
            waiting.pop()
            if not waiting:
                del self._turns[key]
