"""Jobs and CronJobs by stock kubectl: create, get, describe, wait, logs, delete."""

from __future__ import annotations

import json

import pytest

from tests.support.kubectl import Kubectl
from tests.support.process import until

pytestmark = pytest.mark.kubectl


def test_a_job_from_create_to_delete(kubectl: Kubectl) -> None:
    made = kubectl("create", "job", "once", "--image=busybox", "--", "sh", "-c", "echo hello; true")
    assert made == "job.batch/once created\n"
    kubectl("wait", "--for=condition=Complete", "job/once", "--timeout=60s")
    header, row = kubectl("get", "jobs").splitlines()
    assert header.split() == ["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE"]
    assert row.split()[:3] == ["once", "Complete", "1/1"]
    assert kubectl("logs", "job/once") == "hello\n"
    described = kubectl("describe", "job", "once")
    assert "Pods Statuses:" in described and "1 Succeeded" in described and "SuccessfulCreate" in described
    assert "job.batch/once" in kubectl("get", "all", "-o", "name")
    assert kubectl.get("jobs", "--field-selector=status.successful=1")["items"]
    kubectl("delete", "job", "once")
    until(lambda: not kubectl.names("pods"), "pods gone with their Job")


def test_a_failing_job_says_so(kubectl: Kubectl) -> None:
    kubectl.apply({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "bad"},
        "spec": {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "containers": [
            {"name": "c", "image": "busybox", "command": ["sh", "-c", "exit 3"]}]}}},
    })  # fmt: skip
    kubectl("wait", "--for=condition=Failed", "job/bad", "--timeout=60s")
    reasons = kubectl("get", "job", "bad", "-o", "jsonpath={.status.conditions[*].reason}")
    assert reasons == "BackoffLimitExceeded BackoffLimitExceeded"
    assert "BackoffLimitExceeded" in kubectl("events", "--for", "job/bad")


def test_suspend_resume_and_orphans(kubectl: Kubectl) -> None:
    kubectl.apply({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "long"},
        "spec": {"suspend": True, "completions": 2, "parallelism": 2, "template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox", "command": ["sleep", "600"]}]}}},
    })  # fmt: skip
    kubectl("wait", "--for=condition=Suspended", "job/long", "--timeout=60s")
    assert "Suspended" in kubectl("get", "job", "long")
    kubectl("patch", "job", "long", "-p", '{"spec":{"suspend":false}}')
    kubectl.eventually("2", "get", "job", "long", "-o", "jsonpath={.status.ready}")
    kubectl("delete", "job", "long", "--cascade=orphan")
    orphans = [pod["metadata"] for pod in kubectl.get("pods")["items"]]
    assert len(orphans) == 2 and not any("ownerReferences" in each for each in orphans)
    kubectl("delete", "pods", "--all", "--now")


def test_refusals_are_those_of_kubernetes(kubectl: Kubectl) -> None:
    manifest = {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x"},
        "spec": {"template": {"spec": {"containers": [{"name": "c", "image": "busybox"}]}}},
    }  # fmt: skip
    said = kubectl.run("apply", "-f", "-", stdin=json.dumps(manifest)).stderr
    assert 'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"' in said


def test_a_cron_job_and_a_job_made_of_it(kubectl: Kubectl) -> None:
    made = kubectl("create", "cronjob", "hourly", "--image=busybox", "--schedule=7 * * * *", "--", "true")
    assert made == "cronjob.batch/hourly created\n"
    header, row = kubectl("get", "cronjobs").splitlines()
    assert header.split() == ["NAME", "SCHEDULE", "TIMEZONE", "SUSPEND", "ACTIVE", "LAST", "SCHEDULE", "AGE"]
    assert row.split()[:9] == ["hourly", "7", "*", "*", "*", "*", "<none>", "False", "0"]
    kubectl("create", "job", "now", "--from=cronjob/hourly")
    kubectl("wait", "--for=condition=Complete", "job/now", "--timeout=60s")
    job = kubectl.get("job", "now")
    assert job["metadata"]["annotations"]["cronjob.kubernetes.io/instantiate"] == "manual"
    assert job["metadata"]["ownerReferences"][0]["kind"] == "CronJob"
    until(lambda: kubectl.get("cj", "hourly")["status"].get("lastSuccessfulTime"), "the run counted as a success")
    assert "Concurrency Policy:" in kubectl("describe", "cronjob", "hourly")
    kubectl("patch", "cronjob", "hourly", "-p", '{"spec":{"suspend":true}}')
    assert kubectl("get", "cj", "hourly").splitlines()[1].split()[7] == "True"
    kubectl("delete", "cronjob", "hourly")
    until(lambda: not kubectl.names("jobs") and not kubectl.names("pods"), "all of it gone")


def test_what_is_no_cron_job(kubectl: Kubectl) -> None:
    said = kubectl.fails("create", "cronjob", "x", "--image=busybox", "--schedule=61 * * * *")
    assert 'spec.schedule: Invalid value: "61 * * * *": end of range (61) above maximum (59): 61' in said
    assert "must be no more than 52 characters" in kubectl.fails(
        "create", "cronjob", "x" * 53, "--image=busybox", "--schedule=@daily"
    )
