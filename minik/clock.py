"""Time, randomness and identifiers: the only module that reads the system clock or the system's entropy.

Everything else takes a `Clock` and an `Entropy` as arguments, which is what makes simulation and what-if planning possible.
"""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Wall time, monotonic time and sleeping."""

    def now(self) -> datetime:
        """The wall-clock time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary point; never goes back. Comparable with the running loop's `time()`."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds` of this clock."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class LoopClock:
    """A clock that follows the running event loop: with a loop of simulated time, simulated wall time.

    `epoch` is the wall time at loop time 0.
    """

    def __init__(self, epoch: datetime | None = None) -> None:
        self.epoch = epoch or datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.epoch + timedelta(seconds=asyncio.get_running_loop().time())

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


_SAFE_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Kubernetes' alphabet for generated names: no vowels, nothing that reads as a word (apimachinery util/rand)."""


class Entropy:
    """Random numbers, UIDs and name suffixes. With a seed, the same sequence every time."""

    def __init__(self, seed: int | None = None) -> None:
        self.rng: random.Random = random.Random(seed)
        """For jitter, choices and names: fast, not for secrets. Without a seed it begins with the system's entropy."""
        self._secret: random.Random = random.SystemRandom() if seed is None else self.rng

    def uid(self) -> str:
        """A random (version 4) UUID in its canonical text form."""
        bits = self.rng.getrandbits(128)
        bits = bits & ~(0xF << 76) | (4 << 76)
        bits = bits & ~(0x3 << 62) | (2 << 62)
        text = f"{bits:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def suffix(self, length: int = 5) -> str:
        """A random name suffix as `generateName` appends it."""
        return "".join(self.rng.choices(_SAFE_ALPHABET, k=length))

    def token(self, length: int) -> str:
        """`length` random characters of [a-z0-9], as bootstrap tokens use; fit for secrets unless there is a seed."""
        return "".join(self._secret.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=length))
