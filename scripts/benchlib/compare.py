"""Two runs side by side: what became better, what worse, and what is only noise. Pure.

A change counts when it is greater than what measuring twice shows: the spread that the runs recorded (`scripts/bench --rounds N`), but
never less than a floor. The floors are what three rounds of one commit differed by on two cores while others worked there too: start-up
and memory ±5 %, rates of writes ±7 %, percentiles ±12 % and more. Rates of reads, which take all of both cores, need rounds: ±25 to 50 %.
"""

from __future__ import annotations

from dataclasses import dataclass

from scripts.benchlib.budgets import BUDGETS, is_more_better
from scripts.benchlib.report import Figure, Report

FLOORS = {"MB": 0.05, "ms": 0.15, "s": 0.05, "% core": 0.50}
"""Relative change that says nothing, by unit; others have OTHER."""
OTHER = 0.10


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of both runs. `gain` above 1 is better: how many times faster, or smaller."""

    name: str
    old: Figure
    new: Figure
    gain: float
    noise: float

    @property
    def verdict(self) -> str:
        """`better`, `worse`, or "" within the noise."""
        if self.gain > 1 + self.noise:
            return "better"
        return "worse" if self.gain < 1 / (1 + self.noise) else ""


def compare(old: Report, new: Report) -> list[Change]:
    """Every figure and every cost of a series that both runs have, in the order of the new one."""
    before, after = _flat(old), _flat(new)
    return [_change(name, before[name], figure) for name, figure in after.items() if name in before]


def _flat(report: Report) -> dict[str, Figure]:
    found = dict(report.figures)
    for series in report.series.values():
        for point in series.points:
            found[f"{series.name}, {point.size:,} {series.by}"] = Figure(point.cost, f"µs/{series.per}")
    return found


def _change(name: str, old: Figure, new: Figure) -> Change:
    noise = max(old.spread or 0.0, new.spread or 0.0, FLOORS.get(new.unit, OTHER))
    least = 1e-9  # two zeros are equal; what was nothing and is something is endlessly worse
    ratio = max(new.value, least) / max(old.value, least)
    return Change(name, old, new, ratio if is_more_better(name, new.unit) else 1 / ratio, noise)


def table(changes: list[Change], old: Report, new: Report) -> str:
    """The comparison for a person."""
    rows = [_origin("old", old), _origin("new", new), ""]
    rows.append(f"{'what':52} {'old':>12} {'new':>12} {'unit':12} {'gain':>8}")
    for change in changes:
        gain = f"{change.gain:.2f} ×" if 1e-3 < change.gain < 1e3 else "-"
        missed = change.name in BUDGETS and not BUDGETS[change.name].met(change.new.value)
        marks = f"{change.verdict:8}{'budget NOT MET' if missed else ''}".rstrip()
        rows.append(
            f"{change.name:52} {change.old.value:>12,.2f} {change.new.value:>12,.2f} {change.new.unit:12} {gain:>8}  {marks}".rstrip()
        )
    names = {change.name for change in changes}
    rows += [f"{name:52} only in the old run" for name in _flat(old) if name not in names]
    rows += [f"{name:52} only in the new run" for name in _flat(new) if name not in names]
    return "\n".join(rows)


def _origin(word: str, report: Report) -> str:
    about = report.machine
    changed = " with uncommitted changes" if about.get("uncommitted") else ""
    return (
        f"{word}: {str(about.get('commit', ''))[:12]}{changed}, {about.get('date', '')}, Python {about.get('python', '')}, "
        f"load {about.get('load', 0):.1f} on {about.get('cores', '?')} cores"
    )
