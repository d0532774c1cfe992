"""`kubectl top` of real containers, measured from their cgroups."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import pod
from tests.support.kubectl import Kubectl
from tests.support.process import until

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.kubectl]

MIB = 16
BUSY = "while :; do :; done"


def used(kubectl: Kubectl, name: str) -> tuple[int, int]:
    """(thousandths of a core, MiB) of a pod."""
    cpu, memory = kubectl("top", "pod", name, "--no-headers").split()[1:3]
    return int(cpu.removesuffix("m")), int(memory.removesuffix("Mi"))


def test_top(each_kubectl: Kubectl) -> None:
    kubectl = each_kubectl
    kubectl.apply(pod("busy", BUSY))
    kubectl.apply(pod("idle", "sleep 1d"))
    kubectl.apply(pod("holds", f"sleep 1d & head -c {MIB}m /dev/zero > /dev/shm/x; wait"))
    kubectl("wait", "--for=condition=Ready", "pod/busy", "pod/idle", "pod/holds", "--timeout=60s")
    until(lambda: kubectl.run("top", "pods", "--no-headers").stdout.count("\n") == 3, "all three")
    assert used(kubectl, "busy")[0] > 100
    assert used(kubectl, "idle")[0] < 50
    until(lambda: MIB <= used(kubectl, "holds")[1] <= 3 * MIB, "what it holds", every=1)
    assert used(kubectl, "idle")[1] < MIB
    first, *_ = kubectl("top", "pods", "--sort-by=cpu", "--no-headers").splitlines()
    assert first.split()[0] == "busy"
    name, cpu, _, memory, _ = kubectl("top", "nodes", "--no-headers").split()
    assert name == "one"
    assert int(cpu.removesuffix("m")) > 100
    assert int(memory.removesuffix("Mi")) > MIB
