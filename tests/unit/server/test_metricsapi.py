"""metrics.k8s.io: rates from samples, who is asked when, and what is said when a node cannot be asked."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from minik.api.errors import NotFound, ServiceUnavailable
from minik.api.meta import Obj
from minik.link.samples import ContainerSample, NodeSample, Usage
from minik.server.metricsapi import PodUsage, rates
from tests.support.cluster import ControlPlane, control_plane, named, pod
from tests.support.kubelet import Kubelet
from tests.support.meter import metered
from tests.unit.server.objects import send

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD = NOW - timedelta(hours=1)
PODS, NODES = "pods.metrics.k8s.io", "nodes.metrics.k8s.io"


def sample(seconds: float, *containers: tuple[str, str, datetime, int], node: int = 0) -> NodeSample:
    listed = tuple(ContainerSample(uid, name, started, Usage(cpu, 7)) for uid, name, started, cpu in containers)
    return NodeSample(NOW + timedelta(seconds=seconds), Usage(node, 9), listed)


def test_rates() -> None:
    before = sample(0, ("u", "a", OLD, 1_000), ("u", "b", OLD, 5_000), node=100)
    found = rates(before, sample(10, ("u", "a", OLD, 11_000), ("u", "b", OLD, 5_000), node=20_100))
    assert (found.time, found.window, found.node) == (NOW + timedelta(seconds=10), 10.0, (2_000, 9))
    assert found.pods == {"u": PodUsage(10.0, {"a": (1_000, 7), "b": (0, 7)})}


def test_what_began_between_the_samples_counts_from_its_start() -> None:
    young = NOW + timedelta(seconds=6)
    found = rates(sample(0, ("u", "a", OLD, 9)), sample(10, ("u", "a", young, 8_000)))
    assert found.pods == {"u": PodUsage(4.0, {"a": (2_000, 7)})}


@pytest.mark.parametrize(
    "containers",
    [
        [("u", "a", OLD, 0), ("u", "b", NOW + timedelta(seconds=9.9), 1)],  # too young
        [("u", "a", OLD, 0), ("u", "b", OLD, 1)],  # was not seen before, and is not new
        [("u", "a", OLD, -1)],  # a counter that went back
    ],
)
def test_a_pod_of_which_nothing_can_be_said_is_left_out(containers: list[Any]) -> None:
    assert not rates(sample(0, ("u", "a", OLD, 0)), sample(10, *containers)).pods


def node(name: str) -> Obj:
    return named(name, labels={"zone": name})


async def two_pods(c: ControlPlane) -> None:
    for name in ("n1", "n2"):
        await c.create("nodes", node(name))
    await c.create("pods", pod("a", labels={"app": "a"}))
    await c.create("pods", pod("b", labels={"app": "b"}))
    await c.settle(5)


@pytest.mark.looptime
async def test_who_asks_within_ten_seconds_shares_one_measurement() -> None:
    async with control_plane(Kubelet().controller) as c, metered(c.server, c.client) as meter:
        await meter.use(lambda one: 250 if one["metadata"]["name"] == "a" else 4)
        await two_pods(c)
        lists = await asyncio.gather(*(c.client.list(PODS, "default") for _ in range(5)))
        assert meter.asked == 2, "two samples, a second apart"
        for found in lists:
            by_name = {each["metadata"]["name"]: each for each in found.items}
            assert set(by_name) == {"a", "b"}
            assert by_name["a"]["containers"] == [{"name": "c", "usage": {"cpu": "250m", "memory": "32Mi"}}]
            assert by_name["a"]["window"] == "1s"
            assert by_name["a"]["metadata"]["labels"] == {"app": "a"}
        chosen = await c.client.list(PODS, "", label_selector="app=b")
        assert [each["metadata"]["name"] for each in chosen.items] == ["b"]
        one = await c.client.get(PODS, "a", "default")
        assert one["kind"] == "PodMetrics"
        assert meter.asked == 2
        await c.settle(15)
        assert (await c.client.get(PODS, "a", "default"))["window"] == "15s"
        assert meter.asked == 3
        await c.settle(300)
        assert meter.asked == 3, "nobody asks, nothing is measured"
        assert (await c.client.get(NODES, "n1"))["window"] == "1s", "an old sample is no beginning"


@pytest.mark.looptime
async def test_a_new_pod_need_not_wait() -> None:
    async with control_plane(Kubelet().controller) as c, metered(c.server, c.client) as meter:
        await two_pods(c)
        await c.client.list(PODS, "default")
        await c.create("pods", pod("young"))
        await c.settle(3)
        found = {each["metadata"]["name"]: each["window"] for each in (await c.client.list(PODS, "default")).items}
        assert set(found) == {"a", "b", "young"}
        assert found["young"] < found["a"], "the others keep their window, and more"
        assert meter.asked == 3


@pytest.mark.looptime
async def test_a_node_that_cannot_be_asked() -> None:
    async with control_plane(Kubelet().controller) as c, metered(c.server, c.client):
        await two_pods(c)
        response, request = await send(c.server, "GET", "/apis/metrics.k8s.io/v1beta1/nodes")
        assert response.entries is not None
        assert [entry.name for entry in response.entries.entries] == ["n1"]
        assert request.warnings == ["error dialing backend: node n2 is not connected"]
        with pytest.raises(ServiceUnavailable, match="node n2 is not connected"):
            await c.client.get(NODES, "n2")
        with pytest.raises(NotFound, match=r'nodemetrics\.metrics\.k8s\.io "n3" not found'):
            await c.client.get(NODES, "n3")
        with pytest.raises(NotFound, match=r'podmetrics\.metrics\.k8s\.io "default/none" not found'):
            await c.client.get(PODS, "none", "default")


@pytest.mark.looptime
async def test_documents_of_a_kubelet() -> None:
    async with control_plane(Kubelet().controller) as c, metered(c.server, c.client) as meter:
        await meter.use(lambda _pod: 250)
        await two_pods(c)
        await c.settle(15)
        node_path = "/api/v1/nodes/n1/proxy"
        summary = await c.client.transport.request("GET", f"{node_path}/stats/summary")
        assert summary["node"]["nodeName"] == "n1"
        assert {each["podRef"]["name"]: each["cpu"]["usageNanoCores"] for each in summary["pods"]} == {
            "a": 250_000_000, "b": 250_000_000,
        }  # fmt: skip
        (container,) = summary["pods"][0]["containers"]
        assert container["memory"]["workingSetBytes"] == 32 << 20
        response, _ = await send(c.server, "GET", f"{node_path}/metrics/resource")
        text = (response.raw or b"").decode()
        assert 'container_memory_working_set_bytes{container="c",namespace="default",pod="a"} 33554432 ' in text
        assert "# TYPE pod_cpu_usage_seconds_total counter" in text
        assert "node_memory_working_set_bytes 1073741824 " in text
        assert (await send(c.server, "GET", f"{node_path}/pods"))[0].status == 404
        assert (await send(c.server, "GET", "/api/v1/nodes/n2/proxy/stats/summary"))[0].status == 503


@pytest.mark.looptime
async def test_only_reading_is_served() -> None:
    async with control_plane() as c:
        for method in ("POST", "DELETE", "PUT"):
            response, _ = await send(c.server, method, "/apis/metrics.k8s.io/v1beta1/nodes", {})
            assert response.status == 405
        response, _ = await send(c.server, "GET", "/apis/metrics.k8s.io/v1beta1/nodes?watch=true")
        assert response.status == 405
