"""Extenders: an HTTP server that filters, rates and binds; one that fails; and what happens while it thinks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from minik.api.meta import Key
from minik.sched.extender import Extender, parse_duration, parse_extender
from minik.sched.plugins import default_plugins
from minik.sched.profiles import Profile
from minik.sched.snapshot import Cluster, PodInfo
from tests.support.objects import node, pod
from tests.support.scheduling import Rig, scheduling

Answer = Callable[[dict[str, Any]], Any]


@dataclass
class Server:
    """Answers each verb with what a function makes of the request."""

    verbs: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    before: Callable[[], Awaitable[None]] | None = None
    url: str = ""

    async def handle(self, request: web.Request) -> web.Response:
        verb, body = request.match_info["verb"], await request.json()
        self.asked.append((verb, body))
        if self.before is not None:
            await self.before()
        if verb not in self.verbs:
            return web.Response(status=500)
        return web.json_response(self.verbs[verb](body))

    def extender(self, **more: Any) -> Extender:
        verbs = {"filterVerb": "filter"} if "filter" in self.verbs or not more else {}
        return parse_extender({"urlPrefix": self.url, "nodeCacheCapable": True, **verbs, **more})


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    app = web.Application()
    app.router.add_post("/{verb}", made.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@contextlib.asynccontextmanager
async def rig(*extenders: Extender, nodes: int = 3) -> AsyncIterator[Rig]:
    profiles = (Profile("default-scheduler", default_plugins(), extenders),)
    async with scheduling([node(f"n{i}") for i in range(nodes)], profiles=profiles) as made:
        for name, value in (("middle", 5), ("high", 10)):
            kind = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass"}
            await made.create("priorityclasses.scheduling.k8s.io", {**kind, "metadata": {"name": name}, "value": value})
        yield made


async def until(condition: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():  # noqa: ASYNC110  # of a server's state
            await asyncio.sleep(0.01)


async def test_it_filters_and_says_why(server: Server) -> None:
    server.verbs["filter"] = lambda _: {"NodeNames": ["n1"], "FailedNodes": {"n0": "no licence", "n2": "no licence"}}
    async with rig(server.extender()) as r:
        await r.pod("a")
        await until(lambda: r.node_of("a"))
        assert await r.node_of("a") == "n1"
        assert sorted(server.asked[0][1]["NodeNames"]) == ["n0", "n1", "n2"]
        record = r.scheduler.explanations.of((await r.found("a"))["metadata"]["uid"])
        assert record is not None and record.counts == (("Extender", "no licence", 2),)
        server.verbs["filter"] = lambda body: {"NodeNames": [], "FailedNodes": dict.fromkeys(body["NodeNames"], "gone")}
        await r.pod("b")

        async def said() -> bool:
            return any("0/3 nodes are available: 3 gone." in text for text in await r.events("FailedScheduling"))

        await until(said)


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        ({"Nodes": None, "NodeNames": ["n1"], "FailedNodes": None, "Error": ""}, {"n1"}),
        ({"nodenames": ["n1"], "failedNodes": {"n0": "no"}}, {"n1"}),
        ({"NodeNames": ["n0", "n1"], "FailedNodes": {"n0": "not really"}}, {"n0", "n1"}),
        ({"Nodes": {"items": [{"metadata": {"name": "n2"}}]}}, {"n2"}),
        ({"FailedNodes": {}}, set()),
    ],
)
async def test_an_answer_names_its_fields_in_any_case(server: Server, answer: dict[str, Any], left: set[str]) -> None:
    """As Go's decoder takes it, and with what upstream's extender.go makes of each: the nodes that are listed are left, no others."""
    server.verbs["filter"] = lambda _: answer
    extender = server.extender()
    cluster = Cluster.of([node(f"n{i}") for i in range(3)])
    refused = await extender.filter(PodInfo(pod("a")), cluster.nodes)
    assert {each.name for each in cluster.nodes} - set(refused) == left
    await extender.close()


async def test_it_rates_beside_the_plugins(server: Server) -> None:
    server.verbs["rate"] = lambda body: [{"Host": n, "Score": 10 if n == "n2" else 0} for n in body["NodeNames"]]
    async with rig(server.extender(prioritizeVerb="rate", weight=100)) as r:
        for number in range(3):
            await r.pod(f"a{number}")
        await until(lambda: r.node_of("a2"))
        assert {await r.node_of(f"a{number}") for number in range(3)} == {"n2"}


async def test_it_binds(server: Server) -> None:
    async with rig() as r:

        def bind(body: dict[str, Any]) -> Any:
            key = Key(body["PodNamespace"], body["PodName"])
            binding.append(asyncio.ensure_future(r.client.bind(key, body["Node"], uid=body["PodUID"])))
            return {}

        binding: list[Any] = []
        server.verbs["bind"] = bind
        extender = parse_extender({"urlPrefix": server.url, "bindVerb": "bind"})
        profile = Profile("default-scheduler", default_plugins(), (extender,))
        r.scheduler.profiles["default-scheduler"] = profile
        await r.pod("a")
        await until(lambda: r.node_of("a"))
        assert [verb for verb, _ in server.asked] == ["bind"]


@pytest.mark.parametrize("ignorable", [True, False])
async def test_one_that_fails_to_bind_leaves_it_to_the_scheduler_if_it_may_be_ignored(
    server: Server, ignorable: bool
) -> None:
    server.verbs["bind"] = lambda _: {"Error": "no"}
    extender = parse_extender({"urlPrefix": server.url, "bindVerb": "bind", "ignorable": ignorable})
    async with rig(extender) as r:
        await r.pod("a")
        await until(lambda: r.node_of("a") if ignorable else _asked(server, 2))
        assert bool(await r.node_of("a")) is ignorable


async def _asked(server: Server, times: int) -> bool:
    return len(server.asked) >= times


async def test_whole_nodes_are_sent_to_those_that_do_not_know_them(server: Server) -> None:
    server.verbs["filter"] = lambda body: {"Nodes": {"items": body["Nodes"]["items"][:1]}}
    async with rig(server.extender(nodeCacheCapable=False)) as r:
        await r.pod("a")
        await until(lambda: r.node_of("a"))
        sent = server.asked[0][1]["Nodes"]["items"]
        assert {each["metadata"]["name"] for each in sent} == {"n0", "n1", "n2"}
        assert await r.node_of("a") == sent[0]["metadata"]["name"]


async def test_only_pods_it_is_about(server: Server) -> None:
    server.verbs["filter"] = lambda body: {"NodeNames": body["NodeNames"]}
    extender = server.extender(managedResources=[{"name": "example.com/x"}])
    assert not extender.is_interested(PodInfo(pod("a", cpu="1")))
    assert extender.is_interested(PodInfo(pod("a", container={"resources": {"limits": {"example.com/x": "1"}}})))
    async with rig(extender) as r:
        await r.pod("a")
        await until(lambda: r.node_of("a"))
        assert not server.asked


@pytest.mark.parametrize("ignorable", [True, False])
async def test_one_that_fails_holds_pods_up_unless_it_may_be_ignored(server: Server, ignorable: bool) -> None:
    async with rig(server.extender(filterVerb="none", ignorable=ignorable)) as r:
        await r.pod("a")
        if ignorable:
            await until(lambda: r.node_of("a"))
            return

        async def said() -> bool:
            return any("failed none with extender at URL" in text for text in await r.events("FailedScheduling"))

        await until(said)
        assert not await r.node_of("a")
        waiting = r.scheduler.queue.get(Key("default", "a"))
        assert waiting is not None and waiting.state == "backing off"
        assert r.scheduler.why(await r.found("a"))["state"] == "Failed"


async def test_one_that_is_not_there_or_too_slow(server: Server) -> None:
    gone = parse_extender({"urlPrefix": "http://127.0.0.1:1", "filterVerb": "f", "ignorable": True})

    async def slowly() -> None:
        await asyncio.sleep(0.5)

    server.before = slowly
    slow = server.extender(filterVerb="filter", httpTimeout="50ms", ignorable=True)
    async with rig(gone, slow) as r:
        await r.pod("a")
        await until(lambda: r.node_of("a"))


async def test_what_happens_while_it_thinks_counts(server: Server) -> None:
    """The pod is deleted, or its node is filled meanwhile: neither is bound, nor is the change lost."""
    thinking, go_on = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        thinking.set()
        await go_on.wait()

    server.before = wait
    server.verbs["filter"] = lambda body: {"NodeNames": body["NodeNames"]}
    extender = server.extender(managedResources=[{"name": "cpu"}])
    async with rig(extender, nodes=1) as r:
        await r.pod("a", cpu="3")
        await thinking.wait()
        thinking.clear()
        await r.pod("b", cpu="3", node_name="n0")
        await until(lambda: _counts(r, "b"))
        go_on.set()

        async def said() -> bool:
            return any("1 Insufficient cpu" in text for text in await r.events("FailedScheduling"))

        await until(said)
        go_on.clear()
        await r.client.delete("pods", "b", "default", grace_seconds=0)
        await thinking.wait()
        await r.client.delete("pods", "a", "default", grace_seconds=0)
        await until(lambda: _gone(r, "a"))
        go_on.set()
        await asyncio.sleep(0)
        assert len(r.scheduler.queue) == 0


async def _counts(r: Rig, name: str) -> bool:
    found = r.scheduler.cluster.get("n0")
    return found is not None and any(each.key.name == name for each in found.pods.values())


async def _gone(r: Rig, name: str) -> bool:
    return r.scheduler.queue.get(Key("default", name)) is None


async def test_it_has_its_say_in_preemption(server: Server) -> None:
    """It strikes a node out, and takes another victim than the scheduler would."""

    def preempt(body: dict[str, Any]) -> Any:
        assert body["Pod"]["metadata"]["name"] == "high"
        assert set(body["NodeNameToMetaVictims"]) == {"n0", "n1"}
        return {"NodeNameToMetaVictims": {"n1": {"Pods": [{"UID": uids["b1"]}]}}}

    server.verbs["preempt"] = preempt
    uids: dict[str, str] = {}
    async with rig(server.extender(preemptVerb="preempt"), nodes=2) as r:
        for name in ("a0", "b0", "a1", "b1"):
            made = await r.pod(
                name, cpu="2", node_name=f"n{name[1]}", priorityClassName="middle" if name == "b1" else ""
            )
            uids[name] = made["metadata"]["uid"]
        await r.pod("high", cpu="2", priorityClassName="high")
        await until(lambda: _leaves(r, "b1"))
        assert not await _leaves(r, "a1") and not await _leaves(r, "a0") and not await _leaves(r, "b0")
        await until(lambda: _nominated(r, "high", "n1"))


async def test_it_may_refuse_every_preemption(server: Server) -> None:
    server.verbs["preempt"] = lambda _: {"nodeNameToMetaVictims": {}}
    async with rig(server.extender(preemptVerb="preempt"), nodes=1) as r:
        await r.pod("low", cpu="3", node_name="n0")
        await r.pod("high", cpu="3", priorityClassName="high")

        async def said() -> bool:
            end = "preemption: 0/1 nodes are available: 1 node(s) where an extender refuses preemption."
            return any(text.endswith(end) for text in await r.events("FailedScheduling"))

        await until(said)
        assert not await _leaves(r, "low")


@pytest.mark.parametrize(
    "answer",
    [
        {"nodeNameToMetaVictims": {"n0": {"pods": []}}},
        {"nodeNameToMetaVictims": {"n0": {"pods": [{"uid": "no-such"}]}}},
        {"nodeNameToMetaVictims": ["n0"]},
    ],
)
async def test_nonsense_about_preemption_preempts_nobody(server: Server, answer: Any) -> None:
    server.verbs["preempt"] = lambda _: answer
    async with rig(server.extender(preemptVerb="preempt"), nodes=1) as r:
        await r.pod("low", cpu="3", node_name="n0")
        await r.pod("high", cpu="3", priorityClassName="high")

        async def said() -> bool:
            return any("preempt: " in text and server.url in text for text in await r.events("FailedScheduling"))

        await until(said)
        assert not await _leaves(r, "low")


async def test_a_node_without_victims_is_passed_over_by_one_that_may_be_ignored(server: Server) -> None:
    server.verbs["preempt"] = lambda _: {"NodeNameToMetaVictims": {"n0": {"Pods": []}, "n1": {"Pods": [{"UID": "x"}]}}}
    extender = server.extender(preemptVerb="preempt", ignorable=True)
    assert await extender.preempt(PodInfo(pod("high")), {}) == {"n1": {"x"}}
    await extender.close()


async def test_it_cannot_violate_a_budget(server: Server) -> None:
    """Whatever it answers, a pod whose budget is spent stays."""
    server.verbs["preempt"] = lambda _: {"nodeNameToMetaVictims": {"n0": {"pods": [{"uid": uid}]}}}
    async with rig(server.extender(preemptVerb="preempt"), nodes=1) as r:
        await r.create(
            "poddisruptionbudgets.policy",
            {
                "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b", "namespace": "default"},
                "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "guarded"}}},
            },
        )  # fmt: skip
        uid = (await r.pod("guarded", cpu="2", node_name="n0"))["metadata"]["uid"]
        await r.pod("free", cpu="2", node_name="n0")
        await r.pod("high", cpu="2", priorityClassName="high")

        async def said() -> bool:
            return any("an extender refuses preemption" in text for text in await r.events("FailedScheduling"))

        await until(said)
        assert not await _leaves(r, "guarded") and not await _leaves(r, "free")


async def _leaves(r: Rig, name: str) -> bool:
    found = await r.get("pods", name, "default")
    return found is None or "deletionTimestamp" in found["metadata"]


async def _nominated(r: Rig, name: str, node_name: str) -> bool:
    status: dict[str, Any] = (await r.found(name)).get("status") or {}
    return status.get("nominatedNodeName") == node_name or await r.node_of(name) == node_name


@pytest.mark.parametrize(("text", "seconds"), [("5s", 5), ("500ms", 0.5), ("1m30s", 90), ("1h", 3600), (2, 2)])
def test_durations(text: Any, seconds: float) -> None:
    assert parse_duration(text) == seconds
