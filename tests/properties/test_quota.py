"""A quota is never exceeded at any revision, whatever is created, changed and deleted at the same time, whoever is cut off; and all of it
can be used: nobody is refused for what another only tried.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Sequence

import orjson
import pytest

from minik.api.core_v1 import quotas
from minik.api.errors import AlreadyExists, Conflict, Forbidden, NotFound
from minik.api.meta import Obj, ROObj
from minik.api.quantity import parse
from minik.client.client import Client
from minik.client.manager import Manager
from minik.clock import LoopClock
from minik.controllers import resourcequota
from minik.metrics import Metrics
from minik.storage.base import Event, Op, Revision
from minik.storage.memory import MemoryStore
from tests.support.apiserver import running
from tests.support.cluster import named

pytestmark = pytest.mark.looptime
HARD = {
    "pods": "7", "requests.cpu": "2", "count/pods": "9", "services.nodeports": "3", "count/configmaps": "4", "secrets": "2",
}  # fmt: skip
COUNTED = ("pods", "services", "configmaps", "secrets")


class Judge:
    """Follows the store and adds everything up after each write."""

    def __init__(self, limits: dict[str, str]) -> None:
        self.limits = {name: parse(text).nanos for name, text in limits.items()}
        self.used: dict[str, quotas.Usage] = {}
        self.most: dict[str, int] = dict.fromkeys(limits, 0)
        self.exceeded: list[str] = []

    def __call__(self, events: Sequence[Event]) -> None:
        for event in events:
            resource, namespace, _ = event.key.split("/", 2)
            if resource not in COUNTED or namespace != "default":
                continue
            if event.type.name == "DELETE":
                self.used.pop(event.key, None)
            else:
                assert event.value is not None
                self.used[event.key] = quotas.usage(resource, orjson.loads(event.value), now=0)
            for name, limit in self.limits.items():
                total = sum(used.get(name, 0) for used in self.used.values())
                self.most[name] = max(self.most[name], total)
                if total > limit:
                    self.exceeded.append(f"{name} at {event.revision}")


class Queue(MemoryStore):
    """Writes take their time, one after the other, and also if nobody waits for them any more: as those of the real store."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._rng = random.Random(seed)
        self._turn = asyncio.Lock()
        self._writes: set[asyncio.Task[Sequence[Revision]]] = set()

    async def commit(self, ops: Sequence[Op]) -> Sequence[Revision]:
        write = asyncio.get_running_loop().create_task(self._write(ops))
        self._writes.add(write)
        write.add_done_callback(self._done)
        return await asyncio.shield(write)

    def _done(self, write: asyncio.Task[Sequence[Revision]]) -> None:
        self._writes.discard(write)
        if not write.cancelled():
            write.exception()  # nobody may be left to hear of it

    async def _write(self, ops: Sequence[Op]) -> Sequence[Revision]:
        async with self._turn:
            await asyncio.sleep(round(self._rng.random() * 0.01, 4))
            return await super().commit(ops)


def _pod(rng: random.Random, name: str) -> Obj:
    resources = {"requests": {"cpu": rng.choice(["100m", "200m", "400m", "700m"])}}
    return named(name, "default", spec={"containers": [{"name": "c", "image": "a", "resources": resources}]})


def _service(rng: random.Random, name: str) -> Obj:
    ports = [{"name": f"p{n}", "port": 80 + n} for n in range(rng.randint(1, 2))]
    return named(name, "default", spec={"type": rng.choice(["ClusterIP", "NodePort"]), "ports": ports})


async def _do(client: Client, rng: random.Random) -> None:
    """One thing that somebody does."""
    resource = rng.choice(COUNTED)
    name = f"n{rng.randint(0, 12)}"
    what = rng.choice(["create", "create", "create", "generate", "delete", "change"])
    if what in ("create", "generate"):
        obj = {"pods": _pod, "services": _service}.get(resource, lambda _rng, name: named(name, "default"))(rng, name)
        if what == "generate":
            obj["metadata"] = {"namespace": "default", "generateName": "g"}
        await client.create(resource, obj)
    elif what == "delete":
        names = [item["metadata"]["name"] for item in (await client.list(resource, "default")).items]
        if names:
            await client.delete(resource, rng.choice(names), "default", grace_seconds=0)
    elif resource == "services":
        await client.patch("services", name, "default", {"spec": {"type": rng.choice(["ClusterIP", "NodePort"])}})
    elif resource == "pods":
        resized = {
            "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": rng.choice(["100m", "600m"])}}}]}
        }
        change = {"status": {"phase": "Succeeded"}} if rng.random() < 0.3 else resized
        where = "status" if "status" in change else "resize"
        await client.patch("pods", name, "default", change, type="strategic", subresource=where)


async def _user(client: Client, rng: random.Random) -> None:
    for _ in range(40):
        cut = round(rng.random() * 0.05, 4) if rng.random() < 0.15 else 60
        with contextlib.suppress(AlreadyExists, Forbidden, Conflict, NotFound, TimeoutError):
            async with asyncio.timeout(cut):
                await _do(client, rng)
        await asyncio.sleep(round(rng.random() * 0.02, 4))


@pytest.mark.parametrize("seed", range(6))
async def test_no_quota_is_ever_exceeded(seed: int) -> None:
    store, clock, judge = Queue(seed), LoopClock(), Judge(HARD)
    async with running(clock=clock, store=store, namespaces=("default",)) as server:
        registry = server.server.registry
        manager = Manager([resourcequota.CONTROLLER], server.local(), registry, clock=clock, entropy=server.entropy,
                          metrics=Metrics())  # fmt: skip
        await manager.start()
        client = Client(server.local(), registry)
        halves = {name: HARD[name] for name in list(HARD)[:3]}, {name: HARD[name] for name in list(HARD)[3:]}
        for number, hard in enumerate(halves):
            await client.create("resourcequotas", named(f"q{number}", "default", spec={"hard": hard}))
        stop = store.listen(judge)
        await asyncio.gather(*(_user(client, random.Random(seed * 100 + n)) for n in range(8)))
        stop()
        assert not judge.exceeded
        assert judge.most == judge.limits | {
            "requests.cpu": judge.most["requests.cpu"],
            "count/pods": judge.most["count/pods"],
        }
        await asyncio.sleep(1)
        for number, hard in enumerate(halves):
            await _told(client, f"q{number}", hard)
        await manager.close()


async def _told(client: Client, name: str, hard: dict[str, str]) -> None:
    """The status says what there is."""
    status = (await client.get("resourcequotas", name, "default"))["status"]
    assert status["hard"] == hard
    for limited in hard:
        resource = quotas.resource_of(limited)
        objects: Sequence[ROObj] = (await client.list(resource, "default")).items
        total = sum(quotas.usage(resource, obj, now=0).get(limited, 0) for obj in objects)
        assert parse(status["used"][limited]).nanos == total


@pytest.mark.parametrize("seed", range(6))
async def test_a_quota_holds_from_its_first_revision(seed: int) -> None:
    """Also over what was let through before it was there, and what came while it was being written."""
    store, rng, totals = Queue(seed), random.Random(seed), [0, 0]

    def judge(events: Sequence[Event]) -> None:
        for event in events:
            if event.key.startswith("pods/default/") and event.type.name != "DELETE":
                totals[0] += 1
            elif event.key.startswith("resourcequotas/"):
                totals[1] = totals[0]

    async with running(clock=LoopClock(), store=store, namespaces=("default",)) as server:
        client = Client(server.local(), server.server.registry)
        store.listen(judge)

        async def create(number: int) -> None:
            await asyncio.sleep(round(number * rng.random() * 0.01, 4))
            if number == 20:
                await client.create("resourcequotas", named("q", "default", spec={"hard": {"pods": "25"}}))
            else:
                await client.create("pods", _pod(rng, f"p{number}"))

        answers = await asyncio.gather(*(create(n) for n in range(60)), return_exceptions=True)
        assert totals[0] == max(25, totals[1])
        assert all(answer is None or isinstance(answer, Forbidden) for answer in answers)


async def test_all_of_it_can_be_used_at_once() -> None:
    """Writes under way count once, whether the cache shows them yet or not."""
    store = Queue(1)
    async with running(clock=LoopClock(), store=store, namespaces=("default",)) as server:
        client = Client(server.local(), server.server.registry)
        await client.create("resourcequotas", named("q", "default", spec={"hard": {"pods": "50"}}))
        rng = random.Random(1)

        async def create(number: int) -> None:
            await asyncio.sleep(number * 0.001)
            await client.create("pods", _pod(rng, f"p{number}"))

        answers = await asyncio.gather(*(create(n) for n in range(60)), return_exceptions=True)
        assert answers.count(None) == 50 and sum(isinstance(answer, Forbidden) for answer in answers) == 10
