"""Two hundred seeds: whole clusters with faults, which must come to rest with everything as it should be.

A seed that fails is named with how to run it again; `scripts/simulate` runs as many more as one likes.
"""

from __future__ import annotations

import pytest

from tests.support.simulation.run import Plan, simulate

BLOCK = 10


def check(*plans: Plan) -> None:
    failed = []
    for plan in plans:
        outcome = simulate(plan)
        if outcome.problems:
            shown = "\n".join(f"    {problem}" for problem in outcome.problems[:5])
            failed.append(f"seed {plan.seed}:\n{shown}\n    again: {plan.command()}")
    assert not failed, "\n".join(failed)


@pytest.mark.parametrize("start", range(0, 130, BLOCK), ids=lambda start: f"{start}-{start + BLOCK - 1}")
def test_clusters_with_faults_come_to_rest(start: int) -> None:
    check(*(Plan(seed) for seed in range(start, start + BLOCK)))


@pytest.mark.parametrize("start", range(0, 20, BLOCK), ids=lambda start: f"{start}-{start + BLOCK - 1}")
def test_deployments_stay_available_while_nobody_takes_their_pods(start: int) -> None:
    check(*(Plan(seed, faults=False) for seed in range(start, start + BLOCK)))


@pytest.mark.parametrize("start", range(0, 20, BLOCK), ids=lambda start: f"{start}-{start + BLOCK - 1}")
def test_deployments_stay_available_while_the_server_and_the_way_to_it_fail(start: int) -> None:
    check(*(Plan(seed, gentle=True) for seed in range(start, start + BLOCK)))


@pytest.mark.parametrize("seed", range(1000, 1001))
def test_an_hour_of_a_cluster(seed: int) -> None:
    check(Plan(seed, minutes=60.0, pace=30.0))
