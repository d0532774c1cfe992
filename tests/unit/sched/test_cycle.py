"""Scheduling decisions: who is refused and why, and where the rest goes."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from minik.sched import workloads
from minik.sched.cycle import Decision, schedule, wanted_feasible
from minik.sched.plugins import default_plugins
from minik.sched.scores import resources
from minik.sched.snapshot import Cluster, PodInfo
from tests.support.objects import node, pod, replica_set

PLUGINS = default_plugins()


def decide(obj: dict[str, Any], nodes: list[dict[str, Any]], bound: list[dict[str, Any]] | None = None) -> Decision:
    return schedule(PodInfo(obj), Cluster.of(nodes, bound or []), PLUGINS, random.Random(1))


def test_no_nodes() -> None:
    assert decide(pod("a"), []).summary() == "no nodes available to schedule pods"


def test_a_pod_goes_where_its_requests_fit() -> None:
    nodes = [node("small", cpu="1"), node("large", cpu="8")]
    assert decide(pod("a", cpu="2"), nodes).node == "large"


def test_why_it_fits_nowhere_is_said_node_by_node() -> None:
    nodes = [
        node("full", cpu="1"),
        node("cordoned", unschedulable=True),
        node("tainted", taints=[{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]),
        node("small", memory="100Mi"),
    ]
    decision = decide(pod("a", cpu="2", memory="1Gi", nodeSelector={}), nodes)
    assert not decision.node
    assert {name: refusal.filter for name, refusal in decision.refusals.items()} == {
        "full": "NodeResourcesFit",
        "cordoned": "NodeUnschedulable",
        "tainted": "TaintToleration",
        "small": "NodeResourcesFit",
    }
    assert decision.summary() == (
        "0/4 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, "
        "1 node(s) had untolerated taint(s), 1 node(s) were unschedulable."
    )


def test_the_number_of_pods_of_a_node_is_bounded() -> None:
    decision = decide(pod("c"), [node("n", pods="2")], [pod("a", node_name="n"), pod("b", node_name="n")])
    assert decision.summary() == "0/1 nodes are available: 1 Too many pods."


def test_tolerations_open_tainted_nodes() -> None:
    nodes = [node("t", taints=[{"key": "k", "value": "v", "effect": "NoExecute"}])]
    tolerated: dict[str, Any] = {
        "tolerations": [{"key": "k", "operator": "Equal", "value": "v", "effect": "NoExecute"}]
    }
    assert decide(pod("a", **tolerated), nodes).node == "t"
    assert decide(pod("a", tolerations=[{"operator": "Exists"}]), nodes).node == "t"
    assert not decide(pod("a", tolerations=[{"key": "k", "value": "other"}]), nodes).node


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"key": "disk", "operator": "In", "values": ["ssd"]}, "fast"),
        ({"key": "disk", "operator": "NotIn", "values": ["ssd"]}, "slow"),
        ({"key": "disk", "operator": "DoesNotExist"}, ""),
        ({"key": "cores", "operator": "Gt", "values": ["4"]}, "fast"),
        ({"key": "cores", "operator": "Lt", "values": ["4"]}, "slow"),
        ({"key": "cores", "operator": "Lt", "values": ["1_0"]}, ""),  # no number for Go
        ({"key": "disk", "operator": "Gt", "values": ["4"]}, ""),
        ({"key": "none", "operator": "Lt", "values": ["4"]}, ""),
    ],
)
def test_required_node_affinity(expression: dict[str, Any], expected: str) -> None:
    nodes = [node("fast", labels={"disk": "ssd", "cores": "8"}), node("slow", labels={"disk": "hdd", "cores": "2"})]
    terms = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    assert decide(pod("a", affinity=affinity), nodes).node == expected


def test_node_selector_and_field_selector() -> None:
    nodes = [node("a", labels={"x": "1"}), node("b")]
    assert decide(pod("p", nodeSelector={"x": "1"}), nodes).node == "a"
    terms = {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b"]}]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    assert decide(pod("p", affinity=affinity), nodes).node == "b"


def test_host_ports_exclude_one_another() -> None:
    port = {"ports": [{"containerPort": 80, "hostPort": 8080, "protocol": "TCP"}]}
    bound = [pod("a", node_name="n1", container=port)]
    assert decide(pod("b", container=port), [node("n1"), node("n2")], bound).node == "n2"
    udp = {"ports": [{"containerPort": 80, "hostPort": 8080, "protocol": "UDP"}]}
    assert decide(pod("b", container=udp), [node("n1")], bound).node == "n1"


def test_replicas_spread_over_nodes_and_zones() -> None:
    zone = "topology.kubernetes.io/zone"
    nodes = [node(f"n{i}", labels={zone: "east" if i < 3 else "west"}) for i in range(4)]
    cluster = Cluster.of(nodes)
    workloads.known(cluster, replica_set("rs"))
    for number in range(8):
        info = PodInfo(pod(f"p{number}", owner="rs"))
        decision = schedule(info, cluster, PLUGINS, random.Random(number))
        cluster.set_pod(info, decision.node)
    counts = Counter(cluster.node_of(f"pod-p{n}") for n in range(8))
    assert sum(count for name, count in counts.items() if name != "n3") in (4, 5)
    assert max(counts[f"n{i}"] for i in range(3)) - min(counts[f"n{i}"] for i in range(3)) <= 1


def test_preferences_weigh() -> None:
    nodes = [node("plain"), node("liked", labels={"x": "1"}), node("avoided")]
    nodes[2]["spec"] = {"taints": [{"key": "k", "effect": "PreferNoSchedule"}]}
    preferred = [{"weight": 100, "preference": {"matchExpressions": [{"key": "x", "operator": "Exists"}]}}]
    affinity = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}
    assert decide(pod("a", affinity=affinity), nodes).node == "liked"
    assert decide(pod("a"), nodes).node != "avoided"


def test_counts_go_back_to_zero_when_pods_leave() -> None:
    cluster = Cluster.of([node("n")])
    info = PodInfo(pod("a", cpu="1", owner="rs", container={"ports": [{"containerPort": 1, "hostPort": 1}]}))
    cluster.set_pod(info, "n")
    cluster.set_pod(info, "n")
    found = cluster.get("n")
    assert found is not None and found.requested["cpu"] == 1000
    cluster.remove_pod(info.uid)
    assert (found.requested["cpu"], found.weighed_cpu, found.ports, found.pods) == (0, 0, {}, {})
    cluster.set_pod(info, "n")
    cluster.remove_node("n")
    assert len(cluster) == 0
    cluster.remove_pod(info.uid)
    assert cluster.get("n") is None


def test_large_clusters_are_not_searched_to_the_end() -> None:
    assert (wanted_feasible(80), wanted_feasible(1000), wanted_feasible(5000)) == (80, 420, 500)
    nodes = [node(f"n{i}") for i in range(1000)]
    assert decide(pod("a"), nodes).considered == 420
    shares = [(1, 100), (30, 300), (100, 1000)]  # never fewer than 100
    assert [
        schedule(
            PodInfo(pod("a")), Cluster.of(nodes), replace(default_plugins(), percentage=share), random.Random(0)
        ).considered
        for share, _ in shares
    ] == [number for _, number in shares]


def test_a_pod_that_names_its_node_is_not_compared_with_all_others() -> None:
    nodes = [node(f"n{i}") for i in range(300)]
    fields = [{"key": "metadata.name", "operator": "In", "values": ["n250"]}]
    affinity = {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchFields": fields}]}
        }
    }
    decision = decide(pod("a", affinity=affinity), nodes)
    assert (decision.node, decision.considered) == ("n250", 1)
    nodes[250] = node("n250", cpu="1")
    refused = decide(pod("a", cpu="2", affinity=affinity), nodes)
    assert refused.summary() == (
        "0/300 nodes are available: 1 Insufficient cpu, 299 node(s) didn't satisfy plugin(s) [NodeAffinity]."
    )
    assert next(iter(refused.refusals)) == "n250", "the node that counts is explained first"
    del nodes[250]
    gone = decide(pod("a", affinity=affinity), nodes)
    assert gone.summary() == "0/299 nodes are available: 299 node(s) didn't satisfy plugin(s) [NodeAffinity]."
    fields.append({"key": "metadata.name", "operator": "In", "values": ["n1"]})
    torn = decide(pod("a", affinity=affinity), nodes)
    assert torn.summary() == "0/299 nodes are available: pod affinity terms conflict."


@pytest.mark.parametrize("seed", range(8))
def test_what_is_remembered_of_nodes_is_what_a_new_look_finds(seed: int) -> None:
    """Any history of changes leads to the decisions of a cluster that was built from what is there now."""
    rng = random.Random(seed)
    cluster = Cluster()
    workloads.known(cluster, replica_set("rs-1"), replica_set("rs-2"))
    placed: dict[str, tuple[PodInfo, str]] = {}
    objects: dict[str, dict[str, Any]] = {}

    def random_node(name: str) -> dict[str, Any]:
        labels = {"topology.kubernetes.io/zone": rng.choice("abc")} if seed % 2 else {}
        taints = [{"key": "k", "effect": rng.choice(["NoSchedule", "PreferNoSchedule"])}] if rng.random() < 0.1 else []
        return node(name, cpu=rng.choice(["1", "2", "8"]), pods=rng.choice(["3", "110"]), labels=labels, taints=taints)

    for step in range(400):
        change = rng.random()
        if change < 0.3 or not objects:
            name = f"n{rng.randrange(140)}"
            objects[name] = random_node(name)
            cluster.set_node(objects[name])
        elif change < 0.33:
            name = rng.choice(list(objects))
            cluster.remove_node(name)
            del objects[name]
        elif change < 0.4 and placed:
            uid = rng.choice(list(placed))
            cluster.remove_pod(uid)
            del placed[uid]
        else:
            cpu = rng.choice(["100m", "500m", "900m"])
            info = PodInfo(pod(f"p{step}", cpu=cpu, owner=rng.choice(["", "rs-1", "rs-2"])))
            start = rng.randrange(1000)
            fresh = Cluster()
            workloads.known(fresh, replica_set("rs-1"), replica_set("rs-2"))
            for each in cluster.nodes:
                fresh.set_node(objects[each.name])
            for known, on in placed.values():
                fresh.set_pod(known, on)
            now, anew = [schedule(info, c, PLUGINS, random.Random(step), start=start) for c in (cluster, fresh)]
            assert (now.node, now.considered, now.refusals) == (anew.node, anew.considered, anew.refusals)
            assert now.rates == anew.rates
            if now.node:
                cluster.set_pod(info, now.node)
                placed[info.uid] = info, now.node
                cluster.set_pod(info, now.node)


def test_a_decision_computes_anew_only_what_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    computed = 0
    compute = resources._rate

    def counted(*arguments: Any, **more: Any) -> float:
        nonlocal computed
        computed += 1
        return compute(*arguments, **more)

    monkeypatch.setattr(resources, "_rate", counted)
    cluster = Cluster.of([node(f"n{i}") for i in range(1000)])
    workloads.known(cluster, replica_set("rs"))
    start = 0
    for number in range(200):
        info = PodInfo(pod(f"p{number}", owner="rs"))
        decision = schedule(info, cluster, PLUGINS, random.Random(number), start=start)
        cluster.set_pod(info, decision.node)
        start += decision.considered
    assert computed <= 1000 + 200


def test_the_same_snapshot_and_seed_give_the_same_decision() -> None:
    nodes = [node(f"n{i}") for i in range(50)]
    assert len({decide(pod("a"), nodes).node for _ in range(5)}) == 1
