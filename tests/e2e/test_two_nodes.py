"""Two nodes on one machine (issue 2, point 3): each a network namespace with a Docker engine of its own, the control plane in a
third."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import get, pod, skip_without_engines, unmounted_after, web
from tests.support import kubectl as kubectls
from tests.support.docker import run
from tests.support.images import busybox_archive
from tests.support.kubectl import Kubectl
from tests.support.process import Process, Server, agent, fetch, inside, run_minik, started, until
from tests.support.rig import SWITCH_IP, Rig

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.kubectl, pytest.mark.slow]

PATIENCE = 240.0
"""Seconds: a silent node is given up after 40."""
NODES = ("n1", "n2")


@dataclass
class Cluster:
    rig: Rig
    server: Server
    agents: dict[str, Process]
    kubectl: Kubectl

    def containers(self, number: int) -> Counter[str]:
        """The running application containers of a host, by the uid of their pod."""
        words = ("--filter", "label=minik.kind=container", "--format", '{{.Label "minik.pod.uid"}}')
        return Counter(run("docker", "--host", self.rig[number].url, "ps", *words).split())

    def pods(self) -> list[dict]:  # type: ignore[type-arg]  # as kubectl prints them
        return [
            p for p in self.kubectl.get("pods", "-l", "app=web")["items"] if "deletionTimestamp" not in p["metadata"]
        ]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    skip_without_engines()
    with unmounted_after(tmp_path), Rig(2, images=[busybox_archive()]) as rig:
        netns = rig.switch_netns
        server = Server(tmp_path, "--no-agent", port=6443, address="0.0.0.0", netns=netns)
        with started(server):
            token = run_minik("token", "create", "--data-dir", str(server.data_dir), prefix=inside(netns)).strip()
            agents = {}
            try:
                for number, name in enumerate(NODES, 1):
                    host = rig[number]
                    agents[name] = agent(
                        tmp_path, name, server=f"https://{SWITCH_IP}:6443", token=token,
                        options=("--docker", host.url), netns=host.netns,
                    )  # fmt: skip
                    agents[name].start()
                kubectl = Kubectl(kubectls.any_binary().path, server.kubeconfig, home=tmp_path, prefix=inside(netns))
                for name in NODES:
                    kubectl.eventually(lambda out, name=name: name in out, "get", "nodes")
                kubectl("wait", "--for=condition=Ready", *(f"node/{name}" for name in NODES), "--timeout=60s")
                yield Cluster(rig, server, agents, kubectl)
            except BaseException as error:
                for process in agents.values():
                    error.add_note(f"--- end of {process.log.name}\n{process.tail()}")
                raise
            finally:
                for process in agents.values():
                    process.stop()


def answers(address: str, port: int, netns: str) -> str:
    try:
        return fetch(address, port, netns=netns, timeout=3).strip()
    except OSError:
        return ""


def test_spread_reach_cut_and_heal(cluster: Cluster) -> None:
    kubectl, rig = cluster.kubectl, cluster.rig
    soon = [
        {"key": f"node.kubernetes.io/{taint}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 2}
        for taint in ("unreachable", "not-ready")
    ]
    kubectl.apply(web("web", 4, tolerations=soon))
    kubectl("expose", "deployment", "web", "--port=80", "--target-port=8080", "--type=NodePort")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert Counter(p["spec"]["nodeName"] for p in cluster.pods()) == {"n1": 2, "n2": 2}

    # pods reach one another across nodes, and the Service from both nodes
    kubectl.apply(*(pod(f"client-{name}", "sleep 1d", nodeName=name, tolerations=soon) for name in NODES))
    kubectl("wait", "--for=condition=Ready", *(f"pod/client-{name}" for name in NODES), "--timeout=60s")
    addresses = {p["metadata"]["name"]: p["status"]["podIP"] for p in cluster.pods()}
    for name in NODES:
        for pod_name, address in addresses.items():
            ask = ("exec", f"client-{name}", "--", *get(address, 8080))
            kubectl.eventually(lambda out, own=pod_name: out.splitlines()[-1:] == [own], *ask)
        ask = ("exec", f"client-{name}", "--", *get("web", 80))
        kubectl.eventually(lambda out: out.splitlines()[-1:] in [[n] for n in addresses], *ask)
    service = kubectl.get("service", "web")["spec"]
    port = service["ports"][0]["nodePort"]
    for number in (1, 2):
        until(
            lambda n=number: answers(service["clusterIP"], 80, rig[n].netns) in addresses, "the Service, from the host"
        )
        until(lambda n=number: answers(rig[n].ip, port, rig[3 - n].netns) in addresses, "the node port, from the other")
    assert kubectl("logs", "-l", "app=web", "--tail=1", "--prefix") is not None
    assert kubectl("exec", "client-n2", "--", "hostname") == "client-n2\n"

    # one node is cut off: its pods are replaced on the other
    rig[2].cut()
    kubectl("wait", "--for=condition=Ready=Unknown", "node/n2", f"--timeout={PATIENCE:.0f}s", timeout=PATIENCE + 10)

    def replaced() -> bool:
        pods = cluster.pods()
        return len(pods) == 4 and all(
            p["spec"].get("nodeName") == "n1" and any(s["ready"] for s in p["status"].get("containerStatuses", []))
            for p in pods
        )

    until(replaced, "all four on the node that is left", timeout=PATIENCE)
    names = {p["metadata"]["name"] for p in cluster.pods()}
    until(lambda: answers(service["clusterIP"], 80, rig[1].netns) in names, "the Service still answers")
    for _ in range(20):
        assert answers(service["clusterIP"], 80, rig[1].netns) in names, "never a pod that is cut off"

    # it heals: Ready again, and nothing runs twice
    rig[2].heal()
    kubectl("wait", "--for=condition=Ready", "node/n2", f"--timeout={PATIENCE:.0f}s", timeout=PATIENCE + 10)

    def settled() -> bool:
        wanted = {p["metadata"]["uid"] for p in kubectl.get("pods")["items"]}
        running = cluster.containers(1) + cluster.containers(2)
        return set(running) == wanted and all(count == 1 for count in running.values())

    until(settled, "every pod has one container, and there is no other", timeout=PATIENCE)
    assert len(cluster.pods()) == 4
    kubectl("scale", "deployment", "web", "--replicas=8")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert {p["spec"]["nodeName"] for p in cluster.pods()} == set(NODES), "the healed node is used again"
    until(settled, "and again nothing twice")


def test_agent_restart_leaves_containers(cluster: Cluster) -> None:
    kubectl = cluster.kubectl
    kubectl.apply(web("web", 4))
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    before = [set(run("docker", "--host", cluster.rig[n].url, "ps", "-q").split()) for n in (1, 2)]
    for process in cluster.agents.values():
        process.kill()
    for process in cluster.agents.values():
        process.start()  # with the identity it has; the token is not asked for again
    for name in NODES:
        kubectl("wait", "--for=condition=Ready", f"node/{name}", "--timeout=60s")
        inside_one = next(p["metadata"]["name"] for p in cluster.pods() if p["spec"]["nodeName"] == name)
        kubectl.eventually(inside_one, "exec", inside_one, "--", "hostname")
    assert [set(run("docker", "--host", cluster.rig[n].url, "ps", "-q").split()) for n in (1, 2)] == before
    assert all(s["restartCount"] == 0 for p in cluster.pods() for s in p["status"]["containerStatuses"])


def test_a_drain_within_a_budget(cluster: Cluster) -> None:
    """Never fewer pods than the budget wants, counted by what answers; a StatefulSet's pod and a DaemonSet's are treated as they should."""
    kubectl = cluster.kubectl
    budget = {"minAvailable": 3, "selector": {"matchLabels": {"app": "web"}}}
    kubectl.apply(
        web("web", 4),
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"}, "spec": budget},
        {
            "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "each"},
            "spec": {
                "selector": {"matchLabels": {"app": "each"}},
                "template": {key: pod("each", "sleep 1d")[key] for key in ("metadata", "spec")},
            },
        },
    )  # fmt: skip
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    kubectl("rollout", "status", "daemonset/each", "--timeout=60s")
    before = Counter(p["spec"]["nodeName"] for p in cluster.pods())
    assert before["n2"] == 2
    fewest = 4

    def ready() -> int:
        return sum(s["ready"] for p in cluster.pods() for s in p["status"].get("containerStatuses", []))

    with kubectl.popen("drain", "n2", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s") as drain:
        while any(p["spec"].get("nodeName") == "n2" for p in cluster.pods()):
            fewest = min(fewest, ready())
        drain.expect("node/n2 drained")
    until(lambda: ready() == 4, "four again")
    assert fewest >= 3
    assert {p["spec"]["nodeName"] for p in cluster.pods()} == {"n1"}
    daemons = kubectl.get("pods", "-l", "app=each")["items"]
    assert {p["spec"]["nodeName"] for p in daemons} == set(NODES)
    kubectl("uncordon", "n2")
    kubectl("scale", "deployment", "web", "--replicas=8")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert {p["spec"]["nodeName"] for p in cluster.pods()} == set(NODES)


def test_join_refuses_a_wrong_token_or_pin(cluster: Cluster, tmp_path: Path) -> None:
    netns = cluster.rig.switch_netns
    good = run_minik("token", "create", "--data-dir", str(cluster.server.data_dir), prefix=inside(netns)).strip()
    secret, _, pin = good.partition(":")
    wrong_secret = f"{secret[:-4]}zzzz:{pin}"
    wrong_pin = f"{secret}:{pin[:-4]}{'0000' if pin[-4:] != '0000' else '1111'}"
    for number, token in enumerate((wrong_secret, wrong_pin)):
        host = cluster.rig[1]
        stranger = agent(
            tmp_path, f"stranger-{number}", server=f"https://{SWITCH_IP}:6443", token=token,
            options=("--docker", host.url), netns=host.netns,
        )  # fmt: skip
        stranger.start()
        until(lambda process=stranger: not process.running, "it gives up")
        assert stranger.stop() != 0
        assert "Traceback" not in stranger.tail(), stranger.tail()
    assert {n["metadata"]["name"] for n in cluster.kubectl.get("nodes")["items"]} == set(NODES)
