"""The running scheduler on a real API server: bindings, steps around them, and resources that plugins follow."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from minik.api import meta
from minik.api.errors import Conflict
from minik.api.meta import ROObj
from minik.client.client import Client
from minik.sched.hooks import BindStep, Follower
from minik.sched.plugins import Check, Filter, default_plugins
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo
from tests.support.objects import node
from tests.support.scheduling import scheduling

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
