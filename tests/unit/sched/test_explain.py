"""What is remembered of decisions, and what is said of a pod in each state, in values and in words."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from minik.api.meta import Key, Obj
from minik.cli.why import words
from minik.clock import LoopClock
from minik.sched.cycle import schedule
from minik.sched.explain import NODES_REFUSED, REMEMBERED, Explanations, Record, record_of
from minik.sched.plugins import default_plugins
from minik.sched.snapshot import Cluster, PodInfo
from tests.support.objects import node, pod
from tests.support.scheduling import Rig, scheduling

PLUGINS = default_plugins()


def record(cluster: Cluster, obj: Obj) -> Record:
    return record_of(schedule(PodInfo(obj), cluster, PLUGINS, random.Random(1)), at="2026-01-01T00:00:00Z")


def test_the_chosen_node_stands_first_and_the_sums_are_right() -> None:
    cluster = Cluster.of([node(f"n{i}", cpu=str(2 + i)) for i in range(6)])
    found = record(cluster, pod("a", cpu="1"))
    assert found.best[0][0] == found.node
    assert len(found.best) == 3
    totals = [total for _, total, _ in found.best]
    assert totals == sorted(totals, reverse=True)
    assert all(total == pytest.approx(sum(rates)) for _, total, rates in found.best)


def test_of_many_refusals_some_are_kept_and_all_are_counted() -> None:
    cluster = Cluster.of([node(f"n{i}", cpu="1", unschedulable=i % 5 == 0) for i in range(1000)])
    found = record(cluster, pod("a", cpu="2"))
    assert (found.node, len(found.refused)) == ("", NODES_REFUSED)
    assert sorted(found.counts) == [
        ("NodeResourcesFit", "Insufficient cpu", 800), ("NodeUnschedulable", "node(s) were unschedulable", 200),
    ]  # fmt: skip
    assert _size(found) < 20_000


def _size(value: Any) -> int:
    if isinstance(value, tuple):
        return sys.getsizeof(value) + sum(map(_size, value))
    if isinstance(value, Record):
        return sum(_size(getattr(value, name)) for name in Record.__slots__)
    return sys.getsizeof(value)


@pytest.mark.looptime
async def test_the_oldest_decision_is_forgotten_first() -> None:
    known = Explanations(LoopClock())
    cluster = Cluster.of([node("n")])
    for number in range(REMEMBERED + 10):
        info = PodInfo(pod(f"p{number}"))
        known.placed(info, schedule(info, cluster, PLUGINS, random.Random(1)))
    assert known.of("pod-p9") is None and known.of("pod-p10") is not None
    known.forget("pod-p10")
    assert known.of("pod-p10") is None


async def said(rig: Rig, name: str) -> tuple[Obj, Sequence[str]]:
    value = rig.scheduler.why(await rig.found(name))
    return value, list(words(value))


@pytest.mark.looptime
async def test_every_state_has_its_words() -> None:
    tainted = node("n2", cpu="2", taints=[{"key": "gpu", "value": "yes", "effect": "NoSchedule"}])
    async with scheduling([node("n1", cpu="2"), tainted]) as rig:
        await rig.pod("placed", cpu="1")
        await rig.pod("big", cpu="5")
        await rig.pod("gated", schedulingGates=[{"name": "g1"}, {"name": "g2"}])
        await rig.pod("foreign", schedulerName="else")
        await rig.pod("hand", node_name="n2")
        mirror = pod("static", node_name="n2")
        mirror["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
        del mirror["metadata"]["uid"], mirror["status"]
        await rig.create("pods", mirror)
        await rig.settle(3)

        value, lines = await said(rig, "placed")
        assert (value["state"], value["remembered"]) == ("Placed", True)
        assert lines[0] == "pod/placed in namespace default is on node n1."
        assert lines[1] == "Decided 3s ago: of 2 nodes, only n1 could take it."
        assert lines[-1].split() == [
            "n2", "TaintToleration", "node(s)", "had", "untolerated", "taint(s)", "(gpu=yes:NoSchedule)",
            *lines[-1].split()[8:],
        ]  # fmt: skip

        value, lines = await said(rig, "big")
        assert (value["state"], value["queue"]["state"]) == ("Unschedulable", "parked")
        assert lines[0] == "pod/big in namespace default fits nowhere."
        assert "1 Insufficient cpu" in lines[1] and "preemption: 0/2 nodes are available" in lines[1]
        assert any("cpu: wants 5, 1 of 2 taken" in line for line in lines)
        assert lines[-1] == (
            "It will be tried again when something changes that could help against NodeResourcesFit, TaintToleration."
        )

        value, lines = await said(rig, "gated")
        assert value["state"] == "Gated" and value["decision"] is None
        assert "the scheduling gates g1, g2 are still there" in lines[0]

        value, lines = await said(rig, "foreign")
        assert value["state"] == "OtherScheduler" and "its schedulerName is else" in lines[0]

        value, lines = await said(rig, "hand")
        assert value["state"] == "PlacedAtCreation" and not value["remembered"]
        assert lines[1] == "Had the scheduler to find a node for it, in the cluster as it is now:"
        assert lines[2] == "Of 2 nodes, only n1 could take it."

        assert (await said(rig, "static"))[0]["state"] == "Static"
        await rig.client.bind(Key("default", "foreign"), "n2")
        await rig.settle(1)
        assert (await said(rig, "foreign"))[0]["state"] == "PlacedByOther"

        # as after a restart
        rig.scheduler.explanations = Explanations(rig.clock)
        value, lines = await said(rig, "placed")
        assert (value["state"], value["remembered"], value["decision"]["node"]) == ("Placed", False, "n1")
        assert lines[1] == "The decision is not remembered any more. Worked out anew, for the cluster as it is now:"
        value, lines = await said(rig, "big")
        assert (value["state"], value["remembered"]) == ("Unschedulable", False)
        assert "1 Insufficient cpu" in lines[2]
        cluster = rig.scheduler.cluster
        assert cluster.get("n1") is not None and len(cluster.nodes[0].pods) + len(cluster.nodes[1].pods) == 4


@pytest.mark.looptime
async def test_what_holds_for_every_node_is_said_once() -> None:
    async with scheduling([node(f"n{i}") for i in range(30)]) as rig:
        await rig.pod("p", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "missing"}}])
        await rig.settle(3)
        value, lines = await said(rig, "p")
        assert value["decision"]["refused"] == []
        assert value["decision"]["reasons"] == [
            {"filter": "VolumeBinding", "reason": 'persistentvolumeclaim "missing" not found', "nodes": 30},
        ]
        assert 'nodes are available: persistentvolumeclaim "missing" not found.' in lines[1]
        assert lines[-1] == "It will be tried again when something changes that could help against VolumeBinding."
        assert len(lines) == 5


@pytest.mark.looptime
async def test_a_nominated_pod_says_whom_it_waits_for() -> None:
    async with scheduling([node("n", cpu="1")]) as rig:
        await rig.create("priorityclasses.scheduling.k8s.io", {"metadata": {"name": "high"}, "value": 1000})
        await rig.pod("low", cpu="1")
        await rig.settle(1)
        await rig.pod("high", cpu="1", priorityClassName="high")
        await rig.settle(1)
        value, lines = await said(rig, "high")
        assert (value["state"], value["nomination"]) == ("Nominated", {"node": "n", "waitsFor": ["default/low"]})
        assert "It is nominated to node n, and waits there for the end of default/low." in lines
        await rig.client.delete("pods", "low", "default", grace_seconds=0)
        await rig.settle(3)
        assert "preemption had made room for it on n" in (await said(rig, "high"))[1][1]
