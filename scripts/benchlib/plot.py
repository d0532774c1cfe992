"""The picture of the section `growth`: what an object costs against the size of the work. Needs matplotlib (extra `bench`).

One panel for each series, both axes logarithmic: CPU of the server for one object as a line with its values, the time that passed as a
thinner one. Level is best: an object costs the same at every size. Steps that are worse than linear are red.
"""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

from scripts.benchlib.report import Report
from scripts.benchlib.series import Series

COLUMNS = 3
CPU, WALL, STEEP = "#1f5fa8", "#9a9a9a", "#c0392b"


def why_not() -> str:
    """Why no picture can be drawn, or ""."""
    return "" if importlib.util.find_spec("matplotlib") else "matplotlib is not installed: pip install 'minik[bench]'"


def draw(report: Report, path: Path) -> None:
    """Write the picture; its kind is the ending of `path`. Raises ValueError if nothing was measured that it could show."""
    from matplotlib.figure import Figure

    if not report.series:
        raise ValueError("the run has no section growth")
    rows = math.ceil(len(report.series) / COLUMNS)
    figure = Figure(figsize=(4.6 * COLUMNS, 3.7 * rows + 0.6), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, squeeze=False).flat
    for panel in panels:
        panel.set_visible(False)
    for panel, series in zip(figure.axes, report.series.values(), strict=False):
        _draw_panel(panel, series)
    about = report.machine
    commit = f"{str(about.get('commit', ''))[:10]}, {str(about.get('date', ''))[:10]}"
    figure.suptitle(
        f"minik: what one object costs as the work grows (µs, both axes logarithmic; level: the same at every size)   {commit}",
        fontsize=11,
    )
    figure.savefig(path, dpi=110)


def _draw_panel(panel: Any, series: Series) -> None:
    panel.set_visible(True)
    sizes = [point.size for point in series.points]
    costs = [max(point.cost, 0.1) for point in series.points]  # nothing at all has no place on such an axis
    walls = [point.time for point in series.points]
    panel.loglog(sizes, walls, "s:", color=WALL, markersize=3, linewidth=1, label="time")
    panel.loglog(sizes, costs, "o-", color=CPU, linewidth=2, label="CPU of the server")
    for step in series.steep():
        panel.loglog([step.begin.size, step.end.size], [step.begin.cost, step.end.cost], "-", color=STEEP, linewidth=3)
    for size, cost in zip(sizes, costs, strict=True):
        panel.annotate(
            f"{cost:,.0f}" if cost >= 10 else f"{cost:.1f}",
            (size, cost),
            (0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    for step in series.steps():
        middle = (
            math.sqrt(step.begin.size * step.end.size),
            math.sqrt(max(step.begin.cost, 0.1) * max(step.end.cost, 0.1)),
        )
        panel.annotate(
            f"^{step.slope:.2f}",
            middle,
            (0, -14),
            textcoords="offset points",
            ha="center",
            fontsize=7,
            color=STEEP if step.is_steep else "#555555",
            bbox={"fc": "white", "ec": "none", "pad": 0.4},
        )
    low, high = min(costs + walls), max(costs + walls)
    center = math.sqrt(low * high)
    panel.set_ylim(min(low / 2, center / 12), max(high * 2, center * 12))
    panel.set_xlim(sizes[0] / 1.8, sizes[-1] * 1.8)
    panel.set_xticks(sizes, [f"{size:,}" for size in sizes])
    panel.minorticks_off()
    panel.set_title(series.name + (" (the same work at each size)" if series.fixed else ""), fontsize=9.5)
    panel.set_xlabel(series.by, fontsize=9)
    panel.set_ylabel(f"µs per {series.per}", fontsize=9)
    panel.grid(visible=True, which="major", color="#e4e4e4", linewidth=0.7)
    panel.tick_params(labelsize=8)
    panel.legend(fontsize=7, loc="best", frameon=False)
