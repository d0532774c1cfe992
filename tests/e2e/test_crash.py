"""`kill -9` of the server: what was acknowledged is there, and everything goes on where it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.process import Server, started, until

pytestmark = pytest.mark.slow

REPLICAS = 200
PODS = "/api/v1/namespaces/default/pods"
DEPLOYMENT = "/apis/apps/v1/namespaces/default/deployments/web"


def deployment() -> dict[str, Any]:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}}
    spec = {"replicas": REPLICAS, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


def is_complete(server: Server) -> bool:
    found = server.request("GET", DEPLOYMENT).obj
    status = found.get("status", {})
    counts = {status.get(name) for name in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")}
    return counts == {REPLICAS} and status.get("observedGeneration") == found["metadata"]["generation"]


@pytest.mark.parametrize("when", [20, 120])
def test_a_rollout_is_completed_after_kill_9(tmp_path: Path, when: int) -> None:
    server = Server(tmp_path, "--containers", "fake", "--nodes", "4", "--node-name", "sim")
    with started(server):
        assert server.request("POST", DEPLOYMENT.rsplit("/", 1)[0], deployment()).status == 201
        until(lambda: is_complete(server), "200 replicas")
        patch = {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "web:2"}]}}}}
        kind = {"Content-Type": "application/strategic-merge-patch+json"}
        assert server.request("PATCH", DEPLOYMENT, patch, headers=kind).status == 200

        def updated() -> int:
            count: int = server.request("GET", DEPLOYMENT).obj["status"].get("updatedReplicas", 0)
            return count

        until(lambda: updated() >= when, f"{when} replicas to be updated", every=0.005)
        server.kill()
        server.start()
        until(lambda: is_complete(server), "the rollout to go on and be completed")
        pods = server.request("GET", PODS).obj["items"]
        live = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        assert len(live) == REPLICAS
        assert {pod["spec"]["containers"][0]["image"] for pod in live} == {"web:2"}


def test_what_was_acknowledged_survives_and_revisions_never_repeat(tmp_path: Path) -> None:
    server = Server(tmp_path, "--no-agent")
    maps = "/api/v1/namespaces/default/configmaps"
    highest, names = 0, set()
    with started(server):
        for round_ in range(3):
            for number in range(20):
                name = f"map-{round_}-{number}"
                answer = server.request("POST", maps, {"metadata": {"name": name}, "data": {"round": str(round_)}})
                assert answer.status == 201, answer.body
                revision = int(answer.obj["metadata"]["resourceVersion"])
                assert revision > highest
                highest = revision
                names.add(name)
            server.kill()
            server.start()
            found = server.request("GET", maps).obj
            assert names <= {item["metadata"]["name"] for item in found["items"]}
            assert int(found["metadata"]["resourceVersion"]) >= highest
            highest = int(found["metadata"]["resourceVersion"])
