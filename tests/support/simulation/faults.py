"""What goes wrong, when and for how long: drawn from the seed."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.simulation.run import Simulation


class Faults:
    def __init__(self, simulation: Simulation, rng: random.Random) -> None:
        self._simulation, self._rng = simulation, rng

    async def run(self, until: float) -> None:
        await asyncio.sleep(0)

    async def heal(self) -> None:
        pass
