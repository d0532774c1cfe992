"""kill -9 of the server in the middle of a rollout of 200 replicas: started again, it goes on and completes (issue 2, point 4)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import kubectl as kubectls
from tests.support.kubectl import Kubectl
from tests.support.process import Server, started, until

pytestmark = pytest.mark.kubectl
REPLICAS = 200


def test_rollout_survives_kills(tmp_path: Path) -> None:
    server = Server(tmp_path, "--containers", "fake", "--nodes", "5", "--node-name", "sim")
    with started(server):
        kubectl = Kubectl(kubectls.any_binary().path, server.kubeconfig, home=tmp_path)
        kubectl("create", "deployment", "web", "--image=registry.test/web:1", f"--replicas={REPLICAS}")
        kubectl("rollout", "status", "deployment/web", "--timeout=120s")
        slowly = {"minReadySeconds": 1, "strategy": {"rollingUpdate": {"maxSurge": 20, "maxUnavailable": 0}}}
        kubectl("patch", "deployment", "web", "-p", json.dumps({"spec": slowly}))
        acknowledged = kubectl("set", "image", "deployment/web", "web=registry.test/web:2")
        assert "image updated" in acknowledged

        def updated() -> int:
            """How many pods of the present template there are; 0 until the status speaks of it."""
            found = server.request("GET", "/apis/apps/v1/namespaces/default/deployments/web").obj
            if found["status"].get("observedGeneration") != found["metadata"]["generation"]:
                return 0
            return int(found["status"].get("updatedReplicas", 0))

        for share in (0.2, 0.5):
            until(lambda share=share: updated() > REPLICAS * share, f"{share:.0%} of the pods are new")
            assert updated() < REPLICAS, "the rollout is still going on"
            server.kill()
            server.start()
        kubectl("rollout", "status", "deployment/web", "--timeout=180s")

        def only_new() -> bool:
            pods = server.request("GET", "/api/v1/namespaces/default/pods").obj["items"]
            images = [pod["spec"]["containers"][0]["image"] for pod in pods]
            return images == ["registry.test/web:2"] * REPLICAS

        until(only_new, "exactly the new pods")
        sets = kubectl.get("replicasets")["items"]
        assert sorted(s["spec"]["replicas"] for s in sets) == [0, REPLICAS]


def test_what_was_acknowledged_is_there_after_a_kill(tmp_path: Path) -> None:
    server = Server(tmp_path, "--no-agent")
    with started(server):
        path = "/api/v1/namespaces/default/configmaps"
        until(lambda: server.request("GET", "/api/v1/namespaces/default").status == 200, "the namespace")
        for number in range(3):
            names = [f"c-{number}-{n}" for n in range(20)]
            versions = {}
            for name in names:
                made = server.request("POST", path, {"metadata": {"name": name}, "data": {"n": str(number)}})
                assert made.status == 201
                versions[name] = made.obj["metadata"]["resourceVersion"]
            server.kill()
            server.start()
            there = {
                o["metadata"]["name"]: o["metadata"]["resourceVersion"]
                for o in server.request("GET", path).obj["items"]
            }
            assert versions.items() <= there.items()
