"""What `kubectl get` shows: statuses of pods above all. Cells are asked for by column name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.api.objects import REGISTRY, admitted, container, deployment, pod, service

NOW = datetime(2026, 1, 1, 1, 0, tzinfo=UTC)


def row(resource: str, obj: dict[str, Any]) -> dict[str, Any]:
    obj["metadata"].setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
    return {column.name: column.value(obj, NOW) for column in REGISTRY[resource].columns}


def running(ready: bool = True, **more: Any) -> dict[str, Any]:
    return {"name": "app", "ready": ready, "restartCount": 0, "state": {"running": {}}, **more}


def waiting(reason: str) -> dict[str, Any]:
    return {"name": "app", "ready": False, "restartCount": 0, "state": {"waiting": {"reason": reason}}}


def ended(code: int, reason: str = "", **more: Any) -> dict[str, Any]:
    return {"name": "app", "restartCount": 0, "state": {"terminated": {"exitCode": code, "reason": reason, **more}}}


READY = {"type": "Ready", "status": "True"}
POD_CASES: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
    ({}, {"phase": "Pending"}, "Pending", "0/1"),
    ({}, {"phase": "Pending", "containerStatuses": [waiting("ContainerCreating")]}, "ContainerCreating", "0/1"),
    ({}, {"phase": "Running", "containerStatuses": [running()]}, "Running", "1/1"),
    ({}, {"phase": "Running", "containerStatuses": [running(ready=False)]}, "Running", "0/1"),
    ({}, {"phase": "Running", "containerStatuses": [waiting("CrashLoopBackOff")]}, "CrashLoopBackOff", "0/1"),
    ({}, {"phase": "Succeeded", "containerStatuses": [ended(0, "Completed")]}, "Completed", "0/1"),
    ({}, {"phase": "Failed", "containerStatuses": [ended(1, "Error")]}, "Error", "0/1"),
    ({}, {"phase": "Failed", "containerStatuses": [ended(7)]}, "ExitCode:7", "0/1"),
    ({}, {"phase": "Failed", "containerStatuses": [ended(137, signal=9)]}, "Signal:9", "0/1"),
    ({}, {"phase": "Failed", "reason": "Evicted"}, "Evicted", "0/1"),
    (
        {"containers": [container(), container("two")]},
        {"phase": "Running", "conditions": [READY], "containerStatuses": [ended(0, "Completed"), running()]},
        "Running",
        "1/2",
    ),
    (
        {"initContainers": [container("i1"), container("i2")]},
        {"phase": "Pending", "initContainerStatuses": [{**running(), "name": "i1"}]},
        "Init:0/2",
        "0/1",
    ),
    (
        {"initContainers": [container("i1"), container("i2")]},
        {
            "phase": "Pending",
            "initContainerStatuses": [
                {**ended(0, "Completed"), "name": "i1"},
                {**waiting("PodInitializing"), "name": "i2"},
            ],
            "containerStatuses": [waiting("PodInitializing")],
        },
        "Init:1/2",
        "0/1",
    ),
    (
        {"initContainers": [container("i1")]},
        {"phase": "Pending", "initContainerStatuses": [{**waiting("ImagePullBackOff"), "name": "i1"}]},
        "Init:ImagePullBackOff",
        "0/1",
    ),
    (
        {"initContainers": [container("i1")]},
        {"phase": "Failed", "initContainerStatuses": [{**ended(1, "Error"), "name": "i1"}]},
        "Init:Error",
        "0/1",
    ),
    (
        {"initContainers": [container("side", restartPolicy="Always")]},
        {
            "phase": "Running",
            "initContainerStatuses": [{**running(started=True), "name": "side"}],
            "containerStatuses": [running()],
        },
        "Running",
        "2/2",
    ),
]


@pytest.mark.parametrize(("spec", "status", "shown", "ready"), POD_CASES, ids=range(len(POD_CASES)))
def test_pod_status(spec: dict[str, Any], status: dict[str, Any], shown: str, ready: str) -> None:
    found = row("pods", pod(**spec) | {"status": status})
    assert (found["Status"], found["Ready"]) == (shown, ready)


def test_a_pod_that_goes() -> None:
    manifest = pod() | {"status": {"phase": "Running", "containerStatuses": [running()]}}
    manifest["metadata"]["deletionTimestamp"] = "2026-01-01T00:59:00Z"
    assert row("pods", manifest)["Status"] == "Terminating"
    manifest["status"]["reason"] = "NodeLost"
    assert row("pods", manifest)["Status"] == "Unknown"


def test_restarts_and_the_wide_columns_of_a_pod() -> None:
    state = running(restartCount=3, lastState={"terminated": {"finishedAt": "2026-01-01T00:55:00Z"}})
    status = {"phase": "Running", "containerStatuses": [state], "podIP": "10.244.0.5", "podIPs": [{"ip": "10.244.0.5"}]}
    found = row("pods", pod(nodeName="n1", readinessGates=[{"conditionType": "a/b"}]) | {"status": status})
    assert found["Restarts"] == "3 (5m ago)" and found["Age"] == "60m"
    assert [found[n] for n in ("IP", "Node", "Nominated Node", "Readiness Gates")] == [
        "10.244.0.5",
        "n1",
        "<none>",
        "0/1",
    ]


def test_nodes() -> None:
    node = {
        "metadata": {"name": "n", "labels": {"node-role.kubernetes.io/control-plane": ""}},
        "spec": {"unschedulable": True},
        "status": {
            "conditions": [READY],
            "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}],
            "nodeInfo": {"kubeletVersion": "v1.36.0"},
        },
    }
    found = row("nodes", node)
    assert found["Status"] == "Ready,SchedulingDisabled" and found["Roles"] == "control-plane"
    assert (found["Internal-IP"], found["External-IP"], found["OS-Image"]) == ("192.0.2.1", "<none>", "<unknown>")
    assert row("nodes", {"metadata": {"name": "n"}})["Status"] == "Unknown"


def test_services() -> None:
    svc = admitted("services", service(type="NodePort", ports=[{"port": 80, "nodePort": 30080}]))
    found = row("services", svc)
    assert (found["Type"], found["Cluster-IP"], found["Port(s)"]) == ("NodePort", "<none>", "80:30080/TCP")
    assert found["Selector"] == "app=web" and found["External-IP"] == "<none>"
    assert row("services", admitted("services", service(type="LoadBalancer")))["External-IP"] == "<pending>"


def test_workloads() -> None:
    manifest = deployment(replicas=3) | {"status": {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 2}}
    found = row("deployments.apps", manifest)
    assert (found["Ready"], found["Up-to-date"], found["Available"]) == ("2/3", 3, 2)
    assert (found["Containers"], found["Images"], found["Selector"]) == ("app", "web:1", "app=web")
    found = row("replicasets.apps", manifest)
    assert (found["Desired"], found["Current"], found["Ready"]) == (3, 0, 2)


def test_endpoints_are_cut_short() -> None:
    addresses = [{"ip": f"10.0.0.{n}"} for n in range(1, 6)]
    manifest = {"metadata": {"name": "e"}, "subsets": [{"addresses": addresses, "ports": [{"port": 80}]}]}
    assert row("endpoints", manifest)["Endpoints"] == "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 2 more..."
    assert row("endpointslices.discovery.k8s.io", {"metadata": {"name": "e"}})["Endpoints"] == "<unset>"


def test_events() -> None:
    event = {
        "metadata": {"name": "e1"},
        "involvedObject": {"kind": "Pod", "name": "web", "fieldPath": "spec.containers{app}"},
        "reason": "Started",
        "type": "Normal",
        "message": " Container started ",
        "source": {"component": "agent", "host": "n1"},
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:59:00Z",
    }
    found = row("events", event)
    assert (found["Last Seen"], found["First Seen"], found["Count"]) == ("60s", "60m", 1)
    assert (found["Object"], found["Source"], found["Message"]) == ("pod/web", "agent, n1", "Container started")
    assert found["Name"] == "e1"
