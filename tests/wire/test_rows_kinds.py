"""Rows of sig-node about single kinds of objects: the calls of upstream's tests, in protobuf. What containers see is in tests/docker."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.support.e2e import Client, Obj, row
from tests.support.process import Server, until
from tests.wire.test_rows_objects import IMAGE, check_operations, check_resource, notes


@pytest.fixture
def api(server: Server, namespace: str) -> Client:
    return Client(server, namespace)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


# --- ConfigMaps and Secrets -------------------------------------------------------------------------------------------


@row("ConfigMap, with empty-key", "Secrets, with empty-key")
@pytest.mark.parametrize(("plural", "value"), [("configmaps", "value-1"), ("secrets", "dmFsdWUtMQo=")])
def test_an_empty_key(api: Client, plural: str, value: str) -> None:
    refused = api.try_create(plural, {"metadata": {"name": "empty-key"}, "data": {"": value}})
    assert (refused.status, refused.obj["reason"]) == (422, "Invalid")


@row("ConfigMap lifecycle")
def test_the_life_of_a_config_map(api: Client) -> None:
    static = "test-configmap-static=true"
    meta = {"name": "test-configmap", "labels": {"test-configmap-static": "true"}}
    api.create("configmaps", {"metadata": meta, "data": {"valueName": "value"}})
    assert api.get("configmaps", "test-configmap")["data"] == {"valueName": "value"}
    body = {
        "metadata": {"creationTimestamp": None, "labels": {"test-configmap": "patched"}},
        "data": {"valueName": "value1"},
    }
    api.patch("configmaps", "test-configmap", body)
    [found] = api.items("configmaps", "test-configmap=patched", everywhere=True)
    assert (found["metadata"]["namespace"], found["data"]) == (api.namespace, {"valueName": "value1"})
    assert found["metadata"]["creationTimestamp"]
    assert found["metadata"]["labels"] == {"test-configmap-static": "true", "test-configmap": "patched"}
    api.delete_collection("configmaps", static)
    assert api.items("configmaps", static) == []


@row("ConfigMap Update")
def test_an_update_without_a_revision(api: Client) -> None:
    obj: Obj = {"metadata": {"name": "c", "namespace": api.namespace}, "data": {"data-1": "value-1"}}
    api.create("configmaps", obj)
    api.put("configmaps", {**obj, "data": {"data": "value"}})
    assert api.get("configmaps", "c")["data"] == {"data": "value"}


@row("Secret patching")
def test_a_patched_secret(api: Client) -> None:
    meta = {"name": "test-secret", "labels": {"testsecret-constant": "true"}}
    api.create("secrets", {"metadata": meta, "data": {"key": encoded("value")}, "type": "Opaque"})
    listed = api.items("secrets", "testsecret-constant=true", everywhere=True)
    assert [each["metadata"]["namespace"] for each in listed] == [api.namespace]
    data = encoded(encoded("value1"))  # upstream encodes it once more than needed
    api.patch("secrets", "test-secret", {"metadata": {"labels": {"testsecret": "true"}}, "data": {"key": data}})
    assert api.get("secrets", "test-secret")["data"] == {"key": data}
    api.delete_collection("secrets", "testsecret=true")
    assert api.items("secrets", "testsecret-constant=true", everywhere=True) == []


@row("ConfigMap Volume, immutability", "Secrets Volume, immutability")
@pytest.mark.parametrize("plural", ["configmaps", "secrets"])
def test_immutability(api: Client, plural: str) -> None:
    name = "immutable"

    def data(number: int) -> dict[str, str]:
        text = f"value-{number}"
        return {"data-1": text if plural == "configmaps" else encoded(text)}

    api.create(plural, {"metadata": {"name": name}, "data": data(1)})
    api.change(plural, name, lambda obj: obj.update(data=data(2)))
    api.change(plural, name, lambda obj: obj.update(immutable=True))
    current = api.get(plural, name)
    for changes in ({"data": data(3)}, {"immutable": False}):
        refused = api.try_put(plural, {**current, **changes})
        assert (refused.status, refused.obj["reason"]) == (422, "Invalid")
        assert "field is immutable when `immutable` is set" in refused.obj["message"]
    api.put(plural, {**current, "metadata": {**current["metadata"], "labels": {"label1": "value1"}}})
    api.delete(plural, name)


# --- PodTemplates, RuntimeClasses, Leases, Nodes ----------------------------------------------------------------------


def pod_template(name: str, labels: Obj | None = None) -> Obj:
    spec = {"containers": [{"name": "nginx", "image": IMAGE}]}
    return {"metadata": {"name": name, "labels": labels or {}}, "template": {"spec": spec}}


@row("PodTemplate lifecycle")
def test_the_life_of_a_pod_template(api: Client) -> None:
    static, name = "podtemplate-static=true", "nginx-pod-template"
    assert api.items("podtemplates", static, everywhere=True) == []
    api.create("podtemplates", pod_template(name, {"podtemplate-static": "true"}))
    made = api.get("podtemplates", name)
    assert made["template"]["spec"]["restartPolicy"] == "Always"
    api.patch("podtemplates", name, {"metadata": {"labels": {"podtemplate": "patched"}}})
    assert api.get("podtemplates", name)["metadata"]["labels"]["podtemplate"] == "patched"
    api.delete("podtemplates", name)
    assert api.items("podtemplates", static, everywhere=True) == []


@row("PodTemplate, delete a collection")
def test_a_collection_of_pod_templates(api: Client) -> None:
    for number in range(1, 4):
        api.create("podtemplates", pod_template(f"test-podtemplate-{number}", {"podtemplate-set": "true"}))
    assert len(api.items("podtemplates", "podtemplate-set=true")) == 3
    api.delete_collection("podtemplates", "podtemplate-set=true")
    assert api.items("podtemplates", "podtemplate-set=true") == []


@row("PodTemplate, replace")
def test_a_pod_template_is_replaced(api: Client) -> None:
    made = api.create("podtemplates", pod_template("t"))
    updated = api.change("podtemplates", "t", lambda obj: obj["metadata"].update(annotations={"updated": "true"}))
    assert (notes(updated), updated["metadata"]["generation"]) == ({"updated": "true"}, 1)
    assert updated["template"] == made["template"]
    container = {"name": "nginx", "image": "registry.test/other:1"}
    changed = api.patch("podtemplates", "t", {"template": {"spec": {"containers": [container]}}})
    assert changed["metadata"]["generation"] == 2


def runtime_class(api: Client, name: str, handler: str, **more: Any) -> str:
    name = f"{api.namespace}-{name}"
    api.create("runtimeclasses", {"metadata": {"name": name}, "handler": handler, **more})
    return name


def runtime_pod(class_name: str) -> Obj:
    """`NewRuntimeClassPod`."""
    container = {"name": "test", "image": IMAGE, "command": ["true"]}
    spec = {"runtimeClassName": class_name, "restartPolicy": "Never", "automountServiceAccountToken": False}
    return {"metadata": {"generateName": "test-runtimeclass-"}, "spec": {**spec, "containers": [container]}}


@row("RuntimeClass API")
def test_runtime_classes(api: Client) -> None:
    check_operations(
        api, "runtimeclasses", lambda name: {"metadata": {"name": name}, "handler": f"{name}-handler"[:63]}
    )


@row("Pod with the non-existing RuntimeClass is rejected.", "Pod with the deleted RuntimeClass is rejected.")
def test_a_pod_of_no_runtime_class(api: Client) -> None:
    def refused(name: str) -> None:
        answer = api.try_create("pods", runtime_pod(name))
        assert (answer.status, answer.obj["reason"]) == (403, "Forbidden")
        assert answer.obj["message"].endswith(f'pod rejected: RuntimeClass "{name}" not found')

    refused(f"{api.namespace}-nonexistent")
    name = runtime_class(api, "delete-me", "runc")
    api.delete("runtimeclasses", name)
    assert not api.exists("runtimeclasses", name)
    refused(name)


@row("Can schedule a pod requesting existing RuntimeClass.", "RuntimeClass Overhead field must be respected.")
@pytest.mark.parametrize("overhead", [{}, {"cpu": "10m", "memory": "1Mi"}], ids=["none", "some"])
def test_a_pod_of_a_runtime_class(api: Client, overhead: dict[str, str]) -> None:
    more = {"overhead": {"podFixed": overhead}} if overhead else {}
    name = runtime_class(api, "preconfigured-handler", "test-handler", **more)
    api.create("pods", runtime_pod(name))
    [pod] = until(lambda: [p for p in api.items("pods") if p["spec"].get("nodeName")], "the pod is scheduled")
    assert pod["spec"].get("overhead", {}) == overhead
    api.delete("runtimeclasses", name)


def lease(name: str, holder: str, seconds: int, acquired: int, renewed: int, transitions: int) -> Obj:
    """Times as Go has them: seconds after the year 1 began."""
    return {"metadata": {"name": name}, "spec": {
        "holderIdentity": holder, "leaseDurationSeconds": seconds, "leaseTransitions": transitions,
        "acquireTime": f"0001-01-01T00:{acquired // 60:02}:{acquired % 60:02}.000000Z",
        "renewTime": f"0001-01-01T00:{renewed // 60:02}:{renewed % 60:02}.000000Z",
    }}  # fmt: skip


@row("lease API should be available")
def test_leases(api: Client) -> None:
    first = lease("lease", "holder", 30, 2, 5, 0)
    created = api.create("leases", first)
    assert api.get("leases", "lease")["spec"] == first["spec"]
    second = lease("lease", "holder2", 30, 20, 50, 1)["spec"]
    api.put("leases", {**created, "spec": second})
    assert api.get("leases", "lease")["spec"] == second
    third = lease("lease", "holder3", 60, 50, 70, 2)["spec"]
    api.patch("leases", "lease", {"spec": third})
    assert api.get("leases", "lease")["spec"] == third
    other = lease("lease2", "holder", 30, 2, 5, 0)
    api.create("leases", {**other, "metadata": {"name": "lease2", "labels": {"deletecollection": "true"}}})
    assert len(api.items("leases")) == 2
    api.delete_collection("leases", "deletecollection=true")
    assert [each["metadata"]["name"] for each in api.items("leases")] == ["lease"]
    api.delete("leases", "lease")
    assert not api.exists("leases", "lease")
    assert api.items("leases", everywhere=True), "those of nodes"


@row("Node, resource lifecycle")
def test_the_life_of_a_node(api: Client) -> None:
    name = "e2e-fake-node-abcde"
    ready = {"status": "True", "message": "Set from e2e test", "reason": "E2E", "type": "Ready"}
    status = {"phase": "Running", "conditions": [ready]}
    created = api.create("nodes", {"metadata": {"name": name}, "spec": {"unschedulable": True}, "status": status})
    assert api.get("nodes", name)["metadata"]["name"] == name
    patched = api.patch("nodes", name, {"metadata": {"labels": {name: "patched"}}})
    assert int(patched["metadata"]["resourceVersion"]) > int(created["metadata"]["resourceVersion"])
    assert len(api.items("nodes", f"{name}=patched")) == 1
    updated = api.change("nodes", name, lambda obj: obj["metadata"]["labels"].update({name: "updated"}))
    assert updated["metadata"]["labels"][name] == "updated"
    api.delete("nodes", name)
    until(lambda: not api.exists("nodes", name), "the node gone")


@row("Conformance tests minimum number of nodes.")
def test_two_untainted_nodes(api: Client) -> None:
    assert sum(not node["spec"].get("taints") for node in api.items("nodes")) >= 2


# --- dynamic resources ------------------------------------------------------------------------------------------------

LABEL = {"metadata": {"labels": {"foo": "bar"}}}
REQUEST = {"name": "req-0", "exactly": {"deviceClassName": "test-class"}}


@row("CRUD operations for deviceclasses")
def test_device_classes(api: Client) -> None:
    expression = {"cel": {"expression": 'device.driver == "e2e.example.com"'}}
    change = {"spec": {"selectors": [expression]}}
    check_resource(api, "deviceclasses", {"metadata": {}, "spec": {}}, change, change)


@row("CRUD operations for resourceclaims")
def test_resource_claims(api: Client) -> None:
    driver = {"driver": "e2e.example.com", "pool": "pool", "device": "dev-0", "request": "req-0"}
    status = {"allocation": {"devices": {"results": [driver]}}}
    initial = {"metadata": {}, "spec": {"devices": {"requests": [REQUEST]}}}
    check_resource(api, "resourceclaims", initial, LABEL, LABEL, status)


@row("CRUD operations for resourceclaimtemplates")
def test_resource_claim_templates(api: Client) -> None:
    initial = {"metadata": {}, "spec": {"spec": {"devices": {"requests": [REQUEST]}}}}
    check_resource(api, "resourceclaimtemplates", initial, LABEL, LABEL)


@row("CRUD operations for resoureslices")
def test_resource_slices(api: Client) -> None:
    pool = {"name": "pool", "generation": 1, "resourceSliceCount": 1}
    initial = {"metadata": {}, "spec": {
        "driver": "e2e.example.com", "nodeName": "no-such-node", "pool": pool, "devices": [{"name": "dev-0"}],
    }}  # fmt: skip
    change = {"spec": {"pool": {"generation": 2}}}
    check_resource(api, "resourceslices", initial, change, change)
