"""Every controller of the control plane has something to do in the simulation: a new one without a subject fails here, and says so."""

from __future__ import annotations

from collections import Counter

from minik.controllers import built_in
from tests.support.simulation.run import Plan, simulate
from tests.support.simulation.subjects import SUBJECTS

SEEDS = range(300, 304)
"""Of each subject."""
IDLE: dict[str, str] = {}
"""Controllers that have nothing to reconcile here, and why."""
SILENT: dict[str, str] = {}
"""Controllers that reconcile and write nothing, and why."""


def test_every_controller_is_at_work() -> None:
    reconciles: Counter[str] = Counter()
    writes: Counter[str] = Counter()
    failed = []
    for plan in [Plan(seed, subjects=(subject.name,)) for subject in SUBJECTS for seed in SEEDS]:
        outcome = simulate(plan)
        reconciles.update(outcome.reconciles)
        writes.update(outcome.writes)
        if outcome.problems:
            failed.append(f"{[problem[:300] for problem in outcome.problems[:3]]}\n    again: {plan.command()}")
    assert not failed, "\n".join(failed)
    known = built_in(ca_certificate="", sign=lambda *_: b"", sign_token=lambda *_: "")
    names = [controller.name for controller in known]
    idle = [name for name in names if not reconciles[name] and name not in IDLE]
    silent = [name for name in names if reconciles[name] and not writes[name] and name not in SILENT]
    where = "give people something to do with it in tests/support/simulation/subjects, or say here why not"
    assert not idle, f"never reconcile in the simulation: {', '.join(idle)}; {where}"
    assert not silent, f"reconcile and never write in the simulation: {', '.join(silent)}; {where}"
    unknown = sorted({*IDLE, *SILENT} - {*names})
    assert not unknown, f"no controllers, but excused: {', '.join(unknown)}"
