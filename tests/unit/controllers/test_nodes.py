"""Node ranges, silent nodes, taints and evictions, and the pods that gone nodes leave behind."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.meta import Obj
from minik.controllers import nodeipam, nodelifecycle, podgc, tainteviction
from minik.controllers.common.node_zones import Zones, rate_of, state_of
from minik.controllers.nodeipam import Exhausted, Pool
from minik.controllers.nodelifecycle import plan_taints
from minik.controllers.podgc import plan_clearance, plan_sweep
from minik.controllers.tainteviction import Noticed, plan_eviction
from tests.support.cluster import ControlPlane, control_plane, named, pod

pytestmark = pytest.mark.looptime


def _conditions(ready: str) -> Obj:
    now = "2026-01-01T00:00:00Z"
    condition = {"type": "Ready", "status": ready, "lastHeartbeatTime": now, "lastTransitionTime": now, "reason": "X",
                 "message": "x"}  # fmt: skip
    return {"conditions": [condition]}


async def _node(c: ControlPlane, name: str) -> None:
    await c.create("nodes", named(name))
    await c.client.patch_status("nodes", name, "", {"status": _conditions("True")})
    await c.renew(name)


async def _beat(c: ControlPlane, *names: str, seconds: int) -> None:
    """Let time pass in which these nodes, and no others, give signs of life."""
    for _ in range(seconds // 10):
        for name in names:
            await c.renew(name)
        await c.settle(10)


def _taints(node: Any) -> list[tuple[str, str]]:
    return sorted((t["key"].removeprefix("node.kubernetes.io/"), t["effect"]) for t in node["spec"].get("taints", ()))


# --- ranges --------------------------------------------------------------------------------------------------------------


def test_the_pool_gives_each_range_once_and_reuses_it_last() -> None:
    pool = Pool("10.0.0.0/22", 24)
    pool.occupy("old", "10.0.1.0/24")
    assert [pool.reserve("a"), pool.reserve("b"), pool.reserve("a")] == ["10.0.0.0/24", "10.0.2.0/24", "10.0.0.0/24"]
    pool.release("a")
    assert pool.reserve("c") == "10.0.3.0/24"
    assert pool.reserve("d") == "10.0.0.0/24"
    with pytest.raises(Exhausted):
        pool.reserve("e")
    pool.occupy("elsewhere", "192.168.0.0/24")
    pool.release("old")
    assert pool.reserve("e") == "10.0.1.0/24"


async def test_nodes_get_different_ranges_however_they_come_and_go() -> None:
    async with control_plane(nodeipam.controller()) as c:
        await c.create("nodes", named("fixed", spec={"podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24"]}))
        await asyncio.gather(*(c.create("nodes", named(f"n{number}")) for number in range(30)))
        await c.settle()
        found = [node["spec"]["podCIDR"] for node in (await c.client.list("nodes")).items]
        assert len(set(found)) == 31 and all(cidr.startswith("10.244.") for cidr in found)
        gone = await c.get("nodes", "n3")
        await c.client.delete("nodes", "n3")
        await c.create("nodes", named("new"))
        await c.settle()
        new = await c.get("nodes", "new")
        assert new is not None and gone is not None
        assert new["spec"]["podCIDR"] not in found and new["spec"]["podCIDRs"] == [new["spec"]["podCIDR"]]


# --- news ---------------------------------------------------------------------------------------------------------------


async def test_what_happens_to_a_node_is_told_once() -> None:
    async with control_plane(nodelifecycle.CONTROLLER) as c:
        await _node(c, "a")
        await c.settle()
        for unschedulable in (True, None):
            await c.client.patch("nodes", "a", "", {"spec": {"unschedulable": unschedulable}})
            await c.settle()
        pressed = [*_conditions("False")["conditions"], {"type": "MemoryPressure", "status": "True"}]
        await c.client.patch_status("nodes", "a", "", {"status": {"conditions": pressed}})
        await _beat(c, "a", seconds=100)
        await c.client.delete("nodes", "a")
        await c.settle()
        events = (await c.client.list("events", "default")).items
        told = sorted((each["reason"], each["message"], each["count"]) for each in events)
        assert told == sorted([
            ("RegisteredNode", "Node a event: Registered Node a in Controller", 1),
            *(
                (reason, f"Node a status is now: {reason}", 1)
                for reason in (
                    "NodeReady",
                    "NodeNotSchedulable",
                    "NodeSchedulable",
                    "NodeHasInsufficientMemory",
                    "NodeNotReady",
                )
            ),
            ("RemovingNode", "Node a event: Removing Node a from Controller", 1),
        ])  # fmt: skip
        assert {each["involvedObject"]["kind"] for each in events} == {"Node"}


# --- silence -------------------------------------------------------------------------------------------------------------


async def test_a_silent_node_is_unknown_after_40_seconds_and_ready_again_when_it_speaks() -> None:
    async with control_plane(nodelifecycle.CONTROLLER) as c:
        await _node(c, "a")
        await _node(c, "b")
        await c.create("pods", pod("p", node="b"))
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        await c.client.patch_status("pods", "p", "default", {"status": {"phase": "Running", "conditions": [ready]}})
        await _beat(c, "a", "b", seconds=200)
        for name in "ab":
            node = await c.get("nodes", name)
            assert node is not None and meta.condition(node, "Ready")["status"] == "True"  # type: ignore[index]
            assert _taints(node) == []
        await _beat(c, "a", seconds=20)
        node = await c.get("nodes", "b")
        assert node is not None and _taints(node) == []
        await _beat(c, "a", seconds=30)
        node, other = await c.get("nodes", "b"), await c.get("nodes", "a")
        assert node is not None and other is not None
        said = meta.condition(node, "Ready")
        assert said is not None
        assert (said["status"], said["reason"]) == ("Unknown", "NodeStatusUnknown")
        assert said["lastHeartbeatTime"] == "2026-01-01T00:00:00Z"
        assert _taints(node) == [("unreachable", "NoExecute"), ("unreachable", "NoSchedule")]
        assert _taints(other) == []
        p = await c.get("pods", "p", "default")
        assert p is not None and not pods.is_ready(p)
        await c.client.patch_status("nodes", "b", "", {"status": _conditions("True")})
        await _beat(c, "a", "b", seconds=20)
        node = await c.get("nodes", "b")
        assert node is not None and _taints(node) == []


async def test_a_node_that_never_spoke_has_60_seconds() -> None:
    async with control_plane(nodelifecycle.CONTROLLER) as c:
        await c.create("nodes", named("mute"))
        await c.settle(58)
        node = await c.get("nodes", "mute")
        assert node is not None and not node.get("status", {}).get("conditions")
        await c.settle(4)
        node = await c.get("nodes", "mute")
        assert node is not None
        assert {(x["type"], x["status"], x["reason"]) for x in node["status"]["conditions"]} == {
            (type_, "Unknown", "NodeStatusNeverUpdated")
            for type_ in ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
        }


async def test_while_no_node_is_ready_nothing_is_executed() -> None:
    async with control_plane(nodelifecycle.CONTROLLER) as c:
        await _node(c, "a")
        await _node(c, "b")
        await c.settle(60)
        for name in "ab":
            node = await c.get("nodes", name)
            assert node is not None and ("unreachable", "NoExecute") not in _taints(node), name
        await c.client.patch_status("nodes", "a", "", {"status": _conditions("True")})
        await _beat(c, "a", seconds=20)
        node = await c.get("nodes", "b")
        assert node is not None and ("unreachable", "NoExecute") in _taints(node)


async def test_quiet_clusters_are_left_quiet() -> None:
    async with control_plane(nodelifecycle.CONTROLLER, tainteviction.CONTROLLER, podgc.CONTROLLER) as c:
        await _node(c, "a")
        await c.create("pods", pod("p", node="a"))
        await _beat(c, "a", seconds=60)
        nodes = await c.client.list("nodes")
        await _beat(c, "a", seconds=600)
        assert (await c.client.list("nodes")).items == nodes.items


def test_taints_follow_conditions_and_leave_others_alone() -> None:
    mine = {"key": "example.com/mine", "effect": "NoExecute", "value": "x"}
    node: Obj = {"metadata": {"name": "n"}, "spec": {"taints": [mine], "unschedulable": True}, "status": {}}
    node["status"] = {"conditions": [{"type": "Ready", "status": "False"}, {"type": "DiskPressure", "status": "True"}]}
    planned = plan_taints(node, execute=True, now="2026-01-01T00:00:00Z")
    assert planned is not None and planned[0] == mine
    node["spec"]["taints"] = planned
    assert _taints(node) == [
        ("disk-pressure", "NoSchedule"), ("example.com/mine", "NoExecute"), ("not-ready", "NoExecute"),
        ("not-ready", "NoSchedule"), ("unschedulable", "NoSchedule"),
    ]  # fmt: skip
    assert plan_taints(node, execute=True, now="2026-01-01T01:00:00Z") is None, "timeAdded stays"
    node["status"] = {"conditions": [{"type": "Ready", "status": "True"}]}
    node["spec"]["unschedulable"] = False
    assert plan_taints(node, execute=True, now="") == [mine]


async def test_a_lease_renewed_costs_no_reconcile() -> None:
    async with control_plane(nodelifecycle.CONTROLLER) as c:
        names = [f"n{number}" for number in range(20)]
        for name in names:
            await _node(c, name)
        await _beat(c, *names, seconds=10)
        adds = c.manager.statistics()["controllers"]["node-lifecycle"]["adds"]
        await _beat(c, *names, seconds=600)
        more = c.manager.statistics()["controllers"]["node-lifecycle"]["adds"] - adds
        assert more <= 600 / 25, "one look for the silent in half a minute, for 20 nodes or 5,000"


# --- zones ---------------------------------------------------------------------------------------------------------------


def _executed(listed: Any) -> list[str]:
    return [meta.name(node) for node in listed if ("unreachable", "NoExecute") in _taints(node)]


async def test_the_nodes_of_a_zone_are_evicted_one_in_ten_seconds() -> None:
    async with control_plane(nodelifecycle.CONTROLLER) as c:
        for name in "abcd":
            await _node(c, name)
        counts = []
        await _beat(c, "a", "b", seconds=40)
        for _ in range(5):
            await _beat(c, "a", "b", seconds=10)
            counts.append(len(_executed((await c.client.list("nodes")).items)))
        assert counts[-1] == 2 and 1 in counts, counts


async def test_a_small_zone_that_is_partly_down_is_left_alone_another_is_not() -> None:
    async with control_plane(nodelifecycle.CONTROLLER) as c:
        for name in ("a1", "a2", "a3", "a4", "b1", "b2"):
            await _node(c, name)
            zone = {"topology.kubernetes.io/zone": name[0]}
            await c.client.patch("nodes", name, "", {"metadata": {"labels": zone}})
        await _beat(c, "a1", "b1", seconds=100)
        assert _executed((await c.client.list("nodes")).items) == ["b2"]
        await c.client.patch_status("nodes", "a2", "", {"status": _conditions("True")})
        await _beat(c, "a1", "a2", "b1", seconds=40)
        assert _executed((await c.client.list("nodes")).items) == ["a3", "a4", "b2"]
        await _beat(c, "a1", "a2", seconds=100)
        assert _executed((await c.client.list("nodes")).items) == ["a3", "a4", "b1", "b2"], (
            "a zone that is down as a whole"
        )


async def test_when_the_last_node_falls_silent_nothing_more_is_driven_off() -> None:
    async with control_plane(nodelifecycle.CONTROLLER) as c:
        for name in "ab":
            await _node(c, name)
        await _beat(c, "a", seconds=60)
        assert _executed((await c.client.list("nodes")).items) == ["b"]
        await c.settle(60)
        assert _executed((await c.client.list("nodes")).items) == []


def test_zone_states_and_turns() -> None:
    assert [state_of(*counts) for counts in ((3, 0), (0, 1), (1, 2), (2, 3), (3, 3), (0, 0))] == [
        "normal", "full", "normal", "partial", "normal", "normal",
    ]  # fmt: skip
    assert (rate_of("partial", 50), rate_of("partial", 51), rate_of("full", 500)) == (0.0, 0.01, 0.1)
    zones = Zones()
    for name in ("up", "up2"):
        zones.note(name, "z", True)
    for name in ("x", "y"):
        zones.note(name, "z", False)
    assert (zones.ask("x", 100.0), zones.head("z")) == (0.0, "")
    assert (zones.ask("y", 100.0), zones.ask("y", 110.0)) == (10.0, 0.0)
    zones.note("v", "z", False)
    assert zones.ask("v", 130.0) is None, "three of five are down"
    assert zones.note("x", "z", True) == ["v"]
    assert zones.ask("v", 130.0) == 0.0
    assert set(zones.note("up", "z", None) + zones.note("up2", "z", None) + zones.note("x", "z", False)) == {
        "x",
        "y",
        "v",
    }
    assert zones.all_down and zones.ask("x", 500.0) is None


# --- eviction ------------------------------------------------------------------------------------------------------------


def _tolerating(seconds: int | None) -> Obj:
    toleration: Obj = {"key": "k", "operator": "Exists", "effect": "NoExecute"}
    if seconds is not None:
        toleration["tolerationSeconds"] = seconds
    return {"spec": {"tolerations": [toleration]}}


def test_when_a_pod_has_to_go() -> None:
    since = datetime(2026, 1, 1, tzinfo=UTC)
    taint = {"key": "k", "effect": "NoExecute"}
    assert plan_eviction({"spec": {}}, [(taint, since)]) == since
    assert plan_eviction(_tolerating(30), [(taint, since)]) == since + timedelta(seconds=30)
    assert plan_eviction(_tolerating(None), [(taint, since)]) is None
    assert plan_eviction(_tolerating(None), [(taint, since), ({"key": "l", "effect": "NoExecute"}, since)]) == since
    assert plan_eviction({"spec": {}}, []) is None


def test_a_taint_without_a_time_counts_from_when_it_was_noticed_until_it_goes() -> None:
    noticed, taint = Noticed(), {"key": "k", "effect": "NoExecute"}
    start = datetime(2026, 1, 1, tzinfo=UTC)
    later = start + timedelta(minutes=1)
    assert noticed.since("n", [taint], now=start) == [(taint, start)]
    assert noticed.since("n", [taint], now=later) == [(taint, start)]
    assert noticed.since("n", [], now=later) == []
    assert noticed.since("n", [taint], now=later) == [(taint, later)]


async def test_pods_leave_an_unreachable_node_after_their_five_minutes() -> None:
    async with control_plane(nodelifecycle.CONTROLLER, tainteviction.CONTROLLER) as c:
        await _node(c, "a")
        await _node(c, "b")
        await c.create("pods", pod("usual", node="b"))
        forever = [{"operator": "Exists"}]
        await c.create("pods", pod("stays", node="b", spec={"tolerations": forever}))
        brief = [{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute",
                  "tolerationSeconds": 5}]  # fmt: skip
        await c.create("pods", pod("hasty", node="b", spec={"tolerations": brief}))
        await c.create("pods", pod("away", node="a"))

        async def going() -> list[str]:
            return [meta.name(p) for p in (await c.client.list("pods")).items if meta.is_deleting(p)]

        await _beat(c, "a", seconds=60)
        assert await going() == ["hasty"]
        await _beat(c, "a", seconds=240)
        assert await going() == ["hasty"]
        await _beat(c, "a", seconds=60)
        assert await going() == ["hasty", "usual"]
        usual = await c.get("pods", "usual", "default")
        assert usual is not None
        assert meta.condition(usual, "DisruptionTarget")["reason"] == "DeletionByTaintManager"  # type: ignore[index]


async def test_a_node_that_comes_back_in_time_keeps_its_pods() -> None:
    async with control_plane(nodelifecycle.CONTROLLER, tainteviction.CONTROLLER) as c:
        await _node(c, "a")
        await _node(c, "b")
        await c.create("pods", pod("usual", node="b"))
        await _beat(c, "a", seconds=200)
        await c.client.patch_status("nodes", "b", "", {"status": _conditions("True")})
        await _beat(c, "a", "b", seconds=400)
        p = await c.get("pods", "usual", "default")
        assert p is not None and not meta.is_deleting(p)


async def test_pods_that_are_well_cost_nothing() -> None:
    async with control_plane(tainteviction.CONTROLLER, podgc.CONTROLLER) as c:
        await _node(c, "a")
        for number in range(10):
            await c.create("pods", pod(f"p{number}", node="a"))
            await c.client.patch_status("pods", f"p{number}", "default", {"status": {"phase": "Running"}})
        await c.create("pods", pod("done", node="a"))
        await c.client.patch_status("pods", "done", "default", {"status": {"phase": "Succeeded"}})
        await c.client.delete("pods", "p3", "default", grace_seconds=0)
        await c.settle(100)
        adds = {name: found["adds"] for name, found in c.manager.statistics()["controllers"].items()}
        assert adds["taint-eviction"] == 0 and adds["pod-garbage-collector"] <= 1, adds


async def test_an_eviction_that_is_called_off_is_told() -> None:
    async with control_plane(tainteviction.CONTROLLER) as c:
        await _node(c, "a")
        tolerated = [{"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}]
        await c.create("pods", pod("p", node="a", spec={"tolerations": tolerated}))
        await c.client.patch("nodes", "a", "", {"spec": {"taints": [{"key": "k", "effect": "NoExecute"}]}})
        await c.settle(30)
        await c.client.patch("nodes", "a", "", {"spec": {"taints": None}})
        await c.settle(60)
        p = await c.get("pods", "p", "default")
        assert p is not None and not meta.is_deleting(p)
        messages = [event["message"] for event in (await c.client.list("events", "default")).items]
        assert messages == ["Cancelling deletion of Pod default/p"]


async def test_what_is_on_its_way_out_of_a_node_out_of_service_goes_at_once() -> None:
    async with control_plane(podgc.CONTROLLER) as c:
        await _node(c, "a")
        for name in ("going", "staying"):
            await c.create("pods", pod(name, node="a"))
        await c.client.delete("pods", "going", "default")
        await c.client.patch_status("nodes", "a", "", {"status": _conditions("Unknown")})
        await c.settle(100)
        assert await c.names("pods") == ["going", "staying"]
        await c.client.patch(
            "nodes", "a", "", {"spec": {"taints": [{"key": podgc.OUT_OF_SERVICE, "effect": "NoExecute"}]}}
        )
        await c.settle()
        assert await c.names("pods") == ["staying"]


# --- what is left behind -------------------------------------------------------------------------------------------------


async def test_pods_of_a_node_that_is_gone_are_removed_after_quarantine() -> None:
    async with control_plane(podgc.CONTROLLER) as c:
        await _node(c, "a")
        await _node(c, "b")
        await c.create("pods", pod("stranded", node="b"))
        await c.create("pods", pod("fine", node="a"))
        await c.create("pods", pod("pending"))
        await c.client.delete("nodes", "b")
        await c.settle(38)
        assert await c.names("pods") == ["fine", "pending", "stranded"]
        await c.settle(5)
        assert await c.names("pods") == ["fine", "pending"]


async def test_a_node_that_returns_within_quarantine_keeps_its_pods() -> None:
    async with control_plane(podgc.CONTROLLER) as c:
        await _node(c, "b")
        await c.create("pods", pod("stranded", node="b"))
        await c.client.delete("nodes", "b")
        await c.settle(30)
        await c.create("nodes", named("b"))
        await c.settle(100)
        assert await c.names("pods") == ["stranded"]


def test_clearance() -> None:
    deleting = named("p")
    deleting["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    there: Obj = {"metadata": {"name": "n"}, "spec": {}}
    assert plan_clearance(named("p"), None, missing_for=0).action == "keep"
    assert plan_clearance(deleting, None, missing_for=0).action == "unscheduled"
    bound = {**named("p"), "spec": {"nodeName": "n"}}
    assert plan_clearance(bound, there, missing_for=0).action == "keep"
    assert plan_clearance(bound, None, missing_for=10).wait == 30
    assert plan_clearance(bound, None, missing_for=40).action == "orphaned"
    out = {**there, "spec": {"taints": [{"key": podgc.OUT_OF_SERVICE, "effect": "NoExecute"}]}}
    assert (
        plan_clearance({**bound, **deleting, "spec": {"nodeName": "n"}}, out, missing_for=0).action == "out-of-service"
    )
    assert plan_clearance(bound, out, missing_for=0).action == "keep"


def test_the_oldest_finished_pods_go_first() -> None:
    finished = [
        {"metadata": {"name": name, "creationTimestamp": f"2026-01-0{day}T00:00:00Z"}}
        for name, day in (("b", 2), ("a", 1), ("c", 3))
    ]
    assert [meta.name(p) for p in plan_sweep(finished, limit=1)] == ["a", "b"]
    assert plan_sweep(finished, limit=3) == []
    evicted = {**finished[2], "status": {"phase": "Failed", "reason": "Evicted"}}
    assert [meta.name(p) for p in plan_sweep([*finished[:2], evicted], limit=1)] == ["c", "a"]
