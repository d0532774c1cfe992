"""A simulated container, and the sessions that exec and attach have with one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from minik.agent.containers.base import ContainerInfo, ContainerRuntime, LogOptions
from minik.agent.containers.fake_script import IDLE, RUNS_ON, Load, Script
from minik.api.times import format_micro_time

MAX_LOG = 2000
"""Lines that are kept."""

Line = tuple[datetime, Literal[1, 2], bytes]


@dataclass(slots=True)
class FakeContainer:
    """A container's state, log and use."""

    info: ContainerInfo
    sandbox: str = ""
    script: Script = RUNS_ON
    missing: bool = False
    """Whether the command does not exist."""
    log: deque[Line] = field(default_factory=lambda: deque(maxlen=MAX_LOG))
    written: int = 0
    changed: asyncio.Event | None = None
    """Set on every new line and at the end; made when somebody follows the log."""

    load: Load = IDLE
    used: float = 0.0
    """Nanoseconds of cpu until `counted`."""
    counted: datetime | None = None

    def count(self, now: datetime) -> int:
        """Nanoseconds of cpu used since it was started."""
        if self.counted is not None and self.info.state == "running":
            self.used += (now - self.counted).total_seconds() * self.load.cpu * 1e6
        self.counted = now
        return int(self.used)

    def notify(self) -> None:
        if self.changed is not None:
            self.changed.set()


def format_line(line: Line, *, timestamps: bool) -> bytes:
    return f"{format_micro_time(line[0])} ".encode() + line[2] if timestamps else line[2]


class Said:
    """A command that has ended already."""

    def __init__(self, out: bytes, err: bytes, code: int) -> None:
        self._out, self._err, self._code = out, err, code

    async def output(self) -> AsyncIterator[tuple[Literal[1, 2], bytes]]:
        if self._out:
            yield 1, self._out
        if self._err:
            yield 2, self._err

    async def write(self, data: bytes) -> None:
        del data

    async def close_stdin(self) -> None:
        pass

    async def resize(self, width: int, height: int) -> None:
        del width, height

    async def exit_code(self) -> int | None:
        return self._code

    async def close(self) -> None:
        pass


class Echo(Said):
    """`cat`: what comes in goes out, until stdin ends."""

    def __init__(self) -> None:
        super().__init__(b"", b"", 0)
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(16)

    async def output(self) -> AsyncIterator[tuple[Literal[1, 2], bytes]]:
        while (data := await self._queue.get()) is not None:
            yield 1, data

    async def write(self, data: bytes) -> None:
        await self._queue.put(data)

    async def close_stdin(self) -> None:
        await self._queue.put(None)


class Attached(Said):
    """The output of a running container from now on."""

    def __init__(self, runtime: ContainerRuntime, container: FakeContainer) -> None:
        super().__init__(b"", b"", 0)
        self._runtime, self._container = runtime, container

    async def output(self) -> AsyncIterator[tuple[Literal[1, 2], bytes]]:
        async for line in self._runtime.logs(self._container.info.id, LogOptions(follow=True, tail=0)):
            yield line

    async def exit_code(self) -> int | None:
        info = self._container.info
        return info.exit_code if info.state == "exited" else None
