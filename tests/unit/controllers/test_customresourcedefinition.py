"""Custom kinds and the controllers: clean-up of a definition's objects, names that become free, the garbage collector, namespaces, and
controllers of kinds that come, go and come again."""

from __future__ import annotations

import logging

import pytest

from minik.api import meta
from minik.api.apiextensions_v1.customresourcedefinition import RESOURCE
from minik.api.meta import Key
from minik.client.controller import DONE, Context, Controller, Result, owned_by
from minik.client.manager import Manager
from minik.controllers import customresourcedefinition, garbagecollector, namespace
from minik.metrics import Metrics
from tests.support.cluster import ControlPlane, control_plane, named, owned
from tests.support.dying import Dying, run_until_death
from tests.unit.server.crd.conftest import crd, version

pytestmark = pytest.mark.looptime
WIDGETS = "widgets.example.com"


def widget(name: str, namespace: str = "default", **more: object) -> dict[str, object]:
    return named(name, namespace, spec={}, **more)


async def test_a_definition_goes_after_all_its_objects_wherever_they_are() -> None:
    async with control_plane(customresourcedefinition.CONTROLLER) as c:
        await c.create("namespaces", named("other"))
        await c.create(RESOURCE, crd())
        for number in range(20):
            await c.create(WIDGETS, widget(f"w{number}", ("default", "other")[number % 2]))
        await c.client.delete(RESOURCE, WIDGETS)
        await c.settle()
        assert await c.get(RESOURCE, WIDGETS) is None
        assert c.server.server.registry.get(WIDGETS) is None
        assert c.server.cache.count(WIDGETS) == 0
        await c.create(RESOURCE, crd())
        assert await c.names(WIDGETS) == []


async def test_an_object_with_a_finalizer_holds_its_definition_up_and_that_is_said_once() -> None:
    async with control_plane(customresourcedefinition.CONTROLLER) as c:
        await c.create(RESOURCE, crd())
        await c.create(WIDGETS, widget("held", finalizers=["example.com/hold"]))
        await c.create(WIDGETS, widget("free"))
        await c.client.delete(RESOURCE, WIDGETS)
        await c.settle()
        assert await c.names(WIDGETS) == ["held"]
        terminating = await c.get(RESOURCE, WIDGETS)
        assert terminating is not None
        said = meta.condition(terminating, "Terminating")
        assert said is not None and (said["status"], said["reason"]) == ("True", "InstanceDeletionCheck")
        before = c.server.cache.revision
        await c.settle(3600)
        assert c.server.cache.revision == before  # it waits, it does not ask
        await c.client.patch(WIDGETS, "held", "default", {"metadata": {"finalizers": None}})
        await c.settle()
        assert await c.get(RESOURCE, WIDGETS) is None


@pytest.mark.parametrize("before", [True, False])
async def test_a_crash_at_any_write_of_the_clean_up_leaves_nothing_behind(before: bool) -> None:
    fatal = 0
    died = True
    while died:
        fatal += 1
        async with control_plane() as c:
            await c.create(RESOURCE, crd())
            await c.create(WIDGETS, widget("a"))
            await c.create(WIDGETS, widget("b"))
            await c.client.delete(RESOURCE, WIDGETS)
            dying = Dying(c.server.local(), fatal, before=before)
            died = await run_until_death(c, customresourcedefinition.CONTROLLER, dying, seconds=30)
            await run_until_death(
                c, customresourcedefinition.CONTROLLER, Dying(c.server.local(), 10**6, before=True), seconds=30
            )
            assert await c.get(RESOURCE, WIDGETS) is None
            assert c.server.cache.count(WIDGETS) == 0
    assert fatal > 3


async def test_a_name_goes_to_who_waits_for_it() -> None:
    async with control_plane(customresourcedefinition.CONTROLLER) as c:
        await c.create(RESOURCE, crd(shortNames=["w"]))
        await c.create(RESOURCE, crd("wheels", kind="Widget", shortNames=["w"]))
        await c.settle()
        assert c.server.server.registry.get("wheels.example.com") is None
        await c.client.delete(RESOURCE, WIDGETS)
        await c.settle()
        kind = c.server.server.registry.get("wheels.example.com")
        assert kind is not None and (kind.kind, kind.short_names) == ("Widget", ("w",))


async def test_the_garbage_collector_and_namespaces_know_custom_kinds() -> None:
    async with control_plane(
        customresourcedefinition.CONTROLLER, garbagecollector.CONTROLLER, namespace.CONTROLLER
    ) as c:
        await c.create(RESOURCE, crd())
        owner = await c.create(WIDGETS, widget("owner"))
        await c.create("configmaps", named("of-widget", "default", ownerReferences=[owned(owner)]))
        account = await c.get("serviceaccounts", "default", "default")
        assert account is not None
        await c.create(WIDGETS, widget("of-account", ownerReferences=[owned(account)]))
        await c.create("namespaces", named("n"))
        await c.create(WIDGETS, widget("in-namespace", "n"))
        await c.settle()
        await c.client.delete("namespaces", "n")
        await c.client.delete("serviceaccounts", "default", "default")
        await c.settle()
        assert await c.get("namespaces", "n") is None
        assert await c.names(WIDGETS) == ["owner"]
        await c.client.delete(RESOURCE, WIDGETS)
        await c.settle()
        assert await c.names("configmaps", "default") == []
        assert await c.get(RESOURCE, WIDGETS) is None


class Seen:
    def __init__(self) -> None:
        self.calls: list[str] = []

    async def __call__(self, ctx: Context, key: Key) -> Result:
        found = ctx.cache(WIDGETS).get(key)
        self.calls.append(f"{key.name} {'gone' if found is None else found['spec'].get('a', '')}")
        return DONE

    def controller(self) -> Controller:
        return Controller("seen", primary=WIDGETS, triggers=[owned_by("configmaps")], reconcile=self)


async def run_seen(c: ControlPlane, seen: Seen) -> None:
    """For ten simulated minutes, in which the kind comes, goes and comes again."""
    await c.settle(600)
    assert seen.calls == []
    await c.create(RESOURCE, crd())
    await c.create(WIDGETS, named("w", "default", spec={"a": "1"}))
    await c.settle()
    await c.client.delete(RESOURCE, WIDGETS)
    await c.settle(600)
    await c.create(RESOURCE, crd("widgets", version(spec={"a": {"type": "string", "default": "x"}})))
    await c.create(WIDGETS, widget("again"))
    await c.settle()


async def test_a_controller_waits_for_its_kind_quietly_and_survives_its_deletion(
    caplog: pytest.LogCaptureFixture,
) -> None:

    seen = Seen()
    caplog.set_level(logging.INFO)
    async with control_plane(customresourcedefinition.CONTROLLER) as c:
        registry = c.server.server.registry
        manager = Manager(
            [seen.controller()], c.server.local(), registry, clock=c.clock, entropy=c.server.entropy, metrics=Metrics()
        )
        await manager.start()
        try:
            await run_seen(c, seen)
        finally:
            await manager.close()
    assert seen.calls == ["w 1", "w gone", "again x"]
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert said == []


async def test_a_new_default_reaches_a_controller_with_the_next_change() -> None:
    seen = Seen()
    async with control_plane(customresourcedefinition.CONTROLLER) as c:
        await c.create(RESOURCE, crd())
        registry = c.server.server.registry

        manager = Manager(
            [seen.controller()], c.server.local(), registry, clock=c.clock, entropy=c.server.entropy, metrics=Metrics()
        )
        await manager.start()
        try:
            await c.create(WIDGETS, widget("w"))
            await c.settle()
            changed = crd("widgets", version(spec={"a": {"type": "string", "default": "x"}}))
            await c.client.patch(RESOURCE, WIDGETS, "", {"spec": changed["spec"]})
            await c.settle()
            await c.client.patch(WIDGETS, "w", "default", {"metadata": {"labels": {"b": "c"}}})
            await c.settle()
        finally:
            await manager.close()
    assert seen.calls == ["w ", "w x"]


async def test_a_kind_that_is_back_at_once_is_followed_as_before() -> None:
    async with control_plane(customresourcedefinition.CONTROLLER, garbagecollector.CONTROLLER) as c:
        registry = c.server.server.registry
        await c.create(RESOURCE, crd())
        await c.create(WIDGETS, widget("w"))
        await c.settle()
        kind = registry[WIDGETS]
        registry.replace([kind], [])
        registry.replace([], [kind])  # before anybody has had a turn
        await c.settle()
        owner = await c.create(WIDGETS, widget("owner"))
        await c.create("configmaps", named("m", "default", ownerReferences=[owned(owner)]))
        await c.settle()
        await c.client.delete(WIDGETS, "owner", "default")
        await c.settle()
        assert await c.names("configmaps", "default") == []
