"""How a cost grows with the size of the work: pure arithmetic over measured points.

The slope of a step between two sizes is the exponent k of cost ~ size^k there: 1.0 is linear in the whole work, so the cost of
each object stays what it was; 0.0 means that the size does not matter. CPU of the server is what is judged, because on a busy
machine it is far steadier than the time that passes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

STEEP = 1.15
"""A step with a slope above this is worse than linear, beyond what measuring again would explain."""


@dataclass(frozen=True, slots=True)
class Point:
    """`count` objects were done at `size` with `cpu` seconds of the server in `wall` seconds. `top`: where its CPU went."""

    size: int
    count: int
    cpu: float
    wall: float
    top: tuple[str, ...] = ()

    @property
    def cost(self) -> float:
        """Microseconds of CPU for one object."""
        return 1e6 * self.cpu / self.count

    @property
    def time(self) -> float:
        """Microseconds that passed for one object."""
        return 1e6 * self.wall / self.count


def point_of(raw: Mapping[str, Any]) -> Point:
    """From JSON."""
    return Point(**{**raw, "top": tuple(raw["top"])})


@dataclass(frozen=True, slots=True)
class Step:
    """From one point to the next."""

    begin: Point
    end: Point

    fixed: bool = False

    @property
    def slope(self) -> float:
        return self._slope(self.begin.cpu, self.end.cpu)

    @property
    def wall_slope(self) -> float:
        return self._slope(self.begin.wall, self.end.wall)

    @property
    def is_steep(self) -> bool:
        return self.slope > STEEP

    def _slope(self, before: float, after: float) -> float:
        least = 1e-6  # of what did nothing at all in its time
        each = max(after, least) / self.end.count / (max(before, least) / self.begin.count)
        return math.log(each) / math.log(self.end.size / self.begin.size) + (0.0 if self.fixed else 1.0)


@dataclass(frozen=True, slots=True)
class Series:
    """What `name` costs by the number of `by`, for each `per`.

    `fixed`: the same work is done at each size (so many pods scheduled on ever more nodes), so the slope is that of the cost of one;
    else the work grows with the size, and the slope is that of all of it.
    """

    name: str
    by: str
    per: str
    points: Sequence[Point]
    fixed: bool = False

    def steps(self) -> list[Step]:
        return [Step(a, b, self.fixed) for a, b in zip(self.points, self.points[1:], strict=False)]

    def steep(self) -> list[Step]:
        return [step for step in self.steps() if step.is_steep]

    def table(self) -> list[str]:
        """Rows: size, CPU per object, time per object, slopes of the step that ends here."""
        rows = [
            f"{self.name + ', by ' + self.by:52} {'µs CPU/' + self.per:>16} {'slope':>6} {'µs/' + self.per:>16} {'slope':>6}"
        ]
        before: list[Step | None] = [None, *self.steps()]
        for point, step in zip(self.points, before, strict=True):
            slope, wall = (f"{step.slope:.2f}", f"{step.wall_slope:.2f}") if step else ("", "")
            mark = "  worse than linear" if step and step.is_steep else ""
            rows.append(f"{point.size:>52,} {point.cost:>16,.1f} {slope:>6} {point.time:>16,.1f} {wall:>6}{mark}")
            if mark and point.top:
                rows += [f"        {line}" for line in point.top]
        return rows

    def to_json(self) -> dict[str, Any]:
        return {
            "by": self.by,
            "per": self.per,
            "fixed": self.fixed,
            "points": [asdict(point) for point in self.points],
            "slopes": [round(step.slope, 3) for step in self.steps()],
        }
