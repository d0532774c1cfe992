"""`Job`: a call for another thread that gets the interpreter's lock even from a saturated event loop. Used by `sqlite.py`.

A thread that waits for the lock gets it once its holder has kept it for the switch interval (5 ms), but each system call of a busy
event loop starts that interval anew: measured, a loop at 100 % leaves such a thread one commit a second. So the loop stands back for
a moment: until the thread has taken the job up, which is all that the usual batch needs before it waits for the disk, and again if
the job is not done when it should be. Measured with that: 1,000 commits a second for one caller, 20,000 for 64.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

_UP = 0.0005
_STAND_BACK = 0.0003
_PAUSE = 0.001
_MAX_PAUSE = 0.05
"""Seconds. The pause doubles while standing back does not help: then it is the disk that takes its time."""


class Job:
    """Wraps `function`. Made in the loop's thread just before it is handed over; call `finish` there once the result has come."""

    __slots__ = ("_done", "_function", "_loop", "_pause", "_started", "_timer")

    def __init__(self, function: Callable[[], object], loop: asyncio.AbstractEventLoop) -> None:
        self._function = function
        self._loop = loop
        self._pause = _PAUSE
        self._timer: asyncio.TimerHandle | None = None
        self._started = threading.Lock()
        self._started.acquire()
        self._done = threading.Lock()
        self._done.acquire()
        loop.call_soon(self._let_start)

    def __call__(self) -> object:
        self._started.release()
        try:
            return self._function()
        finally:
            self._done.release()

    def _let_start(self) -> None:
        self._started.acquire(timeout=_UP)
        if self._pause:
            self._timer = self._loop.call_later(self._pause, self._lend)

    def _lend(self) -> None:
        if not self._done.acquire(timeout=_STAND_BACK):
            self._pause = min(2 * self._pause, _MAX_PAUSE)
            self._timer = self._loop.call_later(self._pause, self._lend)

    def finish(self) -> None:
        """No more standing back."""
        self._pause = 0.0
        if self._timer is not None:
            self._timer.cancel()
