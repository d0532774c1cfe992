"""Structured concurrency for long-lived parts: every task has a name, an owner and an end.

`Tasks` is the only place in minik that calls `asyncio.create_task`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

log = logging.getLogger("minik.aio")


class Tasks:
    """A set of named background tasks with one owner.

    A task that raises is logged with its name and handed to `on_failure`; the others go on. `close` cancels all that
    still run and waits for them.
    """

    def __init__(self, owner: str, *, on_failure: Callable[[str, BaseException], None] | None = None) -> None:
        self.owner = owner
        self._on_failure = on_failure
        self._tasks: dict[asyncio.Task[Any], None] = {}
        """In the order of their starts, in which they are cancelled: simulations must repeat."""
        self._closed = False

    def start(self, name: str, coro: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `coro` in the background under `owner/name`."""
        if self._closed:
            coro.close()
            raise RuntimeError(f"{self.owner} is closed; cannot start {name}")
        task = asyncio.create_task(coro, name=f"{self.owner}/{name}")
        self._tasks[task] = None
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            log.error("background task failed", extra={"task": task.get_name()}, exc_info=error)
            if self._on_failure is not None:
                self._on_failure(task.get_name(), error)

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def closed(self) -> bool:
        return self._closed

    async def close(self) -> None:
        """Cancel every task and wait until each has ended."""
        self._closed = True
        tasks = [t for t in self._tasks if t is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def running(owner: str) -> AsyncIterator[Tasks]:
    """A `Tasks` closed at the end of the block."""
    tasks = Tasks(owner)
    try:
        yield tasks
    finally:
        await tasks.close()
