"""A Job's counting survives every crash: the controller dies at its n-th request, for every n, before or after the server did it."""

from __future__ import annotations

from collections import Counter

import pytest

from minik.api import meta
from minik.api.batch_v1 import jobs
from minik.api.meta import ROObj
from minik.controllers import job
from minik.controllers.common.job_pods import index_of
from tests.support.cluster import control_plane
from tests.support.dying import Dying, run_until_death
from tests.support.kubelet import Exit, Kubelet
from tests.unit.controllers.test_job import COMPLETE, a_job

pytestmark = pytest.mark.looptime


async def _crash_at(fatal: int, *, before: bool, late: float, indexed: bool) -> bool:
    """Run a Job whose controller dies at its `fatal`-th write; whether it got so far. Then another controller ends the Job."""
    seen: set[str] = set()
    doomed: set[str] = set()

    def plays(pod: ROObj) -> Exit:
        if meta.uid(pod) not in seen:
            seen.add(meta.uid(pod))
            if len(doomed) < 2 and len(seen) in (2, 3):
                doomed.add(meta.uid(pod))
        return Exit(1 if meta.uid(pod) in doomed else 0, after=2)

    kubelet = Kubelet(plays)
    async with control_plane(kubelet.controller) as c:
        mode = {"completionMode": "Indexed", "backoffLimitPerIndex": 2} if indexed else {"backoffLimit": 10}
        await c.create("jobs.batch", a_job(completions=4, parallelism=3, **mode))
        dying = Dying(c.server.local(), fatal, before=before, late=late)
        died = await run_until_death(c, job.CONTROLLER, dying)
        await run_until_death(c, job.CONTROLLER, Dying(c.server.local(), 0, before=True))
        done = await c.client.get("jobs.batch", "j", "default")
        status = done["status"]
        assert [(x["type"], x["reason"]) for x in status["conditions"] if x["status"] == "True"] == COMPLETE, status
        pods = (await c.client.list("pods", "default")).items
        ended = Counter(pod["status"]["phase"] for pod in pods)
        assert status["succeeded"] == 4 and status.get("failed", 0) == ended["Failed"] == len(doomed), (status, ended)
        assert status["uncountedTerminatedPods"] == {} and not status.get("active")
        assert not any(map(meta.finalizers, pods))
        if indexed:
            assert status["completedIndexes"] == "0-3"
            made = Counter(
                (index_of(pod), meta.annotations(pod)[jobs.INDEX_FAILURES]) for pod in kubelet.created.values()
            )
            assert set(made.values()) == {1}, made  # no index has two pods for one try
            assert len(kubelet.created) == 4 + len(doomed)
        return died


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize(("before", "late"), [(True, 0.0), (False, 0.0), (False, 0.5)])
async def test_counts_are_exact_wherever_the_controller_dies(before: bool, late: float, indexed: bool) -> None:
    fatal = 1
    while await _crash_at(fatal, before=before, late=late, indexed=indexed):
        fatal += 1
    assert fatal > 15
