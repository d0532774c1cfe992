from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

import pytest

from minik.agent.network.base import NetworkError
from minik.agent.proxy.proxy import ServiceProxy, host_ports
from minik.agent.proxy.rules import Frontend, HostPort, Point, Target
from minik.api.meta import Key
from minik.clock import LoopClock
from tests.support.services import NODE, key, service, slice_of


class Kernel:
    """A backend that keeps what it was told and refuses what makes no sense."""

    def __init__(self) -> None:
        self.points: dict[Point, Frontend] = {}
        self.fail = 0
        self.calls = 0
        self.intact = True
        self.gate = asyncio.Event()
        self.gate.set()

    async def load(self, frontends: Collection[Frontend]) -> None:
        self.points = {f.point: f for f in frontends}
        assert len(self.points) == len(frontends)
        self.intact = True

    async def change(self, removed: Sequence[Frontend], added: Sequence[Frontend]) -> None:
        await self.gate.wait()
        self.calls += 1
        if self.fail:
            self.fail -= 1
            raise NetworkError("as the test wants")
        for frontend in removed:
            assert self.points.pop(frontend.point) == frontend
        for frontend in added:
            assert frontend.point not in self.points
            self.points[frontend.point] = frontend

    def is_intact(self) -> bool:
        return self.intact

    async def close(self) -> None:
        return None

    def targets(self, address: str) -> list[str]:
        return [t.address for point, f in self.points.items() if point.address == address for t in f.targets]


@pytest.fixture
async def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
async def proxy(kernel: Kernel):
    made = ServiceProxy(node=NODE, backend=kernel, clock=LoopClock())
    yield made
    await made.close()


async def test_what_was_told_before_the_start_is_loaded_and_the_rest_follows(
    proxy: ServiceProxy, kernel: Kernel
) -> None:
    web, rows = service("web", "10.96.0.20"), slice_of("web", ["10.244.1.5"])
    proxy.update_slice(key(rows), rows)
    proxy.update_service(key(web), web)
    await proxy.start()
    assert kernel.targets("10.96.0.20") == ["10.244.1.5"]
    assert kernel.calls == 0
    more = slice_of("web", ["10.244.1.6"], suffix="y")
    proxy.update_slice(key(more), more)
    await proxy.settled()
    assert kernel.targets("10.96.0.20") == ["10.244.1.5", "10.244.1.6"]
    proxy.update_slice(key(rows), None)
    await proxy.settled()
    assert kernel.targets("10.96.0.20") == ["10.244.1.6"]
    proxy.update_service(key(web), None)
    await proxy.settled()
    assert kernel.points == {}


async def test_what_changes_nothing_costs_nothing(proxy: ServiceProxy, kernel: Kernel) -> None:
    web, rows = service("web", "10.96.0.20"), slice_of("web", ["10.244.1.5"])
    proxy.update_service(key(web), web)
    proxy.update_slice(key(rows), rows)
    await proxy.start()
    again = service("web", "10.96.0.20")
    again["metadata"]["annotations"] = {"note": "other"}
    proxy.update_service(key(web), again)
    await proxy.settled()
    assert kernel.calls == 0


async def test_changes_meanwhile_are_one_transaction(proxy: ServiceProxy, kernel: Kernel) -> None:
    await proxy.start()
    kernel.gate.clear()
    for index in range(20):
        svc, rows = service(f"s{index}", f"10.96.1.{index}"), slice_of(f"s{index}", ["10.244.1.5"])
        proxy.update_service(key(svc), svc)
        proxy.update_slice(key(rows), rows)
        if index == 0:
            await asyncio.sleep(0)
    kernel.gate.set()
    await proxy.settled()
    assert len(kernel.points) == 20
    assert kernel.calls <= 2


async def test_a_refused_change_is_followed_by_loading_everything(proxy: ServiceProxy, kernel: Kernel) -> None:
    await proxy.start()
    kernel.fail = 1
    web, rows = service("web", "10.96.0.20"), slice_of("web", ["10.244.1.5"])
    proxy.update_service(key(web), web)
    proxy.update_slice(key(rows), rows)
    await proxy.settled()
    assert kernel.targets("10.96.0.20") == ["10.244.1.5"]
    assert proxy.statistics()["loads"] == 2


async def test_a_point_that_two_claim_goes_to_the_second_when_the_first_leaves(
    proxy: ServiceProxy, kernel: Kernel
) -> None:
    await proxy.start()
    objects = [service(n, f"10.96.0.{i}", externalIPs=["203.0.113.7"]) for i, n in enumerate("ab", 1)]
    slices = [slice_of(n, [f"10.244.1.{i}"]) for i, n in enumerate("ab", 1)]
    for svc, rows in zip(objects, slices, strict=True):
        proxy.update_service(key(svc), svc)
        proxy.update_slice(key(rows), rows)
    await proxy.settled()
    assert kernel.targets("203.0.113.7") == ["10.244.1.1"]
    proxy.update_service(key(objects[0]), None)
    await proxy.settled()
    assert kernel.targets("203.0.113.7") == ["10.244.1.2"]
    assert kernel.targets("10.96.0.1") == []


async def test_a_slice_that_moves_to_another_service(proxy: ServiceProxy, kernel: Kernel) -> None:
    await proxy.start()
    for index, name in enumerate("ab", 1):
        svc = service(name, f"10.96.0.{index}")
        proxy.update_service(key(svc), svc)
    rows = slice_of("a", ["10.244.1.5"])
    proxy.update_slice(Key("default", "rows"), rows)
    await proxy.settled()
    proxy.update_slice(Key("default", "rows"), slice_of("b", ["10.244.1.5"]))
    await proxy.settled()
    assert kernel.targets("10.96.0.1") == []
    assert kernel.targets("10.96.0.2") == ["10.244.1.5"]


def test_host_ports_of_a_pod() -> None:
    containers = [{"ports": [{"containerPort": 80, "hostPort": 8080, "hostIP": "0.0.0.0"}, {"containerPort": 81}]}]
    pod = {
        "metadata": {"name": "p"},
        "spec": {"containers": containers},
        "status": {"podIP": "10.244.1.5", "phase": "Running"},
    }
    assert host_ports(pod) == (HostPort("tcp", 8080, Target("10.244.1.5", 80)),)
    assert host_ports({**pod, "status": {"podIP": "10.244.1.5", "phase": "Succeeded"}}) == ()
    assert host_ports({**pod, "status": {}}) == ()
    assert host_ports({**pod, "spec": {"containers": containers, "hostNetwork": True}}) == ()
