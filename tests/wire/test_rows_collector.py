"""Rows of the garbage collector and of namespaces: the calls of `test/e2e/apimachinery/{garbage_collector,namespace}.go`."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.support.e2e import MERGE, PROTOBUF, Client, Obj, row
from tests.support.process import Server, until
from tests.support.protobuf import envelope
from tests.wire.test_rows_objects import IMAGE, notes

RCS, PODS = "replicationcontrollers", "pods"


@pytest.fixture
def api(server: Server, namespace: str) -> Client:
    return Client(server, namespace)


def pod(name: str, **metadata: object) -> Obj:
    return {"metadata": {"name": name, **metadata}, "spec": {"containers": [{"name": "nginx", "image": IMAGE}]}}


def template(label: str) -> Obj:
    return {"metadata": {"labels": {"app": label}}, "spec": {"containers": [{"name": "nginx", "image": IMAGE}]}}


def rc(api: Client, name: str, replicas: int) -> Obj:
    """A ReplicationController whose pods are there."""
    spec = {"replicas": replicas, "selector": {"app": name}, "template": template(name)}
    made: Obj = api.create(RCS, {"metadata": {"name": name}, "spec": spec})
    until(lambda: api.get(RCS, name)["status"].get("replicas") == replicas, f"{replicas} pods of {name}")
    return made


def deployment(api: Client) -> None:
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "gc-test"}}, "template": template("gc-test")}
    api.create("deployments", {"metadata": {"name": "simpletest.deployment"}, "spec": spec})
    until(lambda: len(api.items("replicasets")) == 1, "a ReplicaSet")


def delete(api: Client, plural: str, obj: Obj, policy: str) -> None:
    options = {"propagationPolicy": policy, "preconditions": {"uid": obj["metadata"]["uid"]}}
    api.delete(plural, obj["metadata"]["name"], options)


def own(api: Client, name: str, *owners: Obj, kind: str, **more: object) -> None:
    refs = [
        {"apiVersion": "v1", "kind": kind, "name": o["metadata"]["name"], "uid": o["metadata"]["uid"], **more}
        for o in owners
    ]
    api.patch(PODS, name, {"metadata": {"ownerReferences": refs}})


def names(objects: Iterable[Obj]) -> set[str]:
    return {obj["metadata"]["name"] for obj in objects}


# --- garbage ------------------------------------------------------------------------------------------------------


@row("Garbage Collector, delete replication controller, propagation policy background")
def test_pods_go_with_their_controller(api: Client) -> None:
    delete(api, RCS, rc(api, "simpletest.rc", 2), "Background")
    until(lambda: not api.items(RCS) and not api.items(PODS), "all gone")


@row("Garbage Collector, delete replication controller, propagation policy orphan")
def test_pods_may_be_orphaned(api: Client) -> None:
    made = rc(api, "simpletest.rc", 10)
    pods = names(api.items(PODS))
    delete(api, RCS, made, "Orphan")
    until(lambda: not api.exists(RCS, "simpletest.rc"), "the controller gone")
    left = api.items(PODS)
    assert names(left) == pods and not any(each["metadata"].get("ownerReferences") for each in left)


@row("Garbage Collector, delete deployment,  propagation policy background")
def test_a_deployment_goes_with_its_sets(api: Client) -> None:
    deployment(api)
    delete(api, "deployments", api.get("deployments", "simpletest.deployment"), "Background")
    until(lambda: not api.items("deployments") and not api.items("replicasets") and not api.items(PODS), "all gone")


@row("Garbage Collector, delete deployment, propagation policy orphan")
def test_sets_may_be_orphaned(api: Client) -> None:
    deployment(api)
    delete(api, "deployments", api.get("deployments", "simpletest.deployment"), "Orphan")
    until(lambda: not api.exists("deployments", "simpletest.deployment"), "the Deployment gone")
    (left,) = api.items("replicasets")
    assert not left["metadata"].get("ownerReferences")


@row("Garbage Collector, delete replication controller, after owned pods")
def test_an_owner_waits_for_its_dependents(api: Client) -> None:
    made = rc(api, "simpletest.rc", 4)
    with api.watch(RCS, api.page(RCS)["metadata"]["resourceVersion"]) as watch:
        delete(api, RCS, made, "Foreground")
        marked = watch.until(lambda _type, obj: "deletionTimestamp" in obj["metadata"], "the mark")
        assert marked["metadata"]["finalizers"] == ["foregroundDeletion"]
        watch.until(lambda type_, _obj: type_ == "DELETED", "the controller gone")
    assert not [each for each in api.items(PODS) if "deletionTimestamp" not in each["metadata"]]


@row("Garbage Collector, multiple owners")
def test_who_has_another_owner_stays(api: Client) -> None:
    going, staying = rc(api, "simpletest-rc-to-be-deleted", 4), rc(api, "simpletest-rc-to-stay", 0)
    half = sorted(names(api.items(PODS)))[:2]
    for name in half:
        ref = {
            "apiVersion": "v1",
            "kind": "ReplicationController",
            "name": staying["metadata"]["name"],
            "uid": staying["metadata"]["uid"],
        }
        api.patch(PODS, name, {"metadata": {"ownerReferences": [ref]}})
    delete(api, RCS, going, "Foreground")
    until(lambda: not api.exists(RCS, going["metadata"]["name"]), "the owner gone")
    until(lambda: names(api.items(PODS)) == set(half), "the others gone")
    left = api.items(PODS)
    assert not any("deletionTimestamp" in each["metadata"] for each in left)
    assert {ref["name"] for each in left for ref in each["metadata"]["ownerReferences"]} == {
        staying["metadata"]["name"]
    }


@row("Garbage Collector, dependency cycle")
def test_a_circle_of_owners_goes(api: Client) -> None:
    made = {name: api.create(PODS, pod(name)) for name in ("pod1", "pod2", "pod3")}
    for name, owner in (("pod1", "pod3"), ("pod2", "pod1"), ("pod3", "pod2")):
        own(api, name, made[owner], kind="Pod", controller=True, blockOwnerDeletion=True)
    delete(api, PODS, made["pod1"], "Foreground")
    until(lambda: not api.items(PODS), "all gone")


# --- namespaces ---------------------------------------------------------------------------------------------------


@pytest.fixture
def other(api: Client) -> Client:
    """Another namespace, to be deleted."""
    name = f"other-{api.namespace}"
    api.create("namespaces", {"metadata": {"name": name}})
    return Client(api.server, name)


@row("namespace-deletion-removes-pods", "namespace-deletion-removes-services")
def test_what_is_in_a_namespace_goes_with_it(api: Client, other: Client) -> None:
    other.create(PODS, pod("test-pod"))
    other.phase("test-pod")
    other.create(
        "services",
        {"metadata": {"name": "test-service"}, "spec": {"selector": {"foo": "bar"}, "ports": [{"port": 80}]}},
    )
    api.delete("namespaces", other.namespace)
    until(lambda: not api.exists("namespaces", other.namespace), "the namespace gone")
    api.create("namespaces", {"metadata": {"name": other.namespace}})
    assert other.items(PODS) == other.items("services") == []
    api.delete("namespaces", other.namespace)


@row("Ordered Namespace Deletion")
def test_pods_go_first(api: Client, other: Client) -> None:
    finalizer = "e2e.example.com/finalizer"
    other.create(PODS, pod("test-pod", finalizers=[finalizer]))
    other.create("configmaps", {"metadata": {"name": "test-configmap"}})
    other.phase("test-pod")
    api.delete("namespaces", other.namespace)

    def told() -> bool:
        conditions = api.get("namespaces", other.namespace)["status"].get("conditions") or ()
        wanted = ("NamespaceContentRemaining", "NamespaceFinalizersRemaining")
        return {c["type"] for c in conditions if c["status"] == "True"} >= set(wanted)

    until(told, "what is left is told")
    assert "deletionTimestamp" in other.get(PODS, "test-pod")["metadata"]
    assert "deletionTimestamp" not in other.get("configmaps", "test-configmap")["metadata"]
    other.patch(PODS, "test-pod", {"metadata": {"finalizers": None}}, MERGE)
    until(lambda: not api.exists("namespaces", other.namespace), "the namespace gone")


@row("Namespace patching", "Namespace, apply update to a namespace", "Namespace, apply changes to a namespace status")
def test_a_namespace_is_changed(api: Client) -> None:
    name = api.namespace
    patched = api.patch("namespaces", name, {"metadata": {"labels": {"testLabel": "testValue"}}})
    assert patched["metadata"]["labels"]["testLabel"] == "testValue"
    condition = {"type": "StatusPatch", "status": "True", "reason": "E2E patch", "message": "Patched by an e2e test"}
    change = {"metadata": {"annotations": {"e2e-patched-ns-status": name}}, "status": {"conditions": [condition]}}
    said = api.do("PATCH", f"/api/v1/namespaces/{name}/status", change, MERGE)
    assert notes(said)["e2e-patched-ns-status"] == name and said["status"]["conditions"] == [condition]
    later = {**condition, "type": "StatusUpdate"}
    said = api.change("namespaces", name, lambda obj: obj["status"]["conditions"].append(later), "status")
    assert said["status"]["conditions"] == [condition, later] and said["status"]["phase"] == "Active"
    updated = api.change("namespaces", name, lambda obj: obj["metadata"]["labels"].update(e2e="updated"))
    assert updated["metadata"]["labels"]["e2e"] == "updated"


@row("Namespace, apply finalizer to a namespace")
def test_a_finalizer_of_a_namespace(api: Client, other: Client) -> None:
    finalizer, path = "e2e.example.com/fakeFinalizer", f"/api/v1/namespaces/{other.namespace}/finalize"

    def finalize(finalizers: list[str]) -> list[str]:
        obj = api.get("namespaces", other.namespace)
        obj["spec"]["finalizers"] = finalizers
        answer = api.ask("PUT", path, envelope("v1", "Namespace", obj), PROTOBUF)
        assert answer.status == 200, answer.body
        left: list[str] = answer.obj["spec"]["finalizers"]
        return left

    assert finalize(["kubernetes", finalizer]) == ["kubernetes", finalizer]
    assert finalize(["kubernetes"]) == ["kubernetes"]
    api.delete("namespaces", other.namespace)
    until(lambda: not api.exists("namespaces", other.namespace), "the namespace gone")
