"""`kubectl top` of real containers, measured from their cgroups, and an autoscaler that follows them."""

from __future__ import annotations

import itertools
import json

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


def test_an_autoscaler_follows_a_real_load(kubectl: Kubectl) -> None:
    template = pod("load", BUSY)
    template["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "50m"}, "limits": {"cpu": "200m"}}  # type: ignore[index]  # a plain dict
    kubectl.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "load"},
            "spec": {
                "selector": {"matchLabels": {"app": "load"}},
                "template": {"metadata": template["metadata"], "spec": template["spec"]},
            },
        }
    )
    kubectl("rollout", "status", "deployment/load", "--timeout=60s")
    kubectl("autoscale", "deployment", "load", "--min=1", "--max=2", "--cpu-percent=100")
    bounds = itertools.cycle((2, 3))

    def scaled() -> bool:
        """Each change of its spec has it look again, so that the test need not wait until it does so by itself."""
        kubectl("patch", "hpa", "load", "--type=merge", "-p", json.dumps({"spec": {"maxReplicas": next(bounds)}}))
        return kubectl.get("deployment", "load")["spec"]["replicas"] >= 2  # type: ignore[no-any-return]  # JSON

    until(scaled, "a second pod", every=1)
    kubectl("rollout", "status", "deployment/load", "--timeout=60s")
    described = kubectl("describe", "hpa", "load")
    assert "reason: cpu resource utilization (percentage of request) above target" in described
