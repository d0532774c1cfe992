"""Rows of sig-apps on Deployments, ReplicaSets and ReplicationControllers: the calls of upstream's tests, against simulated containers.

What only real containers can do (answer a request) is left to tests/e2e.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.e2e import MERGE, Client, Obj, row
from tests.support.process import Server, until

OLD, NEW = "registry.test/httpd:1", "registry.test/agnhost:2"
NEVER = "registry.invalid/nobody:404"
"""An image that cannot be pulled."""
REVISION = "deployment.kubernetes.io/revision"
WRITTEN = {"type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "Set from e2e test"}


@pytest.fixture
def api(server: Server, namespace: str) -> Client:
    return Client(server, namespace)


def template(labels: Obj, *, container: str = "httpd", image: str = OLD) -> Obj:
    return {
        "metadata": {"labels": labels},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": container, "image": image}]},
    }


def workload(name: str, replicas: int, labels: Obj, **of: Any) -> Obj:
    """A Deployment or ReplicaSet. `of`: what goes to the template; `spec`: further fields."""
    spec = of.pop("spec", {})
    selector = {"matchLabels": labels}
    return {
        "metadata": {"name": name, "labels": dict(labels)},
        "spec": {"replicas": replicas, "selector": selector, "template": template(labels, **of), **spec},
    }


def controller(name: str, replicas: int = 1) -> Obj:
    """A ReplicationController, without a selector: that comes from its template."""
    return {"metadata": {"name": name}, "spec": {"replicas": replicas, "template": template({"name": name})}}


def counts(obj: Obj, *names: str) -> tuple[int, ...]:
    return tuple(obj.get("status", {}).get(name) or 0 for name in names)


def replica_sets(api: Client, deployment: str) -> tuple[Any, list[Any]]:
    """(the new one or None, the old ones), by template (`deploymentutil.GetNewReplicaSet`)."""
    owner = api.get("deployments", deployment)
    new, old = None, []
    for each in api.owned(owner, "replicasets"):
        same = {**each["spec"]["template"], "metadata": {**each["spec"]["template"]["metadata"]}}
        labels = dict(same["metadata"]["labels"])
        labels.pop("pod-template-hash", None)
        if {**same, "metadata": {**same["metadata"], "labels": labels}} == owner["spec"]["template"]:
            new = each
        else:
            old.append(each)
    return new, old


def complete(api: Client, name: str) -> None:
    def done() -> bool:
        found = api.get("deployments", name)
        replicas = found["spec"]["replicas"]
        numbers = counts(found, "updatedReplicas", "replicas", "availableReplicas")
        return numbers == (replicas,) * 3 and found["status"]["observedGeneration"] >= found["metadata"]["generation"]

    until(done, f"{name} is complete")


def at_revision(api: Client, name: str, revision: str, image: str) -> None:
    def there() -> bool:
        new, _ = replica_sets(api, name)
        deployment = api.get("deployments", name)
        if new is None or deployment["metadata"].get("annotations", {}).get(REVISION) != revision:
            return False
        said = new["metadata"]["annotations"][REVISION], new["spec"]["template"]["spec"]["containers"][0]["image"]
        return said == (revision, image)

    until(there, f"{name} at revision {revision}")


# --- what several kinds have in common ----------------------------------------------------------------------------


def check_scale(api: Client, plural: str, name: str) -> None:
    scale = api.get(plural, f"{name}/scale")
    assert (scale["kind"], scale["spec"]["replicas"], scale["status"]["replicas"]) == ("Scale", 1, 1)
    del scale["metadata"]["resourceVersion"]
    scale["spec"]["replicas"] = 2
    assert api.put(plural, {**scale, "metadata": {**scale["metadata"], "name": name}}, "scale")["spec"]["replicas"] == 2
    assert api.get(plural, name)["spec"]["replicas"] == 2
    api.patch(plural, f"{name}/scale", {"metadata": {}, "spec": {"replicas": 4}, "status": {"replicas": 0}})
    assert api.get(plural, name)["spec"]["replicas"] == 4


def check_status(api: Client, plural: str, name: str, revision: str, selector: str) -> None:
    """Read, update and patch /status, and see each in a watch from before."""
    assert api.get(plural, f"{name}/status")["metadata"]["name"] == name

    def add(obj: Obj) -> None:
        obj["status"]["conditions"] = [*(obj["status"].get("conditions") or ()), WRITTEN]

    def has(type_: str) -> Any:
        return lambda _, obj: type_ in {c["type"] for c in obj.get("status", {}).get("conditions") or ()}

    api.change(plural, name, add, "status")
    found = api.until_event(plural, revision, selector, has("StatusUpdate"), "the condition of the update")
    assert next(c for c in found["status"]["conditions"] if c["type"] == "StatusUpdate").items() >= WRITTEN.items()
    patch = {"status": {"conditions": [{"type": "StatusPatched", "status": "True"}]}}
    patched = api.patch(plural, f"{name}/status", patch, MERGE)
    assert [c["type"] for c in patched["status"]["conditions"]] == ["StatusPatched"]
    api.until_event(plural, revision, selector, has("StatusPatched"), "the condition of the patch")


def running(api: Client, selector: str, number: int) -> None:
    """`e2epod.VerifyPodsRunning`."""

    def all_run() -> bool:
        pods = [pod for pod in api.items("pods", selector) if "deletionTimestamp" not in pod["metadata"]]
        return len(pods) == number and all(pod["status"].get("phase") == "Running" for pod in pods)

    until(all_run, f"{number} pods {selector} run")


# --- Deployments --------------------------------------------------------------------------------------------------


@row("Deployment, completes the lifecycle of a Deployment")
def test_the_life_of_a_deployment(api: Client) -> None:
    label, selector = {"test-deployment-static": "true"}, "test-deployment-static=true"
    revision = api.page("deployments", selector, everywhere=True)["metadata"]["resourceVersion"]
    deployment = workload("test-deployment", 2, label, container="test-deployment")
    api.create("deployments", deployment)

    def event(condition: Any, what: str) -> Obj:
        return api.until_event("deployments", revision, selector, condition, what)

    event(lambda type_, _: type_ == "ADDED", "it is added")
    event(lambda _, obj: counts(obj, "readyReplicas") == (2,), "two are ready")
    command = {"name": "test-deployment", "image": NEW, "command": ["/bin/sleep", "100000"]}
    patch = {
        "metadata": {"labels": {"test-deployment": "patched"}},
        "spec": {"replicas": 1, "template": {"spec": {"TerminationGracePeriodSeconds": 0, "containers": [command]}}},
    }
    api.patch("deployments", "test-deployment", patch)
    event(lambda type_, _: type_ == "MODIFIED", "it is modified")

    def scaled(_: str, obj: Obj) -> bool:
        return counts(obj, "readyReplicas") == (1,) and image_of(obj) == NEW

    event(scaled, "it has scaled")
    listed = api.page("deployments", selector, everywhere=True)
    assert [item["metadata"]["namespace"] for item in listed["items"]] == [api.namespace]
    revision = listed["metadata"]["resourceVersion"]
    deployment["metadata"]["labels"]["test-deployment"] = "updated"
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.test/new:3"
    unconditional = {**deployment, "apiVersion": "apps/v1", "kind": "Deployment", "status": {}}
    api.do("PUT", api.path("deployments", "test-deployment"), unconditional)
    event(lambda type_, _: type_ == "MODIFIED", "it is modified")

    def check() -> None:
        status = api.get("deployments", "test-deployment/status")
        assert image_of(status) == "registry.test/new:3"
        assert status["metadata"]["labels"]["test-deployment"] == "updated"

    def done(_: str, obj: Obj) -> bool:
        return counts(obj, "readyReplicas", "updatedReplicas", "unavailableReplicas") == (2, 2, 0)

    check()
    event(done, "both are new")
    patch = {
        "metadata": {"labels": {"test-deployment": "patched-status"}},
        "status": {"readyReplicas": 0, "availableReplicas": 0},
    }
    api.patch("deployments", "test-deployment/status", patch)
    check()
    event(done, "both are new")
    api.delete_collection("deployments", selector, {"gracePeriodSeconds": 1})
    event(lambda type_, _: type_ == "DELETED", "it is deleted")


def image_of(obj: Obj) -> str:
    return str(obj["spec"]["template"]["spec"]["containers"][0]["image"])


@row("Deployment, status sub-resource")
def test_the_status_of_a_deployment(api: Client) -> None:
    label = {"name": "httpd", "e2e": "testing"}
    revision = api.page("deployments", "e2e=testing", everywhere=True)["metadata"]["resourceVersion"]
    api.create("deployments", workload("d", 1, label))
    at_revision(api, "d", "1", OLD)
    complete(api, "d")
    check_status(api, "deployments", "d", revision, "e2e=testing")


@row("Deployment, completes the scaling of a Deployment subresource")
def test_the_scale_of_a_deployment(api: Client) -> None:
    api.create("deployments", workload("test-new-deployment", 1, {"name": "httpd"}))
    at_revision(api, "test-new-deployment", "1", OLD)
    complete(api, "test-new-deployment")
    check_scale(api, "deployments", "test-new-deployment")


@row("Deployment RollingUpdate")
def test_a_deployment_adopts_a_replica_set_and_replaces_it(api: Client) -> None:
    label = {"name": "sample-pod"}
    old = workload("test-rolling-update-controller", 1, {**label, "pod": "httpd"})
    old["metadata"]["annotations"] = {REVISION: "3546343826724305832"}
    api.create("replicasets", old)
    running(api, "name=sample-pod", 1)
    api.create("deployments", workload("d", 1, label, container="agnhost", image=NEW))
    at_revision(api, "d", "3546343826724305833", NEW)
    complete(api, "d")
    assert [each["metadata"]["name"] for each in replica_sets(api, "d")[1]] == ["test-rolling-update-controller"]


@row("Deployment Recreate")
def test_recreate_runs_no_new_pod_beside_an_old_one(api: Client) -> None:
    api.create("deployments", workload("d", 1, {"name": "p"}, spec={"strategy": {"type": "Recreate"}}))
    at_revision(api, "d", "1", OLD)
    complete(api, "d")

    def edit(obj: Obj) -> None:
        obj["spec"]["template"]["spec"]["containers"][0] |= {"name": "httpd", "image": NEW}

    changed = api.change("deployments", "d", edit)

    def done(_: str, obj: Obj) -> bool:
        updated, replicas = counts(obj, "updatedReplicas", "replicas")
        assert not updated or replicas == updated, "a new pod beside an old one"
        seen = obj["status"].get("observedGeneration", 0) >= obj["metadata"]["generation"]
        return bool(seen and updated == replicas == obj["spec"]["replicas"])

    with api.watch("deployments", changed["metadata"]["resourceVersion"], field="metadata.name=d") as watch:
        watch.until(done, "the new pod")


@row("Deployment RevisionHistoryLimit")
def test_old_replica_sets_go(api: Client) -> None:
    api.create("replicasets", workload("test-cleanup-controller", 1, {"name": "cleanup-pod", "pod": "httpd"}))
    running(api, "name=cleanup-pod", 1)
    revision = api.page("pods")["metadata"]["resourceVersion"]
    spec = {"revisionHistoryLimit": 0}
    api.create("deployments", workload("d", 1, {"name": "cleanup-pod"}, container="agnhost", image=NEW, spec=spec))
    until(lambda: len(api.items("replicasets")) == 1 and not replica_sets(api, "d")[1], "the old one gone")
    with api.watch("pods", revision, "name=cleanup-pod") as watch:
        seen = []
        watch.until(lambda type_, pod: seen.append((type_, pod)) or type_ == "DELETED", "the old pod gone")  # type: ignore[func-returns-value]  # None goes on
    added = [pod["spec"]["containers"][0]["image"] for type_, pod in seen if type_ == "ADDED"]
    assert added == [NEW], "one pod is made, and it is a new one"


@row("Deployment Rollover")
def test_a_rollout_is_overtaken_by_the_next(api: Client) -> None:
    label = {"name": "rollover-pod"}
    api.create("replicasets", workload("test-rollover-controller", 1, {**label, "pod": "httpd"}))
    running(api, "name=rollover-pod", 1)
    until(lambda: counts(api.get("replicasets", "test-rollover-controller"), "readyReplicas") == (1,), "it is ready")
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    spec = {"minReadySeconds": 1, "strategy": strategy}
    api.create("deployments", workload("d", 1, label, container="redis", image=NEVER, spec=spec))
    until(lambda: counts(api.get("deployments", "d"), "updatedReplicas") == (1,), "the one that never gets ready")
    new, old = replica_sets(api, "d")
    assert [each["spec"]["replicas"] for each in (new, *old)] == [1, 1], "one pod always is there"

    def edit(obj: Obj) -> None:
        obj["spec"]["template"]["spec"]["containers"][0] |= {"name": "agnhost", "image": NEW}

    api.change("deployments", "d", edit)
    at_revision(api, "d", "2", NEW)
    complete(api, "d")
    assert [each["spec"]["replicas"] for each in replica_sets(api, "d")[1]] == [0, 0]


@row("Deployment Proportional Scaling")
def test_a_deployment_scales_in_proportion(api: Client) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2, "maxSurge": 3}}
    api.create("deployments", workload("d", 10, {"name": "httpd"}, spec={"strategy": strategy}))
    complete(api, "d")
    first, _ = replica_sets(api, "d")

    def edit(obj: Obj) -> None:
        obj["spec"]["template"]["spec"]["containers"][0]["image"] = NEVER

    api.change("deployments", "d", edit)

    def sizes() -> tuple[int, ...]:
        new, old = replica_sets(api, "d")
        return (old[0]["spec"]["replicas"], new["spec"]["replicas"]) if new and old else ()

    until(lambda: sizes() == (8, 5), "8 old ones, 5 that never start")
    name = first["metadata"]["name"]
    until(lambda: counts(api.get("replicasets", name), "availableReplicas") == (8,), "8 are available")
    assert counts(replica_sets(api, "d")[0], "availableReplicas") == (0,)
    api.change("deployments", "d", lambda obj: obj["spec"].update(replicas=30))
    until(lambda: sizes() == (20, 13), "33 in the proportion of 8 to 5")


# --- ReplicaSets --------------------------------------------------------------------------------------------------


@row("ReplicaSet, is created, Replaced and Patched")
def test_a_replica_set_is_replaced_and_patched(api: Client) -> None:
    revision = api.page("replicasets", "test-rs=patched", everywhere=True)["metadata"]["resourceVersion"]
    api.create("replicasets", workload("test-rs", 1, {"name": "sample-pod", "pod": "httpd"}))
    running(api, "name=sample-pod", 1)
    api.change("replicasets", "test-rs", lambda obj: obj["spec"].update(replicas=2))
    pod = {"terminationGracePeriodSeconds": 0, "containers": [{"name": "test-rs", "image": NEW}]}
    patch = {"metadata": {"labels": {"test-rs": "patched"}}, "spec": {"replicas": 3, "template": {"spec": pod}}}
    api.patch("replicasets", "test-rs", patch)

    def done(_: str, obj: Obj) -> bool:
        return counts(obj, "readyReplicas", "availableReplicas") == (3, 3) and image_of(obj) == NEW

    found = api.until_event("replicasets", revision, "test-rs=patched", done, "three of them")
    assert [c["name"] for c in found["spec"]["template"]["spec"]["containers"]] == ["test-rs", "httpd"], (
        "new ones first"
    )


@row("ReplicaSet, completes the scaling of a ReplicaSet subresource")
def test_the_scale_of_a_replica_set(api: Client) -> None:
    api.create("replicasets", workload("test-rs", 1, {"name": "sample-pod", "pod": "httpd"}))
    running(api, "name=sample-pod", 1)
    until(lambda: counts(api.get("replicasets", "test-rs"), "replicas") == (1,), "its status")
    check_scale(api, "replicasets", "test-rs")


@row("ReplicaSet, list and delete a collection of ReplicaSets")
def test_a_collection_of_replica_sets(api: Client) -> None:
    label = {"name": "sample-pod", "pod": "httpd", "e2e": api.namespace}
    api.create("replicasets", workload("test-rs", 3, label))
    running(api, "name=sample-pod", 3)
    selector = f"e2e={api.namespace}"
    assert len(api.items("replicasets", selector, everywhere=True)) == 1
    api.delete_collection("replicasets", selector, {"gracePeriodSeconds": 1})
    assert api.items("replicasets", selector, everywhere=True) == []


@row("ReplicaSet, status sub-resource")
def test_the_status_of_a_replica_set(api: Client) -> None:
    revision = api.page("replicasets", "name=sample-pod,pod=httpd", everywhere=True)["metadata"]["resourceVersion"]
    api.create("replicasets", workload("test-rs", 1, {"name": "sample-pod", "pod": "httpd"}))
    running(api, "name=sample-pod", 1)
    check_status(api, "replicasets", "test-rs", revision, "name=sample-pod,pod=httpd")


@row("Replica Set, adopt matching pods and release non matching pods", "Replication Controller, adopt matching pods")
@pytest.mark.parametrize("plural", ["replicasets", "replicationcontrollers"])
def test_pods_are_adopted_and_released(api: Client, plural: str) -> None:
    name = "pod-adoption-release"
    api.create("pods", {"metadata": {"name": name, "labels": {"name": name}}, "spec": template({})["spec"]})
    api.phase(name)
    body = workload(name, 1, {"name": name}) if plural == "replicasets" else controller(name)
    owner = api.create(plural, body)["metadata"]["uid"]

    def owners() -> list[str]:
        refs = api.get("pods", name)["metadata"].get("ownerReferences") or ()
        return [ref["uid"] for ref in refs if ref["controller"]]

    until(lambda: owners() == [owner], "the pod is adopted")
    api.change("pods", name, lambda pod: pod["metadata"].update(labels={"name": "not-matching-name"}))
    until(lambda: owners() == [], "the pod is released")


# --- ReplicationControllers ---------------------------------------------------------------------------------------


@row("Replica Set, run basic image", "Replication Controller, run basic image", "Replication Controller, release pods")
@pytest.mark.parametrize("plural", ["replicasets", "replicationcontrollers"])
def test_a_basic_image_runs(api: Client, plural: str) -> None:
    """… and the pod is released once its label no longer matches. (That it answers needs real containers.)"""
    api.create(plural, workload("basic", 1, {"name": "basic"}) if plural == "replicasets" else controller("basic"))
    running(api, "name=basic", 1)
    (pod,) = api.items("pods", "name=basic")
    name = pod["metadata"]["name"]
    api.change("pods", name, lambda obj: obj["metadata"].update(labels={"name": "not-matching-name"}))
    until(lambda: "ownerReferences" not in api.get("pods", name)["metadata"], "the pod is released")
    running(api, "name=basic", 1)


@row("Replication Controller, check for issues like exceeding allocated quota")
@pytest.mark.parametrize("plural", ["replicasets", "replicationcontrollers"])
def test_a_quota_shows_in_a_condition(api: Client, plural: str) -> None:
    api.create("resourcequotas", {"metadata": {"name": "condition-test"}, "spec": {"hard": {"pods": "2"}}})
    quota = "condition-test"
    until(lambda: api.get("resourcequotas", quota).get("status", {}).get("hard") == {"pods": "2"}, "its status")
    body = workload(quota, 3, {"name": quota}) if plural == "replicasets" else controller(quota, 3)
    api.create(plural, body)

    def failure() -> Any:
        found = api.get(plural, quota)
        assert found["metadata"]["generation"] >= found.get("status", {}).get("observedGeneration", 0)
        return api.condition(plural, quota, "ReplicaFailure")

    until(failure, "the condition")
    condition = failure()
    assert (condition["status"], condition["reason"]) == ("True", "FailedCreate")
    assert "exceeded quota: condition-test, requested: pods=1, used: pods=2, limited: pods=2" in condition["message"]
    assert len(api.items("pods")) == 2, "the quota is not exceeded"
    api.change(plural, quota, lambda obj: obj["spec"].update(replicas=2))
    until(lambda: failure() is None, "the condition gone")


@row("Replication Controller, get and update ReplicationController scale")
def test_the_scale_of_a_replication_controller(api: Client) -> None:
    api.create("replicationcontrollers", controller("e2e-rc"))
    until(lambda: counts(api.get("replicationcontrollers", "e2e-rc"), "replicas") == (1,), "one replica")
    check_scale(api, "replicationcontrollers", "e2e-rc")
    until(lambda: counts(api.get("replicationcontrollers", "e2e-rc"), "replicas") == (4,), "four replicas")


@row("Replication Controller, lifecycle")
def test_the_life_of_a_replication_controller(api: Client) -> None:
    """The order of the events in one watch; each step waits for the events of its own writes."""
    plural, name, selector = "replicationcontrollers", "rc-test", "test-rc-static=true"
    label = {"test-rc-static": "true"}
    spec = {"replicas": 1, "selector": label, "template": template(label)}
    body = {"metadata": {"name": name, "labels": label}, "spec": spec}
    with api.watch(plural, api.page(plural, selector)["metadata"]["resourceVersion"], selector) as watch:
        api.create(plural, body)
        assert watch.next()[0] == "ADDED"
        watch.until(lambda _, rc: counts(rc, "replicas", "readyReplicas") == (1, 1), "one is ready")
        empty = {"metadata": {"labels": {"test-rc": "patched"}}, "spec": {}, "status": {"replicas": 0}}
        assert api.patch(plural, name, empty)["metadata"]["labels"]["test-rc"] == "patched"
        watch.until(lambda type_, _: type_ == "MODIFIED", "the patch")
        status = api.patch(plural, f"{name}/status", {"status": {"readyReplicas": 0, "availableReplicas": 0}})
        assert counts(status, "readyReplicas") == (0,)
        watch.until(lambda type_, _: type_ == "MODIFIED", "the status")
        watch.until(lambda _, rc: counts(rc, "replicas") == (1,), "the controller puts it right")
        assert counts(api.get(plural, f"{name}/status"), "replicas") == (1,)
        scale = {"metadata": {}, "spec": {"replicas": 2}, "status": {"replicas": 0}}
        api.patch(plural, f"{name}/scale", scale)
        watch.until(lambda type_, _: type_ == "MODIFIED", "the scale")
        watch.until(lambda _, rc: counts(rc, "replicas", "readyReplicas") == (2, 2), "two are ready")
        found = api.get(plural, name)
        assert found["metadata"]["labels"]["test-rc"] == "patched"
        found["status"] |= {"availableReplicas": 1, "readyReplicas": 1}
        api.put(plural, found, "status")
        watch.until(lambda type_, _: type_ == "MODIFIED", "the update of the status")
        (listed,) = api.items(plural, selector, everywhere=True)
        assert listed["metadata"]["labels"] == {**label, "test-rc": "patched"}
        api.delete_collection(plural, selector)
        watch.until(lambda type_, _: type_ == "DELETED", "it is deleted")
