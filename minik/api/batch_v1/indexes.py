"""Sets of completion indexes as text: `1,3-5,7` (status.completedIndexes, status.failedIndexes, successPolicy's succeededIndexes).

`Indexes` keeps intervals, so that a Job with 100,000 completed indexes costs a few numbers. Used by the Job's validation and controller.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Indexes:
    """A set of whole numbers as intervals (first, last), ordered, never touching."""

    intervals: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, numbers: Iterable[int]) -> Indexes:
        return cls(_joined((n, n) for n in sorted(set(numbers))))

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.intervals)

    def __iter__(self) -> Iterator[int]:
        for first, last in self.intervals:
            yield from range(first, last + 1)

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self.intervals, (number, float("inf"))) - 1
        return at >= 0 and self.intervals[at][0] <= number <= self.intervals[at][1]

    def __or__(self, other: Indexes) -> Indexes:
        if not other.intervals:
            return self
        return Indexes(_joined(sorted((*self.intervals, *other.intervals))))

    def __str__(self) -> str:
        """Two neighbours are written `1,2`, more `1-3`."""
        parts = []
        for first, last in self.intervals:
            joint = "-" if last > first + 1 else ","
            parts.append(str(first) if first == last else f"{first}{joint}{last}")
        return ",".join(parts)

    def missing(self, limit: int, below: int) -> list[int]:
        """The smallest numbers from 0 to below `below` that are not in the set, at most `limit`."""
        found: list[int] = []
        candidate = 0
        for first, last in (*self.intervals, (below, below)):
            while candidate < min(first, below) and len(found) < limit:
                found.append(candidate)
                candidate += 1
            candidate = max(candidate, last + 1)
        return found


def _joined(intervals: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    result: list[tuple[int, int]] = []
    for first, last in intervals:
        if result and first <= result[-1][1] + 1:
            result[-1] = result[-1][0], max(result[-1][1], last)
        else:
            result.append((first, last))
    return tuple(result)


def parse_indexes(text: str, below: int) -> Indexes:
    """The numbers under `below` that `text` names; fragments that are none are left out (it was checked when it was written)."""
    found: list[tuple[int, int]] = []
    for fragment in filter(None, text.split(",")):
        start, _, end = fragment.partition("-")
        try:
            first, last = int(start), int(end or start)
        except ValueError:
            continue
        if 0 <= first < below and last >= first:
            found.append((first, min(last, below - 1)))
    return Indexes(_joined(sorted(found)))


def check_indexes(text: str, below: int) -> int:
    """How many indexes a well-formed `text` names. ValueError, in upstream's words, if it is not (validateIndexesFormat)."""
    total, previous = 0, -1
    for fragment in text.split(",") if text else ():
        limits = fragment.split("-")
        if len(limits) > 2:
            why = "violates the requirement that an index interval can have at most two parts separated by '-'"
            raise ValueError(f'the fragment "{fragment}" {why}')
        first = _index(limits[0], below)
        last = _index(limits[1], below) if len(limits) > 1 else first
        if len(limits) > 1 and first >= last:
            raise ValueError(f"non-increasing order, previous: {first}, current: {last}")
        if previous >= first:
            raise ValueError(f"non-increasing order, previous: {previous}, current: {first}")
        total += last - first + 1
        previous = last
    return total


def _index(text: str, below: int) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f'cannot convert string to integer for index: "{text}"')
    if int(text) >= below:
        raise ValueError(f'too large index: "{text}"')
    return int(text)
