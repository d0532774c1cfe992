"""StatefulSets by stock kubectl: rollout status, history, undo, scale, delete with and without pods."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.kubectl import Kubectl
from tests.support.process import until

pytestmark = pytest.mark.kubectl


def manifest(**spec: Any) -> dict[str, Any]:
    labels = {"app": "db"}
    return {
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"},
        "spec": {"replicas": 2, "serviceName": "db", "selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "c", "image": "registry.test/a:1"}]}}, **spec},
    }  # fmt: skip


@pytest.fixture
def db(kubectl: Kubectl) -> Kubectl:
    """kubectl, with a StatefulSet `db` of two ready pods in its namespace."""
    kubectl.apply(manifest())
    kubectl("rollout", "status", "statefulset/db", "--timeout=60s")
    return kubectl


def images(kubectl: Kubectl) -> list[str]:
    return sorted(c["image"] for pod in kubectl.get("pods")["items"] for c in pod["spec"]["containers"])


def test_names_and_columns(db: Kubectl) -> None:
    assert sorted(db.names("pods")) == ["db-0", "db-1"]
    header, row = db("get", "statefulsets").splitlines()
    assert header.split() == ["NAME", "READY", "AGE"] and row.split()[:2] == ["db", "2/2"]
    described = db("describe", "statefulset", "db")
    assert "Replicas:" in described and "create Pod db-0 in StatefulSet db successful" in described
    assert "statefulset.apps/db" in db("get", "all", "-o", "name")


def test_scale(db: Kubectl) -> None:
    assert db("scale", "statefulset", "db", "--replicas=4") == "statefulset.apps/db scaled\n"
    db("rollout", "status", "statefulset/db", "--timeout=60s")
    db.eventually("4", "get", "sts", "db", "-o", "jsonpath={.status.readyReplicas}")
    db("scale", "sts/db", "--current-replicas=4", "--replicas=1")
    until(lambda: db.names("pods") == ["db-0"], "the first pod alone")


def test_rollout_history_and_undo(db: Kubectl) -> None:
    db("set", "image", "statefulset/db", "c=registry.test/a:2")
    db("rollout", "status", "statefulset/db", "--timeout=60s")
    assert images(db) == ["registry.test/a:2"] * 2
    history = db("rollout", "history", "statefulset/db").splitlines()
    assert [line.split()[0] for line in history[2:] if line] == ["1", "2"]
    assert "registry.test/a:1" in db("rollout", "history", "statefulset/db", "--revision=1")
    assert "rolled back" in db("rollout", "undo", "statefulset/db")
    db("rollout", "status", "statefulset/db", "--timeout=60s")
    until(lambda: images(db) == ["registry.test/a:1"] * 2, "the first image again")
    db("rollout", "restart", "statefulset/db")
    assert "roll out complete" in db("rollout", "status", "statefulset/db", "--timeout=60s")


def test_delete_with_and_without_pods(db: Kubectl) -> None:
    db("delete", "statefulset", "db", "--cascade=orphan")
    assert len(db.names("pods")) == 2
    db.apply(manifest())
    db("rollout", "status", "statefulset/db", "--timeout=60s")
    db("delete", "statefulset", "db")
    until(lambda: not db.names("pods"), "pods gone with their StatefulSet")


def test_what_may_not_change(db: Kubectl) -> None:
    said = db.fails("patch", "statefulset", "db", "-p", '{"spec":{"serviceName":"other"}}')
    assert "updates to statefulset spec for fields other than 'replicas', 'ordinals'" in said
