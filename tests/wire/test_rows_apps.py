"""Rows of sig-apps that need several parts at once: quota and controllers, failing daemons, host ports and stateful pods, status writes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.process import Server, until

APPS = "/apis/apps/v1/namespaces/{}/{}"
LABELS = {"app": "row"}


@pytest.fixture
def api(server: Server, namespace: str) -> Api:
    return Api(server, namespace)


class Api:
    """The API server in one namespace, by hand."""

    def __init__(self, server: Server, namespace: str) -> None:
        self.server, self.namespace = server, namespace

    def path(self, resource: str, name: str = "") -> str:
        prefix = (
            f"/apis/apps/v1/namespaces/{self.namespace}"
            if resource in _APPS
            else f"/api/v1/namespaces/{self.namespace}"
        )
        return f"{prefix}/{resource}" + (f"/{name}" if name else "")

    def create(self, resource: str, name: str, **body: Any) -> Any:
        made = self.server.request("POST", self.path(resource), {"metadata": {"name": name, "labels": LABELS}, **body})
        assert made.status == 201, made.body
        return made.obj

    def get(self, resource: str, name: str) -> Any:
        return self.server.request("GET", self.path(resource, name)).obj

    def list(self, resource: str) -> list[Any]:
        items: list[Any] = self.server.request("GET", self.path(resource)).obj["items"]
        return items

    def patch(self, resource: str, name: str, body: Any) -> Any:
        headers = {"Content-Type": "application/merge-patch+json"}
        done = self.server.request("PATCH", self.path(resource, name), body, headers=headers)
        assert done.status == 200, done.body
        return done.obj


_APPS = ("deployments", "replicasets", "daemonsets", "statefulsets")


def template(**spec: Any) -> dict[str, Any]:
    container = {"name": "c", "image": "registry.test/a:1", **spec.pop("container", {})}
    return {"metadata": {"labels": LABELS}, "spec": {"containers": [container], **spec}}


def test_a_quota_shows_in_the_replication_controllers_condition(api: Api) -> None:
    """ReplicationController should surface a failure condition on a common issue like exceeded quota."""
    api.create("resourcequotas", "two", spec={"hard": {"pods": "2"}})
    until(lambda: "hard" in api.get("resourcequotas", "two").get("status", {}), "the quota's status")
    api.create("replicationcontrollers", "rc", spec={"replicas": 3, "selector": LABELS, "template": template()})

    def conditions() -> list[tuple[str, str]]:
        status = api.get("replicationcontrollers", "rc").get("status") or {}
        return [(c["type"], c["reason"]) for c in status.get("conditions") or ()]

    until(lambda: ("ReplicaFailure", "FailedCreate") in conditions(), "the condition")
    assert len(api.list("pods")) == 2, "the quota is not exceeded"
    api.patch("replicationcontrollers", "rc", {"spec": {"replicas": 2}})
    until(lambda: conditions() == [], "the condition gone")


def test_daemons_that_failed_are_made_again(api: Api) -> None:
    """Daemon set should retry creating failed daemon pods."""
    api.create("daemonsets", "ds", spec={"selector": {"matchLabels": LABELS}, "template": template()})
    until(lambda: api.get("daemonsets", "ds").get("status", {}).get("numberReady") == 3, "three daemons")
    victim = api.list("pods")[0]["metadata"]
    api.patch("pods", f"{victim['name']}/status", {"status": {"phase": "Failed"}})
    until(lambda: victim["uid"] not in {p["metadata"]["uid"] for p in api.list("pods")}, "the failed one gone")
    until(lambda: api.get("daemonsets", "ds")["status"].get("numberReady") == 3, "three daemons again")


def test_a_stateful_pod_that_its_node_refuses_comes_again(api: Api) -> None:
    """StatefulSet Should recreate evicted statefulset: its pod conflicts with another on a host port of its node."""
    port = {"ports": [{"containerPort": 21017, "hostPort": 21017}]}
    api.create("pods", "first", spec=template(container=port, nodeName="sim-0")["spec"])
    until(lambda: api.get("pods", "first")["status"]["phase"] == "Running", "the first pod")
    spec = {"serviceName": "s", "replicas": 1, "selector": {"matchLabels": LABELS}}
    api.create("statefulsets", "ss", spec={**spec, "template": template(container=port, nodeName="sim-0")})
    uids: set[str] = set()

    def came_again() -> bool:
        uids.update(p["metadata"]["uid"] for p in api.list("pods") if p["metadata"]["name"] == "ss-0")
        return len(uids) > 1

    until(came_again, "the refused pod made anew")
    api.server.request("DELETE", api.path("pods", "first"))
    until(
        lambda: api.get("statefulsets", "ss")["status"].get("readyReplicas") == 1, "its pod runs once the port is free"
    )


@pytest.mark.parametrize("resource", _APPS)
def test_statuses_can_be_written(api: Api, resource: str) -> None:
    """… should validate … Status endpoints: through /status, whatever the controller thinks of it."""
    spec: dict[str, Any] = {"selector": {"matchLabels": LABELS}, "template": template()}
    api.create(resource, "x", spec={**spec, **({"serviceName": "s"} if resource == "statefulsets" else {})})
    condition = {"type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "Set from e2e test"}
    until(lambda: "observedGeneration" in (api.get(resource, "x").get("status") or {}), "its controller has seen it")
    until(lambda: _written(api, resource, condition), "the condition through PUT")
    patched = api.patch(resource, "x/status", {"status": {"conditions": [{**condition, "type": "StatusPatched"}]}})
    assert [c["type"] for c in patched["status"]["conditions"]] == ["StatusPatched"]
    status = api.server.request("GET", api.path(resource, "x/status")).obj
    assert status["kind"] in ("Deployment", "ReplicaSet", "DaemonSet", "StatefulSet")


def _written(api: Api, resource: str, condition: dict[str, str]) -> bool:
    current = api.get(resource, "x")
    current["status"]["conditions"] = [*(current["status"].get("conditions") or ()), condition]
    done = api.server.request("PUT", api.path(resource, "x/status"), current)
    return done.status == 200 and condition["type"] in {c["type"] for c in done.obj["status"]["conditions"]}
