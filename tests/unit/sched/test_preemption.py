"""Preemption: who has to go, from where, and when nobody may; then the running scheduler doing it."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minik.api import meta
from minik.sched.cycle import schedule
from minik.sched.plugins import default_plugins
from minik.sched.preemption import Budgets, Preemption, Victims, choose, plan_preemption
from minik.sched.snapshot import Cluster, PodInfo
from tests.support.objects import node, pod
from tests.support.scheduling import Rig, scheduling

PLUGINS = default_plugins()
Obj = dict[str, Any]


def low(name: str, on: str, *, priority: int = 0, cpu: str = "1", since: int = 0, **more: Any) -> Obj:
    made = pod(name, cpu=cpu, node_name=on, priority=priority, **more)
    made["status"] = {"phase": "Running", "startTime": f"2026-01-01T00:00:{since:02}Z"}
    return made


def budget(app: str, allowed: int) -> Obj:
    return {
        "metadata": {"name": app, "namespace": "default", "generation": 1},
        "spec": {"selector": {"matchLabels": {"app": app}}},
        "status": {"disruptionsAllowed": allowed, "observedGeneration": 1},
    }


def preempt(cluster: Cluster, obj: Obj, budgets: Iterable[Obj] = (), **more: Any) -> Preemption:
    info = PodInfo(obj)
    for each in budgets:
        cluster.part(Budgets).put(each)
    decision = schedule(info, cluster, PLUGINS, random.Random(1))
    assert not decision.node
    return plan_preemption(info, cluster, PLUGINS, decision, **more)


def names(plan: Preemption) -> tuple[str, list[str]]:
    assert plan.victims is not None, plan.summary()
    return plan.victims.node, [each.key.name for each in plan.victims.pods]


def test_as_many_as_possible_are_given_back_the_most_important_first() -> None:
    bound = [low("a", "n", priority=1, cpu="2"), low("b", "n", priority=3, cpu="1"), low("c", "n", priority=2, cpu="1")]
    cluster = Cluster.of([node("n", cpu="4")], bound)
    assert names(preempt(cluster, pod("p", cpu="1", priority=10))) == ("n", ["a"])
    assert names(preempt(cluster, pod("p", cpu="3", priority=10))) == ("n", ["c", "a"])
    assert names(preempt(cluster, pod("p", cpu="1", priority=2))) == ("n", ["a"])
    found = cluster.get("n")
    assert found is not None and found.requested["cpu"] == 4000 and len(found.pods) == 3


def test_only_pods_of_lower_priority_go() -> None:
    cluster = Cluster.of([node("n", cpu="1")], [low("a", "n", priority=5)])
    assert preempt(cluster, pod("p", cpu="1", priority=5)).summary() == (
        "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
    )
    assert names(preempt(cluster, pod("p", cpu="1", priority=6))) == ("n", ["a"])
    never = pod("p", cpu="1", priority=6, preemptionPolicy="Never")
    assert preempt(cluster, never).summary() == "preemption: not eligible due to preemptionPolicy=Never."


def test_nodes_that_no_removal_could_open_are_not_looked_at() -> None:
    nodes = [
        node("tainted", cpu="1", taints=[{"key": "k", "effect": "NoSchedule"}]),
        node("cordoned", cpu="1", unschedulable=True),
        node("small", cpu="1"),
    ]
    bound = [low("a", "tainted"), low("b", "cordoned"), low("c", "small", cpu="500m")]
    plan = preempt(Cluster.of(nodes, bound), pod("p", cpu="2", priority=1))
    assert plan.victims is None
    assert sorted(plan.refused) == ["cordoned", "small", "tainted"]
    assert plan.refused["tainted"] == ("Preemption is not helpful for scheduling",)


def test_each_lack_that_would_be_left_is_counted_by_itself() -> None:
    bound = [low("a", "n", cpu="1"), low("b", "n", priority=9, cpu="1", memory="1Gi")]
    plan = preempt(Cluster.of([node("n", cpu="2", memory="1Gi")], bound), pod("p", cpu="2", memory="1Gi", priority=5))
    assert plan.summary() == ("preemption: 0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory.")


def test_company_that_is_only_nominated_does_not_help() -> None:
    """Room would be made in vain: the pod it wants to be with is not there yet."""
    terms = [{"labelSelector": {"matchLabels": {"app": "r"}}, "topologyKey": "kubernetes.io/hostname"}]
    near = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    cluster = Cluster.of([node("n", cpu="3")], [low("a", "n", cpu="2")])
    rival = PodInfo(pod("r", cpu="1", priority=9))
    cluster.nominate(rival, "n")
    wanted = pod("p", cpu="2", priority=5, affinity=near)
    assert "didn't match pod affinity rules" in preempt(cluster, wanted).summary()
    cluster.unnominate(rival.uid)
    cluster.set_pod(rival, "n")
    assert names(preempt(cluster, wanted)) == ("n", ["a"])


@pytest.mark.parametrize(
    ("rule", "cheaper", "dearer"),
    [
        ("its most important victim matters less", [(1, 0), (1, 0)], [(2, 0)]),
        ("the sum is less", [(2, 0), (0, 0)], [(2, 0), (1, 0)]),
        ("fewer victims", [(-5, 0)], [(-5, 0), (-(1 << 31), 0)]),
        ("it began later", [(1, 9)], [(1, 3)]),
        ("the first", [(1, 3)], [(1, 3)]),
    ],
)
def test_the_cheapest_node_is_chosen(rule: str, cheaper: list[tuple[int, int]], dearer: list[tuple[int, int]]) -> None:
    def victims(on: str, given: list[tuple[int, int]]) -> Victims:
        return Victims(on, tuple(PodInfo(low(f"{on}{i}", on, priority=p, since=s)) for i, (p, s) in enumerate(given)))

    candidates = [victims("cheaper", cheaper), victims("dearer", dearer)]
    assert choose(candidates).node == "cheaper", rule
    if rule != "the first":
        assert choose(candidates[::-1]).node == "cheaper", rule


def test_a_budget_is_not_violated_even_if_there_is_no_other_choice() -> None:
    nodes = [node("n1", cpu="1"), node("n2", cpu="1")]
    bound = [low("a", "n1", owner="web"), low("b", "n2", owner="web", priority=3)]
    cluster = Cluster.of(nodes, bound)
    high = pod("p", cpu="1", priority=10)
    plan = preempt(cluster, high, [budget("web", 0)])
    assert plan.victims is None and "DefaultPreemption" in plan.filters
    assert plan.summary() == (
        "preemption: 0/2 nodes are available: 2 node(s) where preemption would violate a disruption budget."
    )
    assert names(preempt(cluster, high, [budget("web", 1)])) == ("n1", ["a"])
    other = low("c", "n2", owner="free", priority=9, cpu="1")
    cluster.remove_pod("pod-b")
    cluster.set_pod(PodInfo(other), "n2")
    assert names(preempt(cluster, high, [budget("web", 0)])) == ("n2", ["c"])


def test_of_pods_of_one_priority_those_without_a_budget_go_first() -> None:
    bound = [
        low("old", "n1", owner="free", since=1), low("new", "n1", owner="web", since=9),
        low("b", "n2", owner="web", since=9), low("c", "n2", owner="web", since=9),
    ]  # fmt: skip
    cluster = Cluster.of([node("n1", cpu="2"), node("n2", cpu="2")], bound)
    assert names(preempt(cluster, pod("p", cpu="1", priority=1), [budget("web", 3)])) == ("n1", ["old"])


def test_a_pod_with_several_budgets_is_not_evicted_and_so_no_victim() -> None:
    both = [
        budget("web", 1),
        {**budget("web", 1), "metadata": {"name": "too", "namespace": "default", "generation": 1}},
    ]
    plan = preempt(Cluster.of([node("n", cpu="1")], [low("a", "n", owner="web")]), pod("p", cpu="1", priority=1), both)
    assert plan.victims is None and "DefaultPreemption" in plan.filters


def test_pods_that_a_budget_protects_are_given_back_first() -> None:
    bound = [low("kept", "n", owner="web", priority=0), low("goes", "n", owner="free", priority=5)]
    plan = preempt(Cluster.of([node("n", cpu="2")], bound), pod("p", cpu="1", priority=10), [budget("web", 0)])
    assert names(plan) == ("n", ["goes"])


def test_no_second_preemption_while_victims_still_end() -> None:
    victim = low("a", "n1")
    cluster = Cluster.of([node("n1", cpu="1"), node("n2", cpu="1")], [victim, low("b", "n2")])
    high = pod("p", cpu="1", priority=10)
    cluster.nominate(PodInfo(high), "n1")
    waits = "preemption: not eligible due to a terminating pod on the nominated node."
    assert preempt(cluster, high, going=["pod-a"]).summary() == waits
    # after a restart: what the API says of the victim
    victim["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    victim["status"]["conditions"] = [{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}]
    cluster.set_pod(PodInfo(victim), "n1")
    assert preempt(cluster, high).summary() == waits
    # nothing that ends there helps any more
    cluster.set_node(node("n1", cpu="1", taints=[{"key": "k", "effect": "NoSchedule"}]))
    assert names(preempt(cluster, high, going=["pod-a"])) == ("n2", ["b"])


def test_a_nominated_pod_counts_for_those_below_it_and_for_its_like() -> None:
    cluster = Cluster.of([node("n", cpu="2")], [low("a", "n")])
    cluster.nominate(PodInfo(pod("nominated", cpu="1", priority=5)), "n")

    def fits(priority: int) -> bool:
        return bool(schedule(PodInfo(pod("p", cpu="1", priority=priority)), cluster, PLUGINS, random.Random(1)).node)

    assert [fits(4), fits(5), fits(6)] == [False, False, True]
    # whoever preempts must leave room for it as well
    assert preempt(cluster, pod("p", cpu="1", priority=5)).victims is not None


_pods = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(0, 2)), min_size=1, max_size=8)


@given(first=_pods, second=_pods, allowed=st.lists(st.integers(0, 2), min_size=3, max_size=3), wanted=st.integers(1, 6))
@settings(max_examples=150, deadline=None)
def test_whoever_is_preempted_the_pod_fits_then_nobody_goes_in_vain_and_every_budget_holds(
    first: list[tuple[int, int, int]], second: list[tuple[int, int, int]], allowed: list[int], wanted: int
) -> None:
    bound = [
        low(f"{on}-{i}", on, priority=priority, cpu=str(cpu), owner=f"app-{app}")
        for on, given_pods in (("n1", first), ("n2", second))
        for i, (priority, cpu, app) in enumerate(given_pods)
    ]
    sizes = {on: sum(cpu for _, cpu, _ in given_pods) for on, given_pods in (("n1", first), ("n2", second))}
    cluster = Cluster.of([node(on, cpu=str(size)) for on, size in sizes.items()], bound)
    plan = preempt(
        cluster, pod("p", cpu=str(wanted), priority=2), [budget(f"app-{i}", n) for i, n in enumerate(allowed)]
    )
    if plan.victims is None:
        for on, given_pods in (("n1", first), ("n2", second)):
            free = [cpu for priority, cpu, app in given_pods if priority < 2 and allowed[app] >= len(given_pods)]
            assert sum(free) < wanted, f"those of {on} without a budget that matters would have been enough"
        return
    victims = plan.victims.pods
    assert all(each.priority < 2 for each in victims)
    freed = sum(each.requests["cpu"] for each in victims)
    assert freed >= 1000 * wanted
    assert all(freed - each.requests["cpu"] < 1000 * wanted for each in victims)
    for app, number in enumerate(allowed):
        assert sum(each.labels["app"] == f"app-{app}" for each in victims) <= number


# --- the running scheduler --------------------------------------------------------------------------------------------


async def _delete(rig: Rig, name: str) -> None:
    await rig.client.delete("pods", name, "default", grace_seconds=0)


@pytest.mark.looptime
async def test_a_victim_goes_with_its_reason_and_the_pod_takes_its_place() -> None:
    async with scheduling([node("n", cpu="1")]) as rig:
        await rig.create("priorityclasses.scheduling.k8s.io", {"metadata": {"name": "high"}, "value": 1000})
        await rig.pod("low", cpu="1")
        await rig.settle(1)
        assert await rig.node_of("low") == "n"
        await rig.pod("high", cpu="1", priorityClassName="high")
        await rig.settle(1)
        high, victim = await rig.found("high"), await rig.found("low")
        assert high["status"]["nominatedNodeName"] == "n"
        waits = meta.condition(high, "PodScheduled")
        assert waits is not None
        assert (waits["status"], waits["reason"], waits["observedGeneration"]) == ("False", "Unschedulable", 1)
        condition = meta.condition(victim, "DisruptionTarget")
        assert condition is not None and condition["observedGeneration"] == 1
        assert (condition["status"], condition["reason"], condition["message"]) == (
            "True", "PreemptionByScheduler", "default-scheduler: preempting to accommodate a higher priority pod",
        )  # fmt: skip
        assert meta.is_deleting(victim)
        assert await rig.events("Preempted") == [f"Preempted by pod {high['metadata']['uid']} on node n"]
        # while it ends, another of low priority does not slip in, and nobody else is preempted
        await rig.pod("late", cpu="1")
        await rig.settle(20)
        assert not await rig.node_of("high") and not await rig.node_of("late")
        await _delete(rig, "low")
        await rig.settle(11)
        assert await rig.node_of("high") == "n"
        settled = meta.condition(await rig.found("high"), "PodScheduled")
        assert settled is not None and (settled["status"], settled["observedGeneration"]) == ("True", 1)
        assert "nominatedNodeName" not in (await rig.found("high"))["status"]
        assert not await rig.node_of("late")
        assert len(await rig.events("Preempted")) == 1


@pytest.mark.looptime
async def test_of_equal_pods_the_one_that_started_last_goes() -> None:
    """Although it was created first; and what says so comes after the binding, when nothing that is counted changes any more."""
    async with scheduling([node("n", cpu="2")]) as rig:
        await rig.create("priorityclasses.scheduling.k8s.io", {"metadata": {"name": "high"}, "value": 1000})
        for name, since in (("first", "2026-01-01T00:00:09Z"), ("second", "2026-01-01T00:00:03Z")):
            await rig.pod(name, cpu="1")
            await rig.settle(1)
            status = {"status": {"phase": "Running", "startTime": since}}
            await rig.client.patch("pods", name, "default", status, subresource="status")
        await rig.settle(1)
        await rig.pod("high", cpu="1", priorityClassName="high")
        await rig.settle(1)
        assert meta.is_deleting(await rig.found("first")) and not meta.is_deleting(await rig.found("second"))


@pytest.mark.looptime
async def test_a_refused_eviction_ends_the_preemption_and_it_is_tried_again() -> None:
    """The budget has no room any more by the time of the eviction; when it has, the pod is preempted after all."""
    async with scheduling([node("n", cpu="1")]) as rig:
        await rig.create("priorityclasses.scheduling.k8s.io", {"metadata": {"name": "high"}, "value": 1000})
        await rig.pod("low", cpu="1", owner="web")
        await rig.settle(1)
        status = {"disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1}
        spec = {"selector": {"matchLabels": {"app": "web"}}, "minAvailable": 1}
        made = await rig.create(
            "poddisruptionbudgets.policy", {"metadata": {"name": "web", "namespace": "default"}, "spec": spec}
        )
        made = await rig.client.update_status(
            "poddisruptionbudgets.policy", made, {**status, "observedGeneration": made["metadata"]["generation"]}
        )
        ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        await rig.client.patch_status("pods", "low", "default", {"status": ready})
        await rig.settle(1)
        # the scheduler's own view of the budget is behind: it believes that one may go
        stale = {**made, "status": {**made["status"], "disruptionsAllowed": 1}}
        rig.scheduler.cluster.part(Budgets).put(stale)
        await rig.pod("high", cpu="1", priorityClassName="high")
        await rig.settle(1)
        assert not meta.is_deleting(await rig.found("low"))
        assert not await rig.events("Preempted")
        assert "nominatedNodeName" not in (await rig.found("high"))["status"]
        rig.scheduler.cluster.part(Budgets).put(made)
        await rig.settle(30)
        assert not meta.is_deleting(await rig.found("low"))
        assert any("would violate a disruption budget" in text for text in await rig.events("FailedScheduling"))
        newest = await rig.client.get("poddisruptionbudgets.policy", "web", "default")
        await rig.client.update_status(
            "poddisruptionbudgets.policy", newest, {**newest["status"], "disruptionsAllowed": 1, "desiredHealthy": 0}
        )
        await rig.settle(12)
        assert meta.is_deleting(await rig.found("low"))


@pytest.mark.looptime
async def test_room_that_a_nominated_pod_does_not_need_any_more_is_somebody_elses() -> None:
    """It finds another node, or is deleted: who was kept off its node comes in at once, not after minutes."""
    for ending in ("deleted", "placed elsewhere"):
        async with scheduling([node("n1", cpu="2")]) as rig:
            await rig.create("priorityclasses.scheduling.k8s.io", {"metadata": {"name": "high"}, "value": 1000})
            await rig.pod("low", cpu="1")
            await rig.settle(1)
            await rig.pod("high", cpu="2", priorityClassName="high")
            await rig.settle(1)
            assert (await rig.found("high"))["status"]["nominatedNodeName"] == "n1"
            await rig.pod("next", cpu="1", nodeSelector={"kubernetes.io/hostname": "n1"})
            await rig.settle(12)
            assert not await rig.node_of("next"), "one would fit, were the room not the nominated pod's"
            if ending == "deleted":
                await _delete(rig, "high")
            else:
                await rig.node(node("n2", cpu="2"))
            await rig.settle(12)
            if ending != "deleted":
                assert await rig.node_of("high") == "n2"
            assert await rig.node_of("next") == "n1"
