"""The binder survives every crash: each half of it dies at its n-th write, for every n, and no volume is bound twice, lost or leaked."""

from __future__ import annotations

import pytest

from minik.api import meta
from minik.api.core_v1 import volumes
from minik.client.controller import Controller
from minik.controllers import claimprotection, persistentvolume, persistentvolumeclaim
from tests.support.cluster import ControlPlane, control_plane
from tests.support.dying import Dying, run_until_death
from tests.unit.controllers.test_volumes import CLASSES, PVCS, PVS, claim, ready_node, storage_class, volume

pytestmark = pytest.mark.looptime

HALVES = (persistentvolumeclaim.CONTROLLER, persistentvolume.CONTROLLER)
DEATHS = pytest.mark.parametrize(("before", "late"), [(True, 0.0), (False, 0.0), (False, 0.5)])


async def _prepare(c: ControlPlane) -> None:
    await ready_node(c)
    await c.create(CLASSES, storage_class("now"))
    await c.create(CLASSES, storage_class("later", mode="WaitForFirstConsumer"))
    for name, size in (("small", "1Gi"), ("large", "5Gi")):
        await c.create(PVS, volume(name, size, persistentVolumeReclaimPolicy="Retain"))
    await c.create(PVS, volume("meant", claimRef={"namespace": "default", "name": "prebound"}))
    for each in (
        claim("any"), claim("other"), claim("prebound"), claim("made", cls="now"), claim("chosen", cls="later"),
        claim("leaves", cls="now"),
    ):  # fmt: skip
        await c.create(PVCS, each)
    await c.client.patch(PVCS, "chosen", "default", {"metadata": {"annotations": {volumes.SELECTED_NODE: "n1"}}})


async def _change(c: ControlPlane) -> None:
    """One claim goes, one grows if it can already."""
    await c.client.delete(PVCS, "leaves", "default")
    made = await c.get(PVCS, "made", "default")
    if made is not None and volumes.phase(made) == "Bound":
        await c.client.patch(PVCS, "made", "default", {"spec": {"resources": {"requests": {"storage": "2Gi"}}}})


async def _check(c: ControlPlane) -> None:
    claims = {meta.name(each): each for each in (await c.client.list(PVCS, "default")).items}
    every = {meta.name(each): each for each in (await c.client.list(PVS)).items}
    assert set(claims) == {"any", "other", "prebound", "made", "chosen"}
    assert {name: volumes.phase(each) for name, each in claims.items()} == dict.fromkeys(claims, "Bound")
    taken = {name: volumes.volume_name(each) for name, each in claims.items()}
    assert len(set(taken.values())) == 5, "no volume is bound twice"
    assert (taken["prebound"], {taken["any"], taken["other"]}) == ("meant", {"small", "large"})
    for name, each in claims.items():
        held = every[taken[name]]
        ref = volumes.claim_ref(held) or {}
        assert (ref["uid"], volumes.phase(held)) == (meta.uid(each), "Bound")
        assert each["status"]["capacity"]["storage"] == held["spec"]["capacity"]["storage"]
        assert volumes.requested(each) <= volumes.capacity(held)
    others = set(every) - set(taken.values())
    assert all(meta.is_deleting(every[name]) for name in others), "what was made for the claim that left goes with it"
    assert all(list(meta.finalizers(every[name])) == [volumes.NODE_DIRECTORY] for name in others)


async def _crash_at(dies: Controller, fatal: int, *, before: bool, late: float) -> bool:
    """All of it, with one half that dies at its `fatal`-th write and is started again, while the other half lives."""
    lives = [each for each in HALVES if each is not dies]
    async with control_plane(*lives, claimprotection.CONTROLLER) as c:
        await _prepare(c)
        dying = Dying(c.server.local(), fatal, before=before, late=late)
        died = await run_until_death(c, dies, dying, seconds=20)
        await _change(c)
        if not died:
            died = await run_until_death(c, dies, dying, seconds=20)
        await run_until_death(c, dies, Dying(c.server.local(), 0, before=True), seconds=60)
        await _check(c)
        return died


@DEATHS
@pytest.mark.parametrize("half", [0, 1], ids=["claims", "volumes"])
async def test_binding_survives_a_death_at_every_write(half: int, before: bool, late: float) -> None:
    fatal = 1
    while await _crash_at(HALVES[half], fatal, before=before, late=late):
        fatal += 1
    assert fatal > (20, 4)[half]
