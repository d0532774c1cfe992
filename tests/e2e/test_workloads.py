"""Controllers and the scheduler with real containers: what pods see of themselves, and what becomes of them and of their clients."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import OneNode, pod, web
from tests.support.kubectl import Kubectl
from tests.support.process import fetch, until

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
    kubectl.delete_remade("pod", "db-1")
    until(lambda: kubectl.get("sts", "db")["status"].get("readyReplicas") == 2, "the pod of that name again")
    assert kubectl.get("pod", "db-1")["metadata"]["uid"] != before
    (daemon,) = kubectl.get("pods", "-l", "app=agent")["items"]
    assert daemon["spec"]["nodeName"] == "one"


@contextlib.contextmanager
def asked_all_the_time(one: OneNode, address: str) -> Iterator[list[str]]:
    """A client that asks a Service again and again while the block runs; gives the list of what it was told, "" when nobody answered."""
    told: list[str] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                told.append(fetch(address, 80, netns=one.host.netns, timeout=3).strip())
            except OSError:
                told.append("")

    client = threading.Thread(target=ask)
    client.start()
    try:
        yield told
    finally:
        over.set()
        client.join()


def test_a_rollout_and_its_undoing_lose_no_request(kubectl: Kubectl, one: OneNode) -> None:
    """Clients of the Service go over to the new pods; the old ones, which finish what they have begun, are there until nobody asks them."""
    deployment: Any = web("web", 3, terminationGracePeriodSeconds=10)
    deployment["spec"]["strategy"] = {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    container["lifecycle"] = {"preStop": {"sleep": {"seconds": 2}}}
    kubectl.apply(deployment)
    kubectl("expose", "deployment", "web", "--port=80", "--target-port=8080")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    address = kubectl.get("service", "web")["spec"]["clusterIP"]
    first = set(kubectl.names("pods", "-l", "app=web"))

    def answers() -> bool:
        with contextlib.suppress(OSError):
            return fetch(address, 80, netns=one.host.netns, timeout=3).strip() in first
        return False

    until(answers, "an answer of the Service")
    with asked_all_the_time(one, address) as told:
        kubectl("rollout", "restart", "deployment/web")
        kubectl("rollout", "status", "deployment/web", "--timeout=60s")
        kubectl("rollout", "undo", "deployment/web")
        kubectl("rollout", "status", "deployment/web", "--timeout=60s")
        until(lambda: len(kubectl.names("pods", "-l", "app=web")) == 3, "the old pods are gone")
    now = set(kubectl.names("pods", "-l", "app=web"))
    assert "" not in told, f"{told.count('')} of {len(told)} requests got no answer"
    assert first & set(told) and now & set(told) and not first & now


def test_how_a_job_takes_failures(kubectl: Kubectl) -> None:
    policy = {"rules": [
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}},
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
    ]}  # fmt: skip
    kubectl.apply(
        workload("Job", "batch/v1", "hopeless", "exit 42", restart="Never", backoffLimit=6, podFailurePolicy=policy),
        workload("Job", "batch/v1", "held", "exit 0", restart="Never", suspend=True, ttlSecondsAfterFinished=1),
        workload("Job", "batch/v1", "moved", "until [ -e /tmp/go ]; do sleep 0.1; done", restart="Never",
                 backoffLimit=0, podFailurePolicy=policy, podReplacementPolicy="Failed"),
    )  # fmt: skip
    kubectl("wait", "--for=condition=Failed", "job/hopeless", "--timeout=60s")
    (failed,) = [c for c in kubectl.get("job", "hopeless")["status"]["conditions"] if c["type"] == "Failed"]
    assert failed["reason"] == "PodFailurePolicy" and "exit code 42" in failed["message"]
    assert kubectl.get("job", "hopeless")["status"]["failed"] == 1, "no second try"

    kubectl("wait", "--for=condition=Suspended", "job/held", "--timeout=60s")
    assert kubectl.names("pods", "-l", "job-name=held") == []
    kubectl("patch", "job", "held", "--type=merge", "-p", '{"spec": {"suspend": false}}')
    until(lambda: "held" not in kubectl.names("jobs"), "it has run, and was cleared away")

    # an eviction is nobody's failure: another pod goes on, though not a single one may fail
    until(lambda: kubectl.get("job", "moved")["status"].get("ready") == 1, "its pod runs")
    (evicted,) = kubectl.names("pods", "-l", "job-name=moved")
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": evicted}}
    namespace = kubectl.get("pod", evicted)["metadata"]["namespace"]
    path = f"/api/v1/namespaces/{namespace}/pods/{evicted}/eviction"
    kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))

    def another() -> list[str]:
        return [name for name in kubectl.names("pods", "-l", "job-name=moved") if name != evicted]

    (other,) = until(another, "another pod")
    kubectl("wait", "--for=condition=Ready", f"pod/{other}", "--timeout=60s")
    kubectl("exec", other, "--", "touch", "/tmp/go")
    kubectl("wait", "--for=condition=Complete", "job/moved", "--timeout=60s")
    assert kubectl.get("job", "moved")["status"]["succeeded"] == 1


DONGLE = "example.com~1dongle"


def test_a_more_important_pod_takes_the_place_of_another(kubectl: Kubectl) -> None:
    """On a node that has one of something: the pod that has it goes, in its own time, and the budget of others is not touched."""
    add = f'[{{"op": "add", "path": "/status/capacity/{DONGLE}", "value": "1"}}]'
    kubectl("patch", "node", "one", "--subresource=status", "--type=json", "-p", add)
    try:
        kubectl.eventually("1", "get", "node", "one", "-o", "jsonpath={.status.allocatable.example\\.com/dongle}")
        for name, value in (("low", 100), ("high", 1000)):
            kubectl("create", "priorityclass", f"e2e-{name}", f"--value={value}")
        for name in ("low", "high"):
            wanted: Any = pod(name, "trap 'sleep 1; exit 0' TERM; sleep 1d & wait", priorityClassName=f"e2e-{name}")
            wanted["spec"]["terminationGracePeriodSeconds"] = 10
            wanted["spec"]["containers"][0]["resources"] = {"limits": {"example.com/dongle": "1"}}
            kubectl.apply(wanted)
            kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
        assert kubectl.names("pods") == ["high"]
        events = kubectl("get", "events", "--field-selector=reason=Preempted,involvedObject.name=low", "-o", "name")
        assert events.strip(), "the one that had to go is told why"
    finally:
        remove = f'[{{"op": "remove", "path": "/status/capacity/{DONGLE}"}}]'
        kubectl("patch", "node", "one", "--subresource=status", "--type=json", "-p", remove)
        kubectl("delete", "priorityclass", "e2e-low", "e2e-high", "--ignore-not-found")


def test_a_taint_drives_out_who_does_not_bear_it(kubectl: Kubectl) -> None:
    bears = {"key": "e2e", "operator": "Exists", "effect": "NoExecute"}
    kubectl.apply(
        pod("for-ever", "sleep 1d", tolerations=[bears]),
        pod("a-while", "sleep 1d", tolerations=[{**bears, "tolerationSeconds": 4}]),
        pod("never", "sleep 1d"),
    )
    kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
    uids = {name: kubectl.get("pod", name)["metadata"]["uid"] for name in ("for-ever", "a-while")}
    kubectl("taint", "node", "one", "e2e=x:NoExecute")
    try:
        until(lambda: "never" not in kubectl.names("pods"), "it goes at once")
        assert kubectl.names("pods") == ["a-while", "for-ever"]
        until(lambda: "a-while" not in kubectl.names("pods"), "it goes when its time is over")
        assert kubectl.get("pod", "for-ever")["metadata"]["uid"] == uids["for-ever"]
    finally:
        kubectl("taint", "node", "one", "e2e-")
