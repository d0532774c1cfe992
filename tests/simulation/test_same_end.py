"""With faults and without them a story ends the same: controllers go by what is, and not by how it came to be."""

from __future__ import annotations

import difflib

import pytest

from tests.support.simulation.run import Outcome, Plan, simulate

BLOCK = 5


def ended(plan: Plan) -> Outcome:
    outcome = simulate(plan)
    assert not outcome.problems, f"{outcome.problems[:5]}\nagain: {plan.command()}"
    return outcome


@pytest.mark.parametrize("start", range(0, 40, BLOCK), ids=lambda start: f"{start}-{start + BLOCK - 1}")
def test_faults_do_not_change_how_it_ends(start: int) -> None:
    for seed in range(start, start + BLOCK):
        calm, rough = Plan(seed, story=True, faults=False), Plan(seed, story=True)
        one, other = ended(calm).end, ended(rough).end
        assert len(one) > 2, "the story is about something"
        changed = [
            line for line in difflib.unified_diff(one, other, lineterm="", n=0) if line[:2] not in ("--", "++", "@@")
        ]
        assert not changed, "\n".join([*changed, f"calm: {calm.command()}", f"with faults: {rough.command()}"])
