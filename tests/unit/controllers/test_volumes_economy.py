"""What binding costs: the writes it takes and no more, whoever comes first; nothing at rest; and no offer of a volume is lost."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from minik.api import meta
from minik.api.core_v1 import volumes
from minik.api.meta import Key
from minik.client.controller import Context
from minik.client.manager import Manager
from minik.controllers import attachdetach, claimprotection, ephemeralvolume, persistentvolume, persistentvolumeclaim
from minik.controllers.common.volume_promises import Promises
from minik.metrics import Metrics
from tests.support.cluster import ControlPlane, control_plane
from tests.support.dying import Dying
from tests.unit.controllers.test_volume_plans import a_claim, a_volume
from tests.unit.controllers.test_volumes import CLASSES, PVCS, PVS, claim, ready_node, storage_class, volume

pytestmark = pytest.mark.looptime

CONTROLLERS = (
    persistentvolumeclaim.CONTROLLER, persistentvolume.CONTROLLER, claimprotection.CONTROLLER, ephemeralvolume.CONTROLLER,
    attachdetach.CONTROLLER,
)  # fmt: skip
MANY = 40


async def _make(c: ControlPlane, what: str) -> None:
    for number in range(MANY):
        if what == "volumes":
            await c.create(PVS, volume(f"v{number}", "3Gi"))
        else:
            await c.create(PVCS, claim(f"c{number}", cls="now" if what == "made" else ""))
    await c.settle(10)


@pytest.mark.parametrize(
    ("order", "writes_each"),
    [(("volumes", "claims"), 5), (("claims", "volumes"), 5), (("made",), 5)],
    ids=["volumes first", "claims first", "made for them"],
)
async def test_no_write_is_made_in_vain(order: tuple[str, ...], writes_each: int) -> None:
    """A volume: its phase, its claim, its phase again, or that it is made; a claim: its volume, its status, who makes it."""
    async with control_plane() as c:
        await ready_node(c)
        await c.create(CLASSES, storage_class("now"))
        counted, registry = Dying(c.server.local(), 0, before=True), c.server.server.registry
        manager = Manager(
            CONTROLLERS, counted, registry, clock=c.clock, entropy=c.server.entropy, metrics=Metrics()
        )  # fmt: skip
        await manager.start()
        for what in order:
            await _make(c, what)
        found = (await c.client.list(PVCS, "default")).items
        assert [volumes.phase(each) for each in found] == ["Bound"] * MANY
        assert counted.writes <= writes_each * MANY + 8
        before = counted.writes
        for number in range(20):
            await c.renew("n1")
            status = {"status": {"images": [{"names": [f"registry.test/{number}"]}]}}
            await c.client.patch_status("nodes", "n1", "", status)
            await c.settle(10)
        assert counted.writes == before
        await manager.close()


def test_a_volume_that_its_claim_does_not_take_is_offered_again() -> None:
    woken: list[Key] = []
    promises, key = Promises(woken.append), Key("default", "c")
    free, better = a_volume("large", size="9Gi"), a_volume("meant", uid="")
    cache = SimpleNamespace(by_index=lambda name, _value: [better] if "of-claim" in name else [free])
    ctx = cast(Context, SimpleNamespace(state=promises, cache=lambda _resource: cache))

    def choose(the_claim: Any) -> str:
        plan = persistentvolumeclaim._choose(ctx, key, the_claim, None, {})
        return meta.name(plan.volume) if plan is not None and plan.volume is not None else ""

    promises.give("large", key)
    assert choose(a_claim()) == "meant" and woken == [Key("/volume", "large")] and not promises.is_promised("large")
    promises.give("large", key)
    assert choose(None) == "" and woken == [Key("/volume", "large")] * 2, "the claim is gone"
