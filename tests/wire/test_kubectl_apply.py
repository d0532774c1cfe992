"""Server-side apply by stock kubectl and over the wire: creation, ownership, conflicts, going over from client-side apply, custom kinds."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.support.kubectl import Kubectl
from tests.support.process import Answer, Server

pytestmark = pytest.mark.kubectl
APPLY = "application/apply-patch+yaml"

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {team: one}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: registry.test/web:1
        resources: {requests: {cpu: 1000m}}
        env:
        - {name: A, value: "1"}
        - {name: B, value: "2"}
        ports: [{containerPort: 80}]
"""


TWICE = """
apiVersion: v1
kind: ConfigMap
data:
  a: b
  a: c
"""


def managers(obj: dict[str, Any]) -> list[tuple[str, str, str]]:
    entries = obj["metadata"].get("managedFields") or ()
    return [(each["manager"], each["operation"], each.get("subresource", "")) for each in entries]


def shown(kubectl: Kubectl, *what: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(kubectl("get", *what, "-o", "json", "--show-managed-fields"))
    return found


def test_kubectl_applies_by_the_server(kubectl: Kubectl) -> None:
    assert kubectl("apply", "--server-side", "-f", "-", stdin=DEPLOYMENT) == "deployment.apps/web serverside-applied\n"
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    kubectl("wait", "--for=jsonpath={.status.observedGeneration}=1", "deployment/web", "--timeout=30s")
    got = shown(kubectl, "deployment", "web")
    assert ("kubectl", "Apply", "") in managers(got) and got["spec"]["strategy"]["type"] == "RollingUpdate"
    assert {subresource for _, operation, subresource in managers(got) if operation == "Update"} <= {"status", ""}
    assert "kubectl.kubernetes.io/last-applied-configuration" not in got["metadata"].get("annotations", {})

    changed = (
        DEPLOYMENT.replace('        - {name: B, value: "2"}\n', "")
        .replace("  labels: {team: one}\n", "")
        .replace("web:1", "web:2")
    )
    kubectl("apply", "--server-side", "-f", "-", stdin=changed)
    got = kubectl.get("deployment", "web")
    (container,) = got["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [{"name": "A", "value": "1"}] and container["image"] == "registry.test/web:2"
    assert container["resources"] == {"requests": {"cpu": "1"}}
    assert "team" not in got["metadata"].get("labels", {})
    again = kubectl.get("deployment", "web")["metadata"]
    kubectl("apply", "--server-side", "-f", "-", stdin=changed)
    after = kubectl.get("deployment", "web")["metadata"]
    assert after["generation"] == again["generation"] == 2, "what changes nothing is not written"


def test_conflicts_are_told_and_forced(kubectl: Kubectl) -> None:
    kubectl("apply", "--server-side", "-f", "-", stdin=DEPLOYMENT)
    kubectl("scale", "deployment", "web", "--replicas=3")
    refused = kubectl.run("apply", "--server-side", "-f", "-", stdin=DEPLOYMENT)
    assert (
        refused.returncode != 0
        and 'conflict with "kubectl" with subresource "scale" using apps/v1: .spec.replicas' in refused.stderr
    )
    other = DEPLOYMENT.replace("replicas: 1", "replicas: 3")
    kubectl("apply", "--server-side", "--field-manager=other", "-f", "-", stdin=other)
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=DEPLOYMENT)
    assert kubectl.get("deployment", "web")["spec"]["replicas"] == 1


def test_from_client_side_to_server_side_and_back(kubectl: Kubectl) -> None:
    kubectl.apply(DEPLOYMENT)
    changed = DEPLOYMENT.replace("web:1", "web:2")
    kubectl("apply", "--server-side", "-f", "-", stdin=changed)
    got = shown(kubectl, "deployment", "web")
    assert got["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.test/web:2"
    assert ("kubectl", "Apply", "") in managers(got)
    without = changed.replace('        - {name: B, value: "2"}\n', "")
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=without)
    assert kubectl.apply(DEPLOYMENT) == "deployment.apps/web configured\n"
    got = kubectl.get("deployment", "web")["spec"]["template"]["spec"]["containers"][0]
    assert [each["name"] for each in got["env"]] == ["A", "B"] and got["image"] == "registry.test/web:1"


def test_a_dry_run_and_a_diff_change_nothing(kubectl: Kubectl) -> None:
    kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=DEPLOYMENT)
    assert kubectl.run("get", "deployment", "web").returncode != 0
    kubectl("apply", "--server-side", "-f", "-", stdin=DEPLOYMENT)
    assert kubectl.run("diff", "--server-side", "-f", "-", stdin=DEPLOYMENT).returncode == 0
    differs = kubectl.run("diff", "--server-side", "-f", "-", stdin=DEPLOYMENT.replace("web:1", "web:2"))
    assert differs.returncode == 1 and "+      - image: registry.test/web:2" in differs.stdout.replace(
        "+        image", "+      - image"
    )


# --- over the wire ------------------------------------------------------------------------------------------------


def put(server: Server, path: str, config: dict[str, Any] | str, **query: str) -> Answer:
    text = config if isinstance(config, str) else yaml.safe_dump(config)
    asked = "&".join(f"{name}={value}" for name, value in {"fieldManager": "me", **query}.items() if value)
    return server.request("PATCH", f"{path}?{asked}", text.encode(), headers={"Content-Type": APPLY})


def config_map(data: dict[str, str], **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", **metadata}, "data": data}


def test_an_apply_creates_and_merges(server: Server, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps/c"
    made = put(server, path, config_map({"a": "1"}))
    assert made.status == 201 and made.obj["metadata"]["uid"]
    assert put(server, path, config_map({"b": "2"}), fieldManager="you").status == 200
    again = put(server, path, config_map({"c": "3"}))
    assert again.status == 200 and again.obj["data"] == {"b": "2", "c": "3"}
    same = put(server, path, config_map({"c": "3"}))
    assert same.obj == again.obj, "an apply that changes nothing is not written"


@pytest.mark.parametrize(
    ("config", "query", "code", "why"),
    [
        (config_map({}), {"fieldManager": ""}, 422, "fieldManager: Required value: is required for apply patch"),
        (config_map({}), {"fieldManager": "x" * 129}, 422, "fieldManager: Too long: may not be more than 128 bytes"),
        ({**config_map({}), "foo": 1}, {}, 400, ".foo: field not declared in schema"),
        ({**config_map({}), "apiVersion": "v2"}, {}, 400, "in apply patch. Specified patch version: v2, expected: v1"),
        (config_map({}, managedFields=[]), {}, 400, "metadata.managedFields must be nil"),
        (config_map({}, name="other"), {}, 400, "the name of the object (other) does not match the name on the URL (c)"),
        (config_map({}, resourceVersion="1"), {}, 409, "the object has been modified"),
        (config_map({}, uid="u"), {}, 409, "uid mismatch: the provided object specified uid u, and no"),
        ("a: [", {}, 400, "error decoding YAML"),
        (TWICE, {"fieldValidation": "Strict"}, 400, 'line 6: key "a" already set in map'),
    ],
)  # fmt: skip
def test_what_cannot_be_applied(
    server: Server, namespace: str, config: Any, query: dict[str, str], code: int, why: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps/c"
    refused = put(server, path, config, **query)
    assert refused.status == code and why in refused.obj["message"], refused.obj
    assert server.request("GET", path).status == 404


def test_other_patches_may_not_be_forced(server: Server, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps/c"
    put(server, path, config_map({"a": "1"}))
    refused = server.request(
        "PATCH", f"{path}?force=true", b"{}", headers={"Content-Type": "application/merge-patch+json"}
    )
    assert (
        refused.status == 422 and "force: Forbidden: may not be specified for non-apply patch" in refused.obj["message"]
    )


def test_updates_and_patches_are_tracked_and_tracking_can_be_ended(server: Server, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps/c"
    live = put(server, path, config_map({"a": "1", "b": "1"})).obj
    live["data"]["a"] = "2"
    del live["metadata"]["managedFields"]
    live = server.request("PUT", f"{path}?fieldManager=editor", live).obj
    assert managers(live) == [("me", "Apply", ""), ("editor", "Update", "")], "who does not know of it does not wipe it"
    merge = "application/merge-patch+json"
    live = server.request(
        "PATCH", f"{path}?fieldManager=patcher", b'{"data":{"c":"1"}}', headers={"Content-Type": merge}
    ).obj
    assert managers(live)[2] == ("patcher", "Update", "")
    assert put(server, path, config_map({"a": "1"})).status == 409
    for ended in (b'{"metadata":{"managedFields":[{}]}}', b'{"metadata":{"managedFields":[]}}'):
        put(server, path, config_map({"d": "1"}))
        live = server.request("PATCH", path, ended, headers={"Content-Type": merge}).obj
        assert managers(live) == []


def test_a_status_is_applied(server: Server, namespace: str) -> None:
    path = f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets/b"
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b"}}
    assert put(server, f"{path}/status", {**budget, "status": {}}).status == 404
    assert put(server, path, {**budget, "spec": {"minAvailable": 1, "selector": {}}}).status == 201
    condition = {
        "type": "Mine",
        "status": "True",
        "reason": "R",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    done = put(server, f"{path}/status", {**budget, "spec": {"minAvailable": 7}, "status": {"conditions": [condition]}})
    assert done.status == 200, done.obj
    assert condition in done.obj["status"]["conditions"] and done.obj["spec"]["minAvailable"] == 1
    assert ("me", "Apply", "status") in managers(done.obj)
    gone = put(server, f"{path}/status", {**budget, "status": {}})
    assert condition not in gone.obj["status"].get("conditions", [])


def test_who_may_only_patch_does_not_create(server: Server, kubectl: Kubectl, namespace: str) -> None:
    kubectl("create", "role", "patcher", "--verb=get,patch", "--resource=configmaps")
    kubectl("create", "rolebinding", "patcher", "--role=patcher", "--user=pat")
    text = yaml.safe_dump(config_map({"a": "1"}))
    refused = kubectl.run("apply", "--server-side", "--as=pat", "-f", "-", stdin=text)
    assert 'User "pat" cannot create resource "configmaps"' in refused.stderr
    kubectl("create", "configmap", "c")
    kubectl("apply", "--server-side", "--as=pat", "-f", "-", stdin=text)


def test_custom_kinds_are_applied(kubectl: Kubectl, namespace: str) -> None:
    group = f"{namespace}.example.com"
    item = {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"type": "string"}, "size": {"type": "integer"}},
    }
    spec = {
        "type": "object",
        "properties": {"parts": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": item}},
    }  # fmt: skip
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"things.{group}"},
        "spec": {
            "group": group, "scope": "Namespaced", "names": {"plural": "things", "singular": "thing", "kind": "Thing"},
            "versions": [{
                "name": "v1", "served": True, "storage": True, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": {"type": "object"}}}},
            }],
        },
    }  # fmt: skip
    kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(crd))
    kubectl("wait", "--for=condition=Established", f"crd/things.{group}", "--timeout=30s")
    thing = {"apiVersion": f"{group}/v1", "kind": "Thing", "metadata": {"name": "t"}}
    for manager, part in (("one", {"name": "a", "size": 1}), ("two", {"name": "b", "size": 2}), ("one", {"name": "a"})):
        config = json.dumps({**thing, "spec": {"parts": [part]}})
        kubectl("apply", "--server-side", f"--field-manager={manager}", "-f", "-", stdin=config)
    assert kubectl.get(f"things.{group}", "t")["spec"]["parts"] == [{"name": "a"}, {"name": "b", "size": 2}]
    kubectl("delete", "crd", f"things.{group}")
