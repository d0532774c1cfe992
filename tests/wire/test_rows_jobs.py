"""Rows of sig-apps on Jobs, CronJobs and disruption budgets: the calls of upstream's tests, against simulated containers.

What needs a clock (schedules) or pods that fail as told is in `tests/unit/controllers/test_cronjob.py` and `test_job.py`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from minik.api.times import format_time
from tests.support.e2e import MERGE, PROTOBUF, Client, Obj, row
from tests.support.process import Server, until
from tests.support.protobuf import envelope
from tests.wire.test_rows_apps import counts, template, workload

SUCCEED, FOREVER = ["/bin/sh", "-c", "exit 0"], ["sleep", "1000000"]
INDEX = "batch.kubernetes.io/job-completion-index"
BUDGET_LABELS = {"foo": "bar"}


@pytest.fixture
def api(server: Server, namespace: str) -> Client:
    return Client(server, namespace)


def job(name: str, command: list[str], **spec: Any) -> Obj:
    """`e2ejob.NewTestJob`. It says `manualSelector: false`, as that does."""
    pod = {
        "metadata": {"labels": {"job": name}},
        "spec": {
            "restartPolicy": "Never",
            "volumes": [{"name": "data", "emptyDir": {}}],
            "containers": [
                {
                    "name": "c",
                    "image": "registry.test/busybox:1",
                    "command": command,
                    "volumeMounts": [{"mountPath": "/data", "name": "data"}],
                    "securityContext": {},
                }
            ],
        },
    }
    fixed = {"parallelism": 2, "completions": 4, "backoffLimit": 6, "manualSelector": False}
    return {"metadata": {"name": name}, "spec": {**fixed, "template": pod, **spec}}


def pods_of(api: Client, name: str, phase: str) -> list[Any]:
    found = api.items("pods", f"job={name}")
    return [pod for pod in found if pod["status"].get("phase") == phase and "deletionTimestamp" not in pod["metadata"]]


def completed(api: Client, name: str, reason: str = "CompletionsReached") -> Obj:
    """`WaitForJobComplete`."""
    until(lambda: (api.condition("jobs", name, "Complete") or {}).get("status") == "True", f"{name} is complete")
    assert api.condition("jobs", name, "SuccessCriteriaMet")["reason"] == reason
    assert api.condition("jobs", name, "Complete")["reason"] == reason
    found: Obj = api.get("jobs", name)
    status = found["status"]
    assert [status.get(field, 0) for field in ("active", "failed")] == [0, 0]
    assert (status["ready"], status["terminating"]) == (0, 0), "said, not left out"
    return found


@row("Ensure Pods of an Indexed Job get a unique index.")
def test_an_indexed_job(api: Client) -> None:
    api.create("jobs", job("indexed-job", SUCCEED, completionMode="Indexed"))
    assert completed(api, "indexed-job")["status"]["succeeded"] == 4
    pods = pods_of(api, "indexed-job", "Succeeded")
    indexes = {pod["metadata"]["annotations"][INDEX]: pod["spec"]["hostname"] for pod in pods}
    assert indexes == {str(n): f"indexed-job-{n}" for n in range(4)}


@row("Ensure that job with successPolicy succeeded when all indexes succeeded")
def test_a_success_policy(api: Client) -> None:
    api.create("jobs", job("all", SUCCEED, completions=2, completionMode="Indexed",
                           successPolicy={"rules": [{"succeededIndexes": "0,1"}]}))  # fmt: skip
    status = completed(api, "all", "SuccessPolicy")["status"]
    assert (status["completedIndexes"], status["succeeded"]) == ("0,1", 2)


@row("Jobs, active pods, graceful termination")
def test_a_job_is_deleted(api: Client) -> None:
    api.create("jobs", job("foo", FOREVER))
    until(lambda: len(pods_of(api, "foo", "Running")) == 2, "two run")
    api.delete_and_wait("jobs", "foo")


@row("Jobs, orphan pods, re-adoption")
def test_pods_are_adopted_and_released(api: Client) -> None:
    made = api.create("jobs", job("adopt-release", FOREVER))
    until(lambda: len(pods_of(api, "adopt-release", "Running")) == 2, "two run")
    name = api.items("pods", "job=adopt-release")[0]["metadata"]["name"]

    def owner() -> Any:
        refs = api.get("pods", name)["metadata"].get("ownerReferences") or ()
        return next(((ref["kind"], ref["name"], ref["uid"]) for ref in refs if ref["controller"]), None)

    api.change("pods", name, lambda pod: pod["metadata"].pop("ownerReferences"))
    until(lambda: owner() == ("Job", "adopt-release", made["metadata"]["uid"]), "the pod is adopted again")
    api.change("pods", name, lambda pod: pod["metadata"].pop("labels"))
    until(lambda: owner() is None, "the pod is released")


@row("Jobs, apply changes to status")
def test_the_status_of_a_job(api: Client) -> None:
    uid = api.create("jobs", job("j", FOREVER))["metadata"]["uid"]
    until(lambda: len(pods_of(api, "j", "Running")) == 2, "two run")
    first, second = (format_time(datetime.now(UTC) + timedelta(seconds=n)) for n in (0, 7))
    condition = {"type": "CustomConditionType", "status": "True", "lastProbeTime": None, "lastTransitionTime": first}
    patch = {"metadata": {"annotations": {"patchedstatus": "true"}}, "status": {"conditions": [condition]}}
    patched = api.patch("jobs", "j/status", patch, MERGE)
    assert patched["metadata"]["annotations"]["patchedstatus"] == "true"
    assert custom(patched)["lastTransitionTime"] == first
    updated = api.change("jobs", "j", lambda obj: custom(obj).update(lastTransitionTime=second), "status")
    assert custom(updated)["lastTransitionTime"] == second
    assert api.get("jobs", "j/status")["metadata"]["uid"] == uid
    assert custom(api.get("jobs", "j"))["lastTransitionTime"] == second, "the controller lets it stand"


def custom(obj: Obj) -> Obj:
    found: Obj = next(c for c in obj["status"]["conditions"] if c["type"] == "CustomConditionType")
    return found


@row("Jobs, manage lifecycle")
def test_the_life_of_a_job(api: Client) -> None:
    label, selector = {"e2e-job-label": "e2e"}, "e2e-job-label=e2e"
    revision = api.page("jobs", selector)["metadata"]["resourceVersion"]
    body = job("e2e", SUCCEED, suspend=True)
    body["metadata"]["labels"] = label
    api.create("jobs", body)
    api.patch("jobs", "e2e", {"metadata": {"labels": {"e2e": "patched"}}})

    def has(type_: str, field: str, key: str, value: str) -> Any:
        return lambda seen, obj: seen == type_ and obj["metadata"].get(field, {}).get(key) == value

    api.until_event("jobs", revision, selector, has("MODIFIED", "labels", "e2e", "patched"), "the patch")

    def edit(obj: Obj) -> None:
        obj["spec"]["suspend"] = False
        obj["metadata"]["annotations"] = {**obj["metadata"].get("annotations", {}), "updated": "true"}

    updated = api.change("jobs", "e2e", edit)
    api.until_event("jobs", revision, selector, has("MODIFIED", "annotations", "updated", "true"), "the update")
    assert len(api.items("jobs", selector, everywhere=True)) == 1
    assert completed(api, "e2e")["status"]["succeeded"] == 4
    api.delete_collection("jobs", selector, {"propagationPolicy": "Background"})
    revision = updated["metadata"]["resourceVersion"]
    api.until_event("jobs", revision, selector, has("DELETED", "labels", "e2e-job-label", "e2e"), "the deletion")
    assert api.items("jobs", selector, everywhere=True) == []


# --- CronJobs -----------------------------------------------------------------------------------------------------


@row("CronJob API Operations")
def test_cron_jobs_by_every_verb(api: Client) -> None:
    selector = "special-label=cronjob"
    spec = job("x", ["/bin/true"], completions=1, parallelism=1, backoffLimit=1)["spec"]
    spec["template"]["spec"]["restartPolicy"] = "OnFailure"
    cron: Obj = {
        "metadata": {"name": "test-api", "labels": {"special-label": "cronjob"}},
        "spec": {
            "schedule": "* */1 * * ?", "concurrencyPolicy": "Allow", "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 0, "jobTemplate": {"spec": spec},
        },
    }  # fmt: skip
    uid = api.create("cronjobs", cron)["metadata"]["uid"]
    assert api.get("cronjobs", "test-api")["metadata"]["uid"] == uid
    listed = api.page("cronjobs", selector)
    revision = listed["metadata"]["resourceVersion"]
    with (
        api.watch("cronjobs", revision, selector) as watch,
        api.watch("cronjobs", revision, selector, everywhere=True) as everywhere,
    ):
        assert len(listed["items"]) == len(api.items("cronjobs", selector, everywhere=True)) == 1
        patched = api.patch("cronjobs", "test-api", {"metadata": {"annotations": {"patched": "true"}}}, MERGE)
        assert patched["metadata"]["annotations"] == {"patched": "true"}
        note = {"updated": "true"}
        api.change("cronjobs", "test-api", lambda obj: obj["metadata"]["annotations"].update(note))
        for each in (watch, everywhere):
            while True:
                type_, obj = each.next()
                assert type_ == "MODIFIED"
                if obj["metadata"].get("annotations", {}).get("patched") == "true":
                    break
    first, second = (format_time(datetime.now(UTC) + timedelta(seconds=n)) for n in (0, 3))
    patch = {"metadata": {"annotations": {"patchedstatus": "true"}}, "status": {"lastScheduleTime": first}}
    status = api.patch("cronjobs", "test-api/status", patch, MERGE)
    assert (
        status["status"]["lastScheduleTime"] == first and status["metadata"]["annotations"]["patchedstatus"] == "true"
    )
    status = api.change("cronjobs", "test-api", lambda obj: obj["status"].update(lastScheduleTime=second), "status")
    assert status["status"]["lastScheduleTime"] == second
    assert api.get("cronjobs", "test-api/status")["metadata"]["uid"] == uid
    cron["metadata"]["name"] = "for-removal"
    api.create("cronjobs", cron)
    api.delete("cronjobs", "for-removal")
    assert not api.exists("cronjobs", "for-removal")
    api.delete_collection("cronjobs", selector)
    assert api.items("cronjobs", selector) == []


# --- disruption budgets -------------------------------------------------------------------------------------------


def budget(api: Client, name: str, minimum: int | str, labels: Obj, *, namespace: str = "") -> None:
    """`createPDBMinAvailableOrDie`: made, and looked at by the controller."""
    spec = {"selector": {"matchLabels": BUDGET_LABELS}, "minAvailable": minimum}
    api.create(
        "poddisruptionbudgets", {"metadata": {"name": name, "labels": labels}, "spec": spec}, namespace=namespace
    )
    if not namespace:
        processed(api, name)


def processed(api: Client, name: str) -> None:
    def seen() -> bool:
        found = api.get("poddisruptionbudgets", name)
        return bool(found.get("status", {}).get("observedGeneration", 0) >= found["metadata"]["generation"])

    until(seen, f"the budget {name} was looked at")


def pods(api: Client, number: int) -> None:
    for n in range(number):
        api.create("pods", {"metadata": {"name": f"pod-{n}", "labels": BUDGET_LABELS}, "spec": template({})["spec"]})


def ready_pods(api: Client) -> list[str]:
    return [
        pod["metadata"]["name"]
        for pod in api.items("pods", "foo=bar")
        if "deletionTimestamp" not in pod["metadata"]
        and any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions") or ())
    ]


def evict(api: Client, pod: str) -> Any:
    body = envelope("policy/v1", "Eviction", {"metadata": {"name": pod, "namespace": api.namespace}})
    return api.ask("POST", api.path("pods", f"{pod}/eviction"), body, PROTOBUF)


def refused(api: Client, pod: str) -> None:
    answer = evict(api, pod)
    assert answer.status == 429
    assert "DisruptionBudget" in [cause["reason"] for cause in answer.obj["details"]["causes"]]


@row("PodDisruptionBudget: list and delete collection")
def test_a_collection_of_budgets(api: Client) -> None:
    labels = {"foo_pdb": api.namespace}
    selector = f"foo_pdb={api.namespace}"
    other = f"{api.namespace}-other"
    api.create("namespaces", {"metadata": {"name": other}})
    budget(api, "foo", 2, labels)
    budget(api, "foo2", "1%", labels)
    budget(api, "foo3", 2, labels, namespace=other)
    everywhere = api.items("poddisruptionbudgets", selector, everywhere=True)
    assert sorted(item["metadata"]["name"] for item in everywhere) == ["foo", "foo2", "foo3"]
    assert len(api.items("poddisruptionbudgets", selector)) == 2
    api.delete_collection("poddisruptionbudgets", "")
    assert api.items("poddisruptionbudgets") == []
    assert len(api.items("poddisruptionbudgets", selector, everywhere=True)) == 1
    api.delete("namespaces", other)


@row("PodDisruptionBudget: create, update, patch, and delete object")
def test_the_life_of_a_budget(api: Client) -> None:
    budget(api, "foo", "1%", BUDGET_LABELS)
    updated = api.change("poddisruptionbudgets", "foo", lambda obj: obj["spec"].update(minAvailable="2%"))
    assert updated["spec"]["minAvailable"] == "2%"
    processed(api, "foo")
    patched = api.patch("poddisruptionbudgets", "foo", {"spec": {"minAvailable": "3%"}}, MERGE)
    assert patched["spec"]["minAvailable"] == "3%"
    processed(api, "foo")
    api.delete("poddisruptionbudgets", "foo")
    assert not api.exists("poddisruptionbudgets", "foo")


@row("PodDisruptionBudget: Status updates", "PodDisruptionBudget: update and patch status")
def test_the_status_of_a_budget(api: Client) -> None:
    budget(api, "foo", 1, BUDGET_LABELS)
    pods(api, 3)
    until(lambda: len(ready_pods(api)) == 3, "three pods are ready")
    until(lambda: api.get("poddisruptionbudgets", "foo")["status"]["disruptionsAllowed"] > 0, "one may go")
    mark = {"pod-0": format_time(datetime.now(UTC))}
    api.change("poddisruptionbudgets", "foo", lambda obj: obj["status"].update(disruptedPods=mark), "status")
    processed(api, "foo")
    assert api.get("poddisruptionbudgets", "foo/status")["status"]["disruptedPods"] == mark
    patched = api.patch("poddisruptionbudgets", "foo/status", {"status": {"disruptedPods": None}}, MERGE)
    assert "disruptedPods" not in patched["status"]


@row("PodDisruptionBudget: block an eviction until the PDB is updated to allow it")
def test_a_budget_holds_evictions_up(api: Client) -> None:
    budget(api, "foo", 3, BUDGET_LABELS)
    api.create("replicasets", workload("rs", 3, BUDGET_LABELS))
    until(lambda: len(ready_pods(api)) == 3, "three pods are ready")
    pod = ready_pods(api)[0]
    refused(api, pod)
    api.change("poddisruptionbudgets", "foo", lambda obj: obj["spec"].update(minAvailable=2))
    processed(api, "foo")
    healthy = ("currentHealthy", "desiredHealthy")
    until(lambda: counts(api.get("poddisruptionbudgets", "foo"), *healthy) == (3, 2), "three are healthy")
    assert evict(api, pod).status == 201
    api.patch("poddisruptionbudgets", "foo", {"spec": {"minAvailable": None, "maxUnavailable": 0}}, MERGE)
    processed(api, "foo")
    until(lambda: len(ready_pods(api)) == 3, "three pods are ready")
    pod = ready_pods(api)[0]
    refused(api, pod)
    api.delete("poddisruptionbudgets", "foo")
    until(lambda: len(ready_pods(api)) == 3, "three pods are ready")
    assert evict(api, pod).status == 201
    until(lambda: not api.exists("pods", pod), "it went")
