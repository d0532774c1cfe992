"""Rules between pods by stock kubectl: Deployments whose pods exclude each other, spread over zones, or follow others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import kubectl as kubectls
from tests.support.kubectl import Kubectl
from tests.support.process import Server, started

pytestmark = pytest.mark.kubectl
HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """Four nodes: one in zone east, three in zone west."""
    root = tmp_path_factory.mktemp("affinity")
    server = Server(root, "--containers", "fake", "--nodes", "4", "--node-name", "sim")
    with started(server):
        bound = Kubectl(kubectls.pick(kubectls.NEWER).path, server.kubeconfig, home=root)
        names = [f"node/sim-{number}" for number in range(4)]
        bound.eventually(lambda _: True, "wait", "--for=condition=Ready", *names, "--timeout=60s")
        bound("label", names[0], f"{ZONE}=east")
        bound("label", *names[1:], f"{ZONE}=west")
        yield bound


def deployment(name: str, replicas: int, **spec: Any) -> dict[str, Any]:
    labels = {"app": name}
    pod = {"containers": [{"name": "c", "image": "registry.test/web"}], **spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def places(kubectl: Kubectl, app: str) -> Counter[str]:
    return Counter(pod["spec"].get("nodeName", "") for pod in kubectl.get("pods", "-l", f"app={app}")["items"])


def term(app: str, key: str = HOST) -> dict[str, Any]:
    return {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": key}


def test_pods_that_exclude_each_other(kubectl: Kubectl) -> None:
    kubectl.apply(deployment("alone", 5, affinity={"podAntiAffinity": {REQUIRED: [term("alone")]}}))
    reason = "0/4 nodes are available: 4 node(s) didn't match pod anti-affinity rules."
    kubectl.eventually(lambda out: reason in out, "get", "events", "--field-selector=reason=FailedScheduling")
    assert places(kubectl, "alone") == {"": 1, **{f"sim-{number}": 1 for number in range(4)}}
    kubectl("scale", "deployment/alone", "--replicas=4")
    kubectl("rollout", "status", "deployment/alone", "--timeout=60s")


def test_pods_that_follow_others(kubectl: Kubectl) -> None:
    kubectl.apply(deployment("leader", 1, nodeSelector={ZONE: "east"}))
    kubectl.apply(deployment("follower", 3, affinity={"podAffinity": {REQUIRED: [term("leader", ZONE)]}}))
    kubectl("rollout", "status", "deployment/follower", "--timeout=60s")
    assert places(kubectl, "follower") == {"sim-0": 3}


def test_zones_of_unequal_size_get_the_same(kubectl: Kubectl) -> None:
    constraint = {
        "maxSkew": 1,
        "topologyKey": ZONE,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "even"}},
        "matchLabelKeys": ["pod-template-hash"],
    }
    kubectl.apply(deployment("even", 6, topologySpreadConstraints=[constraint]))
    kubectl("rollout", "status", "deployment/even", "--timeout=60s")
    assert places(kubectl, "even")["sim-0"] == 3
    # with the key of the template's hash the new pods are counted for themselves
    kubectl("set", "image", "deployment/even", "c=registry.test/web:2")
    kubectl("rollout", "status", "deployment/even", "--timeout=60s")
    kubectl.eventually(lambda out: len(out.split()) == 6, "get", "pods", "-l", "app=even", "-o", "name")
    assert places(kubectl, "even")["sim-0"] == 3


def test_replicas_are_spread_without_being_asked_to(kubectl: Kubectl) -> None:
    kubectl.apply(deployment("plain", 8))
    kubectl("rollout", "status", "deployment/plain", "--timeout=60s")
    found = places(kubectl, "plain")
    assert set(found) == {f"sim-{number}" for number in range(4)} and found["sim-0"] >= max(found.values()) - 1
