"""Figures next to their budgets."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field

from scripts.benchlib.budgets import BUDGETS


@dataclass(slots=True)
class Report:
    """What was measured so far."""

    figures: dict[str, float] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, figure: float, note: str = "") -> None:
        """Record the figure of a budget (or one without, which is only shown)."""
        self.figures[name] = figure
        if note:
            self.notes[name] = note
        print(f"   {self._line(name)}", flush=True)

    def skip(self, section: str, reason: str) -> None:
        self.skipped[section] = reason
        print(f"   skipped: {reason}", flush=True)

    @property
    def all_met(self) -> bool:
        return all(BUDGETS[name].met(figure) for name, figure in self.figures.items() if name in BUDGETS)

    def _line(self, name: str) -> str:
        figure = self.figures[name]
        budget = BUDGETS.get(name)
        note = f"  ({self.notes[name]})" if name in self.notes else ""
        if budget is None:
            return f"{name:44} {figure:>12,.2f}{note}"
        verdict = "met" if budget.met(figure) else "NOT MET"
        return f"{name:44} {figure:>12,.2f} {budget.unit:9} {budget.text:>14}  {verdict}{note}"

    def print_table(self) -> None:
        print(f"\n{'what':44} {'figure':>12} {'unit':9} {'budget':>14}")
        for name in self.figures:
            print(self._line(name))
        for section, reason in self.skipped.items():
            print(f"{section:44} skipped: {reason}")

    def to_json(self) -> dict[str, object]:
        return {
            "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "kernel": platform.release()},
            "figures": self.figures,
            "met": {name: BUDGETS[name].met(figure) for name, figure in self.figures.items() if name in BUDGETS},
            "notes": self.notes,
            "skipped": self.skipped,
        }
