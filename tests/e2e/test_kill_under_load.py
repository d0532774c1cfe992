"""kill -9 under load: the server is killed and started again while many clients write, read and watch, and what they saw is then
checked against what a store that loses nothing may show (`tests/support/torture.py`). And the proof that this can fail: servers with
faults, and a file that was put back to what it had been.

MINIK_KILL_ROUNDS chooses how often (100 unless told), MINIK_KILL_SEED which run; `scripts/torture` is the same by hand.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import time
from pathlib import Path

import pytest

from minik.storage.check import check_file
from minik.storage.open import FILE_NAME
from tests.support.lossy_server import FAULTS
from tests.support.process import Process, Server
from tests.support.torture import Round, judge, plan_rounds, torture

ROUNDS = int(os.environ.get("MINIK_KILL_ROUNDS", "100"))
SEED = int(os.environ.get("MINIK_KILL_SEED") or random.SystemRandom().randrange(1 << 31))
FEW = [Round("load", 150, 0.003) for _ in range(4)]
MIXED = (8, 10)
"""Clients of durable and of other objects, as for `torture`."""
MIXES = {"again": (0, 18)}
"""For a fault that another mix than MIXED shows far better: a durable write keeps every revision before it from being given out again."""


@pytest.mark.slow
def test_kill_under_load(tmp_path: Path) -> None:
    print(f"seed {SEED}")
    result = torture(Server(tmp_path, "--no-agent"), plan_rounds(ROUNDS, SEED), seed=SEED)
    print(result.summary())
    assert judge(result) == [], f"again with MINIK_KILL_SEED={SEED} MINIK_KILL_ROUNDS={ROUNDS}"
    assert result.rounds == ROUNDS
    record = result.record
    assert not record.odd, "answers that no client should get"
    assert not record.cut_alive, "connections that ended while the server lived"
    assert not sum(each.expired for each in record.transcripts if each.scope.resource == "configmaps")
    outcomes = {op.outcome for op in record.operations}
    assert outcomes >= {"done", "absent", "exists", "conflict", "untrue", "unknown"} or ROUNDS < 10, (
        "the load is a mixed one"
    )


@pytest.mark.slow
def test_killed_while_it_starts_for_the_first_time(tmp_path: Path) -> None:
    """Keys, certificates and the store are made then; what a killed start leaves of them is no reason not to start."""
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    for number in range(max(6, ROUNDS // 10)):
        server = Server(tmp_path / str(number), "--no-agent")
        try:
            for delay in [rng.uniform(0.2, 1.0) for _ in range(rng.randint(1, 2))]:
                Process.start(server)
                time.sleep(delay)
                assert server.running, f"it ended by itself:\n{server.tail()}"
                server.kill()
            server.start()
            made = server.request("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "a"}})
            assert made.status == 201, made.body
        finally:
            server.stop()
        assert check_file(server.data_dir / FILE_NAME) == []


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_server_with_a_fault_is_found_out(tmp_path: Path, fault: str) -> None:
    for attempt in range(5):  # a fault need not show in each run
        server = Server(tmp_path / str(attempt), "--no-agent")
        server.command[:] = [sys.executable, "-m", "tests.support.lossy_server", fault, *server.command[3:]]
        problems = judge(torture(server, FEW, seed=attempt, clients=MIXES.get(fault, MIXED)))
        if problems:
            print(f"{len(problems)} problems, the first: {problems[0]}")
            return
    pytest.fail(f"a server with the fault {fault} passed")


@pytest.mark.slow
def test_a_file_put_back_is_found_out(tmp_path: Path) -> None:
    """A whole and sound file, its note included, but an older one: what was acknowledged since is lost."""

    def put_back(data_dir: Path, number: int) -> None:
        kept = tmp_path / "kept"
        if number == 1:
            kept.mkdir()
            for path in data_dir.glob("state.*"):
                shutil.copy(path, kept)
        elif number == 2:
            for path in data_dir.glob("state.*"):
                path.unlink()
            for path in kept.iterdir():
                shutil.copy(path, data_dir)

    result = torture(Server(tmp_path, "--no-agent"), FEW, seed=1, between=put_back)
    assert any("no order of the operations explains" in text for text in judge(result))
