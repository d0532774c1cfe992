"""A StatefulSet's roll-out survives every crash: the controller dies at its n-th write, for every n, and the order still holds."""

from __future__ import annotations

import pytest

from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.meta import ROObj
from minik.controllers import statefulset
from tests.support.cluster import control_plane
from tests.support.dying import Dying, run_until_death
from tests.support.kubelet import Kubelet, Run
from tests.unit.controllers.test_statefulset import CLAIMS, REVISIONS, SETS, tag_of, with_claims

pytestmark = pytest.mark.looptime


async def _crash_at(fatal: int, *, before: bool, late: float) -> bool:
    """Create a set and update it, with a controller that dies at its `fatal`-th write and another that goes on."""
    running: dict[str, ROObj] = {}
    kubelet = Kubelet(lambda _pod: Run(ready_after=1))
    async with control_plane(kubelet.controller) as c:
        await c.create(SETS, with_claims())
        dying = Dying(c.server.local(), fatal, before=before, late=late)
        died = await run_until_death(c, statefulset.CONTROLLER, dying, seconds=30)
        patch = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "a:2"}]}}}}
        await c.client.patch(SETS, "web", "default", patch, type="strategic")
        if not died:
            died = await run_until_death(c, statefulset.CONTROLLER, dying, seconds=60)
        await run_until_death(c, statefulset.CONTROLLER, Dying(c.server.local(), 0, before=True), seconds=100)
        running = {meta.name(pod): pod for pod in (await c.client.list("pods", "default")).items}
        assert sorted(running) == ["web-0", "web-1", "web-2"]
        assert {tag_of(pod) for pod in running.values()} == {"2"} and all(map(pods.is_ready, running.values()))
        status = (await c.client.get(SETS, "web", "default"))["status"]
        assert status["currentRevision"] == status["updateRevision"] and status["readyReplicas"] == 3
        assert len(await c.names(REVISIONS, "default")) <= 2 and len(await c.names(CLAIMS, "default")) == 3
        made = sorted((meta.name(pod), tag_of(pod)) for pod in kubelet.created.values())
        assert len(made) == len(set(made)), "no pod was made twice of one revision"
        return died


@pytest.mark.parametrize(("before", "late"), [(True, 0.0), (False, 0.0), (False, 0.5)])
async def test_a_roll_out_survives_a_death_at_every_write(before: bool, late: float) -> None:
    fatal = 1
    while await _crash_at(fatal, before=before, late=late):
        fatal += 1
    assert fatal > 20
