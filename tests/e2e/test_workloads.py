"""Jobs, DaemonSets and StatefulSets with real containers: what their pods see of themselves."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.conftest import pod
from tests.support.kubectl import Kubectl
from tests.support.process import until

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.kubectl]


def workload(kind: str, group: str, name: str, *command: str, restart: str = "Always", **spec: Any) -> dict[str, Any]:
    template: Any = pod(name, *command, restartPolicy=restart)
    body = {"template": {"metadata": template["metadata"], "spec": template["spec"]}, **spec}
    if group == "apps/v1":
        body["selector"] = {"matchLabels": {"app": name}}
    return {"apiVersion": group, "kind": kind, "metadata": {"name": name}, "spec": body}


def test_an_indexed_job_and_its_failing_index(kubectl: Kubectl) -> None:
    say = 'echo "I am $JOB_COMPLETION_INDEX on $(hostname)"; test "$JOB_COMPLETION_INDEX" != 1'
    kubectl.apply(workload(
        "Job", "batch/v1", "work", say, restart="Never", completions=3, parallelism=3, completionMode="Indexed",
        backoffLimitPerIndex=0,
    ))  # fmt: skip
    kubectl("wait", "--for=condition=Failed", "job/work", "--timeout=60s")
    status = kubectl.get("job", "work")["status"]
    assert (status["completedIndexes"], status["failedIndexes"]) == ("0,2", "1")
    assert (status["succeeded"], status["failed"]) == (2, 1) and "active" not in status
    said = kubectl("logs", "-l", "batch.kubernetes.io/job-name=work", "--tail=-1").split("\n")
    assert sorted(filter(None, said)) == [f"I am {n} on work-{n}" for n in range(3)]


def test_stateful_pods_keep_their_names_and_daemons_their_node(kubectl: Kubectl) -> None:
    kubectl.apply(
        workload("StatefulSet", "apps/v1", "db", "hostname; sleep 600", replicas=2, serviceName="db"),
        workload("DaemonSet", "apps/v1", "agent", "echo here; sleep 600"),
    )
    kubectl("rollout", "status", "statefulset/db", "--timeout=60s")
    kubectl("rollout", "status", "daemonset/agent", "--timeout=60s")
    assert [kubectl("logs", f"db-{n}") for n in (0, 1)] == ["db-0\n", "db-1\n"]
    before = kubectl.get("pod", "db-1")["metadata"]["uid"]
    kubectl("delete", "pod", "db-1")
    until(lambda: kubectl.get("sts", "db")["status"].get("readyReplicas") == 2, "the pod of that name again")
    assert kubectl.get("pod", "db-1")["metadata"]["uid"] != before
    (daemon,) = kubectl.get("pods", "-l", "app=agent")["items"]
    assert daemon["spec"]["nodeName"] == "one"
