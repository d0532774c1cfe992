"""Rows of sig-cli: the commands of `test/e2e/kubectl/kubectl.go`, with kubectl in two versions. The one that needs a
real container's output (logs) is in tests/e2e; for guestbook, which needs its own images, there is none."""

from __future__ import annotations

import http.client
import json
import re
import socket
from pathlib import Path

from tests.support.e2e import Obj, row
from tests.support.kubectl import Kubectl, Stream
from tests.support.process import until

AGNHOST, HTTPD, BUSYBOX = "registry.test/agnhost:2", "registry.test/httpd:1", "registry.test/busybox:1"
POD = "e2e-test-httpd-pod"


def controller(name: str, replicas: int = 1, /, **labels: str) -> Obj:
    """A ReplicationController."""
    container = {"name": name, "image": AGNHOST, "ports": [{"name": "agnhost-server", "containerPort": 6379}]}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": labels, "template": template}
    return {
        "apiVersion": "v1",
        "kind": "ReplicationController",
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
    }


def primary(kubectl: Kubectl) -> str:
    """`agnhost-primary` and its pod, which runs. The pod's name."""
    obj = controller("agnhost-primary", app="agnhost", role="primary")
    kubectl("create", "-f", "-", stdin=json.dumps(obj))
    kubectl.eventually("Running", "get", "pods", "-l", "app=agnhost", "-o", "jsonpath={.items[*].status.phase}")
    (pod,) = kubectl.names("pods", "-l", "app=agnhost")
    return pod


def run_pod(kubectl: Kubectl) -> None:
    kubectl("run", POD, f"--image={HTTPD}", "--pod-running-timeout=2m0s", f"--labels=run={POD}")
    kubectl("wait", "pod", POD, "--for=condition=Ready", "--timeout=60s")


def image(kubectl: Kubectl) -> str:
    found: str = kubectl.get("pod", POD)["spec"]["containers"][0]["image"]
    return found


def lines_match(text: str, *patterns: str) -> None:
    for pattern in patterns:
        assert re.search(pattern, text), (pattern, text)


@row("Kubectl, check version v1", "Kubectl, cluster info", "Kubectl, version")
def test_what_the_cluster_is(kubectl: Kubectl) -> None:
    assert "v1" in kubectl("api-versions").splitlines()
    lines_match(kubectl("cluster-info"), "Kubernetes control plane", "is running at")
    lines_match(kubectl("version"), "Client Version", "Server Version")


@row("Kubectl, describe pod or rc")
def test_describe(kubectl: Kubectl) -> None:
    pod = primary(kubectl)
    kubectl("expose", "rc", "agnhost-primary", "--name=agnhost-primary", "--port=6379")
    lines_match(
        kubectl("describe", "pod", pod),
        "Name:", "Namespace:", "Node:", "Labels: *app=agnhost", "role=primary", "Annotations:", "Status: *Running", "IP:",
        "Controlled By: *ReplicationController/agnhost-primary", f"Image: *{AGNHOST}", "State: *Running", "QoS Class: *BestEffort",
    )  # fmt: skip
    lines_match(
        kubectl("describe", "rc", "agnhost-primary"),
        "Name: *agnhost-primary", "Namespace:", "Selector: *app=agnhost,role=primary", "Labels: *app=agnhost", "role=primary",
        "Annotations:", "Replicas: *1 current", "Pods Status: *1 Running", "Pod Template:", f"Image: *{AGNHOST}", "Events:",
    )  # fmt: skip
    lines_match(
        kubectl("describe", "service", "agnhost-primary"),
        "Name: *agnhost-primary", "Namespace:", "Labels: *app=agnhost", "role=primary", "Annotations:",
        "Selector: *app=agnhost,role=primary", "Type: *ClusterIP", "IP:", "Port: *<unset> *6379/TCP", "Endpoints:",
        "Session Affinity: *None",
    )  # fmt: skip
    node = kubectl.get("pod", pod)["spec"]["nodeName"]
    lines_match(
        kubectl("describe", "node", node),
        "Name: *sim-", "Labels:", "Annotations:", "CreationTimestamp:", "Conditions:", "Type", "Status", "LastHeartbeatTime",
        "LastTransitionTime", "Reason", "Message", "Addresses:", "Capacity:", "Version:", "Kubelet Version:", "Pods:",
    )  # fmt: skip
    home = kubectl.get("pod", pod)["metadata"]["namespace"]
    lines_match(
        kubectl("describe", "namespace", home), f"Name: *{home}", "Labels:", "Annotations:", "Status: *Active", "quota"
    )


@row("Kubectl, diff Deployment")
def test_diff(kubectl: Kubectl) -> None:
    def deployment(image: str) -> str:
        labels = {"app": "httpd"}
        spec = {"containers": [{"name": "httpd", "image": image}]}
        template = {"metadata": {"labels": labels}, "spec": spec}
        whole = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "httpd-deployment"}}
        return json.dumps({**whole, "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}})

    kubectl("create", "-f", "-", stdin=deployment(HTTPD))
    differs = kubectl.run("diff", "-f", "-", stdin=deployment(BUSYBOX))
    assert differs.returncode == 1, differs.stderr
    lines_match(differs.stdout, rf"(?m)^-.*image: {HTTPD}$", rf"(?m)^\+.*image: {BUSYBOX}$")


@row("Kubectl, create service, replication controller")
def test_expose(kubectl: Kubectl) -> None:
    pod = primary(kubectl)
    address = kubectl.get("pod", pod)["status"]["podIP"]

    def leads(name: str, port: int) -> None:
        """The service `name` at `port` ends at the pod's own port."""
        (found,) = kubectl.get("service", name)["spec"]["ports"]
        assert (found["port"], found["targetPort"]) == (port, 6379)

        def there() -> bool:
            subsets = kubectl.get("endpoints", name).get("subsets") or ()
            return [(a["ip"], p["port"]) for s in subsets for a in s.get("addresses") or () for p in s["ports"]] == [
                (address, 6379)
            ]

        until(there, f"the endpoint of {name}")

    kubectl("expose", "rc", "agnhost-primary", "--name=rm2", "--port=1234", "--target-port=6379")
    leads("rm2", 1234)
    kubectl("expose", "service", "rm2", "--name=rm3", "--port=2345", "--target-port=6379")
    leads("rm3", 2345)


@row("Kubectl, label update")
def test_label(kubectl: Kubectl) -> None:
    pod = primary(kubectl)
    kubectl("label", "pods", pod, "testing-label=testing-label-value")
    assert "testing-label-value" in kubectl("get", "pod", pod, "-L", "testing-label")
    kubectl("label", "pods", pod, "testing-label-")
    assert "testing-label-value" not in kubectl("get", "pod", pod, "-L", "testing-label")


@row("Kubectl, patch to annotate")
def test_patch(kubectl: Kubectl) -> None:
    pod = primary(kubectl)
    kubectl("patch", "pod", pod, "-p", '{"metadata":{"annotations":{"x":"y"}}}')
    assert kubectl.get("pod", pod)["metadata"]["annotations"]["x"] == "y"


@row("Kubectl, run pod", "Kubectl, replace")
def test_run_and_replace(kubectl: Kubectl) -> None:
    kubectl("run", POD, "--restart=Never", f"--image={HTTPD}")
    spec = kubectl.get("pod", POD)["spec"]
    assert (spec["containers"][0]["image"], spec["restartPolicy"]) == (HTTPD, "Never")
    kubectl("delete", "pod", POD, "--grace-period=0", "--force")
    run_pod(kubectl)
    kubectl("replace", "-f", "-", stdin=kubectl("get", "pod", POD, "-o", "json").replace(HTTPD, BUSYBOX))
    assert image(kubectl) == BUSYBOX


@row("Kubectl, server-side dry-run Pod")
def test_dry_run(kubectl: Kubectl) -> None:
    run_pod(kubectl)
    patch = {"spec": {"containers": [{"name": POD, "image": BUSYBOX}]}}
    kubectl("patch", "pod", POD, "-p", json.dumps(patch), "--dry-run=server")
    assert image(kubectl) == HTTPD


@row("Kubectl, proxy port zero")
def test_proxy_on_any_port(kubectl: Kubectl) -> None:
    with kubectl.popen("proxy", "-p", "0", "--disable-filter") as proxy:
        port = proxy.expect(r"Starting to serve on .*:(\d+)")[1]
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)
        connection.request("GET", "/api/")
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["versions"]) == (200, ["v1"])
        connection.close()


@row("Kubectl, proxy socket")
def test_proxy_on_a_socket(kubectl: Kubectl, tmp_path: Path) -> None:
    path = tmp_path / "proxy"
    with Stream(kubectl.command("proxy", f"--unix-socket={path}"), env=kubectl.env) as proxy:
        proxy.expect("Starting to serve on")
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(30)
            client.connect(str(path))
            client.sendall(b"GET /api/ HTTP/1.0\r\nHost: localhost\r\n\r\n")
            answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert b"200 OK" in answer and b'"versions"' in answer


@row("Kubectl, replication controller", "Kubectl, scale replication controller")
def test_update_demo(kubectl: Kubectl) -> None:
    name, selected = "update-demo-nautilus", "name=update-demo"

    def running(count: int) -> None:
        def there() -> bool:
            pods = kubectl.get("pods", "-l", selected)["items"]
            return [pod["status"].get("phase") for pod in pods] == ["Running"] * count

        until(there, f"{count} pods of {name}")

    kubectl("create", "-f", "-", stdin=json.dumps(controller(name, 2, name="update-demo", version="nautilus")))
    running(2)
    for replicas in (1, 2):
        kubectl("scale", "rc", name, f"--replicas={replicas}", "--timeout=5m")
        running(replicas)
    kubectl("delete", "--grace-period=0", "--force", "rc", name)
    kubectl.eventually("", "get", "rc,svc", "-l", selected, "--no-headers")
    template = (
        '{{ range .items }}{{ if not .metadata.deletionTimestamp }}{{ .metadata.name }}{{ "\\n" }}{{ end }}{{ end }}'
    )
    kubectl.eventually("", "get", "pods", "-l", selected, "-o", f"go-template={template}")
