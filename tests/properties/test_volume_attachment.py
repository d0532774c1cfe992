"""A volume that one node at a time may have is never attached to two, whatever pods come and go, and in the end it is where it is used."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Sequence

import orjson
import pytest

from minik.api import meta
from minik.api.errors import AlreadyExists, NotFound
from minik.client.client import Client
from minik.client.manager import Manager
from minik.clock import LoopClock
from minik.controllers import attachdetach, persistentvolume, persistentvolumeclaim
from minik.metrics import Metrics
from minik.storage.base import Event
from minik.storage.memory import MemoryStore
from tests.support.apiserver import running
from tests.support.cluster import named
from tests.unit.controllers.test_attachdetach import csi_volume, user
from tests.unit.controllers.test_volumes import PVCS, PVS, claim

pytestmark = pytest.mark.looptime

CONTROLLERS = (attachdetach.CONTROLLER, persistentvolume.CONTROLLER, persistentvolumeclaim.CONTROLLER)
NODES, VOLUMES = ("n1", "n2", "n3"), 4


class Judge:
    """Follows the store: which nodes have which volume."""

    def __init__(self) -> None:
        self.there: dict[str, tuple[str, str]] = {}
        self.wrong: list[str] = []
        self.made = 0

    def __call__(self, events: Sequence[Event]) -> None:
        for event in events:
            if not event.key.startswith("volumeattachments.storage.k8s.io/"):
                continue
            if event.type.name == "DELETE":
                del self.there[event.key]
                continue
            assert event.value is not None
            spec = orjson.loads(event.value)["spec"]
            this = spec["source"]["persistentVolumeName"], spec["nodeName"]
            self.made += event.key not in self.there
            if any(volume == this[0] and node != this[1] for volume, node in self.there.values()):
                self.wrong.append(f"{this[0]} is on {this[1]} and elsewhere")
            self.there[event.key] = this


@pytest.mark.parametrize("seed", range(5))
async def test_one_node_at_a_time(seed: int) -> None:
    store, judge, rng = MemoryStore(), Judge(), random.Random(seed)
    async with running(clock=LoopClock(), store=store, namespaces=("default",)) as server:
        registry = server.server.registry
        manager = Manager(
            CONTROLLERS, server.local(), registry, clock=LoopClock(), entropy=server.entropy, metrics=Metrics()
        )  # fmt: skip
        await manager.start()
        client = Client(server.local(), registry)
        for node in NODES:
            await client.create("nodes", named(node))
        for number in range(VOLUMES):
            await client.create(PVS, csi_volume(f"v{number}", claimRef={"namespace": "default", "name": f"c{number}"}))
            await client.create(PVCS, claim(f"c{number}"))
        store.listen(judge)

        async def somebody(who: int) -> None:
            for _ in range(30):
                name = f"p{who}-{rng.randint(0, 2)}"
                with contextlib.suppress(AlreadyExists, NotFound):
                    if rng.random() < 0.5:
                        await client.create("pods", user(name, f"c{rng.randrange(VOLUMES)}", rng.choice(NODES)))
                    else:
                        await client.delete("pods", name, "default", grace_seconds=0)
                await asyncio.sleep(round(rng.random() * 0.02, 3))

        await asyncio.gather(*(somebody(who) for who in range(5)))
        await asyncio.sleep(60)
        assert not judge.wrong and judge.made > 10
        wanted = {
            (f"v{pod['spec']['volumes'][0]['persistentVolumeClaim']['claimName'][1:]}", pod["spec"]["nodeName"])
            for pod in (await client.list("pods", "default")).items
            if not meta.is_deleting(pod)
        }
        assert set(judge.there.values()) <= wanted, "nothing is attached where nobody uses it"
        assert {volume for volume, _ in judge.there.values()} == {volume for volume, _ in wanted}
        await manager.close()
