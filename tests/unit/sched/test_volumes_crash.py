"""The scheduler dies at every write of a binding with volumes; the next one, and the binder that lives on, make one good end of it."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from minik.api import meta
from minik.api.core_v1 import volumes
from minik.client.manager import Manager
from minik.metrics import Metrics
from tests.support.cluster import control_plane
from tests.support.dying import Dying
from tests.support.objects import node
from tests.support.scheduling import scheduler_on
from tests.unit.controllers.test_volumes import CLASSES, CONTROLLERS, PVCS, PVS, claim, storage_class, volume
from tests.unit.sched.test_volumes import on, using

pytestmark = pytest.mark.looptime


async def _crash_at(fatal: int, *, before: bool, late: float) -> bool:
    """A pod with a claim for a local volume and one for a directory. Whether the scheduler got so far as to die."""
    async with control_plane() as c:
        manager = Manager(
            CONTROLLERS, c.server.local(), c.server.server.registry, clock=c.clock, entropy=c.server.entropy, metrics=Metrics()
        )  # fmt: skip
        await manager.start()
        await manager.wait_synced()
        try:
            async with scheduler_on(c, c.server.local()) as rig:
                for name in ("n1", "n2"):
                    await rig.node(node(name))
            local = storage_class("local", mode="WaitForFirstConsumer", provisioner="kubernetes.io/no-provisioner")
            await c.create(CLASSES, local)
            await c.create(CLASSES, storage_class("standard", mode="WaitForFirstConsumer"))
            for name in ("n1", "n2"):
                await c.create(PVS, volume(f"v-{name}", cls="local", nodeAffinity=on(name)))
            modes = ("ReadWriteOncePod",)
            await c.create(PVCS, claim("fast", cls="local", modes=("ReadWriteOnce",)))
            await c.create(PVCS, claim("data", cls="standard", modes=modes))
            dying = Dying(c.server.local(), fatal, before=before, late=late)
            async with scheduler_on(c, dying) as rig:
                await rig.pod("p", **using("fast", "data"))
                await rig.pod("q", **using("data"))
                try:
                    async with asyncio.timeout(60):
                        await dying.dead.wait()
                except TimeoutError:
                    pass
            async with scheduler_on(c, c.server.local()) as rig:
                await rig.settle(120)
                placed = {name: await rig.node_of(name) for name in ("p", "q")}
            assert sum(map(bool, placed.values())) == 1, f"one of them may use the claim: {placed}"
            found = {meta.name(each): each for each in (await c.client.list(PVS)).items}
            made = [name for name in found if name.startswith("pvc-")]
            assert len(made) == 1, "the directory is made once"
            held = Counter((volumes.claim_ref(each) or {}).get("name") for each in found.values())
            assert held["data"] == 1 and held["fast"] <= 1, held
            data = await c.client.get(PVCS, "data", "default")
            assert volumes.volume_name(data) == made[0] and volumes.phase(data) == "Bound"
            on_node = placed["p"] or placed["q"]
            assert meta.labels(found[made[0]])[volumes.NODE_LABEL] == on_node
            if placed["p"]:
                fast = await c.client.get(PVCS, "fast", "default")
                assert volumes.volume_name(fast) == f"v-{on_node}"
            return dying.dead.is_set()
        finally:
            await manager.close()


@pytest.mark.parametrize(("before", "late"), [(True, 0.0), (False, 0.0), (False, 0.5)])
async def test_nothing_is_made_twice_lost_or_shared(before: bool, late: float) -> None:
    fatal = 1
    while await _crash_at(fatal, before=before, late=late):
        fatal += 1
    assert fatal > 3
