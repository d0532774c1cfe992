"""The running scheduler on a real API server: bindings, steps around them, and resources that plugins follow."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from minik.api import meta
from minik.api.errors import Conflict
from minik.api.meta import ROObj
from minik.cli.why import words
from minik.client.client import Client
from minik.sched.cycle import schedule
from minik.sched.hooks import BindStep, Follower
from minik.sched.plugins import Check, Filter, build, default_plugins
from minik.sched.profiles import Profile
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo
from tests.support.cluster import control_plane
from tests.support.dying import Dying
from tests.support.objects import node
from tests.support.scheduling import scheduler_on, scheduling

pytestmark = pytest.mark.looptime


@dataclass
class Diary:
    """A step that writes down what it is asked to do."""

    name: str
    said: list[str] = field(default_factory=list)
    refusals: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def step(self) -> BindStep:
        return BindStep(
            self.name,
            wants=lambda pod, _cluster: pod.key.name.startswith("wanted"),
            reserve=lambda pod, node_name, _cluster: self.said.append(
                f"{self.name} reserve {pod.key.name} {node_name}"
            ),
            unreserve=lambda pod, _node, _cluster: self.said.append(f"{self.name} unreserve {pod.key.name}"),
            pre_bind=self._pre_bind,
        )

    async def _pre_bind(self, pod: PodInfo, _node: str, _cluster: Cluster, _client: Client) -> None:
        self.said.append(f"{self.name} pre-bind {pod.key.name}")
        await self.gate.wait()
        if self.refusals:
            self.refusals -= 1
            raise Conflict("not yet")


async def test_steps_come_in_order_before_the_binding_and_are_taken_back_when_one_refuses() -> None:
    said: list[str] = []
    one, two = Diary("one", said), Diary("two", said, refusals=1)
    one.gate.set()
    plugins = replace(default_plugins(), steps=(one.step(), two.step()))
    async with scheduling([node("n")], plugins=plugins) as rig:
        await rig.pod("wanted")
        await rig.pod("other")
        await rig.settle(0.5)
        assert await rig.node_of("other") == "n"
        assert said == ["one reserve wanted n", "two reserve wanted n", "one pre-bind wanted", "two pre-bind wanted"]
        assert not await rig.node_of("wanted")
        value = rig.scheduler.why(await rig.found("wanted"))
        assert (value["state"], value["node"], value["steps"]) == ("Binding", "n", ["one", "two"])
        assert next(words(value)).endswith("goes to node n: its binding is under way (one, two come first).")
        said.clear()
        two.gate.set()
        await rig.settle(5)
        assert said == [
            "two unreserve wanted", "one unreserve wanted",
            "one reserve wanted n", "two reserve wanted n", "one pre-bind wanted", "two pre-bind wanted",
        ]  # fmt: skip
        assert await rig.node_of("wanted") == "n"


async def test_a_pod_that_is_deleted_while_a_step_waits_gives_back_what_it_took() -> None:
    diary = Diary("step")
    plugins = replace(default_plugins(), steps=(diary.step(),))
    async with scheduling([node("n", cpu="1")], plugins=plugins) as rig:
        await rig.pod("wanted", cpu="1")
        await rig.settle(1)
        await rig.pod("next", cpu="1")
        await rig.settle(1)
        assert not await rig.node_of("next")
        await rig.client.delete("pods", "wanted", "default", grace_seconds=0)
        await rig.settle(2)
        assert diary.said[-1] == "step unreserve wanted"
        assert await rig.node_of("next") == "n"


class Permits:
    """What the filter below goes by: names of nodes."""

    def __init__(self) -> None:
        self.names: set[str] = set()


async def test_a_filter_goes_by_a_followed_resource_and_its_changes_wake_the_pods_it_refused() -> None:
    def prepare(_pod: PodInfo, cluster: Cluster) -> Check:
        permitted = cluster.part(Permits).names

        def check(info: NodeInfo) -> str | None:
            return None if info.name in permitted else "no permit"

        return check

    def added(cluster: Cluster, obj: ROObj) -> frozenset[str]:
        cluster.part(Permits).names.add(meta.name(obj))
        return frozenset({"Permit"})

    default = default_plugins()
    follower = Follower("configmaps", added=added)
    plugins = replace(default, filters=(*default.filters, Filter("Permit", prepare)), followers=(follower, follower))
    async with scheduling([node("n1"), node("n2")], plugins=plugins) as rig:
        await rig.pod("a")
        await rig.settle(1)
        assert await rig.events("FailedScheduling") == [
            "0/2 nodes are available: 2 no permit. "
            "preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod."
        ]
        await rig.create("configmaps", {"metadata": {"name": "n2", "namespace": "default"}})
        await rig.settle(2)
        assert await rig.node_of("a") == "n2"


async def test_what_is_true_of_one_pod_is_not_worked_out_again_for_all_its_like(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A full cluster with a backlog: when one pod leaves, another takes its place, and the rest is told so at next to no cost."""
    decisions = 0
    decide = schedule

    def counted(*arguments: Any, **more: Any) -> Any:
        nonlocal decisions
        decisions += 1
        return decide(*arguments, **more)

    monkeypatch.setattr("minik.sched.loop.schedule", counted)
    async with scheduling([node("n1", cpu="2"), node("n2", cpu="2")]) as rig:
        for number in range(60):
            await rig.pod(f"p{number}", cpu="1", owner="rs")
        await rig.settle(30)
        assert decisions < 15
        placed = [item for item in (await rig.client.list("pods", "default")).items if item["spec"].get("nodeName")]
        assert len(placed) == 4
        before, waiting = decisions, len(rig.scheduler.queue)
        await rig.client.delete("pods", meta.name(placed[0]), "default", grace_seconds=0)
        await rig.settle(12)
        assert len(rig.scheduler.queue) == waiting - 1
        assert decisions - before <= 3
        # somebody who asks for less is not held back by that
        await rig.pod("small", cpu="0")
        await rig.settle(1)
        assert await rig.node_of("small")


async def test_an_idle_backlog_costs_nothing() -> None:
    async with scheduling([node("n", cpu="1")]) as rig:
        for number in range(20):
            await rig.pod(f"p{number}", cpu="2")
        await rig.settle(5)
        revision = rig.server.server.core.cache.revision
        attempts = rig.scheduler._figures.unschedulable.value
        await rig.node(node("other", cpu="1"))
        await rig.client.patch("nodes", "n", "", {"metadata": {"annotations": {"a": "b"}}})
        await rig.pod("elsewhere", schedulerName="somebody")
        await rig.settle(200)
        assert rig.scheduler._figures.unschedulable.value == attempts
        assert rig.server.server.core.cache.revision == revision + 4  # the writes of this test, and no other


async def test_profiles_have_their_own_plugins_and_one_cluster() -> None:
    fields = {"plugins": {"filter": {"disabled": [{"name": "NodeUnschedulable"}]}}}
    profiles = (Profile("default-scheduler", default_plugins()), Profile("bold", build(fields)))
    async with scheduling([node("n", cpu="2", unschedulable=True)], profiles=profiles) as rig:
        await rig.pod("bold", cpu="1", schedulerName="bold")
        await rig.pod("careful", cpu="1")
        await rig.pod("foreign", cpu="1", schedulerName="else")
        await rig.settle(1)
        assert [await rig.node_of(name) for name in ("bold", "careful", "foreign")] == ["n", "", ""]
        await rig.node(node("n", cpu="2"))
        await rig.settle(2)
        assert await rig.node_of("careful") == "n"
        await rig.pod("third", cpu="1")
        await rig.settle(1)
        assert not await rig.node_of("third")


@pytest.mark.parametrize("fatal", range(1, 4))
@pytest.mark.parametrize("before", [True, False])
async def test_a_scheduler_that_dies_at_any_write_leaves_nothing_behind(fatal: int, before: bool) -> None:
    """Between nomination, eviction and binding; the next one ends what it began, with one victim in all."""
    async with control_plane() as plane:
        await plane.create("priorityclasses.scheduling.k8s.io", {"metadata": {"name": "high"}, "value": 1000})
        dying = Dying(plane.server.local(), fatal, before=before)
        async with scheduler_on(plane, dying) as rig:
            await rig.node(node("n1", cpu="1"))
            await rig.node(node("n2", cpu="1"))
            for name, on in (("a", "n1"), ("b", "n2")):
                await rig.pod(name, cpu="1", node_name=on)
            await rig.settle(3)
            await rig.pod("high", cpu="1", priorityClassName="high", terminationGracePeriodSeconds=0)
            await rig.settle(3)
            assert dying.dead.is_set() == (fatal < 3)
        async with scheduler_on(plane, plane.server.local()) as rig:
            await rig.settle(3)
            for item in (await rig.client.list("pods", "default")).items:
                if meta.is_deleting(item):
                    await rig.client.delete("pods", meta.name(item), "default", grace_seconds=0)
            await rig.settle(15)
            left = {
                meta.name(item): item["spec"].get("nodeName")
                for item in (await rig.client.list("pods", "default")).items
            }
            assert left.pop("high") and len(left) == 1 and all(left.values()), left


async def test_a_plugin_that_fails_costs_its_pod_an_attempt_and_nobody_else_anything() -> None:
    def prepare(pod: PodInfo, _cluster: Cluster) -> Check | None:
        if pod.key.name == "odd" and not mended:
            raise KeyError("spec.odd")
        return None

    def reserve(pod: PodInfo, _node: str, _cluster: Cluster) -> None:
        if pod.key.name == "wanted" and not mended:
            raise KeyError("reserve")

    mended: list[bool] = []
    default, diary = default_plugins(), Diary("step")
    diary.gate.set()
    step = replace(diary.step(), reserve=reserve)
    plugins = replace(default, filters=(*default.filters, Filter("Odd", prepare)), steps=(step,))
    async with scheduling([node("n", cpu="2")], plugins=plugins) as rig:
        for name in ("odd", "wanted", "good"):
            await rig.pod(name, cpu="1")
        await rig.settle(1)
        assert [await rig.node_of(name) for name in ("odd", "wanted", "good")] == ["", "", "n"]
        assert any("KeyError('spec.odd')" in text for text in await rig.events("FailedScheduling"))
        condition = meta.condition(await rig.found("odd"), "PodScheduled")
        assert condition is not None and (condition["status"], condition["reason"]) == ("False", "SchedulerError")
        assert diary.said == ["step unreserve wanted"] * len(diary.said)
        await rig.client.delete("pods", "good", "default", grace_seconds=0)
        mended.append(True)
        await rig.settle(11)
        assert [await rig.node_of(name) for name in ("odd", "wanted")] == ["n", "n"]


async def test_a_profile_without_preemption() -> None:
    async with scheduling(
        [node("n", cpu="1")], profiles=[Profile("default-scheduler", default_plugins(), (), None)]
    ) as rig:
        await rig.create("priorityclasses.scheduling.k8s.io", {"metadata": {"name": "high"}, "value": 1000})
        await rig.pod("low", cpu="1")
        await rig.settle(1)
        await rig.pod("high", cpu="1", priorityClassName="high")
        await rig.settle(20)
        assert await rig.events("FailedScheduling") == ["0/1 nodes are available: 1 Insufficient cpu."]
        assert not meta.is_deleting(await rig.found("low"))
