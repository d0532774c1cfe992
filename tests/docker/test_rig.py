"""The rig itself: hosts reach one another, cables break and heal, power is lost, and nothing is left."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.docker import ask, why_no_daemon
from tests.support.images import BUSYBOX, busybox_archive, busybox_missing
from tests.support.process import until
from tests.support.rig import SWITCH_IP, Host, Rig

_why_not = why_no_daemon() or busybox_missing()
pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.skipif(bool(_why_not), reason=_why_not or "-")]


@pytest.fixture(scope="module")
def two() -> Iterator[Rig]:
    with Rig(2, images=[busybox_archive()]) as made:
        yield made


def reaches(host: Host, address: str) -> bool:
    command = host.command("busybox", "ping", "-c", "1", "-W", "1", address)
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def run_container(host: Host, *command: str) -> str:
    body = {"Image": BUSYBOX, "Cmd": list(command), "HostConfig": {"NetworkMode": "none"}}
    status, answer = ask(host.daemon.socket, "POST", "/containers/create", json.dumps(body).encode())
    assert status == 201, answer
    identifier: str = json.loads(answer)["Id"]
    status, answer = ask(host.daemon.socket, "POST", f"/containers/{identifier}/start")
    assert status == 204, answer
    return identifier


def state(host: Host, container: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(ask(host.daemon.socket, "GET", f"/containers/{container}/json")[1])["State"]
    return found


def is_alive(pid: str) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"  # one that nobody has reaped is dead all the same


def test_hosts_reach_one_another_and_the_switch(two: Rig) -> None:
    assert reaches(two[1], two[2].ip)
    assert reaches(two[2], SWITCH_IP)


def test_a_cut_host_is_alone_until_it_is_healed(two: Rig) -> None:
    two[2].cut()
    assert not reaches(two[1], two[2].ip)
    assert not reaches(two[2], SWITCH_IP)
    two[2].heal()
    until(lambda: reaches(two[1], two[2].ip), "the way back")  # who was unreachable has to be looked for anew
    until(lambda: reaches(two[2], SWITCH_IP), "the way to the switch")


def test_a_restarted_engine_keeps_its_containers(two: Rig) -> None:
    container = run_container(two[1], "sleep", "1000")
    before = state(two[1], container)
    two[1].daemon.stop()
    two[1].daemon.start()
    after = state(two[1], container)
    assert (after["Running"], after["Pid"]) == (True, before["Pid"])


def test_power_loss_ends_all_that_runs_there(two: Rig) -> None:
    container = run_container(two[2], "sleep", "1000")
    other = run_container(two[1], "sleep", "1000")
    process = subprocess.Popen(two[2].command("sleep", "1000"))
    pid = state(two[2], container)["Pid"]
    two[2].crash()
    assert process.wait(timeout=10) == -signal.SIGKILL
    assert not is_alive(str(pid))
    two[2].up()
    ended = state(two[2], container)
    assert (ended["Status"], ended["ExitCode"]) == ("exited", 255)
    assert state(two[1], other)["Running"] is True
    assert reaches(two[1], two[2].ip)


def test_nothing_is_left() -> None:
    with Rig(1, images=[busybox_archive()]) as made:
        run_container(made[1], "sleep", "1000")
        name, directory = Path(made.switch_netns).name.removesuffix("-sw"), made.directory
    assert not [p for p in Path("/run/netns").iterdir() if p.name.startswith(name)]
    assert not directory.exists()
    assert str(directory) not in Path("/proc/mounts").read_text()
    assert not [p for p in Path("/sys/fs/cgroup").glob("*/*") if p.name.startswith(name)]
