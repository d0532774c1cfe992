"""DaemonSets by stock kubectl: rollout status, history, undo and restart; cordoned nodes keep their daemons."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.kubectl import Kubectl
from tests.support.process import until

pytestmark = pytest.mark.kubectl


def manifest(image: str = "registry.test/a:1") -> dict[str, Any]:
    labels = {"app": "agent"}
    return {
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent"},
        "spec": {"selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": image}]}}},
    }  # fmt: skip


@pytest.fixture
def agent(kubectl: Kubectl) -> Kubectl:
    """kubectl, with a DaemonSet `agent` of three ready pods in its namespace."""
    kubectl.apply(manifest())
    kubectl("rollout", "status", "daemonset/agent", "--timeout=60s")
    return kubectl


def images(kubectl: Kubectl) -> list[str]:
    return sorted(c["image"] for pod in kubectl.get("pods")["items"] for c in pod["spec"]["containers"])


def test_one_on_each_node(agent: Kubectl) -> None:
    header, row = agent("get", "daemonsets").splitlines()
    assert header.split() == [
        "NAME",
        "DESIRED",
        "CURRENT",
        "READY",
        "UP-TO-DATE",
        "AVAILABLE",
        "NODE",
        "SELECTOR",
        "AGE",
    ]
    assert row.split()[:7] == ["agent", "3", "3", "3", "3", "3", "<none>"]
    assert {pod["spec"]["nodeName"] for pod in agent.get("pods")["items"]} == {"sim-0", "sim-1", "sim-2"}
    described = agent("describe", "daemonset", "agent")
    assert "Desired Number of Nodes Scheduled: 3" in described and "SuccessfulCreate" in described
    cells = agent("get", "controllerrevisions").splitlines()[1].split()
    assert cells[1:3] == ["daemonset.apps/agent", "1"]


def test_rollout_history_undo_and_restart(agent: Kubectl) -> None:
    agent("set", "image", "daemonset/agent", "c=registry.test/a:2")
    agent("rollout", "status", "daemonset/agent", "--timeout=60s")
    assert images(agent) == ["registry.test/a:2"] * 3
    history = agent("rollout", "history", "daemonset/agent").splitlines()
    assert [line.split()[0] for line in history[2:] if line] == ["1", "2"]
    assert "registry.test/a:1" in agent("rollout", "history", "daemonset/agent", "--revision=1")
    assert "rolled back" in agent("rollout", "undo", "daemonset/agent")
    agent("rollout", "status", "daemonset/agent", "--timeout=60s")
    until(lambda: images(agent) == ["registry.test/a:1"] * 3, "the first image again")
    assert len(agent.names("controllerrevisions")) == 2, "the old revision is taken up again"
    before = set(agent.names("pods"))
    agent("rollout", "restart", "daemonset/agent")
    agent("rollout", "status", "daemonset/agent", "--timeout=60s")
    until(lambda: not before & set(agent.names("pods")), "every pod replaced")


def test_delete_with_and_without_pods(agent: Kubectl) -> None:
    agent("delete", "daemonset", "agent", "--cascade=orphan")
    assert len(agent.names("pods")) == 3
    agent.apply(manifest())
    until(lambda: agent.get("ds", "agent")["status"].get("numberReady") == 3, "pods adopted")
    assert len(agent.names("pods")) == 3
    agent("delete", "daemonset", "agent")
    until(lambda: not agent.names("pods"), "pods gone with their DaemonSet")
