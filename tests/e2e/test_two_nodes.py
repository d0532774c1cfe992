"""Two hosts, each with its own Docker: pods spread and reach one another; one is cut off and comes back."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.support import HostServer, running, web
from tests.support.docker import ask, why_no_daemon
from tests.support.images import busybox_archive, busybox_missing
from tests.support.kubectl import Kubectl
from tests.support.process import agent, run_minik, started, until
from tests.support.rig import Host, Rig

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.kubectl, pytest.mark.slow]

REPLICAS = 4


@dataclass
class TwoNodes:
    rig: Rig
    kubectl: Kubectl

    def pod_on(self, node: str) -> str:
        """The name of a web pod on a node."""
        return next(p["metadata"]["name"] for p in running(self.kubectl) if p["spec"]["nodeName"] == node)

    def fetch(self, pod: str, url: str) -> str:
        return self.kubectl("exec", pod, "--", "wget", "-qO-", "-T", "5", url).strip()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoNodes]:
    if why := why_no_daemon() or busybox_missing():
        pytest.skip(why)
    root = tmp_path_factory.mktemp("two-nodes")
    with Rig(2, images=[busybox_archive()]) as rig:
        one, two = rig[1], rig[2]
        options = ("--docker", one.url, "--node-name", "one")
        server = HostServer(root, *options, address=one.ip, port=6443, prefix=one.command())
        with started(server):
            token = run_minik("token", "create", "--data-dir", str(server.data_dir), prefix=one.command()).strip()
            joining = agent(
                root, "two", server=server.url, token=token, options=["--docker", two.url], prefix=two.command()
            )
            with started(joining):
                kubectl = server.kubectl(root)
                kubectl.eventually(
                    lambda out: out.split() == ["one", "two"],
                    "get",
                    "nodes",
                    "-o",
                    "jsonpath={.items[*].metadata.name}",
                )
                kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=60s")
                kubectl.apply(*web(REPLICAS, patience=2))
                kubectl("rollout", "status", "deployment/web", "--timeout=90s")
                yield TwoNodes(rig, kubectl)


def test_pods_spread_over_the_nodes(cluster: TwoNodes) -> None:
    assert Counter(p["spec"]["nodeName"] for p in running(cluster.kubectl)) == {"one": 2, "two": 2}


def test_pods_reach_one_another_and_the_service_from_both_nodes(cluster: TwoNodes) -> None:
    pods = running(cluster.kubectl)
    names = {p["metadata"]["name"] for p in pods}
    for node in ("one", "two"):
        source = cluster.pod_on(node)
        for pod in pods:
            assert cluster.fetch(source, f"http://{pod['status']['podIP']}:8080/") == pod["metadata"]["name"]
        answered = {cluster.fetch(source, "http://web.default.svc.cluster.local/") for _ in range(12)}
        assert answered <= names
        assert len(answered) > 1


def test_a_node_port_answers_on_every_node(cluster: TwoNodes) -> None:
    names = {p["metadata"]["name"] for p in running(cluster.kubectl)}
    for node in ("one", "two"):
        for host in (cluster.rig[1], cluster.rig[2]):
            assert cluster.fetch(cluster.pod_on(node), f"http://{host.ip}:30080/") in names


def test_logs_and_exec_work_on_the_joined_node(cluster: TwoNodes) -> None:
    pod = cluster.pod_on("two")
    assert cluster.kubectl("exec", pod, "--", "hostname").strip() == pod
    cluster.kubectl("logs", pod)


def web_containers(host: Host) -> int:
    """How many web containers run on a host, as its Docker says."""
    filters = json.dumps({"label": ["minik.container=web"], "status": ["running"]})
    status, body = ask(
        host.daemon.socket, "GET", f"/containers/json?filters={filters}".replace(" ", "").replace('"', "%22")
    )
    assert status == 200, body
    return len(json.loads(body))


def test_a_node_that_is_cut_off_is_replaced_and_nothing_runs_twice_when_it_is_back(cluster: TwoNodes) -> None:
    kubectl, two = cluster.kubectl, cluster.rig[2]
    two.cut()
    try:
        ready = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
        kubectl.eventually("Unknown", "get", "node", "two", "-o", ready, timeout=120)
        until(
            lambda: [p["spec"]["nodeName"] for p in running(kubectl)] == ["one"] * REPLICAS,
            "all replicas on the node that is left",
        )
        assert web_containers(two) == 2, "a node that is cut off goes on running what it has"
    finally:
        two.heal()
    kubectl.eventually("True", "get", "node", "two", "-o", ready)
    until(lambda: web_containers(two) == 0, "the replaced pods' containers to go")
    until(lambda: len(kubectl.names("pods", "-l", "app=web")) == REPLICAS, "the replaced pods to go")
    assert web_containers(cluster.rig[1]) == REPLICAS
    kubectl("scale", "deployment/web", f"--replicas={REPLICAS + 2}")
    until(
        lambda: Counter(p["spec"]["nodeName"] for p in running(kubectl)) == {"one": REPLICAS, "two": 2},
        "the node that is back to get pods again",
    )
    assert cluster.fetch(cluster.pod_on("one"), f"http://{two.ip}:30080/")


def test_a_second_join_with_a_deleted_token_is_refused(cluster: TwoNodes, tmp_path: Path) -> None:
    one, two = cluster.rig[1], cluster.rig[2]
    data_dir = str(Path(cluster.kubectl.command()[cluster.kubectl.command().index("--kubeconfig") + 1]).parent)
    token = run_minik("token", "create", "--data-dir", data_dir, prefix=one.command()).strip()
    run_minik("token", "delete", token, "--data-dir", data_dir, prefix=one.command())
    late = agent(
        tmp_path,
        "late",
        server=f"https://{one.ip}:6443",
        token=token,
        options=["--docker", two.url],
        prefix=two.command(),
    )
    late.start()
    try:
        until(lambda: not late.running, "the agent to give up")
        assert "token is not valid" in late.tail()
    finally:
        late.stop()
