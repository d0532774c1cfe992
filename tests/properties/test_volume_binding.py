"""Whatever is created, wished for, chosen and deleted, while binders die and others take over: at every revision a volume has one claim at
most, and it suits; and in the end nobody waits for what is free, and nothing that was made is left over.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Sequence

import orjson
import pytest

from minik.api import meta
from minik.api.core_v1 import volumes
from minik.api.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound
from minik.api.meta import Obj, ROObj
from minik.client.client import Client
from minik.client.manager import Manager
from minik.client.transport import Transport
from minik.clock import LoopClock
from minik.controllers import claimprotection, persistentvolume, persistentvolumeclaim
from minik.metrics import Metrics
from minik.storage.base import Event
from minik.storage.memory import MemoryStore
from tests.support.apiserver import Running, running
from tests.support.cluster import named
from tests.support.dying import Dying
from tests.unit.controllers.test_volumes import CLASSES, PVCS, PVS, claim, storage_class, volume

pytestmark = pytest.mark.looptime

CONTROLLERS = (persistentvolumeclaim.CONTROLLER, persistentvolume.CONTROLLER, claimprotection.CONTROLLER)
NODES = ("n1", "n2")
PEACE = (AlreadyExists, Conflict, NotFound, Forbidden, Invalid)


class Judge:
    """Follows the store, and looks at every write."""

    def __init__(self) -> None:
        self.claims: dict[str, ROObj] = {}
        self.volumes: dict[str, ROObj] = {}
        self.wrong: list[str] = []
        self.bound = 0
        self.writes = 0

    def __call__(self, events: Sequence[Event]) -> None:
        for event in events:
            resource, name = event.key.split("/", 1)[0], event.key.rsplit("/", 1)[1]
            known = {PVS: self.volumes, PVCS: self.claims}.get(resource)
            if known is None:
                continue
            self.writes += 1
            old = known.pop(name, None)
            if event.type.name != "DELETE":
                assert event.value is not None
                known[name] = orjson.loads(event.value)
                (self._volume if resource == PVS else self._claim)(name, old, known[name])

    def _claim(self, name: str, old: ROObj | None, new: ROObj) -> None:
        if volumes.phase(new) == "Lost" or not volumes.is_bound(new):
            return
        held = volumes.volume_name(new)
        rivals = [
            other
            for other, each in self.claims.items()
            if other != name
            and volumes.is_bound(each)
            and volumes.volume_name(each) == held
            and volumes.phase(each) != "Lost"
        ]
        if rivals:
            self.wrong.append(f"{held} is of {name} and of {rivals}")
        if old is not None and volumes.is_bound(old) and meta.uid(old) == meta.uid(new):
            return
        self.bound += 1
        target = self.volumes.get(held)
        if target is None or (volumes.claim_ref(target) or {}).get("uid") != meta.uid(new):
            self.wrong.append(f"{name} is bound to {held}, which does not say so")
        elif volumes.capacity(target) < volumes.requested(new) and _is_ours(target):
            self.wrong.append(f"{held} is too small for {name}")
        elif volumes.BOUND_BY_CONTROLLER in meta.annotations(new).keys() & meta.annotations(
            target
        ).keys() and not volumes.suits(target, new):
            self.wrong.append(f"{held} does not suit {name}")

    def _volume(self, name: str, old: ROObj | None, new: ROObj) -> None:
        """Nobody's volume is given away."""
        before, after = (
            (volumes.claim_ref(each) or {}).get("uid") if each is not None else None for each in (old, new)
        )
        if not before or before == after or meta.uid(old or {}) != meta.uid(new):
            return
        owner = next((each for each in self.claims.values() if meta.uid(each) == before), None)
        if (
            owner is not None
            and volumes.is_bound(owner)
            and volumes.volume_name(owner) == name
            and volumes.phase(owner) != "Lost"
        ):
            self.wrong.append(f"{name} was taken from {meta.name(owner)}")


def _is_ours(volume: ROObj) -> bool:
    return meta.annotations(volume).get(volumes.PROVISIONED_BY) == volumes.NODE_DIRECTORY


def _volume(rng: random.Random, name: str) -> Obj:
    more: Obj = {}
    if rng.random() < 0.25:
        more["claimRef"] = {"namespace": "default", "name": f"c{rng.randint(0, 14)}"}
    if rng.random() < 0.3:
        more["labels"] = {"disk": "ssd"}
    size, policy = rng.choice(["1Gi", "2Gi", "4Gi"]), rng.choice(["Retain", "Delete"])
    cls = rng.choice(["", "", "none", "later"])
    return volume(name, size, cls=cls, persistentVolumeReclaimPolicy=policy, **more)


def _claim(rng: random.Random, name: str) -> Obj:
    more: Obj = {}
    if rng.random() < 0.2:
        more["volumeName"] = f"v{rng.randint(0, 14)}"
    if rng.random() < 0.15:
        more["selector"] = {"matchLabels": {"disk": "ssd"}}
    cls = rng.choice(["", "", None, "none", "now", "later"])
    return claim(name, rng.choice(["1Gi", "2Gi", "3Gi"]), cls=cls, **more)


async def _do(client: Client, rng: random.Random) -> None:
    """One thing that somebody does."""
    v, c = f"v{rng.randint(0, 14)}", f"c{rng.randint(0, 14)}"
    match rng.choice(["volume", "volume", "claim", "claim", "claim", "no claim", "no volume", "select", "grow"]):
        case "volume":
            await client.create(PVS, _volume(rng, v))
        case "claim":
            await client.create(PVCS, _claim(rng, c))
        case "no claim":
            await client.delete(PVCS, c, "default")
        case "no volume":
            await client.delete(PVS, v)
        case "select":
            chosen = {"metadata": {"annotations": {volumes.SELECTED_NODE: rng.choice([*NODES, "gone"])}}}
            await client.patch(PVCS, c, "default", chosen)
        case _:
            await client.patch(PVCS, c, "default", {"spec": {"resources": {"requests": {"storage": "5Gi"}}}})


async def _user(client: Client, rng: random.Random) -> None:
    for _ in range(80):
        with contextlib.suppress(*PEACE):
            await _do(client, rng)
        await asyncio.sleep(round(rng.random() * 0.05, 4))


def _manager(server: Running, transport: Transport) -> Manager:
    registry = server.server.registry
    return Manager(
        CONTROLLERS, transport, registry, clock=LoopClock(), entropy=server.entropy, metrics=Metrics()
    )  # fmt: skip


async def _mortals(server: Running, rng: random.Random, stop: asyncio.Event) -> None:
    """Binders one after the other, besides others that they do not know of; each dies at some write, which may arrive after its death."""
    while not stop.is_set():
        dying = Dying(server.local(), rng.randint(5, 60), before=rng.random() < 0.3, late=round(rng.random() * 0.2, 3))
        manager = _manager(server, dying)
        await manager.start()
        ends = {asyncio.ensure_future(dying.dead.wait()), asyncio.ensure_future(stop.wait())}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for each in ends:
            each.cancel()
        await manager.close()


@pytest.mark.parametrize("seed", range(8))
async def test_a_volume_has_one_claim(seed: int) -> None:
    store, judge = MemoryStore(), Judge()
    async with running(clock=LoopClock(), store=store, namespaces=("default",)) as server:
        client = Client(server.local(), server.server.registry)
        for node in NODES:
            await client.create("nodes", named(node, labels={"kubernetes.io/hostname": node}))
            ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
            await client.patch_status("nodes", node, "", ready)
        await client.create(CLASSES, storage_class("now"))
        await client.create(CLASSES, storage_class("later", mode="WaitForFirstConsumer"))
        await client.create(CLASSES, storage_class("none", provisioner="kubernetes.io/no-provisioner"))
        end = store.listen(judge)
        stop = asyncio.Event()
        binders = asyncio.gather(*(_mortals(server, random.Random(seed * 10 + n), stop) for n in range(2)))
        await asyncio.gather(*(_user(client, random.Random(seed * 100 + n)) for n in range(4)))
        stop.set()
        await binders
        manager = _manager(server, server.local())
        await manager.start()
        await asyncio.gather(*(_user(client, random.Random(seed * 100 + n)) for n in range(4, 8)))
        await asyncio.sleep(60)
        writes = judge.writes
        await asyncio.sleep(600)
        assert judge.writes == writes, "nothing is left to do, and nothing is done"
        await manager.close()
        end()
        assert not judge.wrong and judge.bound > 10
        _at_rest(judge)


def _at_rest(judge: Judge) -> None:
    living = {meta.uid(each): each for each in judge.claims.values()}
    free = [v for v in judge.volumes.values() if volumes.claim_ref(v) is None and not meta.is_deleting(v)]
    assert all(volumes.phase(each) == "Available" for each in free)
    for each in judge.claims.values():
        if volumes.is_bound(each) and volumes.phase(each) == "Bound":
            ref = volumes.claim_ref(judge.volumes[volumes.volume_name(each)]) or {}
            assert ref["uid"] == meta.uid(each)
        elif volumes.phase(each) == "Pending" and not volumes.volume_name(each) and volumes.class_of(each) != "later":
            assert not [meta.name(v) for v in free if volumes.suits(v, each)], (
                f"{meta.name(each)} waits for what is free"
            )
            assert volumes.class_of(each) != "now", "one can be made for it"
    for each in judge.volumes.values():
        owner = living.get((volumes.claim_ref(each) or {}).get("uid") or "")
        if _is_ours(each) and (owner is None or volumes.volume_name(owner) != meta.name(each)):
            assert meta.is_deleting(each), f"{meta.name(each)} was made for nobody"
        if owner is not None and volumes.volume_name(owner) not in ("", meta.name(each)):
            assert meta.is_deleting(each) or volumes.phase(each) == "Failed", (
                f"{meta.name(each)} is kept for who has another"
            )
        if volumes.phase(each) == "Bound":
            assert owner is not None and volumes.volume_name(owner) == meta.name(each)
