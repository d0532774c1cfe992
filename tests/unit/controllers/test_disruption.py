"""Disruption budgets against the running control plane, in simulated time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from minik.api import meta, times
from minik.api.errors import NotFound, StatusError, TooManyRequests
from minik.api.kind import Kind, ScalePaths, scale_subresource
from minik.api.meta import Key, ROObj
from minik.api.policy_v1 import matching
from minik.controllers import deployment, disruption, replicaset, statefulset
from minik.server.subresources.registry import SCALE
from tests.support.cluster import ControlPlane, control_plane, named, owned, pod
from tests.support.dying import Dying, run_until_death
from tests.support.kubelet import Exit, Hang, Kubelet, Outcome, Run

pytestmark = pytest.mark.looptime
BUDGETS, DEPLOYMENTS, SETS = "poddisruptionbudgets.policy", "deployments.apps", "replicasets.apps"
LABELS = {"app": "web"}


def budget(name: str = "b", **spec: Any) -> Any:
    return named(name, "default", spec={"selector": {"matchLabels": LABELS}, **spec})


def workload(replicas: int, **more: Any) -> Any:
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": "a"}]}}
    return named(
        "web", "default", spec={"selector": {"matchLabels": LABELS}, "template": template, "replicas": replicas, **more}
    )


async def status(c: ControlPlane, name: str = "b") -> Any:
    return (await c.client.get(BUDGETS, name, "default")).get("status")


async def counts(c: ControlPlane, name: str = "b") -> tuple[int, int, int, int]:
    """(allowed, healthy, desired, expected)."""
    found = await status(c, name)
    return tuple(found[k] for k in ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"))


async def events(c: ControlPlane) -> set[str]:
    return {event["reason"] for event in (await c.client.list("events", "default")).items}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"minAvailable": 3}, (1, 4, 3, 4)),
        ({"minAvailable": "70%"}, (1, 4, 3, 4)),  # 2.8, rounded up
        ({"minAvailable": "100%"}, (0, 4, 4, 4)),
        ({"maxUnavailable": 1}, (1, 4, 3, 4)),
        ({"maxUnavailable": "30%"}, (2, 4, 2, 4)),  # 1.2, rounded up
        ({"maxUnavailable": 9}, (4, 4, 0, 4)),
        ({}, (0, 4, 0, 0)),
    ],
)
async def test_numbers_and_condition(spec: Any, expected: tuple[int, ...]) -> None:
    async with control_plane(
        deployment.CONTROLLER, replicaset.CONTROLLER, disruption.CONTROLLER, Kubelet().controller
    ) as c:
        await c.create(BUDGETS, budget(**spec))
        await c.settle()
        assert (await status(c))["conditions"][0]["reason"] == "InsufficientPods" and "NoPods" in await events(c)
        await c.create(DEPLOYMENTS, workload(4))
        await c.settle(5)
        assert await counts(c) == expected
        found = await status(c)
        (condition,) = found["conditions"]
        assert (condition["type"], condition["status"]) == ("DisruptionAllowed", "True" if expected[0] else "False")
        assert found["observedGeneration"] == 1


async def test_it_follows_spec_scale_and_readiness_and_then_rests() -> None:
    kubelet = Kubelet()
    async with control_plane(
        deployment.CONTROLLER, replicaset.CONTROLLER, disruption.CONTROLLER, kubelet.controller
    ) as c:
        await c.create(DEPLOYMENTS, workload(4))
        await c.create(BUDGETS, budget(maxUnavailable=1))
        await c.settle(5)
        assert await counts(c) == (1, 4, 3, 4)
        await c.client.patch(BUDGETS, "b", "default", {"spec": {"maxUnavailable": 2}})
        await c.settle()
        assert await counts(c) == (2, 4, 2, 4) and (await status(c))["observedGeneration"] == 2
        kubelet.plays = lambda _pod: Hang()
        await c.client.patch(DEPLOYMENTS, "web", "default", {"spec": {"replicas": 6}})
        await c.settle()
        assert await counts(c) == (0, 4, 4, 6)
        kubelet.plays = lambda _pod: Run()
        await kubelet.again(c)
        await c.settle()
        assert await counts(c) == (2, 6, 4, 6)
        before = c.server.cache.revision
        await c.settle(1000)
        assert c.server.cache.revision == before and c.manager._runners["disruption"].statistics()["delayed"] == 0


async def test_evictions_up_to_the_budget() -> None:
    async with control_plane(replicaset.CONTROLLER, disruption.CONTROLLER, Kubelet(stops_after=30).controller) as c:
        await c.create(SETS, workload(3))
        await c.create(BUDGETS, budget(minAvailable=2))
        await c.settle(5)
        first, second, *_ = await c.names("pods", "default")
        await c.client.evict(Key("default", first))
        gone = await c.client.get("pods", first, "default")
        condition = meta.condition(gone, "DisruptionTarget")
        assert meta.is_deleting(gone) and condition is not None and condition["reason"] == "EvictionByEvictionAPI"
        with pytest.raises(TooManyRequests) as refused:
            await c.client.evict(Key("default", second))
        assert refused.value.message == "Cannot evict pod as it would violate the pod's disruption budget."
        assert refused.value.details == {
            "causes": [
                {
                    "reason": "DisruptionBudget",
                    "message": "The disruption budget b needs 2 healthy pods and has 3 currently",
                }
            ]
        }
        await c.client.evict(Key("default", first))  # it is going already
        await c.settle(2)
        assert (await counts(c))[0] == 1 and not (await status(c)).get("disruptedPods")
        await c.client.evict(Key("default", second))


async def test_a_budget_that_has_not_been_looked_at_gives_no_leave() -> None:
    async with control_plane(replicaset.CONTROLLER, Kubelet().controller) as c:
        await c.create(SETS, workload(3))
        await c.create(BUDGETS, budget(minAvailable=1))
        await c.settle(5)
        name = (await c.names("pods", "default"))[0]
        with pytest.raises(TooManyRequests) as refused:
            await c.client.evict(Key("default", name))
        assert refused.value.details is not None and refused.value.details["retryAfterSeconds"] == 10
        assert "still being processed" in refused.value.details["causes"][0]["message"]


async def test_what_needs_no_leave() -> None:
    plays: dict[str, Outcome] = {"ended": Exit(0), "waiting": Hang(), "unwell": Run(ready_after=None), "well": Run()}
    kubelet = Kubelet(lambda pod: plays[meta.name(pod)])
    async with control_plane(disruption.CONTROLLER, kubelet.controller) as c:
        for name in plays:
            await c.create("pods", pod(name, labels=LABELS, spec={"restartPolicy": "Never"}))
        await c.create(BUDGETS, budget(minAvailable=1))
        await c.settle()
        assert await counts(c) == (0, 1, 1, 4)
        for name in ("ended", "waiting", "unwell"):  # the last one because enough others are healthy
            await c.client.evict(Key("default", name))
        with pytest.raises(TooManyRequests):
            await c.client.evict(Key("default", "well"))


@pytest.mark.parametrize(("policy", "goes"), [("AlwaysAllow", True), ("IfHealthyBudget", False), (None, False)])
async def test_unhealthy_pods_of_an_unhealthy_budget(policy: str | None, goes: bool) -> None:
    kubelet = Kubelet(lambda _pod: Run(ready_after=None))
    async with control_plane(disruption.CONTROLLER, kubelet.controller) as c:
        await c.create("pods", pod("unwell", labels=LABELS))
        await c.create(BUDGETS, budget(minAvailable=1, **({"unhealthyPodEvictionPolicy": policy} if policy else {})))
        await c.settle()
        if goes:
            await c.client.evict(Key("default", "unwell"))
            return
        with pytest.raises(TooManyRequests):
            await c.client.evict(Key("default", "unwell"))


async def test_two_budgets_of_one_pod() -> None:
    async with control_plane(disruption.CONTROLLER, Kubelet().controller) as c:
        await c.create("pods", pod("a", labels=LABELS))
        for name in ("b", "other"):
            await c.create(BUDGETS, budget(name, minAvailable=0))
        await c.settle()
        with pytest.raises(StatusError) as refused:
            await c.client.evict(Key("default", "a"))
        assert refused.value.status_code == 500
        assert refused.value.message == (
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        )


async def test_dry_run_takes_nothing() -> None:
    async with control_plane(replicaset.CONTROLLER, disruption.CONTROLLER, Kubelet().controller) as c:
        await c.create(SETS, workload(2))
        await c.create(BUDGETS, budget(minAvailable=1))
        await c.settle(5)
        name = (await c.names("pods", "default"))[0]
        before = c.server.cache.revision
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "default"}}
        path = f"/api/v1/namespaces/default/pods/{name}/eviction"
        await c.client.transport.request("POST", path, body={**body, "deleteOptions": {"dryRun": ["All"]}})
        assert c.server.cache.revision == before


async def test_a_preempted_pod_says_so() -> None:
    async with control_plane(disruption.CONTROLLER, Kubelet().controller) as c:
        await c.create("pods", pod("a", labels=LABELS))
        await c.settle()
        annotations = {"minik.io/preempted-by": "default-scheduler"}
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "a", "annotations": annotations}}
        seen: list[ROObj] = []
        stop = c.manager.informers.of("pods").add_handler(updated=lambda _old, new: seen.append(new))
        await c.client.transport.request("POST", "/api/v1/namespaces/default/pods/a/eviction", body=body)
        await c.settle()
        stop()
        conditions = [meta.condition(each, "DisruptionTarget") for each in seen]
        assert any(
            condition and (condition["reason"], condition["message"])
            == ("PreemptionByScheduler", "default-scheduler: preempting to accommodate a higher priority pod")
            for condition in conditions
        )  # fmt: skip


async def test_an_eviction_that_was_cut_off_is_given_back() -> None:
    async with control_plane(replicaset.CONTROLLER, disruption.CONTROLLER, Kubelet().controller) as c:
        await c.create(SETS, workload(3))
        await c.create(BUDGETS, budget(minAvailable=2))
        await c.settle(5)
        name = (await c.names("pods", "default"))[0]
        granted = {"status": {"disruptionsAllowed": 0, "disruptedPods": {name: times.format_time(c.clock.now())}}}
        await c.client.patch_status(BUDGETS, "b", "default", granted)
        await c.settle(100)
        assert await counts(c) == (0, 2, 2, 3) and list((await status(c))["disruptedPods"]) == [name]
        await c.settle(30)
        assert await counts(c) == (1, 3, 2, 3) and "disruptedPods" not in await status(c)
        assert "NotDeleted" in await events(c)


async def test_who_was_cut_off_may_ask_again_at_once() -> None:
    async with control_plane(replicaset.CONTROLLER, disruption.CONTROLLER, Kubelet().controller) as c:
        await c.create(SETS, workload(3))
        await c.create(BUDGETS, budget(minAvailable=2))
        await c.settle(5)
        name, other, _ = await c.names("pods", "default")
        granted = {"status": {"disruptionsAllowed": 0, "disruptedPods": {name: times.format_time(c.clock.now())}}}
        await c.client.patch_status(BUDGETS, "b", "default", granted)
        await c.settle()
        with pytest.raises(TooManyRequests):
            await c.client.evict(Key("default", other))
        await c.client.evict(Key("default", name))


async def test_pods_of_what_cannot_be_scaled_stay() -> None:
    async with control_plane(disruption.CONTROLLER, Kubelet().controller) as c:
        job = await c.create("jobs.batch", named("j", "default", spec={"template": {"spec": {
            "containers": [{"name": "c", "image": "a"}], "restartPolicy": "Never"}}}))  # fmt: skip
        await c.create("pods", pod("a", labels=LABELS, ownerReferences=[owned(job, controller=True)]))
        await c.create(BUDGETS, budget(maxUnavailable=1))
        await c.settle()
        (condition,) = (await status(c))["conditions"]
        assert (condition["status"], condition["reason"]) == ("False", "SyncFailed")
        assert condition["message"] == "jobs.batch does not implement the scale subresource"
        assert "CalculateExpectedPodCountFailed" in await events(c)
        with pytest.raises(TooManyRequests):
            await c.client.evict(Key("default", "a"))


async def test_custom_kinds_by_their_scale_and_unmanaged_pods() -> None:
    crew = Kind(
        group="example.com", version="v1", kind="Crew", plural="crews", singular="crew", namespaced=True,
        schema="io.k8s.api.apps.v1.ReplicaSet", subresources=(scale_subresource(),), scale=ScalePaths(),
    )  # fmt: skip
    async with control_plane(disruption.CONTROLLER, Kubelet().controller, kinds=(crew,)) as c:
        c.server.server._subresources["crews.example.com", "scale"] = SCALE  # as it is served for a custom kind
        owner = await c.create("crews.example.com", workload(5))
        for number in range(2):
            await c.create("pods", pod(f"p{number}", labels=LABELS, ownerReferences=[owned(owner, controller=True)]))
        await c.create(BUDGETS, budget(maxUnavailable=4))
        await c.settle()
        assert await counts(c) == (1, 2, 1, 5) and "UnmanagedPods" not in await events(c)
        await c.create("pods", pod("alone", labels=LABELS))
        await c.settle()
        assert await counts(c) == (2, 3, 1, 5) and "UnmanagedPods" in await events(c)


async def test_a_mark_of_a_disruption_that_did_not_come_goes() -> None:
    async with control_plane(disruption.STALE, Kubelet().controller) as c:
        await c.create("pods", pod("a"))
        await c.settle()
        condition = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": "x",
                     "lastTransitionTime": times.format_time(c.clock.now())}  # fmt: skip
        await c.client.patch_status("pods", "a", "default", {"status": {"conditions": [condition]}}, type="strategic")

        async def marked() -> str:
            found = meta.condition(await c.client.get("pods", "a", "default"), "DisruptionTarget")
            return str(found and found["status"])

        await c.settle(110)
        assert await marked() == "True"
        await c.settle(15)
        assert await marked() == "False"
        cleared = meta.condition(await c.client.get("pods", "a", "default"), "DisruptionTarget")
        assert cleared is not None and not {"reason", "message"} & cleared.keys()


@pytest.mark.parametrize("before", [True, False])
async def test_a_controller_that_dies_leaves_a_budget_that_holds(before: bool) -> None:
    async with control_plane(statefulset.CONTROLLER, Kubelet().controller) as c:
        await c.create("statefulsets.apps", workload(3, serviceName="web", podManagementPolicy="Parallel"))
        await c.create(BUDGETS, budget(minAvailable=2))
        await c.settle(5)
        for fatal in range(1, 6):
            dying = Dying(c.server.local(), fatal % 2 + 1, before=before)
            life = asyncio.get_running_loop().create_task(run_until_death(c, disruption.CONTROLLER, dying, seconds=20))
            for name in await c.names("pods", "default"):
                try:
                    await c.client.evict(Key("default", name))
                except (TooManyRequests, NotFound):
                    await c.settle(0.5)
                left = [p for p in (await c.client.list("pods", "default")).items if not meta.is_deleting(p)]
                assert len(left) >= 2
            await life
        await run_until_death(c, disruption.CONTROLLER, Dying(c.server.local(), 0, before=True), seconds=200)
        assert await counts(c) == (1, 3, 2, 3)


def test_matching() -> None:
    budgets: list[Any] = [
        {"metadata": {"namespace": "a", "name": "all"}, "spec": {"selector": {}}},
        {"metadata": {"namespace": "a", "name": "none"}, "spec": {}},
        {"metadata": {"namespace": "a", "name": "web"}, "spec": {"selector": {"matchLabels": LABELS}}},
        {"metadata": {"namespace": "b", "name": "elsewhere"}, "spec": {"selector": {}}},
    ]
    found = matching({"metadata": {"namespace": "a", "labels": LABELS}}, budgets)
    assert [meta.name(each) for each in found] == ["all", "web"]
