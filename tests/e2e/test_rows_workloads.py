"""Rows of sig-apps that only real containers can show: probes that break and mend, and Jobs whose containers fail as upstream's do.

The scripts are those of upstream's `test/e2e/framework/job` and `statefulset` tests, on busybox.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.conftest import OneNode
from tests.support.e2e import Client, Obj
from tests.support.images import BUSYBOX
from tests.support.kubectl import Kubectl
from tests.support.process import until

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.kubectl]

LABELS = {"foo": "bar", "baz": "blah"}
SERVE = "mkdir -p /tmp/www && hostname > /tmp/www/index.html && exec httpd -f -p 80 -h /tmp/www"
PROBE = {
    "httpGet": {"path": "/index.html", "port": 80},
    "periodSeconds": 1,
    "successThreshold": 1,
    "failureThreshold": 1,
}


@pytest.fixture
def api(one: OneNode, namespace: str) -> Client:
    return Client(one.server, namespace)


class Probed:
    """A StatefulSet whose pods are ready while they serve a page, which a test can hide."""

    def __init__(self, api: Client, kubectl: Kubectl, name: str, replicas: int, **spec: Any) -> None:
        self.api, self.kubectl, self.name = api, kubectl, name
        container = {"name": "webserver", "image": BUSYBOX, "imagePullPolicy": "IfNotPresent",
                     "command": ["sh", "-c", SERVE], "readinessProbe": PROBE}  # fmt: skip
        template = {
            "metadata": {"labels": LABELS},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
        }
        fixed = {"selector": {"matchLabels": LABELS}, "serviceName": "test", "replicas": replicas, "template": template}
        service = {"selector": LABELS, "clusterIP": "None", "ports": [{"port": 80, "name": "http"}]}
        api.create("services", {"metadata": {"name": "test"}, "spec": service})
        api.create("statefulsets", {"metadata": {"name": name}, "spec": {**fixed, **spec}})

    def pods(self) -> list[str]:
        return sorted(pod["metadata"]["name"] for pod in self.api.items("pods", "foo=bar,baz=blah"))

    def status(self) -> Any:
        found = self.api.get("statefulsets", self.name)
        status = found.get("status", {})
        return status if status.get("observedGeneration", 0) >= found["metadata"]["generation"] else {}

    def ready(self, number: int) -> None:
        until(lambda: self.status() and self.status().get("readyReplicas", 0) == number, f"{number} ready")

    def hide(self, *pods: str) -> None:
        for pod in pods or self.pods():
            self.kubectl("exec", pod, "--", "/bin/sh", "-x", "-c", "mv -v /tmp/www/index.html /tmp/")

    def show(self, *pods: str) -> None:
        for pod in pods or self.pods():
            self.kubectl("exec", pod, "--", "/bin/sh", "-x", "-c", "mv -v /tmp/index.html /tmp/www/ || true")

    def scale(self, replicas: int) -> None:
        self.api.change("statefulsets", self.name, lambda obj: obj["spec"].update(replicas=replicas))
        until(self.status, "it was seen")


def test_scaling_halts_at_an_unhealthy_pod(api: Client, kubectl: Kubectl) -> None:
    """StatefulSet, Scaling."""
    probed = Probed(api, kubectl, "ss", 1)
    probed.ready(1)
    probed.hide()
    probed.ready(0)
    probed.scale(3)
    assert probed.pods() == ["ss-0"]
    probed.show()
    probed.ready(3)
    probed.hide()
    probed.ready(0)
    probed.scale(0)
    assert probed.pods() == ["ss-0", "ss-1", "ss-2"]
    probed.show()
    until(lambda: probed.pods() == [], "none left")


def test_a_burst_minds_no_unhealthy_pod(api: Client, kubectl: Kubectl) -> None:
    """StatefulSet, Burst Scaling."""
    probed = Probed(api, kubectl, "ss", 1, podManagementPolicy="Parallel")
    probed.ready(1)
    probed.hide()
    probed.ready(0)
    probed.scale(3)
    until(lambda: len(probed.pods()) == 3, "three at once")
    probed.show("ss-0")
    probed.ready(3)
    probed.hide()
    probed.ready(0)
    probed.scale(0)
    until(lambda: probed.pods() == [], "none left")
    until(lambda: probed.status().get("replicas") == 0, "its status says so")


def test_an_update_waits_for_an_unhealthy_pod(api: Client, kubectl: Kubectl) -> None:
    """StatefulSet, Rolling Update: there and back, each time begun while a pod is unhealthy."""
    probed = Probed(api, kubectl, "ss2", 3)
    probed.ready(3)
    revisions = [probed.status()["currentRevision"]]
    for value in ("new", None):
        probed.hide("ss2-1")
        probed.ready(2)
        uids = {pod["metadata"]["uid"] for pod in api.items("pods", "foo=bar")}
        env = [{"name": "V", "value": value}] if value else []

        def edit(obj: Obj, env: list[Any] = env) -> None:
            obj["spec"]["template"]["spec"]["containers"][0]["env"] = env

        api.change("statefulsets", "ss2", edit)
        status = until(probed.status, "it was seen")
        assert status["updateRevision"] != status["currentRevision"] == revisions[-1]
        assert {pod["metadata"]["uid"] for pod in api.items("pods", "foo=bar")} == uids
        probed.show("ss2-1")
        update = status["updateRevision"]
        until(lambda update=update: probed.status().get("currentRevision") == update, "the update is done")  # type: ignore[misc]  # bound now
        hashes = {pod["metadata"]["labels"]["controller-revision-hash"] for pod in api.items("pods", "foo=bar")}
        assert hashes == {update}
        revisions.append(update)
    assert revisions[2] == revisions[0]


def job(name: str, script: str, *, volume: Obj | None = None, restart: str = "Never", **spec: Any) -> Obj:
    container = {
        "name": "c", "image": BUSYBOX, "imagePullPolicy": "IfNotPresent", "command": ["/bin/sh", "-c"], "args": [script],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }  # fmt: skip
    pod = {"restartPolicy": restart, "terminationGracePeriodSeconds": 1, "containers": [container],
           "volumes": [{"name": "data", **(volume or {"emptyDir": {}})}]}  # fmt: skip
    template = {"metadata": {"labels": {"job": name}}, "spec": pod}
    return {"metadata": {"name": name}, "spec": {"parallelism": 2, "completions": 4, "template": template, **spec}}


ODD_FAILS = "if [ $(expr ${JOB_COMPLETION_INDEX} % 2) -ne 0 ]; then exit 1; else exit 0; fi"
FAIL_ONCE = "if [[ -r /data/foo ]]; then exit 0; else touch /data/foo; exit 1; fi"
RUN_ONCE = (
    "if [[ -r /data/foo$JOB_COMPLETION_INDEX ]]; then exit 0; fi; touch /data/foo$JOB_COMPLETION_INDEX; sleep 1000000"
)


def test_jobs_of_containers_that_fail(api: Client, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Completion after task failure; failing on an exit code; per-index limits; success policies; evictions that are ignored."""
    indexed: Obj = {"completionMode": "Indexed"}
    exit_code = {"onExitCodes": {"operator": "In", "values": [1]}}
    disrupted = {"onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    shared = {"hostPath": {"path": str(tmp_path_factory.mktemp("shared"))}}
    for each in (
        job("fail-once-local", FAIL_ONCE, restart="OnFailure"),
        job("fail-job", "exit 1", podFailurePolicy={"rules": [{"action": "FailJob", **exit_code}]}),
        job("per-index", ODD_FAILS, backoffLimitPerIndex=1, **indexed),
        job("max-failed", "exit 1", parallelism=1, backoffLimitPerIndex=0, maxFailedIndexes=0, **indexed),
        job("fail-index", ODD_FAILS, completions=2, backoffLimitPerIndex=1,
            podFailurePolicy={"rules": [{"action": "FailIndex", **exit_code}]}, **indexed),
        job("succeeded-index", ODD_FAILS, completions=5, successPolicy={"rules": [{"succeededIndexes": "0"}]}, **indexed),
        job("succeeded-count", ODD_FAILS, completions=5, backoffLimit=2147483647,
            successPolicy={"rules": [{"succeededCount": 1}]}, **indexed),
        job("evicted", RUN_ONCE, volume=shared, parallelism=1, completions=1, backoffLimit=0,
            podFailurePolicy={"rules": [{"action": "Ignore", **disrupted}]}, **indexed),
    ):  # fmt: skip
        api.create("jobs", each)

    def running() -> list[Any]:
        found = api.items("pods", "job=evicted")
        return [pod for pod in found if pod["status"].get("phase") == "Running"]

    until(lambda: len(running()) == 1, "it runs")
    for pod in running():
        name = pod["metadata"]["name"]
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
        api.do("POST", api.path("pods", f"{name}/eviction"), body)

    def ended(name: str, condition: str, reason: str) -> Any:
        until(lambda: api.condition("jobs", name, condition), f"{name}: {condition}")
        assert api.condition("jobs", name, condition)["reason"] == reason
        return api.get("jobs", name)["status"]

    assert ended("fail-job", "Failed", "PodFailurePolicy")["failed"] >= 1
    status = ended("max-failed", "Failed", "MaxFailedIndexesExceeded")
    assert (status["failedIndexes"], status["failed"]) == ("0", 1)
    status = ended("fail-index", "Failed", "FailedIndexes")
    assert (status["failedIndexes"], status["completedIndexes"]) == ("1", "0")
    assert (status["failed"], status["succeeded"]) == (1, 1)
    for name in ("succeeded-index", "succeeded-count"):
        status = ended(name, "Complete", "SuccessPolicy")
        assert (status["completedIndexes"], status["succeeded"]) == ("0", 1)
        assert (status.get("active", 0), status["ready"], status["terminating"]) == (0, 0, 0)
    assert ended("evicted", "Complete", "CompletionsReached")["succeeded"] == 1
    assert ended("fail-once-local", "Complete", "CompletionsReached")["succeeded"] == 4
    status = ended("per-index", "Failed", "FailedIndexes")
    assert (status["failedIndexes"], status["completedIndexes"]) == ("1,3", "0,2")
    assert (status["failed"], status["succeeded"]) == (4, 2)
