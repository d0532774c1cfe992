"""Custom kinds by stock kubectl: from the definition to `explain`, columns, scaling, waiting, errors and their end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.kubectl import NEWER, Kubectl, pick
from tests.support.process import Server, until

pytestmark = pytest.mark.kubectl

CRON_TABS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: PLURAL.stable.example.com, labels: {test: PLURAL}}
spec:
  group: stable.example.com
  scope: Namespaced
  names: {plural: PLURAL, kind: KIND, shortNames: [SHORT], categories: [tabs]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas, labelSelectorPath: .status.selector}
    additionalPrinterColumns:
    - {name: Spec, type: string, jsonPath: .spec.cronSpec, description: When it runs.}
    - {name: Replicas, type: integer, jsonPath: .spec.replicas}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
    selectableFields: [{jsonPath: .spec.image}]
    schema:
      openAPIV3Schema:
        type: object
        description: A table of things to do.
        properties:
          spec:
            type: object
            description: What is to be done.
            required: [cronSpec]
            properties:
              cronSpec: {type: string, pattern: '^(\\d+|\\*)(/\\d+)?(\\s+(\\d+|\\*)(/\\d+)?){4}$', description: When.}
              image: {type: string}
              replicas: {type: integer, minimum: 1, maximum: 10, default: 1}
              free: {type: object, x-kubernetes-preserve-unknown-fields: true, description: Anything.}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
"""


def definition(plural: str) -> str:
    return (
        CRON_TABS.replace("PLURAL", plural).replace("KIND", plural[:-1].capitalize()).replace("SHORT", plural[:2] + "x")
    )


def tab(plural: str, name: str, **spec: Any) -> str:
    kind = plural[:-1].capitalize()
    return json.dumps(
        {
            "apiVersion": "stable.example.com/v1", "kind": kind, "metadata": {"name": name},
            "spec": {"cronSpec": "* * * * */5", **spec},
        }
    )  # fmt: skip


@pytest.fixture
def tabs(kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[str]:
    """A custom kind of the test's own, and gone afterwards: its plural."""
    letters = "".join(c for c in request.node.name.lower() if c.isalpha())[-30:]
    plural = f"t{letters}s"
    kubectl.apply(definition(plural))
    yield plural
    kubectl("delete", "crd", f"{plural}.stable.example.com", "--ignore-not-found")


def test_a_custom_kind_is_a_kind_like_any_other(kubectl: Kubectl, tabs: str) -> None:
    kubectl("wait", "--for=condition=Established", f"crd/{tabs}.stable.example.com")
    assert f"{tabs[:-1]}.stable.example.com/a created" in kubectl.apply(tab(tabs, "a", image="one"))
    assert "unchanged" in kubectl.apply(tab(tabs, "a", image="one"))
    assert "configured" in kubectl.apply(tab(tabs, "a", image="two"))
    heading, row = kubectl("get", tabs).splitlines()
    assert heading.split() == ["NAME", "SPEC", "REPLICAS", "AGE"]
    assert row.split()[:7] == ["a", "*", "*", "*", "*", "*/5", "1"]
    kubectl("scale", tabs, "a", "--replicas=3")
    assert kubectl("get", f"{tabs[:2]}x", "a", "-o", "jsonpath={.spec}") == json.dumps(
        {"cronSpec": "* * * * */5", "image": "two", "replicas": 3}, separators=(",", ":")
    )
    kubectl(
        "patch", tabs, "a", "--subresource=status", "--type=merge", "-p", '{"status":{"replicas":3,"selector":"a=b"}}'
    )
    kubectl("wait", "--for=jsonpath={.status.replicas}=3", tabs, "a")
    kubectl("label", tabs, "a", "x=y")
    assert kubectl.names(tabs, "-l", "x=y") == kubectl.names(tabs, "--field-selector", "spec.image=two") == ["a"]
    assert kubectl.names("tabs") == ["a"]
    assert tabs in kubectl("api-resources", "--api-group=stable.example.com")
    kubectl("delete", tabs, "a")
    assert kubectl.names(tabs) == []


def test_what_is_wrong_is_said_by_kubectl_as_by_the_server(kubectl: Kubectl, tabs: str) -> None:
    out = kubectl.fails("create", "-f", "-", stdin=tab(tabs, "a", cronSpec="every day", replicas=11))
    assert "spec.cronSpec in body should match" in out
    assert "spec.replicas: Invalid value: 11: spec.replicas in body should be less than or equal to 10" in out
    out = kubectl.fails("create", "-f", "-", stdin=tab(tabs, "a", odd=1))
    assert 'strict decoding error: unknown field "spec.odd"' in out
    out = kubectl.run("create", "--validate=warn", "-f", "-", stdin=tab(tabs, "a", odd=1)).stderr
    assert 'Warning: unknown field "spec.odd"' in out
    kubectl("create", "-f", "-", stdin=tab(tabs, "b", free={"anything": {"goes": [1]}}))
    assert kubectl("get", tabs, "b", "-o", "jsonpath={.spec.free.anything.goes[0]}") == "1"
    out = kubectl.fails("create", "-f", "-", stdin=json.dumps({**json.loads(tab(tabs, "c")), "spec": {}}))
    assert "spec.cronSpec: Required value" in out


def test_explain_tells_what_the_definition_says(kubectl: Kubectl, tabs: str) -> None:
    out = kubectl("explain", tabs)
    for words in (
        "A table of things to do.",
        "APIVersion defines the versioned schema",
        "<ObjectMeta>",
        "What is to be done.",
    ):
        assert words in out
    out = kubectl("explain", f"{tabs}.spec")
    for words in ("cronSpec", "<string> -required-", "replicas", "<integer>", "Anything."):
        assert words in out
    assert "creationTimestamp" in kubectl("explain", f"{tabs}.metadata")
    assert 'field "nothing" does not exist' in kubectl.fails("explain", f"{tabs}.spec.nothing")


def test_definitions_are_watched_listed_and_deleted_by_label(kubectl: Kubectl) -> None:
    with kubectl.popen("get", "crd", "-w", "--output-watch-events") as seen:
        kubectl.apply(definition("watcheds"), definition("watchedtwos"))
        seen.expect("ADDED +watcheds.stable.example.com")
        kubectl("label", "crd", "watcheds.stable.example.com", "more=labels")
        seen.expect("MODIFIED +watcheds.stable.example.com")
        kubectl("delete", "crd", "-l", "test in (watcheds,watchedtwos)")
        seen.expect("DELETED +watcheds.stable.example.com")
    assert not [name for name in kubectl.names("crd") if name.startswith("watched")]


def test_a_definition_takes_its_objects_with_it_and_its_status_can_be_written(
    kubectl: Kubectl, tabs: str, server: Server
) -> None:
    name = f"{tabs}.stable.example.com"
    status = {"status": {"conditions": [{"type": "Noted", "status": "True", "reason": "Test", "message": "set by a test",
                                         "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}  # fmt: skip
    kubectl("patch", "crd", name, "--subresource=status", "--type=merge", "-p", json.dumps(status))
    assert "Noted" in kubectl("get", "crd", name, "-o", "jsonpath={.status.conditions[*].type}")
    held = json.loads(tab(tabs, "held"))
    held["metadata"]["finalizers"] = ["example.com/hold"]
    kubectl.apply(json.dumps(held))
    kubectl.apply(tab(tabs, "free"))
    kubectl("delete", "crd", name, "--wait=false")
    until(lambda: kubectl.names(tabs) == ["held"], "only the one with a finalizer is left")
    assert "create not allowed while custom resource definition is terminating" in kubectl.fails(
        "create", "-f", "-", stdin=tab(tabs, "late")
    )
    kubectl("patch", tabs, "held", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    kubectl("wait", "--for=delete", f"crd/{name}")
    assert server.request("GET", f"/apis/stable.example.com/v1/{tabs}").status == 404


def test_both_forms_of_discovery_show_the_kind(server: Server, kubectl: Kubectl, tabs: str) -> None:
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    groups = server.request("GET", "/apis", headers={"Accept": accept}).obj["items"]
    group = next(g for g in groups if g["metadata"]["name"] == "stable.example.com")
    found = next(r for r in group["versions"][0]["resources"] if r["resource"] == tabs)
    assert (found["scope"], sorted(s["subresource"] for s in found["subresources"])) == (
        "Namespaced",
        ["scale", "status"],
    )
    names = [r["name"] for r in server.request("GET", "/apis/stable.example.com/v1").obj["resources"]]
    assert {tabs, f"{tabs}/status", f"{tabs}/scale"} <= set(names)
    own = next(g for g in groups if g["metadata"]["name"] == "apiextensions.k8s.io")
    assert own["versions"][0]["resources"][0]["resource"] == "customresourcedefinitions"


@pytest.mark.slow
def test_definitions_and_objects_survive_kill_9(tmp_path_factory: pytest.TempPathFactory) -> None:
    from tests.support.process import started

    process = Server(tmp_path_factory.mktemp("crd"), "--no-agent")
    with started(process):
        kubectl = Kubectl(pick(NEWER).path, process.kubeconfig, home=process.data_dir)
        kubectl.apply(definition("lasts"))
        kubectl.apply(tab("lasts", "a"))
        process.kill()
        process.start()
        assert kubectl.names("lasts") == ["a"]
        kubectl("delete", "crd", "lasts.stable.example.com")
