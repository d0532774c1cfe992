"""The cache: lists, indexes, watches, old lists, start-up, what it shares and what it lets go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from minik.api.codec import encode, render
from minik.storage import entry as entry_module
from minik.storage.base import ABSENT, ClosedError, CompactedError, Event, Op, Revision, SlowReaderError
from minik.storage.cache import Cache, CacheEvent
from minik.storage.memory import MemoryStore
from minik.storage.open import open_store

NODE = "spec.nodeName"


def pod(name: str, node: str = "", namespace: str = "default", **more: Any) -> bytes:
    return encode(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "resourceVersion": "77"},
            "spec": {"nodeName": node} if node else {},
            **more,
        }
    )


class Cluster:
    def __init__(self, **options: Any) -> None:
        self.store = MemoryStore()
        self.cache = Cache(self.store, **options)

    async def put(self, name: str, node: str = "", namespace: str = "default", **more: Any) -> int:
        key = f"pods/{namespace}/{name}"
        return (await self.store.commit([Op(key, pod(name, node, namespace, **more))]))[0]

    async def delete(self, name: str, namespace: str = "default") -> int:
        return (await self.store.commit([Op(f"pods/{namespace}/{name}", None)]))[0]


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    made = Cluster()
    await made.cache.start()
    made.cache.add_index("pods", NODE, lambda obj: obj["spec"].get("nodeName", ""))
    yield made
    made.cache.verify_unchanged()
    await made.cache.close()


def told(events: Sequence[CacheEvent]) -> list[tuple[str, str, int]]:
    return [(e.type, e.entry.name, e.revision) for e in events]


def test_the_splice_agrees_with_the_codec() -> None:
    value = pod("a")
    assert entry_module.render(value, 12) == render(value, 12)
    assert entry_module.render(entry_module.render(value, 12), 13456) == render(value, 13456)
    assert entry_module.render(b'{"kind":"Odd"}', 5) == b'{"kind":"Odd"}'


async def test_a_write_is_in_the_cache_when_its_writer_goes_on(cluster: Cluster) -> None:
    revision = await cluster.put("a")
    entry = cluster.cache.get("pods/default/a")
    assert entry is not None
    assert (entry.namespace, entry.name, entry.revision, entry.created) == ("default", "a", revision, revision)
    assert entry.obj["metadata"] == {"resourceVersion": "1", "name": "a", "namespace": "default"}
    assert entry.obj is entry.obj
    assert cluster.cache.revision == revision
    await cluster.delete("a")
    assert cluster.cache.get("pods/default/a") is None
    assert cluster.cache.resources() == []


async def test_lists_by_resource_and_namespace(cluster: Cluster) -> None:
    for namespace, name in (("b", "1"), ("a", "2"), ("a-b", "1"), ("a", "1")):
        await cluster.put(name, namespace=namespace)
    await cluster.store.commit([Op("nodes//n1", pod("n1"))])
    before = cluster.cache.list("pods")
    assert [e.key for e in before] == ["pods/a-b/1", "pods/a/1", "pods/a/2", "pods/b/1"]
    assert [e.name for e in cluster.cache.list("pods", "a")] == ["1", "2"]
    await cluster.put("2", "n1", namespace="a")
    await cluster.delete("1", "a")
    assert [e.name for e in cluster.cache.list("pods", "a")] == ["2"]
    assert cluster.cache.list("pods", "a")[0].obj["spec"] == {"nodeName": "n1"}
    assert len(before) == 4 and cluster.cache.count("pods") == 3
    assert cluster.cache.list("pods", "none") == () and cluster.cache.list("none") == ()
    assert [e.name for e in cluster.cache.list("nodes")] == ["n1"]
    assert cluster.cache.resources() == ["nodes", "pods"]


async def test_indexes_follow_their_objects(cluster: Cluster) -> None:
    await cluster.put("b", "n1")
    await cluster.put("a", "n1")
    await cluster.put("c")
    cluster.cache.add_index("pods", "late", lambda obj: [obj["metadata"]["name"], "all"])
    cluster.cache.add_index("pods", "broken", lambda obj: obj["nowhere"]["to"]["be"])

    def by(index: str, value: str) -> list[str]:
        return [e.name for e in cluster.cache.by_index("pods", index, value)]

    assert (by(NODE, "n1"), by(NODE, ""), by("late", "all"), by("late", "b")) == (
        ["a", "b"], ["c"], ["a", "b", "c"], ["b"],
    )  # fmt: skip
    await cluster.put("a", "n2")
    await cluster.delete("b")
    assert (by(NODE, "n1"), by(NODE, "n2"), by("late", "all"), by("broken", "")) == ([], ["a"], ["a", "c"], [])
    with pytest.raises(KeyError):
        cluster.cache.by_index("pods", "none", "")


async def test_watches_replay_and_follow(cluster: Cluster) -> None:
    await cluster.put("a")
    await cluster.put("b", namespace="other")
    everything = await cluster.cache.watch("pods", since=0)
    one_namespace = await cluster.cache.watch("pods", "other", since=1)
    one_name = await cluster.cache.watch("pods", "default", since=0, name="a")
    later = await cluster.cache.watch("pods", since=4)
    await cluster.put("a", "n1")
    await cluster.put("a", namespace="other")
    await cluster.delete("a")
    assert told(everything.pop_many()) == [
        ("ADDED", "a", 1), ("ADDED", "b", 2), ("MODIFIED", "a", 3), ("ADDED", "a", 4), ("DELETED", "a", 5),
    ]  # fmt: skip
    assert told(one_namespace.pop_many()) == [("ADDED", "b", 2), ("ADDED", "a", 4)]
    events = one_name.pop_many()
    assert told(events) == [("ADDED", "a", 1), ("MODIFIED", "a", 3), ("DELETED", "a", 5)]
    assert told(later.pop_many()) == [("DELETED", "a", 5)], "not what it said it had seen"
    assert events[1].previous is events[0].entry
    assert events[2].entry.obj["metadata"]["resourceVersion"] == "5"
    assert events[2].entry.obj["spec"] == {"nodeName": "n1"}
    assert events[1].frame == b'{"type":"MODIFIED","object":' + events[1].entry.raw + b"}\n"
    assert events[1].frame is events[1].frame, "one frame for everybody"
    for watch in (everything, one_namespace, one_name, later):
        watch.close()
        watch.close()
    assert cluster.cache.statistics()["pods"]["watches"] == 0
    await cluster.put("a")
    assert everything.pop_many() == []


async def test_a_watch_by_index_sees_its_objects_come_and_go(cluster: Cluster) -> None:
    await cluster.put("a", "n1")
    await cluster.put("b")
    of_n1 = await cluster.cache.watch("pods", since=0, index=(NODE, "n1"))
    of_n2 = await cluster.cache.watch("pods", since=0, index=(NODE, "n2"))
    unbound = await cluster.cache.watch("pods", since=1, index=(NODE, ""))
    await cluster.put("b", "n2")
    await cluster.put("a", "n2")
    await cluster.delete("b")
    assert told(of_n1.pop_many()) == [("ADDED", "a", 1), ("MODIFIED", "a", 4)]
    assert told(of_n2.pop_many()) == [("MODIFIED", "b", 3), ("MODIFIED", "a", 4), ("DELETED", "b", 5)]
    seen = unbound.pop_many()
    assert told(seen) == [("ADDED", "b", 2), ("MODIFIED", "b", 3)]
    left = seen[1].left
    assert left.obj["spec"] == {} and left.obj["metadata"]["resourceVersion"] == "3"
    assert left is seen[1].left
    with pytest.raises(ValueError, match="ADDED"):
        _ = seen[0].left
    replayed = await cluster.cache.watch("pods", since=0, index=(NODE, "n1"))
    assert told(replayed.pop_many()) == [("ADDED", "a", 1), ("MODIFIED", "a", 4)]


async def test_watching_waits_and_ends(cluster: Cluster) -> None:
    watch = await cluster.cache.watch("pods", since=0)
    waiting = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    assert not waiting.done()
    await cluster.put("a")
    assert told([await waiting]) == [("ADDED", "a", 1)]
    assert not await watch.wait(0.001)
    await cluster.put("b")
    await cluster.cache.close()
    assert told(watch.pop_many()) == [("ADDED", "b", 2)]
    with pytest.raises(ClosedError):
        await anext(watch)


async def test_a_slow_watch_ends_and_the_others_do_not(cluster: Cluster) -> None:
    slow = await cluster.cache.watch("pods", since=0, limit=3)
    other = await cluster.cache.watch("pods", since=0)
    for n in range(4):
        await cluster.put(f"p{n}")
    with pytest.raises(SlowReaderError):
        slow.pop_many()
    assert len(other.pop_many()) == 4


async def test_a_follower_that_fails_stops_neither_the_others_nor_the_writer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = await open_store(tmp_path)
    cache = Cache(store)
    await cache.start()
    told: list[tuple[str, bool]] = []

    def fail(_key: str, _entry: object) -> None:
        raise TypeError("a mistake of somebody's")

    cache.follow("pods", fail)
    cache.follow("pods", lambda key, entry: told.append((key, entry is not None)))
    await store.commit([Op("pods/default/a", pod("a"))])
    await store.commit([Op("pods/default/a", None)])
    assert told == [("pods/default/a", True), ("pods/default/a", False)]
    assert "a follower of the cache failed" in caplog.text
    await cache.close()
    await store.close()


async def test_history_is_bounded_and_says_so() -> None:
    cluster = Cluster(history=5)
    await cluster.cache.start()
    for n in range(8):
        await cluster.put(f"p{n}")
    assert cluster.cache.statistics()["pods"]["events"] == 5
    assert len((await cluster.cache.watch("pods", since=3)).pop_many()) == 5
    assert cluster.cache.oldest_revision("pods") == 3
    assert cluster.cache.oldest_revision("nodes") == 0, "the other resources keep theirs"
    await cluster.store.compact(Revision(3))
    with pytest.raises(CompactedError) as refused:
        await cluster.cache.watch("pods", since=2)
    assert (refused.value.wanted, refused.value.oldest) == (2, 3)
    await cluster.cache.watch("pods", since=3)


async def test_lists_of_old_revisions_from_history_and_from_the_store() -> None:
    cluster = Cluster(history=6)
    await cluster.cache.start()
    for n in range(5):
        await cluster.put(f"p{n}")
        await cluster.put("x", f"n{n}", namespace="other")
    await cluster.delete("p1")
    await cluster.put("p9")
    for revision in range(cluster.cache.revision + 1):
        for namespace in ("", "default", "other"):
            found = await cluster.cache.list_at("pods", namespace, revision)
            prefix = f"pods/{namespace}/" if namespace else "pods/"
            page = await cluster.store.list(prefix, at=revision)  # type: ignore[arg-type]
            assert [(e.key, e.revision, e.created) for e in found] == [
                (r.key, r.revision, r.created) for r in page.records
            ]
    part = await cluster.cache.list_at("pods", "", 11, "pods/default/p2", 2)
    assert [e.name for e in part] == ["p3", "p4"]
    await cluster.store.compact(await cluster.store.current_revision())
    with pytest.raises(CompactedError):
        await cluster.cache.list_at("pods", "", 2)


async def test_waiting_for_a_revision(cluster: Cluster) -> None:
    with pytest.raises(TimeoutError):
        await cluster.cache.wait_for(1, 0.001)
    waiting = asyncio.ensure_future(cluster.cache.wait_for(2))
    await cluster.put("a")
    await asyncio.sleep(0)
    assert not waiting.done()
    await cluster.put("a")
    await waiting
    await cluster.cache.wait_for(1)


async def test_it_tells_when_somebody_changed_a_shared_object(cluster: Cluster) -> None:
    await cluster.put("a")
    entry = cluster.cache.get("pods/default/a")
    assert entry is not None
    cluster.cache.verify_unchanged()
    entry.obj["metadata"]["labels"] = {}
    with pytest.raises(AssertionError, match="pods/default/a"):
        cluster.cache.verify_unchanged()
    del entry.obj["metadata"]["labels"]


async def test_old_events_let_go_of_frames_and_decoded_states(cluster: Cluster) -> None:
    watch = await cluster.cache.watch("pods", since=0)
    for n in range(400):
        await cluster.put("a", count=n)
    events = watch.pop_many()
    assert events[10].previous is not None and events[10].previous.decoded is None
    assert events[399].previous is not None and events[399].previous.decoded is not None
    assert events[10].frame is not events[10].frame
    assert events[399].frame is events[399].frame


async def test_it_starts_from_a_store_with_history(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    await store.commit([Op("pods/default/a", pod("a"), ABSENT)])
    await store.commit([Op("pods/default/b", pod("b"), ABSENT)])
    await store.commit([Op("pods/default/a", pod("a", "n1"))])
    await store.commit([Op("pods/default/b", None)])
    await store.commit([Op("events/default/e", pod("e"), durable=False)])
    await store.close()
    store = await open_store(tmp_path)
    try:
        cache = Cache(store)
        cache.add_index("pods", NODE, lambda obj: obj["spec"].get("nodeName", ""))
        starting = asyncio.ensure_future(cache.start())
        early = [asyncio.ensure_future(store.commit([Op(f"pods/default/c{n}", pod("c"))])) for n in range(3)]
        await starting
        await asyncio.gather(*early)
        watch = await cache.watch("pods", since=0)
        events = watch.pop_many()
        assert told(events)[:4] == [("ADDED", "a", 1), ("ADDED", "b", 2), ("MODIFIED", "a", 3), ("DELETED", "b", 4)]
        assert [e.entry.key for e in events[4:]] == [f"pods/default/c{n}" for n in range(3)]
        assert events[2].previous is events[0].entry
        assert events[2].entry is cache.get("pods/default/a"), "one copy"
        assert events[0].entry.obj["spec"] == {}
        assert [e.name for e in cache.by_index("pods", NODE, "n1")] == ["a"]
        assert cache.get("events/default/e") is None
        with pytest.raises(CompactedError):  # also who has seen the last event must learn that it is gone
            await cache.watch("events", since=5)
        assert (await cache.watch("events", since=cache.oldest_revision("events"))).pop_many() == []
        live: list[Event] = []
        store.listen(live.extend)
        await store.commit([Op("pods/default/a", None)])
        assert told(watch.pop_many()) == [("DELETED", "a", live[0].revision)]
        await cache.close()
    finally:
        await store.close()


async def test_it_knows_what_the_store_has_forgotten() -> None:
    cluster = Cluster()
    cluster.cache.add_index("pods", NODE, lambda obj: obj["spec"].get("nodeName", ""))
    for n in range(4):
        await cluster.put(f"p{n}")
    await cluster.store.compact(await cluster.store.current_revision())
    await cluster.put("p9")
    await cluster.cache.start()
    for resource in ("pods", "nodes"):
        with pytest.raises(CompactedError):
            await cluster.cache.watch(resource, since=3)
    assert told((await cluster.cache.watch("pods", since=4)).pop_many()) == [("ADDED", "p9", 5)]
