"""Rows of what is published of custom kinds (`crd_publish_openapi.go`): the definitions in /openapi/v2, and kubectl going by them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.support.e2e import JSON_PATCH, Client, Obj, row
from tests.support.kubectl import Kubectl
from tests.support.process import Server, until
from tests.wire.test_rows_crd import ANYTHING, CRDS, custom, custom_kind, defined

BAR: Obj = {
    "name": {"description": "Name of Bar.", "type": "string"}, "age": {"description": "Age of Bar.", "type": "string"},
    "feeling": {"description": "Whether Bar is feeling great.", "type": "string", "enum": ["Great", "Down"]},
    "bazs": {"description": "List of Bazs.", "items": {"type": "string"}, "type": "array"},
}  # fmt: skip
BAR_STATUS: Obj = {
    "name": {"description": "Name of Bar.", "type": "string"},
    "available": {"description": "Whether the Bar is installed.", "type": "boolean"},
    "quxType": {"description": "Indicates to external qux type.", "pattern": "in-tree|out-of-tree", "type": "string"},
}


def bars(what: str, properties: Obj, **more: Any) -> Obj:
    items = {"type": "object", "properties": properties, **more}
    return {"bars": {"description": f"List of Bars and their {what}.", "type": "array", "items": items}}


def object_of(description: str, properties: Obj, **more: Any) -> Obj:
    return {"description": description, "type": "object", "properties": properties, **more}


FOO = object_of("Foo CRD for Testing", {
    "spec": object_of("Specification of Foo", bars("specs", BAR, required=["name"])),
    "status": object_of("Status of Foo", bars("statuses", BAR_STATUS)),
})  # fmt: skip
PRESERVE: Obj = {"x-kubernetes-preserve-unknown-fields": True}


def waldo(description: str = "Waldo CRD for Testing", of_spec: Obj | None = None, **more: Any) -> Obj:
    dummy = {"dummy": {"description": "Dummy property.", "type": "string"}}
    spec = object_of("Specification of Waldo", dummy, **(of_spec or {}))
    return object_of(
        description, {"spec": spec, "status": object_of("Status of Waldo", bars("statuses", BAR_STATUS))}, **more
    )


@pytest.fixture
def api(server: Server, namespace: str) -> Client:
    return Client(server, namespace)


class Published:
    """A custom kind, and what /openapi/v2 says of it."""

    def __init__(
        self, api: Client, schema: Obj, group: str, *versions: str, name: str = "crd", expected: Obj | None = None
    ) -> None:
        """`expected`: what is to be published if not the schema; nothing in it: whatever is."""
        self.api, self.schema = api, schema if expected is None else expected
        self.versions = list(versions)
        domain = f"{api.namespace}-{group}.example.com"
        self.definition = defined(api, custom_kind(api, name, schema, versions, group=domain, scope="Namespaced"))
        self.name = self.definition["metadata"]["name"]
        for version in versions:
            self.wait(version)

    def of(self, version: str) -> Any:
        """`definitionName`: what is published under it, without what the server adds."""
        spec = self.definition["spec"]
        key = ".".join([*reversed(spec["group"].split(".")), version, spec["names"]["kind"]])
        found = self.api.do("GET", "/openapi/v2")["definitions"].get(key)
        if found is None:
            return None
        properties = {
            name: value
            for name, value in found.get("properties", {}).items()
            if name not in ("apiVersion", "kind", "metadata")
        }
        [gvk] = found.pop("x-kubernetes-group-version-kind")
        assert gvk == {"group": spec["group"], "version": version, "kind": spec["names"]["kind"]}
        return {**{key: value for key, value in found.items() if key != "properties"}} | (
            {"properties": properties} if properties else {}
        )

    def wait(self, version: str) -> None:
        until(lambda: self.of(version) is not None, f"{version} is published")
        assert not self.schema or self.of(version) == self.schema

    def wait_gone(self, version: str) -> None:
        until(lambda: self.of(version) is None, f"{version} is not published")

    def clean_up(self) -> None:
        self.api.delete(CRDS, self.name)
        for version in self.versions:
            self.wait_gone(version)


# --- the definitions --------------------------------------------------------------------------------------------------


@row("Custom Resource OpenAPI Publish, varying groups")
def test_kinds_of_different_groups(api: Client) -> None:
    kinds = [Published(api, FOO, "foo", "v1"), Published(api, waldo(), "waldo", "v1beta1")]
    kinds[0].wait("v1")
    for kind in kinds:
        kind.clean_up()


@row("Custom Resource OpenAPI Publish, varying versions")
def test_versions_of_a_group(api: Client) -> None:
    Published(api, FOO, "multi-ver", "v2", "v3").clean_up()
    kinds = [
        Published(api, FOO, "common-group", "v4", name="foo"),
        Published(api, waldo(), "common-group", "v5", name="waldo"),
    ]
    kinds[0].wait("v4")
    for kind in kinds:
        kind.clean_up()


@row("Custom Resource OpenAPI Publish, varying kinds")
def test_kinds_of_a_version(api: Client) -> None:
    kinds = [
        Published(api, FOO, "common-group", "v6", name="foo"),
        Published(api, waldo(), "common-group", "v6", name="waldo"),
    ]
    kinds[0].wait("v6")
    for kind in kinds:
        kind.clean_up()


@row("Custom Resource OpenAPI Publish, version rename")
def test_a_version_gets_another_name(api: Client) -> None:
    kind = Published(api, FOO, "multi-ver", "v2", "v3")
    patch = [
        {"op": "test", "path": "/spec/versions/1/name", "value": "v3"},
        {"op": "replace", "path": "/spec/versions/1/name", "value": "v4"},
    ]
    api.patch(CRDS, kind.name, patch, JSON_PATCH)
    kind.versions[1] = "v4"
    kind.wait("v4")
    kind.wait_gone("v3")
    kind.wait("v2")
    kind.clean_up()


@row("Custom Resource OpenAPI Publish, stop serving version")
def test_a_version_is_served_no_more(api: Client) -> None:
    kind = Published(api, FOO, "multi-to-single-ver", "v5", "v6alpha1")
    api.change(CRDS, kind.name, lambda obj: obj["spec"]["versions"][1].update(served=False))
    kind.wait_gone("v6alpha1")
    kind.wait("v5")
    kind.clean_up()


# --- kubectl ----------------------------------------------------------------------------------------------------------


def create_and_apply(kubectl: Kubectl, kind: Published, name: str, **content: Any) -> None:
    obj = json.dumps(custom(kind.definition, name, **content))
    for verb in ("create", "apply"):
        kubectl(verb, "-f", "-", stdin=obj)
        kubectl("delete", kind.definition["spec"]["names"]["plural"] + "." + kind.definition["spec"]["group"], name)


def explains(kubectl: Kubectl, field: str, *words: str) -> None:
    """`verifyKubectlExplain`: the words are in what it says, in this order."""
    out = kubectl("explain", field)
    assert re.search(".*".join(words), out, re.DOTALL), out


@row("Custom Resource OpenAPI Publish, with validation schema")
@pytest.mark.kubectl
def test_a_schema(api: Client, kubectl: Kubectl) -> None:
    kind = Published(api, FOO, "foo", "v1", name="foocrd")
    create_and_apply(kubectl, kind, "test-foo", spec={"bars": [{"name": "test-bar"}]})
    wrong = {
        r'Unsupported value: "NonExistentValue"': {"bars": [{"name": "test-bar", "feeling": "NonExistentValue"}]},
        r'unknown field "spec.foo"': {"foo": True},
        r"spec.bars\[0\].name: Required value": {"bars": [{"age": "10"}]},
    }
    for why, spec in wrong.items():
        for verb in ("create", "apply"):
            said = kubectl.fails(verb, "-f", "-", stdin=json.dumps(custom(kind.definition, "test-foo", spec=spec)))
            assert re.search(why, said), said
    field = kind.name.partition(".")[0]
    explains(kubectl, field, "DESCRIPTION:", "Foo CRD for Testing", "FIELDS:", "apiVersion", "<string>",
             "APIVersion defines", "spec", "<Object>", "Specification of Foo")  # fmt: skip
    explains(kubectl, f"{field}.metadata", "DESCRIPTION:", "Standard object's metadata", "FIELDS:",
             "creationTimestamp", "<string>", "CreationTimestamp is a timestamp")  # fmt: skip
    explains(kubectl, f"{field}.spec", "DESCRIPTION:", "Specification of Foo", "FIELDS:", "bars",
             r"<\[\]Object>", "List of Bars and their specs")  # fmt: skip
    explains(kubectl, f"{field}.spec.bars", "bars", r"<\[\]Object>", "DESCRIPTION:", "List of Bars and their specs",
             "FIELDS:", "bazs", r"<\[\]string>", "List of Bazs", "name", "<string>", "Name of Bar")  # fmt: skip
    assert 'field "bars2" does not exist' in kubectl.fails("explain", f"{field}.spec.bars2")
    kind.clean_up()


@row("Custom Resource OpenAPI Publish, with x-kubernetes-preserve-unknown-fields in object")
@pytest.mark.kubectl
def test_no_schema(api: Client, kubectl: Kubectl) -> None:
    kind = Published(api, ANYTHING, "empty", "v1", name="emptycrd", expected={"type": "object"})
    create_and_apply(kubectl, kind, "test-cr", a={"b": [{"c": "d"}]})
    explains(kubectl, "emptycrds", "DESCRIPTION:", "<empty>")
    kind.clean_up()


@row("Custom Resource OpenAPI Publish, with x-kubernetes-preserve-unknown-fields at root")
@pytest.mark.kubectl
def test_anything_beside_what_is_known(api: Client, kubectl: Kubectl) -> None:
    schema = waldo("preserve-unknown-properties at root for Testing", **PRESERVE)
    kind = Published(api, schema, "unknown-at-root", "v1", name="rootcrd", expected={})
    create_and_apply(kubectl, kind, "test-cr", a={"b": [{"c": "d"}]})
    explains(kubectl, "rootcrds", "KIND:", "Rootcrd")
    kind.clean_up()


@row("Custom Resource OpenAPI Publish, with x-kubernetes-preserve-unknown-fields in embedded object")
@pytest.mark.kubectl
def test_anything_within_a_field(api: Client, kubectl: Kubectl) -> None:
    schema = waldo("preserve-unknown-properties in nested field for Testing", PRESERVE)
    kind = Published(api, schema, "unknown-in-nested", "v1", name="nestedcrd", expected={})
    create_and_apply(kubectl, kind, "test-cr", spec={"a": None, "b": [{"c": "d"}]})
    explains(kubectl, "nestedcrds", "DESCRIPTION:", "preserve-unknown-properties in nested field for Testing")
    kind.clean_up()
