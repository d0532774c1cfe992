"""The same seed gives the same history, byte for byte: in one process, in another, whatever the seed of Python's hashes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.simulation.run import Plan, simulate

SEEDS = (3, 4, 7, 10, 11)
_CODE = """
import sys
from tests.support.simulation.run import Plan, simulate
for seed in map(int, sys.argv[2:]):
    with open(f"{sys.argv[1]}/{seed}", "wb") as trace:
        print(seed, simulate(Plan(seed), trace).fingerprint)
"""


def _first_difference(one: Path, other: Path) -> str:
    pairs = zip(one.read_bytes().splitlines(), other.read_bytes().splitlines(), strict=False)
    for number, (line, its) in enumerate(pairs, 1):
        if line != its:
            return f"line {number}:\n{line[:600]!r}\n{its[:600]!r}"
    return "one is longer"


def _start(directory: Path, hash_seed: str) -> subprocess.Popen[str]:
    directory.mkdir()
    arguments = [sys.executable, "-c", _CODE, str(directory), *map(str, SEEDS)]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    root = Path(__file__).parents[2]
    return subprocess.Popen(arguments, cwd=root, env=environment, stdout=subprocess.PIPE, text=True)


def test_in_other_processes_with_other_hashes(tmp_path: Path) -> None:
    answers = []
    for hash_seed in ("1", "2718"):
        process = _start(tmp_path / hash_seed, hash_seed)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        answers.append(dict(line.split() for line in output.splitlines()))
    for seed in SEEDS:
        one, other = (answer[str(seed)] for answer in answers)
        assert one == other, f"seed {seed}: " + _first_difference(
            tmp_path / "1" / str(seed), tmp_path / "2718" / str(seed)
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_in_one_process(seed: int, tmp_path: Path) -> None:
    paths = [tmp_path / "one", tmp_path / "other"]
    prints = []
    for path in paths:
        with path.open("wb") as trace:
            prints.append(simulate(Plan(seed), trace).fingerprint)
        simulate(Plan(seed + 1))  # what another run leaves in the process must not matter
    assert prints[0] == prints[1], _first_difference(*paths)
    assert simulate(Plan(seed)).fingerprint == prints[0], "a trace changes the history"


def test_another_seed_is_another_history() -> None:
    assert simulate(Plan(3)).fingerprint != simulate(Plan(5)).fingerprint
