"""`scripts/simulate`: as many seeds as one likes, and any of them again.

    scripts/simulate --seeds 1000                   seeds 0 to 999
    scripts/simulate --seeds 1000 --start 5000      seeds 5000 to 5999
    scripts/simulate --seed 123 --trace FILE        one seed, every line of its history and log in FILE
    scripts/simulate --seeds 3 --minutes 60         an hour of cluster time each
    scripts/simulate --seeds 50 --subject quotas    people who care for quotas
    scripts/simulate --seeds 50 --gentle            only the server, its disk and the way to it fail

Exit status 1 if a seed failed.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from pathlib import Path

from tests.support.simulation.run import Outcome, Plan, simulate
from tests.support.simulation.subjects import SUBJECTS

_SHOWN = 12


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/simulate", description="Whole clusters in simulated time, with faults."
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--seeds", type=int, default=100, metavar="N", help="how many seeds (100)")
    which.add_argument("--seed", type=int, metavar="S", help="this one only")
    parser.add_argument("--start", type=int, default=0, metavar="S", help="the first seed (0)")
    parser.add_argument(
        "--minutes", type=float, metavar="M", help="for how long people work and things go wrong; else by the seed"
    )
    parser.add_argument("--nodes", type=int, metavar="N", help="how many nodes; else by the seed")
    parser.add_argument(
        "--pace", type=float, metavar="S", help="seconds between two things that a person does; else by the seed"
    )
    parser.add_argument("--fault-pace", type=float, metavar="S", help="seconds between two faults; else by the seed")
    parser.add_argument("--calm", action="store_true", help="no faults: Deployments must stay available throughout")
    parser.add_argument(
        "--gentle", action="store_true", help="nobody and nothing touches pods: the same, with other faults"
    )
    parser.add_argument(
        "--subject", action="append", metavar="NAME", choices=[each.name for each in SUBJECTS],
        help="what people do besides workloads, any number of times; else by the seed",
    )  # fmt: skip
    parser.add_argument("--story", action="store_true", help="a fixed story instead of people who do as they please")
    parser.add_argument(
        "--trace", type=Path, metavar="FILE", help="write every line of the history, and what is logged (one seed)"
    )
    options = parser.parse_args(arguments)
    if options.trace is not None and options.seed is None:
        parser.error("--trace goes with --seed")
    seeds = [options.seed] if options.seed is not None else range(options.start, options.start + options.seeds)
    began, simulated, failed = time.monotonic(), 0.0, []
    for seed in seeds:
        plan = Plan(
            seed, minutes=options.minutes, nodes=options.nodes, pace=options.pace, faults=not options.calm,
            fault_pace=options.fault_pace, story=options.story, gentle=options.gentle, subjects=options.subject and tuple(options.subject),
        )  # fmt: skip
        with contextlib.ExitStack() as stack:
            trace = stack.enter_context(options.trace.open("wb")) if options.trace is not None else None
            outcome = simulate(plan, trace)
        simulated += outcome.simulated
        print(_line(outcome), flush=True)
        if outcome.problems:
            failed.append(seed)
            print(_explain(outcome), flush=True)
    seconds = time.monotonic() - began
    print(
        f"{len(seeds)} seeds, {len(failed)} failed, {simulated / 3600:.2f} cluster hours in {seconds:.0f} s"
        f" ({simulated / seconds / 3600:.3f} hours a second)"
    )
    if failed:
        print("failed:", *failed)
    return 1 if failed else 0


def _line(outcome: Outcome) -> str:
    counts = " ".join(
        f"{name} {number}" for name, number in outcome.counts.items() if name in ("events", "faults", "pods")
    )
    return (
        f"seed {outcome.plan.seed}: {'FAILED' if outcome.problems else 'ok'} {outcome.fingerprint[:12]} {counts},"
        f" {outcome.simulated:.0f} s in {outcome.seconds:.2f} s, settled after {outcome.settled:.0f} s"
    )


def _explain(outcome: Outcome) -> str:
    shown = [f"    {problem}" for problem in outcome.problems[:_SHOWN]]
    more = len(outcome.problems) - _SHOWN
    if more > 0:
        shown.append(f"    and {more} more")
    return "\n".join([*shown, f"    again: {outcome.plan.command()}"])


if __name__ == "__main__":
    sys.exit(main())
