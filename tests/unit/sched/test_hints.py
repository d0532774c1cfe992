"""Which change can help which pod: by the filter's own verdict about the node, and never a wrong no."""

from __future__ import annotations

import random
from typing import Any

import pytest

from minik.sched.cycle import schedule
from minik.sched.hints import ACROSS_NODES, POD_LEFT, Change, is_helped, node_change
from minik.sched.plugins import default_plugins
from minik.sched.preemption import Preemption, plan_preemption
from minik.sched.snapshot import Cluster, PodInfo
from tests.support.objects import node, pod

PLUGINS = default_plugins()
Obj = dict[str, Any]


def helped(filter_name: str, waiting: Obj, change: Change, cluster: Cluster) -> bool:
    return change.concerns(filter_name) and is_helped(filter_name, PodInfo(waiting), change, cluster, PLUGINS)


def left(cluster: Cluster, gone: Obj) -> Change:
    """The pod leaves its node."""
    info = PodInfo(gone)
    cluster.remove_pod(info.uid)
    return Change("pod left", POD_LEFT, others=True, node=cluster.get(info.node), pod=info)


def test_a_pod_that_left_helps_only_who_has_room_now() -> None:
    small, large = pod("s", cpu="1", node_name="n"), pod("l", cpu="3", node_name="n")
    cluster = Cluster.of([node("n", cpu="4")], [small, large])
    change = left(cluster, small)
    assert helped("NodeResourcesFit", pod("p", cpu="1"), change, cluster)
    assert not helped("NodeResourcesFit", pod("p", cpu="2"), change, cluster)
    assert not helped("NodeResourcesFit", pod("p", memory="64Gi"), change, cluster)
    # who may preempt what is left there does have room
    assert helped("NodeResourcesFit", pod("p", cpu="2", priority=1), change, cluster)
    assert not helped("NodeResourcesFit", pod("p", cpu="2", priority=1, preemptionPolicy="Never"), change, cluster)
    assert not helped("NodeResourcesFit", pod("p", cpu="5", priority=1), change, cluster)


def test_a_node_that_changed_helps_only_whom_it_suits_now() -> None:
    old, new = node("n"), node("n", labels={"disk": "ssd"})
    cluster = Cluster.of([new])
    change = node_change(old, new, cluster.get("n"))
    assert change is not None and not change.concerns("TaintToleration")
    assert helped("NodeAffinity", pod("p", nodeSelector={"disk": "ssd"}), change, cluster)
    assert not helped("NodeAffinity", pod("p", nodeSelector={"disk": "hdd"}), change, cluster)
    assert change.concerns("VolumeBinding"), "of a filter that nothing is known of"

    tainted = [{"key": "a", "effect": "NoSchedule"}, {"key": "b", "effect": "NoSchedule"}]
    old, new = node("n", taints=tainted), node("n", taints=tainted[:1])
    cluster = Cluster.of([new])
    change = node_change(old, new, cluster.get("n"))
    assert change is not None
    assert helped("TaintToleration", pod("p", tolerations=[{"key": "a", "operator": "Exists"}]), change, cluster)
    assert not helped("TaintToleration", pod("p"), change, cluster)


@pytest.mark.parametrize(
    "new",
    [
        {"metadata": {"name": "n", "annotations": {"a": "b"}}},
        {"metadata": {"name": "n"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}},
    ],
)
def test_what_no_filter_goes_by_helps_nobody(new: Obj) -> None:
    assert node_change({"metadata": {"name": "n"}}, new, None) is None


def test_ports_that_are_free_now() -> None:
    def with_port(name: str, number: int, **more: Any) -> Obj:
        return pod(name, container={"ports": [{"containerPort": 1, "hostPort": number, "protocol": "TCP"}]}, **more)

    one, two = with_port("one", 80, node_name="n"), with_port("two", 81, node_name="n")
    cluster = Cluster.of([node("n")], [one, two])
    change = left(cluster, one)
    assert helped("NodePorts", with_port("p", 80), change, cluster)
    assert not helped("NodePorts", with_port("p", 81), change, cluster)


def test_what_pods_ask_of_one_another() -> None:
    def rule(side: str) -> Obj:
        term = {"labelSelector": {"matchLabels": {"app": "x"}}, "topologyKey": "kubernetes.io/hostname"}
        return {"affinity": {side: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}

    wants, excludes = pod("w", **rule("podAffinity")), pod("e", **rule("podAntiAffinity"))
    cluster = Cluster.of([node("n")])
    x, y = (pod(name, node_name="n") for name in "xy")
    came = Change("pod came", ACROSS_NODES, node=cluster.get("n"), pod=PodInfo(x))
    assert helped("InterPodAffinity", wants, came, cluster) and not helped("InterPodAffinity", excludes, came, cluster)
    gone = left(cluster, x)
    assert helped("InterPodAffinity", excludes, gone, cluster) and not helped("TaintToleration", wants, gone, cluster)
    assert helped("InterPodAffinity", wants, gone, cluster), "it may be the first of its group now, and go anywhere"
    shy = left(cluster, pod("y", node_name="n", **rule("podAntiAffinity")))
    assert helped("InterPodAffinity", x, shy, cluster) and not helped("InterPodAffinity", y, shy, cluster)
    for change in (left(cluster, y), Change("pod came", ACROSS_NODES, node=cluster.get("n"), pod=PodInfo(y))):
        assert not helped("InterPodAffinity", wants, change, cluster)
        assert not helped("InterPodAffinity", excludes, change, cluster)


def test_what_is_counted_where_pods_are_spread() -> None:
    like = {"labelSelector": {"matchLabels": {"app": "x"}}, "topologyKey": "kubernetes.io/hostname", "maxSkew": 1}
    spread = pod("s", topologySpreadConstraints=[{**like, "whenUnsatisfiable": "DoNotSchedule"}])
    cluster = Cluster.of([node("n")])
    x, y = (pod(name, node_name="n") for name in "xy")
    assert helped("PodTopologySpread", spread, left(cluster, x), cluster)
    assert not helped("PodTopologySpread", spread, left(cluster, y), cluster)
    assert helped("PodTopologySpread", pod("by default"), left(cluster, y), cluster)


@pytest.mark.parametrize("seed", range(24))
def test_whoever_could_be_scheduled_after_a_change_is_told(seed: int) -> None:
    """Never a wrong no: random clusters and changes; every pod that fits, or could preempt, afterwards is helped by one of its filters."""
    rng = random.Random(seed)

    def random_node(name: str) -> Obj:
        taints = [{"key": rng.choice("ab"), "effect": "NoSchedule"}] if rng.random() < 0.4 else []
        return node(
            name, cpu=rng.choice("1248"), labels={"disk": rng.choice(["ssd", "hdd"])}, taints=taints,
            unschedulable=rng.random() < 0.3,
        )  # fmt: skip

    def random_pod(name: str, **more: Any) -> Obj:
        spec: Obj = {"priority": rng.randrange(3), **more}
        if rng.random() < 0.3:
            spec["nodeSelector"] = {"disk": rng.choice(["ssd", "hdd"])}
        if rng.random() < 0.3:
            spec["tolerations"] = [{"key": rng.choice("ab"), "operator": "Exists"}]
        if rng.random() < 0.5:
            spec["affinity"] = {
                rng.choice(["podAffinity", "podAntiAffinity"]): {
                    "requiredDuringSchedulingIgnoredDuringExecution": [like()]
                }
            }
        if rng.random() < 0.3:
            spec["topologySpreadConstraints"] = [{**like(), "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}]
        if rng.random() < 0.3:
            spec["container"] = {"ports": [{"containerPort": 1, "hostPort": rng.choice([80, 81]), "protocol": "TCP"}]}
        return pod(name, cpu=rng.choice("1234"), owner=rng.choice("xy"), **spec)

    def like() -> Obj:
        return {"labelSelector": {"matchLabels": {"app": rng.choice("xy")}}, "topologyKey": "kubernetes.io/hostname"}

    checked = 0
    for step in range(300):
        nodes = {f"n{i}": random_node(f"n{i}") for i in range(2)}
        bound = [random_pod(f"b{i}", node_name=f"n{i % 2}") for i in range(4)]
        cluster = Cluster.of(nodes.values(), bound)
        waiting = random_pod("waiting")
        info = PodInfo(waiting)
        before = schedule(info, cluster, PLUGINS, random.Random(1))
        plan = Preemption() if before.node else plan_preemption(info, cluster, PLUGINS, before)
        if before.node or plan.victims:
            continue
        change: Change | None
        if step % 3 == 0:
            change = left(cluster, bound[0])
        elif step % 3 == 1:
            came = PodInfo(random_pod("came", node_name="n0"))
            cluster.set_pod(came, "n0")
            change = Change("pod came", ACROSS_NODES, node=cluster.get("n0"), pod=came)
        else:
            new = random_node("n0")
            cluster.set_node(new)
            change = node_change(nodes["n0"], new, cluster.get("n0"))
        after = schedule(info, cluster, PLUGINS, random.Random(1))
        if after.node or plan_preemption(info, cluster, PLUGINS, after).victims:
            checked += 1
            assert change is not None
            filters = before.filters | plan.filters
            assert any(helped(name, waiting, change, cluster) for name in filters), (waiting, before.summary())
    assert checked >= 3
