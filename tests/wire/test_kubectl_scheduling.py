"""The scheduler by stock kubectl and `minik why`: pods that fit nowhere, gates, preemption (the rows of sig-scheduling
SchedulerPreemption), a second profile and an extender from `--scheduler-config`."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from tests.support import kubectl as kubectls
from tests.support.kubectl import Kubectl
from tests.support.process import MINIK, ROOT, Server, started, until

pytestmark = pytest.mark.kubectl

Obj = dict[str, Any]
SLOT = "example.com/slot"
"""An extended resource: each node has five."""
_numbers = itertools.count(1)


class Opinionated(BaseHTTPRequestHandler):
    """An extender that likes sim-1 only."""

    asked: ClassVar[Counter[str]] = Counter()

    def do_POST(self) -> None:
        arguments = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        verb = self.path.rsplit("/", 1)[-1]
        Opinionated.asked[f"{verb} {arguments['Pod']['metadata']['name']}"] += 1
        names = [name for name in arguments["NodeNames"] if name == "sim-1"]
        failed = {name: "node(s) the extender does not like" for name in arguments["NodeNames"] if name != "sim-1"}
        body = json.dumps({"NodeNames": names, "FailedNodes": failed}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def extender() -> Iterator[str]:
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Opinionated)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}"
    finally:
        httpd.shutdown()
        httpd.server_close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Three nodes with five slots each; the profile `packer` fills one node after the other, and an extender minds example.com/odd."""
    root = tmp_path_factory.mktemp("scheduling")
    with extender() as url:
        strategy = {"type": "MostAllocated", "resources": [{"name": SLOT, "weight": 1}]}
        config = {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "profiles": [
                {"schedulerName": "default-scheduler"},
                {
                    "schedulerName": "packer",
                    "plugins": {"score": {"disabled": [{"name": "*"}], "enabled": [{"name": "NodeResourcesFit", "weight": 1}]}},
                    "pluginConfig": [{"name": "NodeResourcesFit", "args": {"scoringStrategy": strategy}}],
                },
            ],
            "extenders": [
                {
                    "urlPrefix": url, "filterVerb": "filter", "nodeCacheCapable": True,
                    "managedResources": [{"name": "example.com/odd", "ignoredByScheduler": True}],
                }
            ],
        }  # fmt: skip
        (root / "scheduler.yaml").write_text(yaml.safe_dump(config))
        options = ("--containers", "fake", "--nodes", "3", "--node-name", "sim")
        process = Server(root, *options, "--scheduler-config", str(root / "scheduler.yaml"))
        with started(process):
            admin = Kubectl(kubectls.any_binary().path, process.kubeconfig, home=root)
            for number in range(3):
                patch = {"status": {kind: {SLOT: "5"} for kind in ("capacity", "allocatable")}}
                words = (
                    "patch",
                    "node",
                    f"sim-{number}",
                    "--subresource=status",
                    "--type=merge",
                    "-p",
                    json.dumps(patch),
                )
                until(lambda words=words: admin.run(*words).returncode == 0, "the node")  # type: ignore[misc]  # bound now
            for level in range(1, 5):
                admin("create", "priorityclass", f"p{level}", f"--value={level}")
            yield process


@pytest.fixture
def kubectl(server: Server, tmp_path: Path) -> Iterator[Kubectl]:
    """In a namespace of the test's own, whose pods are gone afterwards."""
    name = f"scheduling-{next(_numbers)}"
    admin = Kubectl(kubectls.any_binary().path, server.kubeconfig, home=tmp_path, namespace=name)
    admin("create", "namespace", name)
    until(lambda: admin.run("get", "serviceaccount", "default").returncode == 0, "its service account")
    yield admin
    admin("delete", "pods,replicasets,poddisruptionbudgets", "--all", "--force", "--grace-period=0", "--wait=false")
    until(lambda: not admin.names("pods"), "no pods left")


def why(kubectl: Kubectl, server: Server, name: str, *options: str) -> str:
    words = [*MINIK, "why", f"pod/{name}", "-n", kubectl.get("serviceaccount", "default")["metadata"]["namespace"]]
    environment = {**os.environ, "MINIK_DATA_DIR": str(server.data_dir)}
    done = subprocess.run(
        [*words, *options], capture_output=True, text=True, timeout=60, cwd=ROOT, env=environment, check=True
    )
    return done.stdout


def pod(name: str, slots: int = 0, *, level: int = 0, labels: Obj | None = None, **spec: Any) -> Obj:
    container: Obj = {"name": "c", "image": "registry.test/web"}
    if slots:
        container["resources"] = {"requests": {SLOT: str(slots)}, "limits": {SLOT: str(slots)}}
    if level:
        spec["priorityClassName"] = f"p{level}"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0, **spec},
    }


def on(node: str) -> Obj:
    return {"nodeSelector": {"kubernetes.io/hostname": node}}


def node_of(kubectl: Kubectl, name: str) -> str:
    found: str = kubectl.get("pod", name)["spec"].get("nodeName", "")
    return found


def is_running(kubectl: Kubectl, name: str) -> bool:
    return bool(kubectl.get("pod", name).get("status", {}).get("phase") == "Running")


def test_a_pod_that_fits_nowhere_and_what_helps_it(kubectl: Kubectl, server: Server) -> None:
    kubectl.apply(pod("big", 6))
    said = (
        "0/3 nodes are available: 3 Insufficient example.com/slot. "
        "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
    )
    kubectl.eventually(lambda out: said in out and "FailedScheduling" in out, "describe", "pod", "big")
    explained = why(kubectl, server, "big")
    assert "fits nowhere" in explained and said in explained
    assert "sim-1  NodeResourcesFit" in explained and "example.com/slot: wants 6, 0 of 5 taken" in explained
    assert "could help against NodeResourcesFit" in explained
    value = json.loads(why(kubectl, server, "big", "-o", "json"))
    assert (value["state"], value["remembered"], value["queue"]["state"]) == ("Unschedulable", True, "parked")
    kubectl("patch", "node", "sim-2", "--subresource=status", "--type=merge", "-p",
            json.dumps({"status": {kind: {SLOT: "7"} for kind in ("capacity", "allocatable")}}))  # fmt: skip
    try:
        until(lambda: is_running(kubectl, "big"), "the pod on the node that has grown")
        explained = why(kubectl, server, "big")
        assert "is on node sim-2" in explained and "only sim-2 could take it" in explained
        assert "something that could help it happened once" not in explained
    finally:
        kubectl("patch", "node", "sim-2", "--subresource=status", "--type=merge", "-p",
                json.dumps({"status": {kind: {SLOT: "5"} for kind in ("capacity", "allocatable")}}))  # fmt: skip


def test_gates(kubectl: Kubectl, server: Server) -> None:
    gates = [{"name": "example.com/one"}, {"name": "example.com/two"}]
    kubectl.apply(pod("gated", schedulingGates=gates))
    assert "SchedulingGated" in kubectl("get", "pod", "gated")
    condition = kubectl.get("pod", "gated")["status"]["conditions"][0]
    assert (condition["type"], condition["status"], condition["reason"]) == ("PodScheduled", "False", "SchedulingGated")
    assert "gates example.com/one, example.com/two are still there" in why(kubectl, server, "gated")
    kubectl("patch", "pod", "gated", "--type=json", "-p", '[{"op":"remove","path":"/spec/schedulingGates/0"}]')
    assert "gate example.com/two is still there" in why(kubectl, server, "gated")
    assert not node_of(kubectl, "gated")
    kubectl("patch", "pod", "gated", "--type=json", "-p", '[{"op":"remove","path":"/spec/schedulingGates"}]')
    until(lambda: is_running(kubectl, "gated"), "it runs once its gates are gone")


def test_whoever_places_a_pod_it_is_said(kubectl: Kubectl, server: Server) -> None:
    kubectl.apply(pod("hand", nodeName="sim-1"), pod("other", schedulerName="somebody"), pod("mine"))
    until(lambda: is_running(kubectl, "hand") and is_running(kubectl, "mine"), "two of them run")
    assert "it was created for that node" in why(kubectl, server, "hand")
    assert "its schedulerName is somebody, which is no profile" in why(kubectl, server, "other")
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "other"},
               "target": {"kind": "Node", "name": "sim-0"}}  # fmt: skip
    namespace = kubectl.get("serviceaccount", "default")["metadata"]["namespace"]
    kubectl(
        "create", "--raw", f"/api/v1/namespaces/{namespace}/pods/other/binding", "-f", "-", stdin=json.dumps(binding)
    )
    until(lambda: is_running(kubectl, "other"), "bound by somebody else")
    assert "somebody else than minik's scheduler bound it there" in why(kubectl, server, "other")
    assert "was rated best" in why(kubectl, server, "mine")


def test_only_who_may_read_the_pod_is_told_why(kubectl: Kubectl) -> None:
    kubectl.apply(pod("asked"))
    namespace = kubectl.get("serviceaccount", "default")["metadata"]["namespace"]
    path = f"/minik/v1/why/{namespace}/asked"
    assert json.loads(kubectl("get", "--raw", path))["pod"]["name"] == "asked"
    account = f"system:serviceaccount:{namespace}:default"
    assert 'cannot get resource "pods"' in kubectl.fails("get", "--raw", path, "--as", account)
    kubectl("create", "role", "reader", "--verb=get", "--resource=pods")
    kubectl("create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={namespace}:default")
    assert json.loads(kubectl("get", "--raw", path, "--as", account))["pod"]["name"] == "asked"
    assert '"none" not found' in kubectl.fails("get", "--raw", f"/minik/v1/why/{namespace}/none")


def test_preemption(kubectl: Kubectl, server: Server) -> None:
    """Basic preemption, and the condition of the victim, which a finalizer keeps."""
    victim = pod("low", 3, level=1, **on("sim-0"))
    victim["metadata"]["finalizers"] = ["example.com/keep"]
    kubectl.apply(victim, pod("middle", 2, level=2, **on("sim-0")))
    until(lambda: is_running(kubectl, "low") and is_running(kubectl, "middle"), "both run")
    kubectl.apply(pod("high", 3, level=3, **on("sim-0")))
    until(lambda: kubectl.get("pod", "high").get("status", {}).get("nominatedNodeName") == "sim-0", "a nomination")
    assert "sim-0" in kubectl("get", "pod", "high", "-o", "wide").split("\n")[1]
    until(lambda: "deletionTimestamp" in kubectl.get("pod", "low")["metadata"], "the victim goes")
    conditions = {each["type"]: each for each in kubectl.get("pod", "low")["status"]["conditions"]}
    assert conditions["DisruptionTarget"]["reason"] == "PreemptionByScheduler"
    assert conditions["DisruptionTarget"]["message"] == (
        "default-scheduler: preempting to accommodate a higher priority pod"
    )
    uid = kubectl.get("pod", "high")["metadata"]["uid"]
    kubectl.eventually(lambda out: f"Preempted by pod {uid} on node sim-0" in out, "events")
    kubectl("patch", "pod", "low", "--type=json", "-p", '[{"op":"remove","path":"/metadata/finalizers"}]')
    until(lambda: is_running(kubectl, "high"), "the pod in its place")
    assert "preemption had made room for it on sim-0" in why(kubectl, server, "high")
    assert "nominatedNodeName" not in kubectl.get("pod", "high")["status"]
    assert is_running(kubectl, "middle")


def test_what_waits_for_preemption_says_so(kubectl: Kubectl, server: Server) -> None:
    victim = pod("low", 5, level=1, **on("sim-1"))
    victim["metadata"]["finalizers"] = ["example.com/keep"]
    kubectl.apply(victim)
    until(lambda: is_running(kubectl, "low"), "it runs")
    kubectl.apply(pod("high", 5, level=3, **on("sim-1")))
    kubectl.eventually(lambda out: "sim-1" in out, "get", "pod", "high", "-o", "jsonpath={.status.nominatedNodeName}")
    explained = why(kubectl, server, "high")
    assert re.search("preemption (makes|had made) room for it", explained), (
        explained
    )  # had: its victim has ended by now
    kubectl("delete", "pod", "high", "--force", "--grace-period=0")
    kubectl("patch", "pod", "low", "--type=json", "-p", '[{"op":"remove","path":"/metadata/finalizers"}]')


def test_a_critical_pod_preempts(kubectl: Kubectl) -> None:
    for number in range(3):
        kubectl.apply(pod(f"low-{number}", 4, level=1, **on(f"sim-{number}")))
    until(lambda: all(is_running(kubectl, f"low-{number}") for number in range(3)), "all run")
    critical = pod("critical", 3)
    critical["spec"]["priorityClassName"] = "system-cluster-critical"
    critical["metadata"]["namespace"] = "kube-system"
    kubectl("apply", "--namespace", "kube-system", "-f", "-", stdin=json.dumps(critical))
    try:
        kubectl.eventually("Running", "get", "pod", "critical", "-n", "kube-system", "-o", "jsonpath={.status.phase}")
        until(lambda: len(kubectl.names("pods")) == 2, "one of them went, and only one")
    finally:
        kubectl("delete", "pod", "critical", "-n", "kube-system", "--force", "--grace-period=0")


def test_never_preempting(kubectl: Kubectl) -> None:
    kubectl("create", "priorityclass", "polite", "--value=100", "--preemption-policy=Never")
    kubectl.apply(*(pod(f"low-{number}", 5, level=1, **on(f"sim-{number}")) for number in range(3)))
    until(lambda: all(is_running(kubectl, f"low-{number}") for number in range(3)), "all run")
    kubectl.apply({**pod("polite", 1), "spec": {**pod("polite", 1)["spec"], "priorityClassName": "polite"}})
    kubectl.eventually(
        lambda out: "preemption: not eligible due to preemptionPolicy=Never." in out, "describe", "pod", "polite"
    )
    kubectl("delete", "pod", "low-1")
    until(lambda: is_running(kubectl, "polite"), "it runs when there is room")


def test_preemption_leaves_what_a_budget_protects(kubectl: Kubectl) -> None:
    kubectl.apply(*(
        pod(f"web-{number}", 4, level=1, labels={"app": "web"}, **on(f"sim-{number}")) for number in range(2)
    ), pod("free", 4, level=2, **on("sim-2")))  # fmt: skip
    kubectl("create", "poddisruptionbudget", "web", "--selector=app=web", "--min-available=2")
    until(lambda: all(is_running(kubectl, name) for name in ("web-0", "web-1", "free")), "all run")
    kubectl.eventually("2", "get", "poddisruptionbudget", "web", "-o", "jsonpath={.status.currentHealthy}")
    kubectl.apply(pod("high", 3, level=4))
    until(
        lambda: is_running(kubectl, "high"), "in the place of the pod without a budget, though that one is worth more"
    )
    assert kubectl.names("pods") == ["high", "web-0", "web-1"]
    kubectl.apply(pod("another", 3, level=3))
    kubectl.eventually(
        lambda out: "2 node(s) where preemption would violate a disruption budget" in out, "describe", "pod", "another"
    )
    kubectl("patch", "poddisruptionbudget", "web", "--type=merge", "-p", '{"spec":{"minAvailable":1}}')
    until(lambda: is_running(kubectl, "another"), "once the budget allows it")
    assert len([name for name in kubectl.names("pods") if name.startswith("web")]) == 1


def test_replica_sets_of_four_priorities(kubectl: Kubectl) -> None:
    """SchedulerPreemption PreemptionExecutionPath: what is created, and who has to go for the fourth."""
    wanted = {1: (3, 1), 2: (1, 1), 3: (1, 1), 4: (1, 4)}

    def replica_set(level: int) -> Obj:
        replicas, slots = wanted[level]
        template = pod("x", slots, level=level, labels={"level": str(level)}, **on("sim-2"))
        return {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {"name": f"rs-{level}"},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"level": str(level)}},
                "template": {"metadata": {"labels": {"level": str(level)}}, "spec": template["spec"]},
            },
        }

    def ready(level: int) -> int:
        return int(kubectl.get("replicaset", f"rs-{level}").get("status", {}).get("readyReplicas", 0))

    for level in (1, 2, 3):
        kubectl.apply(replica_set(level))
        until(lambda level=level: ready(level) == wanted[level][0], f"level {level}")  # type: ignore[misc]  # bound now
    kubectl.apply(replica_set(4))
    until(lambda: ready(4) == 1, "the fourth runs")
    until(
        lambda: [ready(level) for level in (1, 2, 3, 4)] == [0, 0, 1, 1], "and only who is worth most stays beside it"
    )


def test_a_second_profile_and_an_extender(kubectl: Kubectl, server: Server) -> None:
    kubectl.apply(pod("first", 1, schedulerName="packer"))
    until(lambda: is_running(kubectl, "first"), "the first")
    home = node_of(kubectl, "first")
    for number in range(4):
        kubectl.apply(pod(f"more-{number}", 1, schedulerName="packer"))
        until(lambda number=number: is_running(kubectl, f"more-{number}"), "another")  # type: ignore[misc]  # bound now
    assert {node_of(kubectl, name) for name in kubectl.names("pods")} == {home}
    scheduled = [each for each in kubectl.get("events")["items"] if each["reason"] == "Scheduled"]
    assert {each["reportingComponent"] for each in scheduled} == {"packer"}
    explained = json.loads(why(kubectl, server, "more-3", "-o", "json"))
    assert [*explained["decision"]["scores"][0]["by"]] == ["NodeResourcesFit"]

    odd = pod("odd")
    odd["spec"]["containers"][0]["resources"] = {
        "requests": {"example.com/odd": "1"},
        "limits": {"example.com/odd": "1"},
    }
    kubectl.apply(odd)
    until(lambda: is_running(kubectl, "odd"), "placed with the extender's help")
    assert node_of(kubectl, "odd") == "sim-1"
    assert Opinionated.asked["filter odd"] == 1
    assert not Opinionated.asked["filter first"]
    explained = why(kubectl, server, "odd")
    assert "only sim-1 could take it" in explained and "node(s) the extender does not like" in explained


def test_a_configuration_that_cannot_be_is_refused(tmp_path: Path) -> None:
    config = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration",
              "profiles": [{"plugins": {"score": {"enabled": [{"name": "NoSuch"}]}}}]}  # fmt: skip
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(config))
    done = subprocess.run(
        [*MINIK, "server", "--data-dir", str(tmp_path / "data"), "--containers", "fake", "--bind", "127.0.0.1:0",
         "--scheduler-config", str(tmp_path / "bad.yaml")],
        capture_output=True, text=True, timeout=60, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == f"Error: {tmp_path / 'bad.yaml'}: profiles[0]: there is no scheduler plugin 'NoSuch'\n"
