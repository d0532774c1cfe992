"""Budgets, quotas, limits and priorities by stock kubectl."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import kubectl as kubectls
from tests.support.kubectl import Kubectl
from tests.support.process import Server, started, until

pytestmark = pytest.mark.kubectl


def cells(text: str) -> list[list[str]]:
    return [re.split(r"\s{2,}", line.strip()) for line in text.strip().splitlines()]


@pytest.fixture(params=[kubectls.OLDER, kubectls.NEWER])
def alone(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kubectl]:
    """A server of its own, whose nodes may be drained."""
    binary = kubectls.pick(request.param)
    server = Server(tmp_path, "--containers", "fake", "--nodes", "2", "--node-name", "sim")
    with started(server):
        bound = Kubectl(binary.path, server.kubeconfig, home=tmp_path)
        bound.eventually(lambda _: True, "wait", "--for=condition=Ready", "node/sim-0", "node/sim-1", "--timeout=60s")
        yield bound


def test_drain_with_budgets(alone: Kubectl) -> None:
    kubectl = alone
    kubectl("create", "deployment", "web", "--image=registry.test/web", "--replicas=4")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    kubectl("create", "poddisruptionbudget", "all", "--selector=app=web", "--min-available=100%")
    kubectl.eventually("0 4 4 4", "get", "pdb", "all", "-o", "jsonpath={.status.disruptionsAllowed} {.status.currentHealthy} "
                       "{.status.desiredHealthy} {.status.expectedPods}")  # fmt: skip
    told = kubectl.fails("drain", "sim-0", "--timeout=3s")
    assert "Cannot evict pod as it would violate the pod's disruption budget." in told and "will retry after 5s" in told
    assert len(kubectl.names("pods")) == 4, "nothing has gone"
    kubectl("delete", "pdb", "all")

    kubectl("create", "poddisruptionbudget", "one", "--selector=app=web", "--max-unavailable=1")
    kubectl.eventually("1", "get", "pdb", "one", "-o", "jsonpath={.status.disruptionsAllowed}")
    row = cells(kubectl("get", "pdb"))
    assert row[0] == ["NAME", "MIN AVAILABLE", "MAX UNAVAILABLE", "ALLOWED DISRUPTIONS", "AGE"]
    assert row[1][:4] == ["one", "N/A", "1", "1"]
    described = kubectl("describe", "pdb", "one")
    assert re.search(r"Allowed disruptions:\s+1\n\s+Current:\s+4\n\s+Desired:\s+3\n\s+Total:\s+4", described)
    kubectl("drain", "sim-0", "--timeout=80s", timeout=100)

    def gone() -> bool:
        living = [p for p in kubectl.get("pods")["items"] if "deletionTimestamp" not in p["metadata"]]
        return {p["spec"].get("nodeName") for p in living} == {"sim-1"} and len(living) == 4

    until(gone, "all four on the other node")
    kubectl.eventually("1", "get", "pdb", "one", "-o", "jsonpath={.status.disruptionsAllowed}")
    kubectl("wait", "--for=condition=DisruptionAllowed", "pdb/one", "--timeout=20s")


def test_quota(kubectl: Kubectl) -> None:
    kubectl("create", "quota", "small", "--hard=pods=2,requests.cpu=1,limits.memory=1Gi,count/deployments.apps=1")
    kubectl.eventually(lambda out: "count/deployments.apps: 0/1" in out, "get", "quota", "small")
    rows = cells(kubectl("get", "quota", "small"))
    assert rows[0] == ["NAME", "REQUEST", "LIMIT", "AGE"]
    assert rows[1][:3] == ["small", "count/deployments.apps: 0/1, pods: 0/2, requests.cpu: 0/1", "limits.memory: 0/1Gi"]

    def pod(name: str, cpu: str) -> dict[str, object]:
        resources = {"requests": {"cpu": cpu, "memory": "1Mi"}, "limits": {"memory": "100Mi"}}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
                "spec": {"containers": [{"name": "c", "image": "registry.test/web", "resources": resources}]}}  # fmt: skip

    assert "must specify limits.memory for: bare; requests.cpu for: bare" in kubectl.fails("run", "bare", "--image=x")
    kubectl.apply(pod("a", "700m"))
    kubectl.eventually("1 700m 100Mi", "get", "quota", "small", "-o", r"jsonpath={.status.used.pods} {.status.used.requests\.cpu} "
                       r"{.status.used.limits\.memory}")  # fmt: skip
    with pytest.raises(kubectls.KubectlFailed, match=(
        r'pods "b" is forbidden: exceeded quota: small, requested: requests.cpu=400m, used: requests.cpu=700m, limited: requests.cpu=1'
    )):  # fmt: skip
        kubectl.apply(pod("b", "400m"))
    described = kubectl("describe", "quota", "small")
    assert re.search(r"limits\.memory\s+100Mi\s+1Gi\n", described) and re.search(
        r"requests\.cpu\s+700m\s+1\n", described
    )
    kubectl("create", "deployment", "web", "--image=registry.test/web")
    assert 'deployments.apps "more" is forbidden: exceeded quota: small' in kubectl.fails(
        "create", "deployment", "more", "--image=registry.test/web"
    )
    # its pods say nothing of what they need: no quota lets them in, and the ReplicaSet says so
    kubectl.eventually(lambda out: "failed quota: small: must specify" in out, "get", "events")
    kubectl("delete", "pod", "a", "--now")
    kubectl.eventually("0", "get", "quota", "small", "-o", "jsonpath={.status.used.pods}")


def test_limits(kubectl: Kubectl) -> None:
    kubectl.apply({
        "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "mine"},
        "spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}, "min": {"cpu": "50m"}, "defaultRequest": {"cpu": "100m"}}]},
    })  # fmt: skip
    assert cells(kubectl("get", "limits"))[0] == ["NAME", "CREATED AT"]
    assert re.search(r"Container\s+cpu\s+50m\s+1\s+100m\s+1\s+-", kubectl("describe", "limits", "mine"))
    kubectl("run", "a", "--image=registry.test/web")
    assert kubectl.get("pod", "a")["spec"]["containers"][0]["resources"] == {
        "limits": {"cpu": "1"}, "requests": {"cpu": "100m"},
    }  # fmt: skip
    override = '{"spec":{"containers":[{"name":"b","image":"x","resources":{"limits":{"cpu":"2"}}}]}}'
    told = kubectl.fails("run", "b", "--image=x", f"--overrides={override}")
    assert 'pods "b" is forbidden: maximum cpu usage per Container is 1, but limit is 2' in told
    described = kubectl("describe", "namespace", kubectl.get("pod", "a")["metadata"]["namespace"])
    assert "Resource Limits" in described and "No resource quota." in described


def test_priority_classes(kubectl: Kubectl, namespace: str) -> None:
    name = f"{namespace}-high"
    kubectl("create", "priorityclass", name, "--value=1000", "--preemption-policy=Never", "--description=for tests")
    try:
        rows = cells(kubectl("get", "priorityclass", name))
        assert rows[0] == ["NAME", "VALUE", "GLOBAL-DEFAULT", "AGE", "PREEMPTIONPOLICY"]
        assert (rows[1][:3], rows[1][-1]) == ([name, "1000", "false"], "Never")
        assert {"system-cluster-critical", "system-node-critical"} <= set(kubectl.names("priorityclasses"))
        override = f'{{"spec":{{"priorityClassName":"{name}"}}}}'
        kubectl("run", "a", "--image=registry.test/web", f"--overrides={override}")
        assert kubectl.get("pod", "a")["spec"]["priority"] == 1000
        assert f"Priority Class Name:  {name}" in kubectl("describe", "pod", "a")
        kubectl("patch", "priorityclass", name, "--type=merge", "-p", '{"description":"changed"}')
        told = kubectl.fails("patch", "priorityclass", name, "--type=merge", "-p", '{"value":5}')
        assert "may not be changed in an update" in told
    finally:
        kubectl("delete", "priorityclass", name)
