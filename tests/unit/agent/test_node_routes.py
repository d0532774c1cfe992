"""Routes to other nodes: no change of a node is missed, whenever it comes."""

from __future__ import annotations

import asyncio

import pytest

from minik.agent.network.peers import NodeRoutes
from minik.agent.network.routes import Plan
from minik.api.meta import Obj, ROObj


def node(name: str, cidr: str) -> Obj:
    return {"metadata": {"name": name}, "spec": {"podCIDR": cidr}}


async def test_a_node_that_comes_while_the_first_routes_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minik.agent.network.listen._SETTLE_SECONDS", 0)
    routes = NodeRoutes(node_name="n1", node_ip="192.0.2.1", pod_cidr="10.244.0.0/24")
    seen: list[list[str]] = []
    both = asyncio.Event()
    loop = asyncio.get_running_loop()

    def apply(nodes: list[ROObj]) -> Plan:
        seen.append(sorted(n["metadata"]["name"] for n in nodes))
        if len(seen) == 1:
            told = asyncio.run_coroutine_threadsafe(tell(), loop)
            told.result(5)
        if seen[-1] == ["n1", "n2"]:
            loop.call_soon_threadsafe(both.set)
        return Plan()

    async def tell() -> None:
        routes.update_node("n2", node("n2", "10.244.1.0/24"))

    monkeypatch.setattr(routes, "_apply", apply)
    routes.update_node("n1", node("n1", "10.244.0.0/24"))
    try:
        await routes.start()
        async with asyncio.timeout(5):
            await both.wait()
    finally:
        await routes.close()
    assert seen[0] == ["n1"]
