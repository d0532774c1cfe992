"""Rows of sig-apps on DaemonSets, StatefulSets and their revisions: the calls of upstream's tests, against simulated containers.

StatefulSets that halt at an unhealthy pod, and rollouts held back by a partition, need readiness that a test can break: they are in
`tests/unit/controllers/test_statefulset.py`.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from minik.controllers.common.history import HASH
from tests.support.e2e import MERGE, Client, Obj, row
from tests.support.process import Server, until
from tests.wire.test_rows_apps import NEVER, NEW, OLD, check_scale, check_status, counts, image_of, template

NAME = {"daemonset-name": "daemon-set"}
SELECTOR = "daemonset-name=daemon-set"
COLOR = "daemonset-color"
SET_LABELS = {"foo": "bar", "baz": "blah"}


@pytest.fixture
def api(server: Server, namespace: str) -> Client:
    return Client(server, namespace)


def daemon_set(**spec: Any) -> Obj:
    container = {"name": "app", "image": OLD, "ports": [{"containerPort": 9376}]}
    pod = {"metadata": {"labels": NAME}, "spec": {"containers": [container], **spec.pop("pod", {})}}
    return {
        "metadata": {"name": "daemon-set", "labels": dict(NAME)},
        "spec": {"selector": {"matchLabels": NAME}, "template": pod, **spec},
    }


def available_on(api: Client, owner: Obj) -> list[str]:
    """The nodes of the owner's pods that are available (`checkDaemonPodOnNodes`)."""
    return sorted(
        pod["spec"]["nodeName"]
        for pod in api.owned(owner)
        if "deletionTimestamp" not in pod["metadata"]
        and any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions") or ())
    )


def nodes(api: Client) -> list[str]:
    return sorted(node["metadata"]["name"] for node in api.items("nodes"))


def everywhere(api: Client, daemons: Obj) -> None:
    until(lambda: available_on(api, daemons) == nodes(api), "a daemon on every node")


def check_numbers(api: Client) -> None:
    """`CheckDaemonStatus`."""

    def right() -> bool:
        found = counts(
            api.get("daemonsets", "daemon-set"), "desiredNumberScheduled", "currentNumberScheduled", "numberReady"
        )
        return len(set(found)) == 1

    until(right, "the numbers in the status")


def colour(api: Client, node: str, labels: Obj) -> None:
    """`setDaemonSetNodeLabels`."""

    def edit(obj: Obj) -> None:
        kept = {k: v for k, v in obj["metadata"]["labels"].items() if not k.startswith("daemonset-")}
        obj["metadata"]["labels"] = kept | labels

    api.change("nodes", node, edit)


def revisions(api: Client, selector: str = SELECTOR) -> list[Any]:
    return sorted(api.items("controllerrevisions", selector), key=lambda each: int(each["revision"]))


def matches(daemons: Obj, revision: Obj, raw: bytes) -> bool:
    """`daemon.Match`: whether the revision's data, byte by byte, are what a Go client makes of the present template."""
    data = {"spec": {"template": {**daemons["spec"]["template"], "$patch": "replace"}}}
    wanted = json.dumps(data, sort_keys=True, separators=(",", ":")).encode()
    return b'"data":' + wanted in raw and revision["data"] == data


def current(api: Client) -> Obj:
    """The one revision of the present template (`curHistory`)."""
    daemons = api.get("daemonsets", "daemon-set")
    found = []
    for each in revisions(api):
        raw = api.ask("GET", api.path("controllerrevisions", each["metadata"]["name"])).body
        if matches(daemons, each, raw):
            found.append(each)
    assert len(found) == 1, "exactly one revision is of the present template"
    only: Obj = found[0]
    return only


def hashes(api: Client) -> set[str]:
    return {pod["metadata"]["labels"][HASH] for pod in api.items("pods", SELECTOR)}


# --- DaemonSets ---------------------------------------------------------------------------------------------------


@row("DaemonSet-Creation", "DaemonSet-FailedPodCreation")
def test_daemons_run_everywhere_and_are_made_again(api: Client) -> None:
    daemons = api.create("daemonsets", daemon_set())
    everywhere(api, daemons)
    check_numbers(api)
    api.delete("pods", api.items("pods", SELECTOR)[0]["metadata"]["name"])
    everywhere(api, daemons)
    victim = api.items("pods", SELECTOR)[0]
    del victim["metadata"]["resourceVersion"]
    victim["status"]["phase"] = "Failed"
    api.put("pods", victim, "status")
    until(lambda: not api.exists("pods", victim["metadata"]["name"]), "the failed pod gone")
    everywhere(api, daemons)
    assert not api.exists("pods", victim["metadata"]["name"]), (
        "nor does its name come back: upstream's test looks every second"
    )
    api.delete_and_wait("daemonsets", "daemon-set")


@row("DaemonSet-NodeSelection")
def test_daemons_follow_labels(api: Client) -> None:
    daemons = api.create("daemonsets", daemon_set(pod={"nodeSelector": {COLOR: "blue"}}))
    until(lambda: "observedGeneration" in (api.get("daemonsets", "daemon-set").get("status") or {}), "it was looked at")
    assert available_on(api, daemons) == []
    try:
        colour(api, "sim-1", {COLOR: "blue"})
        until(lambda: available_on(api, daemons) == ["sim-1"], "a daemon on the blue node")
        check_numbers(api)
        colour(api, "sim-1", {COLOR: "green"})
        until(lambda: available_on(api, daemons) == [], "none on the green one")
        spec = {"template": {"spec": {"nodeSelector": {COLOR: "green"}}}, "updateStrategy": {"type": "RollingUpdate"}}
        api.patch("daemonsets", "daemon-set", {"spec": spec})
        until(lambda: available_on(api, daemons) == ["sim-1"], "a daemon on the green node")
        check_numbers(api)
    finally:
        colour(api, "sim-1", {})


@row("DaemonSet-RollingUpdate")
def test_daemons_are_updated(api: Client) -> None:
    daemons = api.create("daemonsets", daemon_set(updateStrategy={"type": "RollingUpdate"}))
    everywhere(api, daemons)
    assert current(api)["revision"] == 1 and hashes(api) == {current(api)["metadata"]["labels"][HASH]}
    image = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": NEW}]}}}}
    api.patch("daemonsets", "daemon-set", image)

    def updated() -> bool:
        pods = api.owned(daemons)
        new = {pod["spec"]["nodeName"] for pod in pods if pod["spec"]["containers"][0]["image"] == NEW}
        assert len(available_on(api, daemons)) >= len(nodes(api)) - 1 or len(pods) > len(nodes(api)), "one at a time"
        return sorted(new) == nodes(api)

    until(updated, "the new image on every node")
    everywhere(api, daemons)
    until(lambda: hashes(api) == {current(api)["metadata"]["labels"][HASH]}, "the label of the new revision")
    assert current(api)["revision"] == 2 and len(revisions(api)) == 2


@row("DaemonSet-Rollback")
def test_a_rollback_restarts_nothing_in_vain(api: Client) -> None:
    daemons = api.create("daemonsets", daemon_set(updateStrategy={"type": "RollingUpdate"}))
    everywhere(api, daemons)

    def turn_to(image: str) -> None:
        def edit(obj: Obj) -> None:
            obj["spec"]["template"]["spec"]["containers"][0]["image"] = image

        api.change("daemonsets", "daemon-set", edit)

    def names(image: str) -> set[str]:
        found = [pod for pod in api.items("pods", SELECTOR) if pod["spec"]["containers"][0]["image"] == image]
        return {pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]}

    turn_to(NEVER)
    until(lambda: names(NEVER), "a pod of the image that does not exist")
    kept = names(OLD)
    assert len(kept) == 2
    turn_to(OLD)
    until(lambda: len(names(OLD)) == 3 and available_on(api, daemons) == nodes(api), "back again")
    assert kept < names(OLD)


@row("DaemonSet, list and delete a collection of DaemonSets")
def test_a_collection_of_daemon_sets(api: Client) -> None:
    daemons = api.create("daemonsets", daemon_set())
    everywhere(api, daemons)
    check_numbers(api)
    assert len(api.items("daemonsets", SELECTOR, everywhere=True)) == 1
    api.delete_collection("daemonsets", SELECTOR, {"gracePeriodSeconds": 1})
    assert api.items("daemonsets", SELECTOR, everywhere=True) == []
    assert len(revisions(api)) <= 1, "collected in the background"


@row("DaemonSet, status sub-resource")
def test_the_status_of_a_daemon_set(api: Client) -> None:
    revision = api.page("daemonsets", SELECTOR, everywhere=True)["metadata"]["resourceVersion"]
    everywhere(api, api.create("daemonsets", daemon_set()))
    check_numbers(api)
    check_status(api, "daemonsets", "daemon-set", revision, SELECTOR)


@row("ControllerRevision, resource lifecycle")
def test_the_life_of_a_revision(api: Client) -> None:
    namespace = api.get("namespaces", api.namespace)
    namespace["metadata"]["annotations"] = {"scheduler.alpha.kubernetes.io/node-selector": ""}
    api.patch("namespaces", api.namespace, {"metadata": {"annotations": namespace["metadata"]["annotations"]}}, MERGE)
    everywhere(api, api.create("daemonsets", daemon_set()))
    check_numbers(api)
    daemons = api.get("daemonsets", "daemon-set")
    (first,) = api.items("controllerrevisions", SELECTOR, everywhere=True)
    (owner,) = first["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("DaemonSet", daemons["metadata"]["uid"])
    name = first["metadata"]["name"]
    patched = api.patch("controllerrevisions", name, {"metadata": {"labels": {name: "patched"}}})
    assert patched["metadata"]["labels"][name] == "patched"
    started = {pod["metadata"]["uid"] for pod in api.owned(daemons)}
    second = f"{daemons['metadata']['name']}-5f7d8c9b6c"
    metadata = {
        "name": second,
        "labels": {**NAME, HASH: "5f7d8c9b6c"},
        "annotations": daemons["metadata"]["annotations"],
        "ownerReferences": [{**owner, "blockOwnerDeletion": True}],
    }
    made = {"metadata": metadata, "data": first["data"], "revision": first["revision"] + 1}
    assert api.create("controllerrevisions", made)["data"] == first["data"]
    until(lambda: len(revisions(api)) == 2, "two revisions")
    api.delete("controllerrevisions", name)
    until(lambda: [each["metadata"]["name"] for each in revisions(api)] == [second], "one revision")
    label = {second: "updated"}
    updated = api.change("controllerrevisions", second, lambda obj: obj["metadata"]["labels"].update(label))
    assert updated["metadata"]["labels"].items() >= label.items()
    everywhere(api, daemons)
    assert {pod["metadata"]["uid"] for pod in api.owned(daemons)} == started, "the template is what it was"
    patch = {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 1}}}, "updateStrategy": {"type": "x"}}
    api.patch("daemonsets", "daemon-set", patch)
    until(lambda: len(revisions(api)) == 2, "two revisions")
    api.delete_collection("controllerrevisions", f"{second}=updated")
    until(lambda: len(revisions(api)) == 1, "one revision")
    assert api.items("controllerrevisions")[0]["revision"] == 3
    api.delete_and_wait("daemonsets", "daemon-set")


# --- StatefulSets -------------------------------------------------------------------------------------------------


def stateful_set(name: str, replicas: int, labels: Obj, **spec: Any) -> Obj:
    pod = template(labels, container="webserver")
    return {
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": labels}, "replicas": replicas, "template": pod, "serviceName": "test", **spec,
        },
    }  # fmt: skip


def service(api: Client) -> None:
    """The headless Service that each of the tests begins with."""
    spec = {"selector": SET_LABELS, "clusterIP": "None", "ports": [{"port": 80, "name": "http", "protocol": "TCP"}]}
    api.create("services", {"metadata": {"name": "test", "labels": SET_LABELS}, "spec": spec})


def ready(api: Client, name: str, replicas: int) -> Any:
    """`WaitForRunningAndReady` and `waitForStatus`."""

    def there() -> Any:
        found = api.get("statefulsets", name)
        status = found.get("status", {})
        seen = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
        return found if seen and (status.get("replicas"), status.get("readyReplicas")) == (replicas, replicas) else None

    return until(there, f"{replicas} of {name} ready")


@row("StatefulSet resource Replica scaling")
def test_the_scale_of_a_stateful_set(api: Client) -> None:
    service(api)
    api.create("statefulsets", stateful_set("ss", 1, SET_LABELS))
    ready(api, "ss", 1)
    check_scale(api, "statefulsets", "ss")


@row("StatefulSet, list, patch and delete a collection of StatefulSets")
def test_a_collection_of_stateful_sets(api: Client) -> None:
    service(api)
    api.create("statefulsets", stateful_set("test-ss", 1, {"name": "sample-pod", "pod": "httpd"}))
    ready(api, "test-ss", 1)
    pod = {"TerminationGracePeriodSeconds": 1, "containers": [{"name": "test-ss", "image": NEW}]}
    patch = {"metadata": {"labels": {"test-ss": "patched"}}, "spec": {"replicas": 2, "template": {"spec": pod}}}
    api.patch("statefulsets", "test-ss", patch)
    found = api.get("statefulsets", "test-ss")
    assert found["spec"]["replicas"] == 2 and image_of(found) == NEW
    ready(api, "test-ss", 2)
    assert len(api.items("statefulsets", "test-ss=patched", everywhere=True)) == 1
    api.delete_collection("statefulsets", "test-ss=patched", {"gracePeriodSeconds": 1})
    assert api.items("statefulsets", "test-ss=patched", everywhere=True) == []


@row("StatefulSet, status sub-resource")
def test_the_status_of_a_stateful_set(api: Client) -> None:
    service(api)
    revision = api.page("statefulsets", "e2e=testing", everywhere=True)["metadata"]["resourceVersion"]
    api.create("statefulsets", stateful_set("ss", 1, SET_LABELS))
    ready(api, "ss", 1)
    api.patch("statefulsets", "ss", {"metadata": {"labels": {"e2e": "testing"}}})
    check_status(api, "statefulsets", "ss", revision, "e2e=testing")


@row("StatefulSet, Recreate Failed Pod")
def test_a_stateful_pod_that_its_node_refuses_comes_again(api: Client) -> None:
    service(api)
    port = {"hostPort": 21017, "containerPort": 21017, "name": "conflict"}
    pod = template({}, container="webserver")["spec"]
    pod["containers"][0]["ports"] = [port]
    api.create("pods", {"metadata": {"name": "test-pod"}, "spec": {**pod, "nodeName": "sim-0"}})
    api.phase("test-pod")
    revision = api.page("pods")["metadata"]["resourceVersion"]
    body = stateful_set("ss", 1, SET_LABELS)
    body["spec"]["template"]["spec"] |= {"nodeName": "sim-0"}
    body["spec"]["template"]["spec"]["containers"][0]["ports"] = [port]
    api.create("statefulsets", body)
    with api.watch("pods", revision, field="metadata.name=ss-0") as watch:
        gone = watch.until(lambda type_, _: type_ == "DELETED", "the refused pod is deleted")
    api.delete("pods", "test-pod", {"gracePeriodSeconds": 0})

    def comes_again() -> bool:
        answer = api.ask("GET", api.path("pods", "ss-0"))
        return answer.status == 200 and (
            answer.obj["status"].get("phase") == "Running" and answer.obj["metadata"]["uid"] != gone["metadata"]["uid"]
        )

    until(comes_again, "it runs once the port is free")


@row("StatefulSet, Rolling Update")
def test_a_stateful_set_is_updated_and_rolled_back(api: Client) -> None:
    service(api)
    api.create("statefulsets", stateful_set("ss2", 3, SET_LABELS))
    first = ready(api, "ss2", 3)["status"]["currentRevision"]
    assert ready(api, "ss2", 3)["status"]["updateRevision"] == first

    def turn_to(image: str) -> str:
        def edit(obj: Obj) -> None:
            obj["spec"]["template"]["spec"]["containers"][0]["image"] = image

        generation = api.change("statefulsets", "ss2", edit)["metadata"]["generation"]

        def seen() -> Any:
            status = api.get("statefulsets", "ss2")["status"]
            return status if status["observedGeneration"] >= generation else None

        revision: str = until(seen, "the change was seen")["updateRevision"]

        def done() -> bool:
            found = api.get("statefulsets", "ss2")["status"]
            pods = api.items("pods", "foo=bar,baz=blah")
            return found["currentRevision"] == revision and {
                (pod["spec"]["containers"][0]["image"], pod["metadata"]["labels"][HASH]) for pod in pods
            } == {(image, revision)}

        until(done, f"all of {image}")
        return revision

    api.patch("pods", "ss2-1", {"metadata": {"annotations": {"seen": "yes"}}}, MERGE)
    second = turn_to(NEW)
    assert second != first
    assert turn_to(OLD) == first, "a rollback takes up the old revision"
    assert counts(ready(api, "ss2", 3), "currentReplicas", "updatedReplicas") == (3, 3)
