"""Rows of CustomResourceDefinitions: the calls of upstream's tests (`custom_resource_definition.go`, `crd_watch.go`).

`custom_kind` and `defined` serve the other files with rows about custom kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.support.e2e import JSON_PATCH, MERGE, Client, Obj, Watch, row
from tests.support.process import Server, until

CRDS = "customresourcedefinitions"
ANYTHING: Obj = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


@pytest.fixture
def api(server: Server, namespace: str) -> Client:
    return Client(server, namespace)


def custom_kind(
    api: Client, name: str, schema: Obj = ANYTHING, versions: Sequence[str] = ("v1beta1",), *, group: str = "",
    scope: str = "Cluster", labels: Obj | None = None,
) -> Obj:  # fmt: skip
    """A definition of its own group, stored in its first version."""
    group = group or f"{api.namespace}.example.com"
    served = [
        {"name": version, "served": True, "storage": number == 0, "schema": {"openAPIV3Schema": schema}}
        for number, version in enumerate(versions)
    ]
    names = {"plural": f"{name}s", "singular": name, "kind": name.capitalize(), "listKind": f"{name.capitalize()}List"}
    spec = {"group": group, "scope": scope, "names": names, "versions": served}
    return {"metadata": {"name": f"{name}s.{group}", "labels": labels or {}}, "spec": spec}


def defined(api: Client, definition: Obj) -> Any:
    """The definition as it is once it is established."""
    name = definition["metadata"]["name"]
    api.create(CRDS, definition)
    until(lambda: (api.condition(CRDS, name, "Established") or {}).get("status") == "True", f"{name} established")
    return api.get(CRDS, name)


def home(definition: Obj, version: str = "", namespace: str = "") -> str:
    """Where the objects of a definition are, in its first version if no other is asked for."""
    spec = definition["spec"]
    place = f"/namespaces/{namespace}" if namespace else ""
    return f"/apis/{spec['group']}/{version or spec['versions'][0]['name']}{place}/{spec['names']['plural']}"


def custom(definition: Obj, name: str, **content: Any) -> Obj:
    spec = definition["spec"]
    version = f"{spec['group']}/{spec['versions'][0]['name']}"
    return {"apiVersion": version, "kind": spec["names"]["kind"], "metadata": {"name": name}, **content}


@row("Custom Resource Definition, create")
def test_definitions_come_and_go(api: Client) -> None:
    definition = defined(api, custom_kind(api, "noxu"))
    name = definition["metadata"]["name"]
    assert api.do("GET", home(definition))["items"] == []
    api.delete(CRDS, name)
    until(lambda: not api.exists(CRDS, name), f"{name} is gone")
    assert api.ask("GET", home(definition)).status == 404


@row("Custom Resource Definition, list")
def test_definitions_with_a_label(api: Client) -> None:
    selector = f"e2e-list-test-uuid={api.namespace}"
    labels = dict([selector.split("=")])
    made = [defined(api, custom_kind(api, f"noxu{number}", labels=labels)) for number in range(10)]
    other = defined(api, custom_kind(api, "other"))
    expected = {each["metadata"]["name"]: each["spec"] for each in made}
    assert {each["metadata"]["name"]: each["spec"] for each in api.items(CRDS, selector)} == expected
    api.delete_collection(CRDS, selector)
    until(lambda: not api.items(CRDS, selector), "the definitions with the label are gone")
    assert api.get(CRDS, other["metadata"]["name"])["metadata"]["uid"] == other["metadata"]["uid"]
    api.delete(CRDS, other["metadata"]["name"])


@row("Custom Resource Definition, status sub-resource")
def test_the_status_of_a_definition(api: Client) -> None:
    definition = defined(api, custom_kind(api, "noxu"))
    name = definition["metadata"]["name"]
    path = f"{api.path(CRDS, name)}/status"

    def messages(obj: Obj) -> list[str]:
        return [each.get("message", "") for each in obj["status"]["conditions"]]

    while True:
        current = api.do("GET", path)
        assert current["spec"] == definition["spec"]
        current["status"]["conditions"].append({"type": "", "status": "", "message": "updated"})
        answer = api.try_put(CRDS, current, "status")
        if answer.status != 409:
            break
    assert answer.status == 200 and "updated" in messages(answer.obj)
    assert "updated" in messages(api.do("GET", path))
    patch = [{"op": "add", "path": "/status/conditions", "value": [{"message": "patched"}]}]
    assert "patched" in messages(api.do("PATCH", path, patch, JSON_PATCH))
    api.delete(CRDS, name)


@row("Custom Resource Definition, discovery")
def test_definitions_are_discovered(api: Client) -> None:
    group = next(each for each in api.do("GET", "/apis")["groups"] if each["name"] == "apiextensions.k8s.io")
    one = api.do("GET", "/apis/apiextensions.k8s.io")
    for each in (group, one):
        assert "v1" in [version["version"] for version in each["versions"]]
    assert one["name"] == "apiextensions.k8s.io"
    resources = api.do("GET", "/apis/apiextensions.k8s.io/v1")
    assert resources["groupVersion"] == "apiextensions.k8s.io/v1"
    assert CRDS in [each["name"] for each in resources["resources"]]


@row("Custom Resource Definition, defaulting")
def test_defaults_of_requests_and_of_what_is_stored(api: Client) -> None:
    schema = {**ANYTHING, "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}
    definition = defined(api, custom_kind(api, "noxu", schema))
    path, name = home(definition), definition["metadata"]["name"]
    properties = "/spec/versions/0/schema/openAPIV3Schema/properties"
    api.do("POST", path, custom(definition, "cr-1"))

    add = {"op": "add", "path": f"{properties}/a/default", "value": "A"}
    api.patch(CRDS, name, [add], JSON_PATCH)
    until(lambda: api.do("GET", f"{path}/cr-1").get("a") == "A", "a default on read")
    assert api.do("POST", path, custom(definition, "cr-2"))["a"] == "A"
    patch = [
        {"op": "remove", "path": f"{properties}/a/default"},
        {"op": "add", "path": f"{properties}/b/default", "value": "B"},
    ]
    api.patch(CRDS, name, patch, JSON_PATCH)
    until(lambda: api.do("GET", f"{path}/cr-2").get("b") == "B", "another default on read")
    assert api.do("GET", f"{path}/cr-2")["a"] == "A"  # it was stored
    assert "a" not in api.do("GET", f"{path}/cr-1")  # it was only shown
    api.delete(CRDS, name)


@row("Custom Resource Definition, watch")
def test_watches_of_custom_objects(api: Client) -> None:
    definition = defined(api, custom_kind(api, "noxu"))
    path = home(definition)
    revision = api.do("GET", path)["metadata"]["resourceVersion"]
    query = f"watch=true&resourceVersion={revision}&fieldSelector=metadata.name%3D"
    watches = {name: Watch(api.server, f"{path}?{query}{name}") for name in ("name1", "name2")}
    changes: dict[str, Callable[[str], Any]] = {
        "ADDED": lambda name: api.do("POST", path, custom(definition, name, content={"key": "value"}, num=2**63 - 1)),
        "MODIFIED": lambda name: api.do("PATCH", f"{path}/{name}", {"dummy": "test"}, MERGE),
        "DELETED": lambda name: api.do("DELETE", f"{path}/{name}"),
    }
    for expected, change in changes.items():
        for name, watch in watches.items():
            change(name)
            type_, obj = watch.next(f"{expected} of {name}")
            assert (type_, obj["metadata"]["name"], obj["num"]) == (expected, name, 2**63 - 1)
            assert obj.get("dummy") == (None if expected == "ADDED" else "test")
    for watch in watches.values():
        watch.close()
    api.delete(CRDS, definition["metadata"]["name"])
