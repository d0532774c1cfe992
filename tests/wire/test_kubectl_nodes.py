"""Nodes by stock kubectl: cordon, uncordon, drain, taint. On servers of their own, for other tests use every node."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import kubectl as kubectls
from tests.support.kubectl import Kubectl
from tests.support.process import Server, started, until

pytestmark = pytest.mark.kubectl


@pytest.fixture(params=[kubectls.OLDER, kubectls.NEWER])
def kubectl(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kubectl]:
    binary = kubectls.pick(request.param)
    server = Server(tmp_path, "--containers", "fake", "--nodes", "2", "--node-name", "sim")
    with started(server):
        bound = Kubectl(binary.path, server.kubeconfig, home=tmp_path)
        # `eventually`: the server answers before its nodes have registered, and what is not there cannot be waited for.
        bound.eventually(lambda _: True, "wait", "--for=condition=Ready", "node/sim-0", "node/sim-1", "--timeout=60s")
        yield bound


def nodes_of_pods(kubectl: Kubectl) -> list[str]:
    return [pod["spec"].get("nodeName", "") for pod in kubectl.get("pods", "-l", "app=web")["items"]
            if "deletionTimestamp" not in pod["metadata"]]  # fmt: skip


def test_cordon_drain_uncordon(kubectl: Kubectl) -> None:
    kubectl("create", "deployment", "web", "--image=registry.test/web", "--replicas=4")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert set(nodes_of_pods(kubectl)) == {"sim-0", "sim-1"}

    assert kubectl("cordon", "sim-0") == "node/sim-0 cordoned\n"
    assert "SchedulingDisabled" in kubectl("get", "node", "sim-0")
    kubectl("scale", "deployment", "web", "--replicas=8")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert nodes_of_pods(kubectl).count("sim-0") == 2

    kubectl("drain", "sim-0", "--ignore-daemonsets", "--timeout=60s")
    until(lambda: nodes_of_pods(kubectl) == ["sim-1"] * 8, "all on the other node")

    kubectl("drain", "sim-1", "--timeout=60s")
    kubectl.eventually(lambda out: out.count("Pending") == 8, "get", "pods", "-l", "app=web")
    kubectl.eventually(lambda out: "0/2 nodes are available: 2 node(s) were unschedulable" in out, "get", "events")
    kubectl("uncordon", "sim-0")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert nodes_of_pods(kubectl) == ["sim-0"] * 8


def test_drain_refuses_a_bare_pod(kubectl: Kubectl) -> None:
    kubectl("run", "bare", "--image=registry.test/web")
    kubectl("wait", "--for=condition=Ready", "pod/bare", "--timeout=60s")
    node = kubectl.get("pod", "bare")["spec"]["nodeName"]
    assert "cannot delete" in kubectl.fails("drain", node, "--timeout=20s")
    assert kubectl.names("pods") == ["bare"]
    kubectl("drain", node, "--force", "--timeout=60s")
    assert kubectl.names("pods") == []


def test_taints(kubectl: Kubectl) -> None:
    kubectl("taint", "node", "sim-0", "kept=for-others:NoSchedule")
    kubectl("create", "deployment", "web", "--image=registry.test/web", "--replicas=3")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert nodes_of_pods(kubectl) == ["sim-1"] * 3
    engine = kubectl.get("node", "sim-1")["status"]["nodeInfo"]["containerRuntimeVersion"].partition("://")[0]
    statuses = [pod["status"]["containerStatuses"][0] for pod in kubectl.get("pods", "-l", "app=web")["items"]]
    assert {status["containerID"].partition("://")[0] for status in statuses} == {engine}
    kubectl("taint", "node", "sim-1", "gone=now:NoExecute")
    kubectl("taint", "node", "sim-0", "kept-")
    until(lambda: nodes_of_pods(kubectl) == ["sim-0"] * 3, "evicted from one, run on the other")


def test_a_pod_that_fits_nowhere_says_why(kubectl: Kubectl) -> None:
    big = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "big"},
        "spec": {"containers": [{"name": "c", "image": "registry.test/web", "resources": {"requests": {"cpu": "1000"}}}]},
    }  # fmt: skip
    kubectl.apply(big)
    kubectl.eventually(lambda out: "0/2 nodes are available: 2 Insufficient cpu" in out, "describe", "pod", "big")
    status = kubectl.get("pod", "big")["status"]
    assert status["phase"] == "Pending"
    assert [(c["type"], c["status"], c["reason"]) for c in status["conditions"]] == [
        ("PodScheduled", "False", "Unschedulable")
    ]
