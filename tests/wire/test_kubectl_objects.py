"""Objects by stock kubectl: apply, edit-style changes, output formats, explain and discovery (issue 2, point 2)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.kubectl import NEWER, Kubectl, pick
from tests.support.process import Server

pytestmark = pytest.mark.kubectl

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
        env:
        - {name: A, value: "1"}
        - {name: B, value: "2"}
        ports: [{containerPort: 80}]
      - name: side
        image: registry.test/side:1
"""


def test_apply_creates_changes_and_prunes(kubectl: Kubectl) -> None:
    assert kubectl.apply(DEPLOYMENT) == "deployment.apps/web created\n"
    assert kubectl.apply(DEPLOYMENT) == "deployment.apps/web unchanged\n"
    changed = (
        DEPLOYMENT.replace('        - {name: B, value: "2"}\n', "")
        .replace("registry.test/web:1", "registry.test/web:2")
        .replace("  labels: {team: one}\n", "")
        .replace("      - name: side\n        image: registry.test/side:1\n", "")
    )
    assert kubectl.apply(changed) == "deployment.apps/web configured\n"
    got = kubectl.get("deployment", "web")
    (container,) = got["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.test/web:2"
    assert container["env"] == [{"name": "A", "value": "1"}]
    assert "team" not in got["metadata"].get("labels", {})


def test_apply_keeps_what_others_set(kubectl: Kubectl) -> None:
    kubectl.apply(DEPLOYMENT)
    kubectl("scale", "deployment", "web", "--replicas=3")
    kubectl("label", "deployment", "web", "mine=yes")
    kubectl.apply(DEPLOYMENT.replace("  replicas: 1\n", ""))
    kubectl.apply(DEPLOYMENT.replace("  replicas: 1\n", "").replace("team: one", "team: two"))
    labels = kubectl.get("deployment", "web")["metadata"]["labels"]
    assert labels == {"team": "two", "mine": "yes"}


def test_apply_diff_and_dry_run(kubectl: Kubectl) -> None:
    assert "(server dry run)" in kubectl.apply(DEPLOYMENT, options=("--dry-run=server",))
    assert kubectl("get", "deployments", "-o", "name") == ""
    kubectl.apply(DEPLOYMENT)
    changed = DEPLOYMENT.replace("registry.test/web:1", "registry.test/web:2")
    diff = kubectl.run("diff", "-f", "-", stdin=changed)
    assert diff.returncode == 1, diff.stderr
    assert "+        image: registry.test/web:2" in diff.stdout or "+      - image: registry.test/web:2" in diff.stdout
    assert kubectl.run("diff", "-f", "-", stdin=DEPLOYMENT).returncode == 0


def test_create_replace_and_delete_from_file(kubectl: Kubectl) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: page}\ndata: {index.html: hello}\n"
    kubectl("create", "-f", "-", stdin=text)
    assert "AlreadyExists" in kubectl.fails("create", "-f", "-", stdin=text)
    kubectl("replace", "-f", "-", stdin=text.replace("hello", "goodbye"))
    assert kubectl.get("configmap", "page")["data"] == {"index.html": "goodbye"}
    kubectl("delete", "-f", "-", stdin=text)
    assert "NotFound" in kubectl.fails("get", "configmap", "page")


def test_patch_kinds(kubectl: Kubectl) -> None:
    kubectl.apply(DEPLOYMENT)
    strategic = {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "registry.test/web:9"}]}}}}
    assert kubectl("patch", "deployment", "web", "-p", json.dumps(strategic)) == "deployment.apps/web patched\n"
    containers = kubectl.get("deployment", "web")["spec"]["template"]["spec"]["containers"]
    assert [(c["name"], c["image"]) for c in containers] == [
        ("web", "registry.test/web:9"),
        ("side", "registry.test/side:1"),
    ]
    kubectl("patch", "deployment", "web", "--type=merge", "-p", '{"metadata":{"labels":{"team":null,"new":"x"}}}')
    assert kubectl.get("deployment", "web")["metadata"]["labels"] == {"new": "x"}
    operations = [
        {"op": "test", "path": "/spec/replicas", "value": 1},
        {"op": "replace", "path": "/spec/replicas", "value": 2},
    ]
    kubectl("patch", "deployment", "web", "--type=json", "-p", json.dumps(operations))
    assert kubectl.get("deployment", "web")["spec"]["replicas"] == 2
    assert kubectl("patch", "deployment", "web", "-p", "{}") == "deployment.apps/web patched (no change)\n"
    kubectl("patch", "deployment", "web", "--subresource=scale", "--type=merge", "-p", '{"spec":{"replicas":4}}')
    assert kubectl.get("deployment", "web")["spec"]["replicas"] == 4


def test_edit(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "page", "--from-literal=key=before")
    kubectl.env["KUBE_EDITOR"] = "sed -i s/before/after/"
    assert "configmap/page edited" in kubectl("edit", "configmap", "page")
    assert kubectl.get("configmap", "page")["data"] == {"key": "after"}


def test_label_and_annotate(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "page")
    assert kubectl("label", "configmap", "page", "a=1", "b=2") == "configmap/page labeled\n"
    assert "already has a value" in kubectl.fails("label", "configmap", "page", "a=2")
    kubectl("label", "configmap", "page", "a=2", "--overwrite")
    kubectl("label", "configmap", "page", "b-")
    kubectl("annotate", "configmap", "page", "note=some words here")
    metadata = kubectl.get("configmap", "page")["metadata"]
    assert metadata["labels"] == {"a": "2"}
    assert metadata["annotations"] == {"note": "some words here"}
    assert kubectl("get", "configmaps", "-l", "a in (1,2),!b", "-o", "name") == "configmap/page\n"
    assert kubectl("get", "configmaps", "-l", "a=1", "-o", "name") == ""
    assert kubectl("get", "configmaps", "-L", "a", "--field-selector", "metadata.name=page").split()[-1] == "2"


def test_output_formats(kubectl: Kubectl) -> None:
    kubectl.apply(DEPLOYMENT)
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    wide = kubectl("get", "deployment", "web", "-o", "wide")
    assert wide.split("\n")[0].split() == [
        "NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "CONTAINERS", "IMAGES", "SELECTOR"
    ]  # fmt: skip
    assert "web,side" in wide
    pods = kubectl("get", "pods", "-o", "wide")
    assert pods.split("\n")[0].split("  ")[0] == "NAME"
    for column in ("READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE", "NOMINATED NODE", "READINESS GATES"):
        assert column in pods
    assert "2/2 " in pods
    text = kubectl("get", "deployment", "web", "-o", "yaml")
    assert text.startswith("apiVersion: apps/v1\n")
    assert "kind: Deployment\n" in text
    assert kubectl("get", "deploy", "-o", "jsonpath={.items[*].metadata.name}") == "web"
    columns = "NAME:.metadata.name,IMAGE:.spec.template.spec.containers[0].image"
    assert [line.split() for line in kubectl("get", "deploy", "-o", f"custom-columns={columns}").splitlines()] == [
        ["NAME", "IMAGE"],
        ["web", "registry.test/web:1"],
    ]
    assert kubectl("get", "deploy", "-o", "go-template={{range .items}}{{.metadata.name}}{{end}}") == "web"
    assert kubectl("get", "deploy,rs", "--sort-by=.metadata.name", "-o", "name").count("\n") == 2
    assert kubectl("get", "all").count("deployment.apps/web") == 1
    assert "NAMESPACE" in kubectl("get", "pods", "-A")
    assert "No resources found" in kubectl.run("get", "secrets").stderr
    assert "not found" in kubectl.fails("get", "deployment", "nothing")


def test_explain(kubectl: Kubectl) -> None:
    pod = kubectl("explain", "pod.spec.containers.livenessProbe.httpGet")
    assert "FIELD: httpGet" in pod
    assert "port\t<IntOrString> -required-" in pod
    assert "<Deployment>" not in kubectl("explain", "deployment")
    deployment = kubectl("explain", "deployment")
    assert "GROUP:      apps" in deployment
    assert "spec\t<DeploymentSpec>" in deployment
    assert "strategy" in kubectl("explain", "deployment", "--recursive")
    assert 'field "nothing" does not exist' in kubectl.fails("explain", "pod.spec.nothing")


def test_api_resources_and_versions(kubectl: Kubectl) -> None:
    found = kubectl("api-resources", "--no-headers").splitlines()
    lines = {line.split()[0]: line for line in reversed(found)}  # the first of a name: metrics.k8s.io has nodes, too
    for name in ("namespaces", "nodes", "pods", "services", "endpoints", "configmaps", "secrets", "serviceaccounts", "events",
                 "replicationcontrollers", "replicasets", "deployments", "endpointslices", "leases"):  # fmt: skip
        assert name in lines
    assert lines["deployments"].split()[1:4] == ["deploy", "apps/v1", "true"]
    assert lines["nodes"].split()[1:4] == ["no", "v1", "false"]
    assert "deletecollection" in kubectl("api-resources", "-o", "wide", "--api-group=apps")
    assert {"v1", "apps/v1", "discovery.k8s.io/v1", "coordination.k8s.io/v1"} <= set(kubectl("api-versions").split())
    assert "Server Version: v1." in kubectl("version")
    assert "is running at" in kubectl("cluster-info")


def test_raw_and_auth(kubectl: Kubectl) -> None:
    assert kubectl("get", "--raw", "/readyz") == "ok"
    assert "apiserver" in kubectl("get", "--raw", "/metrics") or "minik" in kubectl("get", "--raw", "/metrics")
    assert kubectl("auth", "can-i", "create", "pods") == "yes\n"
    assert "minik-admin" in kubectl("auth", "whoami")


def test_create_everything(kubectl: Kubectl) -> None:
    """What `kubectl create` makes by itself; from 1.33 on it sends these as protobuf."""
    kubectl("create", "configmap", "c", "--from-literal=a=1")
    kubectl("create", "secret", "generic", "s", "--from-literal=password=secret words")
    kubectl("create", "serviceaccount", "robot")
    kubectl("create", "service", "clusterip", "inside", "--tcp=80:8080")
    kubectl("create", "service", "nodeport", "outside", "--tcp=80")
    kubectl("create", "service", "externalname", "away", "--external-name=example.test")
    kubectl("create", "deployment", "d", "--image=registry.test/d", "--", "sleep", "1d")
    kubectl("run", "p", "--image=registry.test/p", "--env=A=1", "--labels=x=y", "--port=80")
    assert kubectl.get("configmap", "c")["data"] == {"a": "1"}
    secret = kubectl.get("secret", "s")
    assert (secret["type"], secret["data"]) == ("Opaque", {"password": "c2VjcmV0IHdvcmRz"})
    assert kubectl.get("service", "inside")["spec"]["ports"] == [
        {"name": "80-8080", "port": 80, "protocol": "TCP", "targetPort": 8080}
    ]
    assert kubectl.get("service", "away")["spec"]["externalName"] == "example.test"
    assert kubectl.get("deployment", "d")["spec"]["template"]["spec"]["containers"][0]["command"] == ["sleep", "1d"]
    pod = kubectl.get("pod", "p")
    assert pod["spec"]["containers"][0]["env"] == [{"name": "A", "value": "1"}]
    assert pod["spec"]["serviceAccountName"] == "default"
    assert kubectl("create", "token", "robot").count(".") == 2
    kubectl("create", "namespace", f"{pod['metadata']['namespace']}-more")
    kubectl("delete", "namespace", f"{pod['metadata']['namespace']}-more")


def test_namespace_deletion_takes_everything(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(DEPLOYMENT)
    kubectl("create", "configmap", "c")
    kubectl("expose", "deployment", "web", "--port=80")
    kubectl("delete", "namespace", namespace, "--timeout=60s")
    assert "NotFound" in kubectl.fails("get", "namespace", namespace)
    assert kubectl("get", "deploy,rs,pods,svc,cm,sa,endpointslices", "-o", "name") == ""


def test_protobuf_bodies(server: Server, namespace: str, tmp_path: Path) -> None:
    """A kubectl that sends protobuf gets its object stored as one that sends JSON."""
    kubectl = Kubectl(pick(NEWER).path, server.kubeconfig, home=tmp_path, namespace=namespace)
    verbose = kubectl.run("create", "configmap", "c", "--from-literal=a=1", "-v=8")
    assert verbose.returncode == 0, verbose.stderr
    assert "application/vnd.kubernetes.protobuf" in verbose.stderr
    assert kubectl.get("configmap", "c")["data"] == {"a": "1"}
