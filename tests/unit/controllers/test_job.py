"""Jobs against the running control plane, in simulated time: one test a rule of Kubernetes' Job."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from typing import Any

import pytest

from minik.api import meta, times
from minik.api.batch_v1 import jobs
from minik.api.meta import Obj, ROObj
from minik.controllers import garbagecollector, job, namespace, podgc, ttlafterfinished
from minik.controllers.common.job_pods import index_of
from tests.support.cluster import ControlPlane, control_plane, named
from tests.support.kubelet import Exit, Hang, Kubelet, Outcome, Run, set_phase

pytestmark = pytest.mark.looptime


def a_job(name: str = "j", *, restart: str = "Never", **spec: Any) -> Obj:
    template = {"spec": {"restartPolicy": restart, "containers": [{"name": "c", "image": "busybox"}]}}
    return named(name, "default", spec={"template": template, **spec})


async def _job(c: ControlPlane, name: str = "j") -> ROObj:
    return await c.client.get("jobs.batch", name, "default")


async def _pods(c: ControlPlane) -> list[ROObj]:
    return list((await c.client.list("pods", "default")).items)


def _conditions(obj: ROObj) -> list[tuple[str, str]]:
    return [(x["type"], x.get("reason", "")) for x in obj["status"].get("conditions", ()) if x["status"] == "True"]


def _counts(obj: ROObj) -> tuple[int, int, int]:
    status = obj["status"]
    return status.get("active", 0), status.get("succeeded", 0), status.get("failed", 0)


async def _events(c: ControlPlane) -> Counter[str]:
    return Counter(e["reason"] for e in (await c.client.list("events", "default")).items)


COMPLETE = [("SuccessCriteriaMet", "CompletionsReached"), ("Complete", "CompletionsReached")]


def failed(reason: str) -> list[tuple[str, str]]:
    return [("FailureTarget", reason), ("Failed", reason)]


async def test_a_job_runs_to_completion_and_counts_each_pod_once() -> None:
    kubelet = Kubelet(lambda _pod: Exit(0, after=5))
    async with control_plane(job.CONTROLLER, kubelet.controller) as c:
        created = await c.create("jobs.batch", a_job(completions=5, parallelism=2))
        uid = meta.uid(created)
        assert created["spec"]["selector"] == {"matchLabels": {jobs.UID_LABEL: uid}}
        assert created["metadata"]["labels"] == {
            "controller-uid": uid, "job-name": "j", jobs.UID_LABEL: uid, jobs.NAME_LABEL: "j",
        }  # fmt: skip
        await c.settle(2)
        running = await _job(c)
        assert _counts(running) == (2, 0, 0) and running["status"]["ready"] == 0
        assert running["status"]["startTime"] and running["status"]["uncountedTerminatedPods"] == {}
        await c.settle(60)
        done = await _job(c)
        assert _counts(done) == (0, 5, 0) and len(kubelet.created) == 5
        assert _conditions(done) == COMPLETE
        assert done["status"]["completionTime"] and done["status"]["terminating"] == 0
        assert not any(meta.finalizers(pod) for pod in await _pods(c))
        assert await _events(c) >= Counter(SuccessfulCreate=5, Completed=1)
        assert (await c.client.list("jobs.batch", field_selector="status.successful=5")).items
        before = done["metadata"]["resourceVersion"]
        await c.settle(3600)
        assert (await _job(c))["metadata"]["resourceVersion"] == before


async def test_without_completions_one_success_ends_it_when_the_others_have_ended() -> None:
    def plays(pod: ROObj) -> Outcome:
        return Exit(0, after=5 if first and meta.uid(pod) == first[0] else 50)

    first: list[str] = []
    kubelet = Kubelet(plays)
    async with control_plane(job.CONTROLLER, kubelet.controller) as c:
        spec = a_job(parallelism=3)
        spec["spec"]["completions"] = None
        await c.create("jobs.batch", spec)
        await c.settle(0.5)
        first.append(meta.uid((await _pods(c))[0]))
        await c.settle(6)
        await kubelet.again(c)
        assert _counts(await _job(c)) == (2, 1, 0)
        await c.settle(60)
        assert _counts(await _job(c)) == (0, 3, 0) and _conditions(await _job(c)) == COMPLETE


async def test_indexed_pods_know_their_index() -> None:
    kubelet = Kubelet(lambda _pod: Exit(0, after=5))
    async with control_plane(job.CONTROLLER, kubelet.controller) as c:
        await c.create("jobs.batch", a_job(completions=4, parallelism=2, completionMode="Indexed"))
        await c.settle(60)
        done = await _job(c)
        assert done["status"]["completedIndexes"] == "0-3" and _counts(done) == (0, 4, 0)
        for pod in await _pods(c):
            index = pod["metadata"]["annotations"][jobs.COMPLETION_INDEX]
            assert pod["metadata"]["labels"][jobs.COMPLETION_INDEX] == index
            assert pod["spec"]["hostname"] == f"j-{index}" and meta.name(pod).startswith(f"j-{index}-")
            variable = pod["spec"]["containers"][0]["env"][-1]
            assert variable["name"] == "JOB_COMPLETION_INDEX"
            assert variable["valueFrom"]["fieldRef"]["fieldPath"] == f"metadata.labels['{jobs.COMPLETION_INDEX}']"
        assert sorted(index_of(pod) or 0 for pod in await _pods(c)) == [0, 1, 2, 3]


async def test_failures_are_replaced_ever_more_slowly_up_to_the_limit() -> None:
    kubelet = Kubelet(lambda _pod: Exit(1))
    async with control_plane(job.CONTROLLER, kubelet.controller) as c:
        await c.create("jobs.batch", a_job(backoffLimit=3))
        await c.settle(600)
        done = await _job(c)
        assert _counts(done) == (0, 0, 4) and _conditions(done) == failed("BackoffLimitExceeded")
        assert "completionTime" not in done["status"]
        begins = sorted(times.parse_time(p["metadata"]["creationTimestamp"]) for p in await _pods(c))
        gaps = [(b - a).total_seconds() for a, b in itertools.pairwise(begins)]
        assert [round(gap, -1) for gap in gaps] == [10, 20, 40]
        assert (await _events(c))["BackoffLimitExceeded"] == 1


async def test_restarts_of_containers_count_when_the_kubelet_restarts_them() -> None:
    async with control_plane(job.CONTROLLER) as c:
        await c.create("jobs.batch", a_job(restart="OnFailure", backoffLimit=2))
        await c.settle()
        pod = (await _pods(c))[0]
        now = times.format_time(c.clock.now())
        await set_phase(c.client, pod, "Running", now=now)
        status = {"containerStatuses": [{"name": "c", "restartCount": 2, "ready": False, "image": "x", "imageID": "x"}]}
        await c.client.patch_status("pods", meta.name(pod), "default", {"status": status}, type="strategic")
        await c.settle()
        assert _conditions(await _job(c)) == failed("BackoffLimitExceeded")
        assert _counts(await _job(c)) == (0, 0, 1) and await _pods(c) == []


async def test_restarts_of_containers_do_not_fail_a_job_within_its_limit() -> None:
    """Jobs, completion after task failure: each container fails once, and is restarted by its kubelet."""
    async with control_plane(job.CONTROLLER) as c:
        await c.create("jobs.batch", a_job(restart="OnFailure", backoffLimit=6, parallelism=2, completions=4))
        for _ in range(2):
            await c.settle()
            for pod in await _pods(c):
                if pod["status"].get("phase") == "Succeeded":
                    continue
                now = times.format_time(c.clock.now())
                await set_phase(c.client, pod, "Running", now=now)
                again = {"name": "c", "restartCount": 1, "ready": True, "image": "x", "imageID": "x"}
                status = {"containerStatuses": [again]}
                await c.client.patch_status("pods", meta.name(pod), "default", {"status": status}, type="strategic")
                await c.settle()
                await set_phase(c.client, await c.client.get("pods", meta.name(pod), "default"), "Succeeded", now=now)
        await c.settle(5)
        assert _counts(await _job(c)) == (0, 4, 0) and _conditions(await _job(c)) == COMPLETE


async def test_a_deadline_ends_it_and_terminating_pods_are_waited_for() -> None:
    kubelet = Kubelet(stops_after=20)
    async with control_plane(job.CONTROLLER, kubelet.controller) as c:
        await c.create("jobs.batch", a_job(parallelism=2, completions=2, activeDeadlineSeconds=30))
        await c.settle(29)
        assert (await _job(c))["status"]["ready"] == 2
        await c.settle(5)
        ending = await _job(c)
        assert _conditions(ending) == [("FailureTarget", "DeadlineExceeded")]
        assert ending["status"]["terminating"] == 2 and ending["status"]["failed"] == 2
        await c.settle(30)
        assert _conditions(await _job(c)) == failed("DeadlineExceeded")
        assert _counts(await _job(c)) == (0, 0, 2) and (await _job(c))["status"]["terminating"] == 0


async def test_suspend_takes_pods_away_uncounted_and_resume_starts_the_clock_anew() -> None:
    kubelet = Kubelet()
    async with control_plane(job.CONTROLLER, kubelet.controller) as c:
        await c.create("jobs.batch", a_job(parallelism=2, completions=2, suspend=True, activeDeadlineSeconds=100))
        await c.settle(10)
        waiting = await _job(c)
        assert "startTime" not in waiting["status"] and _conditions(waiting) == [("Suspended", "JobSuspended")]
        scheduling = {"spec": {"template": {"spec": {"nodeSelector": {"a": "b"}}}}}
        await c.client.patch("jobs.batch", "j", "default", scheduling)  # a Job that never started may still be moved
        await c.client.patch("jobs.batch", "j", "default", {"spec": {"suspend": False}})
        await c.settle(50)
        started = await _job(c)
        assert _counts(started) == (2, 0, 0) and _conditions(started) == []
        await c.client.patch("jobs.batch", "j", "default", {"spec": {"suspend": True}})
        await c.settle(500)
        assert _counts(await _job(c)) == (0, 0, 0) and await _pods(c) == []
        await c.client.patch("jobs.batch", "j", "default", {"spec": {"suspend": False}})
        await c.settle(60)
        resumed = await _job(c)
        assert _counts(resumed) == (2, 0, 0) and resumed["status"]["startTime"] > started["status"]["startTime"]
        kubelet.plays = lambda _pod: Exit(0)
        await kubelet.again(c)
        assert _counts(await _job(c)) == (0, 2, 0) and _conditions(await _job(c)) == COMPLETE
        events = await _events(c)
        assert events["Suspended"] and events["Resumed"]


@pytest.mark.parametrize("mode", ["NonIndexed", "Indexed"])
async def test_pods_are_adopted_and_released(mode: str) -> None:
    async with control_plane(job.CONTROLLER, Kubelet().controller) as c:
        await c.create("jobs.batch", a_job(parallelism=2, completions=2, completionMode=mode))
        await c.settle()
        one, other = await _pods(c)
        await c.client.patch("pods", meta.name(one), "default", {"metadata": {"ownerReferences": None}})
        await c.settle()
        again = await c.client.get("pods", meta.name(one), "default")
        assert meta.is_controlled_by(again, await _job(c)) and jobs.TRACKING in meta.finalizers(again)
        await c.client.patch("pods", meta.name(other), "default", {"metadata": {"labels": {jobs.UID_LABEL: "x"}}})
        await c.settle()
        let_go = await c.client.get("pods", meta.name(other), "default")
        assert not meta.owners(let_go) and not meta.finalizers(let_go)
        assert len(await _pods(c)) == 3 and _counts(await _job(c)) == (2, 0, 0)


async def test_a_failure_policy_fails_the_job_on_an_exit_code() -> None:
    rules = [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
        {"action": "FailJob", "onExitCodes": {"containerName": "c", "operator": "In", "values": [42]}},
    ]
    kubelet = Kubelet(lambda pod: Exit(42) if index_of(pod) == 1 else Run())
    async with control_plane(job.CONTROLLER, kubelet.controller) as c:
        spec = a_job(parallelism=3, completions=3, completionMode="Indexed", podFailurePolicy={"rules": rules})
        created = await c.create("jobs.batch", spec)
        assert created["spec"]["podReplacementPolicy"] == "Failed"
        await c.settle(5)
        done = await _job(c)
        assert _conditions(done) == failed("PodFailurePolicy") and _counts(done) == (0, 0, 3)
        assert "failed with exit code 42 matching FailJob rule at index 1" in done["status"]["conditions"][0]["message"]


async def test_a_failure_policy_ignores_disruptions() -> None:
    rules = [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
        {"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [0]}},
    ]
    kubelet = Kubelet()
    async with control_plane(job.CONTROLLER, kubelet.controller) as c:
        spec = a_job(parallelism=2, completions=2, completionMode="Indexed", backoffLimit=0)
        spec["spec"]["podFailurePolicy"] = {"rules": rules}
        await c.create("jobs.batch", spec)
        await c.settle(2)
        for pod in await _pods(c):
            await c.client.evict(meta.key(pod))
        await c.settle(30)
        assert _counts(await _job(c)) == (2, 0, 0) and len(kubelet.created) == 4
        kubelet.plays = lambda _pod: Exit(0)
        await kubelet.again(c)
        assert _counts(await _job(c)) == (0, 2, 0) and _conditions(await _job(c)) == COMPLETE


async def test_every_index_runs_despite_some_that_fail() -> None:
    kubelet = Kubelet(lambda pod: Exit((index_of(pod) or 0) % 2))
    async with control_plane(job.CONTROLLER, kubelet.controller) as c:
        await c.create(
            "jobs.batch", a_job(parallelism=2, completions=4, completionMode="Indexed", backoffLimitPerIndex=1)
        )
        await c.settle(200)
        done = await _job(c)
        assert (done["status"]["completedIndexes"], done["status"]["failedIndexes"]) == ("0,2", "1,3")
        assert _counts(done) == (0, 2, 4) and _conditions(done) == failed("FailedIndexes")
        assert done["spec"]["backoffLimit"] == 2**31 - 1
        counts = sorted(pod["metadata"]["annotations"][jobs.INDEX_FAILURES] for pod in await _pods(c))
        assert counts == ["0"] * 4 + ["1"] * 2 and not any(map(meta.finalizers, await _pods(c)))


async def test_too_many_failed_indexes_end_the_job() -> None:
    kubelet = Kubelet(lambda pod: Exit(1) if (index_of(pod) or 0) % 2 else Run())
    async with control_plane(job.CONTROLLER, kubelet.controller) as c:
        await c.create("jobs.batch", a_job(
            parallelism=10, completions=10, completionMode="Indexed", backoffLimitPerIndex=0, maxFailedIndexes=4))  # fmt: skip
        await c.settle(30)
        done = await _job(c)
        assert _conditions(done) == failed("MaxFailedIndexesExceeded")
        assert done["status"]["failedIndexes"] == "1,3,5,7,9" and _counts(done) == (0, 0, 10)


async def test_the_rule_fail_index_gives_an_index_up_at_once() -> None:
    rules = [{"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [5]}}]
    kubelet = Kubelet(lambda pod: Exit(5 if index_of(pod) == 0 else 0))
    async with control_plane(job.CONTROLLER, kubelet.controller) as c:
        await c.create("jobs.batch", a_job(
            parallelism=2, completions=2, completionMode="Indexed", backoffLimitPerIndex=3,
            podFailurePolicy={"rules": rules}))  # fmt: skip
        await c.settle(60)
        done = await _job(c)
        assert done["status"]["failedIndexes"] == "0" and _counts(done) == (0, 1, 1) and len(kubelet.created) == 2


@pytest.mark.parametrize(
    "rule", [{"succeededIndexes": "0-3"}, {"succeededCount": 2}, {"succeededIndexes": "1,3", "succeededCount": 1}]
)
async def test_a_success_policy_ends_the_job_early(rule: dict[str, Any]) -> None:
    wanted = {"0-3": {0, 1, 2, 3}, "1,3": {3}}.get(rule.get("succeededIndexes", ""), {1, 4})
    kubelet = Kubelet(lambda pod: Exit(0) if index_of(pod) in wanted else Run())
    async with control_plane(job.CONTROLLER, kubelet.controller) as c:
        spec = a_job(parallelism=5, completions=5, completionMode="Indexed", successPolicy={"rules": [rule]})
        await c.create("jobs.batch", spec)
        await c.settle(30)
        done = await _job(c)
        assert _conditions(done) == [("SuccessCriteriaMet", "SuccessPolicy"), ("Complete", "SuccessPolicy")]
        assert done["status"]["conditions"][1]["message"] == "Matched rules at index 0"
        assert _counts(done) == (0, len(wanted), 0) and len(await _pods(c)) == len(wanted)


async def test_an_index_does_not_run_again_under_the_name_of_a_pod_that_has_gone() -> None:
    """Whoever waits for an evicted pod to be gone asks for its name, and not all the time."""
    kubelet = Kubelet()
    async with control_plane(job.CONTROLLER, kubelet.controller) as c:
        await c.create("jobs.batch", a_job(completions=1, completionMode="Indexed"))
        for _ in range(4):
            await c.settle(2)
            (pod,) = await _pods(c)
            await c.client.evict(meta.key(pod))
            await c.settle(300)
        assert len({meta.name(pod) for pod in kubelet.created.values()}) == len(kubelet.created) == 5


@pytest.mark.parametrize(("policy", "at_once"), [("TerminatingOrFailed", 1), ("Failed", 0)])
async def test_when_a_pod_that_is_deleted_is_replaced(policy: str, at_once: int) -> None:
    kubelet = Kubelet(stops_after=25)
    async with control_plane(job.CONTROLLER, kubelet.controller) as c:
        await c.create("jobs.batch", a_job(podReplacementPolicy=policy))
        await c.settle(2)
        await c.client.delete("pods", meta.name((await _pods(c))[0]), "default")
        await c.settle(15)
        assert _counts(await _job(c)) == (at_once, 0, at_once)
        assert (await _job(c))["status"]["terminating"] == 1
        await c.settle(60)
        assert _counts(await _job(c)) == (1, 0, 1) and len(kubelet.created) == 2


async def test_a_pod_that_never_had_a_node_and_is_deleted_is_replaced_too() -> None:
    kubelet = Kubelet(lambda _pod: Hang())
    async with control_plane(job.CONTROLLER, podgc.CONTROLLER, kubelet.controller) as c:
        await c.create("jobs.batch", a_job(podReplacementPolicy="Failed"))
        await c.settle(2)
        (first,) = await _pods(c)
        await c.client.delete("pods", meta.name(first), "default")
        await c.settle(20)
        (second,) = await _pods(c)
        assert meta.uid(second) != meta.uid(first) and _counts(await _job(c)) == (1, 0, 1)


async def test_a_job_of_another_controller_is_left_alone() -> None:
    async with control_plane(job.CONTROLLER) as c:
        await c.create("jobs.batch", a_job(managedBy="example.com/mine"))
        await c.settle(10)
        assert await _pods(c) == [] and (await _job(c))["status"] == {}


async def test_finished_jobs_go_after_their_ttl_with_their_pods() -> None:
    kubelet = Kubelet(lambda _pod: Exit(0))
    controllers = (job.CONTROLLER, ttlafterfinished.CONTROLLER, garbagecollector.CONTROLLER, kubelet.controller)
    async with control_plane(*controllers) as c:
        await c.create("jobs.batch", a_job(ttlSecondsAfterFinished=50))
        await c.create("jobs.batch", a_job("kept"))
        await c.settle(45)
        assert len(await _pods(c)) == 2
        await c.settle(20)
        assert await c.names("jobs.batch") == ["kept"] and len(await _pods(c)) == 1


@pytest.mark.parametrize(("propagation", "left"), [("Background", 0), ("Foreground", 0), ("Orphan", 2)])
async def test_no_finalizer_outlives_its_job(propagation: Any, left: int) -> None:
    controllers = (job.CONTROLLER, garbagecollector.CONTROLLER, Kubelet().controller)
    async with control_plane(*controllers) as c:
        await c.create("jobs.batch", a_job(parallelism=2, completions=2))
        await c.settle(2)
        await c.client.delete("jobs.batch", "j", "default", propagation=propagation)
        await c.settle(60)
        assert await c.names("jobs.batch") == [] and len(await _pods(c)) == left
        assert not any(map(meta.finalizers, await _pods(c)))


async def test_parallelism_can_change_while_it_runs() -> None:
    kubelet = Kubelet()
    async with control_plane(job.CONTROLLER, kubelet.controller) as c:
        await c.create("jobs.batch", a_job(parallelism=4, completions=10))
        await c.settle(2)
        await c.client.patch("jobs.batch", "j", "default", {"spec": {"parallelism": 1}})
        await c.settle(2)
        assert _counts(await _job(c)) == (1, 0, 0) and len(await _pods(c)) == 1
        await c.client.patch("jobs.batch", "j", "default", {"spec": {"parallelism": 0}})
        await c.settle(2)
        assert _counts(await _job(c)) == (0, 0, 0)


async def test_a_large_job_is_not_looked_at_for_every_pod() -> None:
    kubelet = Kubelet(lambda pod: Exit(0, after=2 + int(meta.uid(pod)[:4], 16) % 97 / 10))
    async with control_plane(job.CONTROLLER, kubelet.controller) as c:
        await c.create("jobs.batch", a_job(parallelism=200, completions=200, completionMode="Indexed"))
        before = await c.server.store.current_revision()
        await c.settle(60)
        done = await _job(c)
        assert _counts(done) == (0, 200, 0) and _conditions(done) == COMPLETE
        revisions = await c.server.store.current_revision() - before
        of_pods = 200 * 6  # created, bound, running, ended, released, and some Events
        assert revisions < of_pods + 2 * 12 * 10, "two writes a pass, some passes a second"


async def test_a_pod_that_waits_for_a_node_is_active() -> None:
    async with control_plane(job.CONTROLLER, Kubelet(lambda _pod: Hang()).controller) as c:
        await c.create("jobs.batch", a_job())
        await asyncio.sleep(5)
        assert _counts(await _job(c)) == (1, 0, 0) and (await _job(c))["status"]["ready"] == 0


async def test_a_failed_pod_that_waits_for_its_replacement_does_not_hold_up_its_namespace() -> None:
    kubelet = Kubelet(lambda _pod: Exit(1, after=1))
    controllers = (kubelet.controller, job.CONTROLLER, garbagecollector.CONTROLLER, namespace.CONTROLLER)
    async with control_plane(*controllers, namespaces=("default", "kube-node-lease", "doomed")) as c:
        made = a_job(completions=2, parallelism=1, completionMode="Indexed", backoffLimitPerIndex=5)
        made["metadata"]["namespace"] = "doomed"
        await c.create("jobs.batch", made)
        await c.settle(5)  # its first pod has failed; the next one comes after a back-off
        (failed,) = (await c.client.list("pods", "doomed")).items
        assert failed["status"]["phase"] == "Failed" and meta.finalizers(failed)
        await c.client.delete("namespaces", "doomed")
        await c.settle(120)
        assert "doomed" not in await c.names("namespaces")
