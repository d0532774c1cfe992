from __future__ import annotations

import asyncio

import pytest

from minik.api import meta
from minik.api.errors import ServiceUnavailable
from minik.api.meta import Key, ROObj
from minik.api.selectors import parse_label_selector
from tests.support.cluster import Cluster, cluster, named, owned

pytestmark = pytest.mark.looptime


class Seen:
    """What a handler was told."""

    def __init__(self, c: Cluster, resource: str = "pods") -> None:
        self.events: list[tuple[str, str]] = []
        self.informer = c.informers.of(resource)
        self.informer.add_handler(
            added=lambda obj: self.events.append(("added", meta.name(obj))),
            updated=lambda old, new: self.events.append(("updated", meta.name(new))),
            deleted=lambda obj: self.events.append(("deleted", meta.name(obj))),
        )


async def test_what_is_there_and_what_happens_later() -> None:
    async with cluster() as c:
        c.api.put("pods", named("a", "default"))
        seen = Seen(c)
        await seen.informer.wait_synced()
        c.api.put("pods", named("b", "default"))
        c.api.put("pods", named("a", "default", labels={"x": "1"}))
        c.api.remove("pods", "b", "default")
        await c.settle()
        assert seen.events == [("added", "a"), ("added", "b"), ("updated", "a"), ("deleted", "b")]
        assert seen.informer.get(Key("default", "b")) is None
        assert seen.informer.lists == 1


async def test_a_cut_watch_goes_on_without_a_list_and_without_loss() -> None:
    async with cluster() as c:
        seen = Seen(c)
        await seen.informer.wait_synced()
        await c.settle()
        c.transport.cut_watches()
        c.api.put("pods", named("a", "default"))
        await c.settle()
        assert seen.events == [("added", "a")]
        assert seen.informer.lists == 1


async def test_what_a_server_repeats_is_passed_over() -> None:
    async with cluster() as c:
        c.api.put("pods", named("gone", "default"))
        seen = Seen(c)
        await seen.informer.wait_synced()
        old = seen.informer.get(Key("default", "gone"))
        assert old is not None
        c.api.remove("pods", "gone", "default")
        c.api.put("pods", named("a", "default"))
        await c.settle()
        seen.informer._apply(
            "MODIFIED", old
        )  # a stream that begins with what was seen, and breaks off before the deletion
        assert seen.informer.get(Key("default", "gone")) is None
        assert seen.events == [("added", "gone"), ("deleted", "gone"), ("added", "a")]


async def test_expired_lists_anew_and_reports_the_difference() -> None:
    async with cluster() as c:
        for name in "abc":
            c.api.put("pods", named(name, "default"))
        seen = Seen(c)
        await seen.informer.wait_synced()
        await c.settle()
        seen.events.clear()
        c.api.fail = lambda method, path: ServiceUnavailable("down")
        c.transport.cut_watches()
        await c.settle()
        c.api.remove("pods", "a", "default")
        c.api.put("pods", named("b", "default", labels={"new": "1"}))
        c.api.put("pods", named("d", "default"))
        c.api.compact()
        c.api.fail = lambda method, path: None
        await c.settle(60)
        assert sorted(seen.events) == [("added", "d"), ("deleted", "a"), ("updated", "b")]
        assert seen.informer.lists == 2


async def test_another_object_of_the_same_name_is_a_deletion_and_an_addition() -> None:
    async with cluster() as c:
        c.api.put("pods", named("a", "default"))
        seen = Seen(c)
        await seen.informer.wait_synced()
        await c.settle()
        c.api.fail = lambda method, path: ServiceUnavailable("down")
        c.transport.cut_watches()
        await c.settle()
        c.api.remove("pods", "a", "default")
        c.api.put("pods", named("a", "default"))
        c.api.compact()
        c.api.fail = lambda method, path: None
        await c.settle(60)
        assert seen.events == [("added", "a"), ("deleted", "a"), ("added", "a")]


async def test_attempts_get_rarer_while_the_server_is_away() -> None:
    async with cluster() as c:
        c.api.fail = lambda method, path: ServiceUnavailable("down")
        informer = c.informers.of("pods")
        await c.settle(300)
        assert not informer.synced
        assert 5 < len(c.api.requests) < 25
        c.api.fail = lambda method, path: None
        await c.settle(61)
        assert informer.synced


async def test_wait_for_returns_once_the_write_was_seen() -> None:
    async with cluster(watch_lag=3) as c:
        informer = c.informers.of("pods")
        await informer.wait_synced()
        began = c.clock.monotonic()
        made = c.api.put("pods", named("a", "default"))
        await informer.wait_for(meta.revision(made))
        assert informer.get(meta.key(made)) is made
        assert c.clock.monotonic() - began == pytest.approx(3, abs=0.1)
        c.api.remove("pods", "a", "default")
        await asyncio.wait_for(informer.wait_gone(meta.key(made), meta.uid(made)), 10)
        assert len(informer.lister) == 0


async def test_bookmarks_keep_the_revision_fresh() -> None:
    async with cluster() as c:
        informer = c.informers.of("pods")
        await informer.wait_synced()
        written = c.api.put("configmaps", named("unrelated", "default"))
        await asyncio.wait_for(informer.wait_for(meta.revision(written)), 10)


async def test_look_ups_by_namespace_label_owner_and_index() -> None:
    async with cluster() as c:
        owner = c.api.put("replicationcontrollers", named("rc", "default"))
        mine = named("mine", "default", labels={"app": "x"}, ownerReferences=[owned(owner, controller=True)])
        c.api.put("pods", mine)
        c.api.put("pods", named("other", "default", labels={"app": "y"}, spec={"nodeName": "n1"}))
        c.api.put("pods", named("far", "away", spec={"nodeName": "n1"}))
        informer = c.informers.of("pods")
        await informer.wait_synced()
        informer.add_index("node", lambda pod: filter(None, [pod.get("spec", {}).get("nodeName")]))
        pods = informer.lister

        def names(found: object) -> list[str]:
            return sorted(meta.name(obj) for obj in found)  # type: ignore[attr-defined]

        assert names(pods.list("default")) == ["mine", "other"]
        assert names(pods.list("", parse_label_selector("app in (x)"))) == ["mine"]
        assert names(pods.owned_by(owner)) == ["mine"]
        assert names(pods.by_index("node", "n1")) == ["far", "other"]
        c.api.put("pods", named("far", "away", spec={"nodeName": "n2"}))
        c.api.put("pods", named("mine", "default"))
        await c.settle()
        assert names(pods.by_index("node", "n1")) == ["other"]
        assert pods.owned_by(owner) == []
        c.api.remove("pods", "other", "default")
        await c.settle()
        assert pods.by_index("node", "n1") == []


async def test_a_field_selector_makes_a_smaller_informer() -> None:
    async with cluster() as c:
        mine = c.informers.of("pods", field_selector="spec.nodeName=n1")
        await mine.wait_synced()
        c.api.put("pods", named("a", "default", spec={"nodeName": "n1"}))
        c.api.put("pods", named("b", "default", spec={"nodeName": "n2"}))
        await c.settle()
        assert [meta.name(obj) for obj in mine.lister] == ["a"]
        assert mine is c.informers.of("pods", field_selector="spec.nodeName=n1")
        assert mine is not c.informers.of("pods")


async def test_a_failing_handler_does_not_stop_the_informer() -> None:
    async with cluster() as c:
        informer = c.informers.of("pods")

        def broken(_obj: ROObj) -> None:
            raise RuntimeError("a bug")

        informer.add_handler(added=broken)
        c.api.put("pods", named("a", "default"))
        c.api.put("pods", named("b", "default"))
        await c.settle()
        assert len(informer.lister) == 2
