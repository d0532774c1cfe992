"""CronJobs against the running control plane, in simulated time (which begins at 2026-01-01 00:00 UTC)."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from minik.api import meta, times
from minik.api.batch_v1.schedules import parse_schedule
from minik.api.meta import Obj, ROObj
from minik.controllers import cronjob, garbagecollector, job
from minik.controllers.common.cron_plan import SCHEDULED, plan_cron
from tests.support.cluster import ControlPlane, control_plane, named
from tests.support.dying import Dying, run_until_death
from tests.support.kubelet import Exit, Kubelet, Run

pytestmark = pytest.mark.looptime
CRON_JOBS, JOBS = "cronjobs.batch", "jobs.batch"


def a_cron_job(name: str = "c", schedule: str = "*/1 * * * *", **spec: Any) -> Obj:
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}
    template = {"metadata": {"labels": {"x": "y"}}, "spec": {"template": {"spec": pod}}}
    return named(name, "default", spec={"schedule": schedule, "jobTemplate": template, **spec})


def _plane(kubelet: Kubelet) -> Any:
    return control_plane(cronjob.CONTROLLER, job.CONTROLLER, garbagecollector.CONTROLLER, kubelet.controller)


async def _cron(c: ControlPlane) -> ROObj:
    return await c.client.get(CRON_JOBS, "c", "default")


async def _jobs(c: ControlPlane) -> list[ROObj]:
    found = (await c.client.list(JOBS, "default")).items
    return sorted(found, key=meta.name)


async def _active(c: ControlPlane) -> int:
    return len((await _cron(c))["status"].get("active", ()))


async def _events(c: ControlPlane) -> Counter[str]:
    return Counter(e["reason"] for e in (await c.client.list("events", "default")).items)


async def test_a_job_every_minute_and_a_short_history() -> None:
    async with _plane(Kubelet(lambda _pod: Exit(0, after=5))) as c:
        await c.create(CRON_JOBS, a_cron_job(successfulJobsHistoryLimit=2))
        await c.settle(50)
        assert await _jobs(c) == []
        await c.settle(12)
        (first,) = await _jobs(c)
        minutes = int(datetime(2026, 1, 1, 0, 1, tzinfo=UTC).timestamp()) // 60
        assert meta.name(first) == f"c-{minutes}" and first["metadata"]["labels"]["x"] == "y"
        assert meta.annotations(first)[SCHEDULED] == "2026-01-01T00:01:00Z"
        assert meta.is_controlled_by(first, await _cron(c))
        status = (await _cron(c))["status"]
        assert status["lastScheduleTime"] == "2026-01-01T00:01:00Z"
        assert [ref["name"] for ref in status["active"]] == [meta.name(first)]
        await c.settle(250)
        assert [meta.name(each) for each in await _jobs(c)] == [f"c-{minutes + n}" for n in (3, 4)]
        status = (await _cron(c))["status"]
        assert "active" not in status and status["lastSuccessfulTime"] > "2026-01-01T00:05:00Z"
        assert (await _events(c)) >= Counter(SuccessfulCreate=1, SawCompletedJob=1, SuccessfulDelete=1)
        assert len(await c.names("pods", "default")) == 2, "old pods went with their Jobs"


@pytest.mark.parametrize(("policy", "after_5_minutes"), [("Allow", 5), ("Forbid", 1), ("Replace", 1)])
async def test_concurrency_policies(policy: str, after_5_minutes: int) -> None:
    kubelet = Kubelet(lambda _pod: Run())
    async with _plane(kubelet) as c:
        await c.create(CRON_JOBS, a_cron_job(concurrencyPolicy=policy))
        await c.settle(65)
        first = (await _jobs(c))[0]
        await c.settle(240)
        assert await _active(c) == after_5_minutes == len(await _jobs(c))
        assert (meta.name((await _jobs(c))[0]) == meta.name(first)) == (policy != "Replace")
        if policy == "Forbid":
            assert (await _events(c))["JobAlreadyActive"]
            kubelet.plays = lambda _pod: Exit(0)
            await kubelet.again(c)
            await c.settle(5)
            assert len(await _jobs(c)) == 2, "the last run that was missed is made up for"


async def test_no_job_while_suspended() -> None:
    async with _plane(Kubelet()) as c:
        await c.create(CRON_JOBS, a_cron_job(suspend=True))
        await c.settle(600)
        assert await _jobs(c) == [] and (await _cron(c))["status"] == {}
        await c.client.patch(CRON_JOBS, "c", "default", {"spec": {"suspend": False}})
        await c.settle(5)
        assert len(await _jobs(c)) == 1


async def test_a_starting_deadline_gives_up_old_runs() -> None:
    async with _plane(Kubelet()) as c:
        await c.create(CRON_JOBS, a_cron_job(schedule="0 * * * *", suspend=True, startingDeadlineSeconds=60))
        await c.settle(3700)
        await c.client.patch(CRON_JOBS, "c", "default", {"spec": {"suspend": False}})
        await c.settle(60)
        assert await _jobs(c) == [] and (await _events(c))["MissSchedule"] == 1
        await c.settle(3500)
        assert len(await _jobs(c)) == 1


async def test_failed_jobs_have_a_history_of_their_own() -> None:
    async with _plane(Kubelet(lambda _pod: Exit(1))) as c:
        cron_job = a_cron_job(failedJobsHistoryLimit=1)
        cron_job["spec"]["jobTemplate"]["spec"]["backoffLimit"] = 0
        await c.create(CRON_JOBS, cron_job)
        await c.settle(310)
        assert len(await _jobs(c)) == 1 and "lastSuccessfulTime" not in (await _cron(c))["status"]


async def test_time_zones() -> None:
    async with _plane(Kubelet()) as c:
        await c.create(CRON_JOBS, a_cron_job(schedule="0 6 * * *", timeZone="Asia/Kolkata"))  # 00:30 UTC
        await c.settle(29 * 60)
        assert await _jobs(c) == []
        await c.settle(2 * 60)
        (made,) = await _jobs(c)
        assert meta.annotations(made)[SCHEDULED] == "2026-01-01T06:00:00+05:30"
        assert (await _cron(c))["status"]["lastScheduleTime"] == "2026-01-01T00:30:00Z"


async def test_a_changed_schedule_holds_at_once() -> None:
    async with _plane(Kubelet()) as c:
        await c.create(CRON_JOBS, a_cron_job(schedule="0 0 1 1 *"))
        await c.settle(100)
        await c.client.patch(CRON_JOBS, "c", "default", {"spec": {"schedule": "*/2 * * * *"}})
        await c.settle(30)
        assert len(await _jobs(c)) == 1


async def test_a_job_made_by_hand_is_left_alone_but_told_of() -> None:
    async with _plane(Kubelet()) as c:
        await c.create(CRON_JOBS, a_cron_job(schedule="0 0 1 1 *"))
        await c.settle()
        manual = {**a_cron_job()["spec"]["jobTemplate"], **named("manual", "default")}
        manual["metadata"]["ownerReferences"] = [meta.controller_ref(await _cron(c))]
        await c.create(JOBS, manual)
        await c.settle(10)
        assert (await _events(c))["UnexpectedJob"] and await _active(c) == 0


def _stored(last: str, **spec: Any) -> Obj:
    body = a_cron_job(**spec)
    body["metadata"] |= {"uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return body | {"status": {"lastScheduleTime": last}, "apiVersion": "batch/v1", "kind": "CronJob"}


def test_more_than_a_hundred_missed_runs_are_told_and_the_last_is_made_up_for() -> None:
    now = times.parse_time("2026-01-02T00:00:30Z")
    plan = plan_cron(_stored("2026-01-01T00:00:00Z"), [], parse_schedule("*/1 * * * *"), now=now)
    assert plan.start == times.parse_time("2026-01-02T00:00:00Z")
    assert [reason for _, reason, _ in plan.events] == ["TooManyMissedTimes"]
    few = _stored("2026-01-01T00:00:00Z", startingDeadlineSeconds=120)
    plan = plan_cron(few, [], parse_schedule("*/1 * * * *"), now=now)
    assert plan.start and "TooManyMissedTimes" not in {reason for _, reason, _ in plan.events}


@pytest.mark.parametrize("before", [True, False])
async def test_every_run_happens_once_wherever_the_controller_dies(before: bool) -> None:
    fatal, died = 1, True
    while died:
        kubelet = Kubelet(lambda _pod: Exit(0, after=1))
        async with control_plane(job.CONTROLLER, kubelet.controller) as c:
            await c.create(CRON_JOBS, a_cron_job(successfulJobsHistoryLimit=100, concurrencyPolicy="Forbid"))
            begin = c.clock.now()
            dying = Dying(c.server.local(), fatal, before=before)
            died = await run_until_death(c, cronjob.CONTROLLER, dying, seconds=150)
            rest = 301 - (c.clock.now() - begin).total_seconds()
            await run_until_death(c, cronjob.CONTROLLER, Dying(c.server.local(), 0, before=True), seconds=rest)
            stamps = [meta.annotations(each)[SCHEDULED] for each in await _jobs(c)]
            minutes = (begin.replace(second=0) + timedelta(minutes=n) for n in range(1, 8))
            assert stamps == [times.format_time(minute) for minute in minutes if minute <= c.clock.now()]
            assert len(kubelet.created) == len(stamps) == 5
        fatal += 1
    assert fatal > 4
