"""A disruption budget is never violated by evictions: not by many at once, not while its controller lags, not after some were cut off.

Every write of a pod is looked at as it is committed: the one by which a healthy pod goes leaves as many healthy ones as the budget wants.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence

import orjson
import pytest

from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.errors import NotFound, StatusError, TooManyRequests
from minik.api.meta import Key, Obj, ROObj
from minik.api.policy_v1 import poddisruptionbudget as budgets
from minik.client.client import Client
from minik.client.manager import Manager
from minik.client.transport import ListResult, Transport, WatchEvent
from minik.clock import Entropy, LoopClock
from minik.controllers import disruption, replicaset, statefulset
from minik.metrics import Metrics
from minik.storage.base import Event, Op, Revision
from minik.storage.memory import MemoryStore
from tests.support.apiserver import Running, running
from tests.support.cluster import named
from tests.support.kubelet import Kubelet, Run

pytestmark = pytest.mark.looptime
REPLICAS = 6


class Slow(MemoryStore):
    """Writes take their time, each another one."""

    rng = random.Random(0)

    async def commit(self, ops: Sequence[Op]) -> Sequence[Revision]:
        await asyncio.sleep(round(self.rng.random() * 0.02, 4))
        result = await super().commit(ops)
        await asyncio.sleep(round(self.rng.random() * 0.02, 4))
        return result


class Late:
    """A transport whose watches tell everything in order and late, each as late as it likes."""

    def __init__(self, inner: Transport, rng: random.Random, most: float) -> None:
        self.inner, self.rng, self.most = inner, rng, most
        self.request = inner.request
        self.close = inner.close

    async def list(self, path: str, **more: object) -> ListResult:
        return await self.inner.list(path, **more)  # type: ignore[arg-type]  # passed on as it came

    async def watch(self, path: str, **more: object) -> AsyncIterator[WatchEvent]:
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[tuple[float, WatchEvent]] = asyncio.Queue()
        lag = round(self.rng.random() * self.most, 2) if self.rng.random() < 0.7 else 0.0

        async def pump() -> None:
            async for event in self.inner.watch(path, **more):  # type: ignore[arg-type]  # passed on as it came
                arrived.put_nowait((loop.time() + lag, event))

        task = loop.create_task(pump())
        try:
            while True:
                due, event = await arrived.get()
                if (wait := due - loop.time()) > 0.001:  # no less: simulated time is rounded, and would stand still
                    await asyncio.sleep(wait)
                yield event
        finally:
            task.cancel()


class Judge:
    """Follows the store and says when a healthy pod's going left too few."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.pods: dict[str, ROObj] = {}
        self.left: list[int] = []
        self.violations: list[str] = []

    def healthy(self) -> int:
        return sum(pods.is_ready(pod) and not meta.is_deleting(pod) for pod in self.pods.values())

    def __call__(self, events: Sequence[Event]) -> None:
        for event in events:
            if not event.key.startswith("pods/"):
                continue
            before = self.healthy()
            if event.value is None or event.type.name == "DELETE":
                self.pods.pop(event.key, None)
            else:
                self.pods[event.key] = orjson.loads(event.value)
            after = self.healthy()
            if after < before:
                self.left.append(after)
                if after < self.wanted:
                    self.violations.append(f"{event.key} at {event.revision}: {after} healthy")


async def _drain(client: Client, rng: random.Random, granted: list[str]) -> None:
    """Evicts pods at random, several at once, as some `kubectl drain`s would; some requests are cut off in the middle."""
    for _ in range(25):
        names = [meta.name(pod) for pod in (await client.list("pods", "default")).items]
        if names:
            evictions = [
                _evict(client, rng, name, granted) for name in rng.sample(names, min(len(names), rng.randint(1, 6)))
            ]
            await asyncio.gather(*evictions)
        await asyncio.sleep(round(rng.random() * 0.3, 4))


async def _evict(client: Client, rng: random.Random, name: str, granted: list[str]) -> None:
    cut = round(rng.random() * 0.1, 4) if rng.random() < 0.2 else 60
    with contextlib.suppress(TooManyRequests, NotFound, TimeoutError):
        async with asyncio.timeout(cut):
            await client.evict(Key("default", name))
        granted.append(name)


def _workload(stable_names: bool) -> tuple[str, Obj]:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "a"}]}}
    spec: Obj = {"selector": {"matchLabels": labels}, "template": template, "replicas": REPLICAS}
    if not stable_names:
        return "replicasets.apps", named("web", "default", spec=spec)
    return "statefulsets.apps", named(
        "web", "default", spec=spec | {"serviceName": "web", "podManagementPolicy": "Parallel"}
    )


@contextlib.asynccontextmanager
async def _cluster(seed: int, *, lag: float) -> AsyncIterator[tuple[Running, Client, Manager]]:
    rng, clock = random.Random(seed), LoopClock()
    store = Slow()
    store.rng = random.Random(seed)
    async with running(clock=clock, store=store, namespaces=("default",)) as server:
        registry = server.server.registry
        kubelet = Kubelet(lambda _pod: Run(ready_after=1))
        managers = [
            Manager([replicaset.CONTROLLER, statefulset.CONTROLLER, kubelet.controller], server.local(), registry,
                    clock=clock, entropy=Entropy(seed), metrics=Metrics()),
            Manager([disruption.CONTROLLER], Late(server.local(), rng, lag), registry, clock=clock, entropy=Entropy(seed),
                    metrics=Metrics()),
        ]  # fmt: skip
        for manager in managers:
            await manager.start()
        try:
            yield server, Client(server.local(), registry), managers[1]
        finally:
            for manager in managers:
                await manager.close()


@pytest.mark.parametrize("seed", [*range(6), 8, 23])  # 23: fails without the server's own count of healthy pods
async def test_no_storm_of_evictions_breaks_a_budget(seed: int) -> None:
    rng = random.Random(seed)
    bound: Obj = rng.choice(
        [{"minAvailable": 4}, {"maxUnavailable": 2}, {"minAvailable": "60%"}, {"maxUnavailable": "25%"}]
    )
    judge = Judge(wanted=4)
    async with _cluster(seed, lag=0.0 if seed % 4 == 0 else 2.0) as (server, client, _):
        stop = server.store.listen(judge)
        resource, workload = _workload(stable_names=seed % 2 == 0)
        await client.create(resource, workload)
        await client.create(
            budgets.RESOURCE, named("b", "default", spec={"selector": {"matchLabels": {"app": "web"}}, **bound})
        )
        await asyncio.sleep(20)
        assert judge.healthy() == REPLICAS
        granted: list[str] = []
        await asyncio.gather(*(_drain(client, random.Random(seed * 100 + n), granted) for n in range(4)))
        assert not judge.violations
        assert len(granted) > 10 and min(judge.left) == 4, "the budget was used, and to the last"
        await asyncio.sleep(200)  # whatever was cut off has been given back by then
        status = (await client.get(budgets.RESOURCE, "b", "default"))["status"]
        assert (status["currentHealthy"], status["disruptionsAllowed"]) == (REPLICAS, 2)
        assert not status.get("disruptedPods")
        stop()


async def test_many_at_once_get_exactly_what_there_is() -> None:
    async with _cluster(1, lag=0.0) as (_, client, _manager):
        await client.create(*_workload(stable_names=False))
        await client.create(
            budgets.RESOURCE,
            named("b", "default", spec={"selector": {"matchLabels": {"app": "web"}}, "minAvailable": 4}),
        )
        await asyncio.sleep(20)
        names = [meta.name(pod) for pod in (await client.list("pods", "default")).items]
        answers = await asyncio.gather(*(client.evict(Key("default", name)) for name in names), return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, TooManyRequests)]
        assert len(refused) == REPLICAS - 2 and answers.count(None) == 2
        assert isinstance(refused[0], StatusError) and refused[0].details is not None
        assert refused[0].details["causes"][0]["reason"] == "DisruptionBudget"
