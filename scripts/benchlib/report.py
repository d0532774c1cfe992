"""Figures next to their budgets, as a table and as JSON.

A `Report` belongs to one run. Sections add to it: figures (one number), series (one number for each size) and lines of text.
The JSON of a run is what `compare.py` and `plot.py` read; its shape is `Report.to_json`.
"""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from scripts.benchlib.budgets import BUDGETS
from scripts.benchlib.series import Series, point_of

FORMAT = 1
"""Of the JSON; grows when its shape changes."""

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True, slots=True)
class Figure:
    """One number. `spread`: half the distance of least and greatest of several runs, relative to their median; None for one run."""

    value: float
    unit: str
    note: str = ""
    spread: float | None = None


@dataclass(slots=True)
class Report:
    """What was measured so far."""

    figures: dict[str, Figure] = field(default_factory=dict)
    series: dict[str, Series] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    _rounds: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, value: float, note: str = "", *, unit: str = "") -> None:
        """Record a figure. One that was recorded before becomes the median of all rounds. `unit` is the budget's where there is one."""
        unit = BUDGETS[name].unit if name in BUDGETS else unit
        rounds = self._rounds.setdefault(name, [])
        rounds.append(value)
        middle = median(rounds)
        spread = (max(rounds) - min(rounds)) / 2 / middle if len(rounds) > 1 and middle else None
        self.figures[name] = Figure(middle, unit, note, spread)

    def plot(self, series: Series) -> None:
        """Record a series."""
        self.series[series.name] = series

    def say(self, text: str) -> None:
        """Record a line that belongs to the figures: where something was found."""
        self.lines.append(text)

    def skip(self, section: str, reason: str) -> None:
        """The section could not run here."""
        self.skipped[section] = reason

    def fail(self, section: str, reason: str) -> None:
        """The section broke or ran out of time."""
        self.failed[section] = reason

    @property
    def all_met(self) -> bool:
        return not self.failed and all(
            BUDGETS[name].met(figure.value) for name, figure in self.figures.items() if name in BUDGETS
        )

    def line(self, name: str) -> str:
        """One row of the table."""
        figure, budget = self.figures[name], BUDGETS.get(name)
        spread = f"  ±{100 * figure.spread:.0f} %" if figure.spread is not None else ""
        note = f"{spread}  ({figure.note})" if figure.note else spread
        row = f"{name:52} {figure.value:>12,.2f} {figure.unit:9}"
        if budget is None:
            return f"{row}{note}"
        return f"{row} {budget.text:>9}  {'met' if budget.met(figure.value) else 'NOT MET'}{note}"

    def table(self) -> str:
        """All figures and series, and what is missing."""
        rows = [f"{'what':52} {'figure':>12} {'unit':9} {'budget':>9}"] if self.figures else []
        rows += [self.line(name) for name in self.figures]
        for series in self.series.values():
            rows += ["", *series.table()]
        if self.lines:
            rows += ["", *self.lines]
        rows += [f"{section:52} skipped: {reason}" for section, reason in self.skipped.items()]
        rows += [f"{section:52} FAILED: {reason}" for section, reason in self.failed.items()]
        return "\n".join(rows)

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "machine": dict(self.machine),
            "figures": {
                name: {
                    **asdict(figure),
                    "budget": BUDGETS[name].text if name in BUDGETS else None,
                    "met": BUDGETS[name].met(figure.value) if name in BUDGETS else None,
                }
                for name, figure in self.figures.items()
            },
            "series": {name: series.to_json() for name, series in self.series.items()},
            "lines": self.lines,
            "skipped": self.skipped,
            "failed": self.failed,
        }


def from_json(data: Mapping[str, Any]) -> Report:
    """The inverse of `Report.to_json`. Raises ValueError for another format."""
    if data.get("format") != FORMAT:
        raise ValueError(f"a file of format {data.get('format')}, not {FORMAT}: measure again")
    keys = ("value", "unit", "note", "spread")
    return Report(
        figures={name: Figure(**{key: raw[key] for key in keys}) for name, raw in data["figures"].items()},
        series={
            name: Series(name, raw["by"], raw["per"], [point_of(p) for p in raw["points"]], raw["fixed"])
            for name, raw in data["series"].items()
        },
        lines=list(data["lines"]),
        skipped=dict(data["skipped"]),
        failed=dict(data["failed"]),
        machine=data["machine"],
    )


def describe_machine(arguments: Sequence[str]) -> dict[str, Any]:
    """What the figures were measured on, and how."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    return {
        "commit": git("rev-parse", "HEAD"),
        "uncommitted": bool(git("status", "--porcelain", "--untracked-files=no")),
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "kernel": platform.release(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "arguments": list(arguments),
    }
