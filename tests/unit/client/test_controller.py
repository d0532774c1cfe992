from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from minik.api import meta
from minik.api.errors import Conflict, Forbidden, TooManyRequests
from minik.api.meta import Key
from minik.client.controller import (
    DONE,
    Context,
    Controller,
    Result,
    Setup,
    can,
    maps,
    maps_with,
    owned_by,
    requeue_after,
    same_key,
    selected_by,
    soonest,
)
from tests.support.cluster import cluster, named, owned

pytestmark = pytest.mark.looptime


class Calls:
    """A reconcile that notes its keys."""

    def __init__(self, *outcomes: Any) -> None:
        self.keys: list[str] = []
        self.at: list[float] = []
        self.outcomes = list(outcomes)

    async def __call__(self, ctx: Context, key: Key) -> Result:
        self.keys.append(str(key))
        self.at.append(round(ctx.clock.monotonic(), 3))
        outcome = self.outcomes.pop(0) if self.outcomes else DONE
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def test_triggers_name_the_right_primaries() -> None:
    calls = Calls()
    controller = Controller(
        "t",
        primary="services",
        reconcile=calls,
        triggers=[
            selected_by("pods"),
            same_key("endpoints"),
            owned_by("endpointslices.discovery.k8s.io"),
            maps("configmaps", lambda obj: [Key("default", obj["metadata"]["labels"]["for"])]),
            maps_with("nodes", lambda scope, _: [meta.key(s) for s in scope.cache("services")]),
        ],
    )
    async with cluster(controller) as c:
        web = c.api.put("services", named("web", "default", spec={"selector": {"app": "web", "tier": "front"}}))
        c.api.put("services", named("none", "default", spec={}))
        c.api.put("services", named("db", "default", spec={"selector": {"app": "db"}}))
        await c.settle()

        async def caused(resource: str, obj: Any) -> list[str]:
            calls.keys.clear()
            c.api.put(resource, obj)
            await c.settle()
            return sorted(calls.keys)

        assert await caused("pods", named("p", "default", labels={"app": "web"})) == []
        assert await caused("pods", named("p", "default", labels={"app": "web", "tier": "front"})) == ["default/web"]
        # The one that loses it and the one that gains it.
        assert await caused("pods", named("p", "default", labels={"app": "db"})) == ["default/db", "default/web"]
        assert await caused("pods", named("p", "elsewhere", labels={"app": "db"})) == []
        assert await caused("endpoints", named("db", "default")) == ["default/db"]
        ref = owned(web, controller=True)
        piece = named("web-1", "default", ownerReferences=[ref])
        assert await caused("endpointslices.discovery.k8s.io", piece) == ["default/web"]
        other = named("x", "default", ownerReferences=[{**ref, "kind": "Other"}])
        assert await caused("endpointslices.discovery.k8s.io", other) == []
        assert await caused("configmaps", named("m", "default", labels={"for": "db"})) == ["default/db"]
        assert await caused("nodes", named("n")) == ["default/db", "default/none", "default/web"]


async def test_adoption_asks_orphans_only_and_by_label_selector_objects() -> None:
    calls = Calls()
    controller = Controller(
        "t", primary="replicasets.apps", reconcile=calls, triggers=[selected_by("pods", orphans_only=True)]
    )
    async with cluster(controller) as c:
        selector = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "b"]}]}
        rs = c.api.put("replicasets.apps", named("rs", "default", spec={"selector": selector}))
        await c.settle()
        calls.keys.clear()
        c.api.put("pods", named("kept", "default", labels={"app": "a"}, ownerReferences=[owned(rs, controller=True)]))
        await c.settle()
        assert calls.keys == []
        c.api.put("pods", named("lost", "default", labels={"app": "b"}))
        await c.settle()
        assert calls.keys == ["default/rs"]


async def test_a_failure_is_tried_again_with_back_off_and_a_success_ends_it() -> None:
    calls = Calls(RuntimeError("one"), Conflict("two"), RuntimeError("three"), DONE)
    async with cluster(Controller("t", primary="configmaps", reconcile=calls)) as c:
        c.api.put("configmaps", named("a", "default"))
        await c.settle(100)
        assert len(calls.at) == 4
        gaps = [round(later - earlier, 3) for earlier, later in zip(calls.at, calls.at[1:], strict=False)]
        assert gaps == [0.005, 0.01, 0.02]
        assert 'controller_reconcile_total{controller="t",result="error"} 3' in c.metrics.render()


async def test_ordinary_errors_are_quiet_and_others_are_not(caplog: pytest.LogCaptureFixture) -> None:
    ending = {"causes": [{"reason": "NamespaceTerminating"}]}
    calls = Calls(Conflict("stale"), Forbidden("it ends", details=ending))
    async with cluster(Controller("t", primary="configmaps", reconcile=calls)) as c:
        c.api.put("configmaps", named("a", "default"))
        await c.settle()
        assert len(calls.keys) == 3
        assert not [r for r in caplog.records if r.levelno >= logging.INFO]
        calls.outcomes.append(KeyError("bug"))
        c.api.put("configmaps", named("b", "default"))
        await c.settle()
        failed = [r for r in caplog.records if r.levelno == logging.ERROR]
        assert [r.key for r in failed] == ["default/b"]  # type: ignore[attr-defined]


async def test_the_server_may_say_when_to_come_back() -> None:
    calls = Calls(TooManyRequests("slow down", details={"retryAfterSeconds": 7}))
    async with cluster(Controller("t", primary="configmaps", reconcile=calls)) as c:
        c.api.put("configmaps", named("a", "default"))
        await c.settle(20)
        assert calls.at[1] - calls.at[0] == pytest.approx(7, abs=0.01)


async def test_requeue_after_and_its_combination() -> None:
    assert soonest(DONE, requeue_after(5), requeue_after(3)) == requeue_after(3)
    assert soonest(DONE) == DONE
    calls = Calls(requeue_after(10), requeue_after(20))
    async with cluster(Controller("t", primary="configmaps", reconcile=calls)) as c:
        c.api.put("configmaps", named("a", "default"))
        await c.settle(100)
        assert [round(at - calls.at[0]) for at in calls.at] == [0, 10, 30]


@pytest.mark.parametrize("lag", [0.0, 0.5])
async def test_a_reconcile_sees_what_the_last_one_of_its_key_wrote(lag: float) -> None:
    """Without read-your-writes this makes a child for every event that comes before the cache has caught up."""

    async def reconcile(ctx: Context, key: Key) -> Result:
        owner = ctx.cache("configmaps").get(key)
        if owner is None or meta.owners(owner):
            return DONE
        if not ctx.cache("secrets").owned_by(owner):
            child = named("", key.namespace, ownerReferences=[owned(owner, controller=True)])
            child["metadata"]["generateName"] = "child-"
            await ctx.client.create("secrets", child)
        return DONE

    controller = Controller(
        "t", primary="configmaps", reconcile=reconcile, triggers=[owned_by("secrets")], rbac=[can("create", "secrets")]
    )
    async with cluster(controller, watch_lag=lag) as c:
        for number in range(20):
            c.api.put("configmaps", named("a", "default", data={"n": str(number)}))
            await asyncio.sleep(0)
        await c.settle(60)
        assert len(c.api.all("secrets")) == 1


async def test_deletions_are_waited_for_too() -> None:
    deleted: list[str] = []

    async def reconcile(ctx: Context, key: Key) -> Result:
        for secret in ctx.cache("secrets"):
            deleted.append(meta.name(secret))
            await ctx.client.delete("secrets", meta.name(secret), meta.namespace(secret), uid=meta.uid(secret))
        return DONE

    controller = Controller("t", primary="configmaps", reconcile=reconcile, caches=["secrets"])
    async with cluster(controller, watch_lag=0.5) as c:
        c.api.put("secrets", named("s", "default"))
        await c.settle(5)
        for number in range(5):
            c.api.put("configmaps", named("a", "default", data={"n": str(number)}))
            await asyncio.sleep(0.4)
        await c.settle(60)
        assert deleted == ["s"]


async def test_keys_run_in_parallel_but_never_one_key_twice() -> None:
    running: set[Key] = set()
    most = 0

    async def reconcile(ctx: Context, key: Key) -> Result:
        nonlocal most
        assert key not in running
        running.add(key)
        most = max(most, len(running))
        await ctx.clock.sleep(1)
        running.discard(key)
        return DONE

    async with cluster(Controller("t", primary="configmaps", reconcile=reconcile, workers=3)) as c:
        for number in range(50):
            c.api.put("configmaps", named(f"m{number % 5}", "default", data={"n": str(number)}))
            await c.settle(0.1)
        await c.settle(60)
        assert most == 3 and c.manager.idle


async def test_nothing_is_reconciled_before_all_caches_have_synced() -> None:
    seen: list[int] = []

    async def reconcile(ctx: Context, key: Key) -> Result:
        seen.append(len(ctx.cache("secrets")))
        return DONE

    async with cluster(Controller("t", primary="configmaps", reconcile=reconcile, caches=["secrets"])) as c:
        for number in range(3):
            c.api.put("secrets", named(f"s{number}", "default"))
        c.api.put("configmaps", named("a", "default"))
        await c.settle()
        assert seen == [3]


async def test_an_undeclared_cache_is_refused() -> None:
    errors: list[str] = []

    async def reconcile(ctx: Context, key: Key) -> Result:
        try:
            ctx.cache("secrets")
        except LookupError as error:
            errors.append(str(error))
        return DONE

    async with cluster(Controller("t", primary="configmaps", reconcile=reconcile)) as c:
        c.api.put("configmaps", named("a", "default"))
        await c.settle()
        assert errors == ["secrets is not among the controller's triggers and caches"]
        assert set(c.informers.statistics()) == {"configmaps"}


async def test_state_is_made_once_and_may_enqueue() -> None:
    class State:
        def __init__(self, setup: Setup) -> None:
            self.calls = 0
            setup.informer("nodes").add_handler(added=lambda node: setup.enqueue(Key("", meta.name(node))))

    states: list[State] = []

    async def reconcile(ctx: Context, key: Key) -> Result:
        ctx.state.calls += 1
        states.append(ctx.state)
        return DONE

    async with cluster(Controller("t", primary="", reconcile=reconcile, state=State)) as c:
        c.api.put("nodes", named("n1"))
        c.api.put("nodes", named("n2"))
        await c.settle()
        assert [state.calls for state in states] == [2, 2]


async def test_resync_and_updates_that_do_not_matter() -> None:
    calls = Calls()
    controller = Controller(
        "t", primary="configmaps", reconcile=calls, resync=100, when=lambda old, new: old.get("data") != new.get("data")
    )
    async with cluster(controller) as c:
        c.api.put("configmaps", named("a", "default", data={}))
        await c.settle()
        c.api.put("configmaps", named("a", "default", data={}, labels={"x": "1"}))
        await c.settle()
        assert len(calls.keys) == 1
        await c.settle(210)
        assert len(calls.keys) == 3


def test_permissions_include_reading_what_is_watched() -> None:
    controller = Controller(
        "t",
        primary="services",
        reconcile=Calls(),
        triggers=[same_key("endpoints")],
        rbac=[can("create, update", "endpoints")],
    )
    rules = {(rule.resource, verb) for rule in controller.permissions() for verb in rule.verbs}
    assert ("endpoints", "create") in rules and ("endpoints", "watch") in rules and ("services", "list") in rules
