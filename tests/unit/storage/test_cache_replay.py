"""Watches from before the cache's history: what the store still has is replayed, without a gap, a duplicate or a wrong former state."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from minik.api.codec import encode
from minik.storage import cache as cache_module
from minik.storage.base import CompactedError, Event, Op, Revision, Store
from minik.storage.cache import Cache, CacheEvent, Watch
from minik.storage.memory import MemoryStore
from minik.storage.open import open_store

NODE = "node"
NAMES, NAMESPACES, NODES = ("a", "b", "c", "d"), ("one", "two"), ("", "n1", "n2")

Told = tuple[str, str, int, str, str | None]
"""type, key, revision, node, node before."""


def pod(name: str, namespace: str, node: str, number: int) -> bytes:
    metadata = {"name": name, "namespace": namespace}
    return encode({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"node": node, "number": number}})


def told(event: CacheEvent) -> Told:
    assert event.entry.obj["metadata"]["resourceVersion"] == str(event.revision)
    before = event.previous.obj["spec"]["node"] if event.previous is not None else None
    return event.type, event.entry.key, event.revision, event.entry.obj["spec"]["node"], before


class World:
    """A store with a cache of little memory, and a model of what happened."""

    def __init__(self, store: Store, rng: random.Random) -> None:
        self.store, self.rng = store, rng
        self.cache = self.new_cache()
        self.nodes: dict[str, str] = {}
        self.log: list[Told] = []
        self.compacted = 0

    def new_cache(self) -> Cache:
        cache = Cache(self.store, history=5)
        cache.add_index("pods", NODE, lambda obj: obj["spec"]["node"])
        return cache

    async def write(self) -> None:
        rng = self.rng
        namespace, name, node = rng.choice(NAMESPACES), rng.choice(NAMES), rng.choice(NODES)
        key = f"pods/{namespace}/{name}"
        before = self.nodes.get(key)
        if before is not None and rng.random() < 0.3:
            (revision,) = await self.store.commit([Op(key, None)])
            del self.nodes[key]
            self.log.append(("DELETED", key, revision, before, before))
        else:
            (revision,) = await self.store.commit([Op(key, pod(name, namespace, node, len(self.log)))])
            self.nodes[key] = node
            self.log.append(("ADDED" if before is None else "MODIFIED", key, revision, node, before))

    def expected(self, wanted: dict[str, Any], since: int) -> list[Told]:
        found = [each for each in self.log if each[2] > since]
        if "namespace" in wanted:
            found = [each for each in found if each[1].split("/")[1] == wanted["namespace"]]
        if "name" in wanted:
            found = [each for each in found if each[1].split("/")[2] == wanted["name"]]
        if "index" in wanted:
            found = [each for each in found if wanted["index"][1] in each[3:]]
        return found


def random_watch(rng: random.Random) -> dict[str, Any]:
    wanted: dict[str, Any] = {}
    if rng.random() < 0.5:
        wanted["namespace"] = rng.choice(NAMESPACES)
    if rng.random() < 0.3:
        wanted["name"] = rng.choice(NAMES)
    elif rng.random() < 0.5:
        wanted["index"] = (NODE, rng.choice(NODES))
    return wanted


class SlowStore(MemoryStore):
    """Reads history slowly, so that writes come in between."""

    async def events(self, prefix: str, *, since: Revision, upto: Revision, limit: int = 0) -> Sequence[Event]:
        found = await super().events(prefix, since=since, upto=upto, limit=limit)
        for _ in range(12):
            await asyncio.sleep(0)
        return found


async def check_random_watches(world: World, *, steps: int) -> int:
    """Open watches at any revision while writing, and compare each with the model; returns how many began before the history."""
    rng = world.rng
    opened: list[tuple[Watch, dict[str, Any], int]] = []
    replayed = 0

    async def open_one() -> None:
        nonlocal replayed
        since, wanted = rng.randrange(world.cache.revision + 1), random_watch(rng)
        replayed += since < world.cache.oldest_revision("pods")
        try:
            opened.append((await world.cache.watch("pods", since=since, **wanted), wanted, since))
        except CompactedError:
            assert since < world.compacted

    for _ in range(steps):
        async with asyncio.TaskGroup() as group:
            for _ in range(rng.randrange(3)):
                group.create_task(open_one())
            for _ in range(rng.randrange(9)):
                await world.write()
                await asyncio.sleep(0)
        if rng.random() < 0.05:
            world.compacted = world.cache.revision - 30
            await world.store.compact(Revision(world.compacted))
    for watch, wanted, since in opened:
        assert [told(event) for event in watch.pop_many()] == world.expected(wanted, since), (wanted, since)
    world.cache.verify_unchanged()
    return replayed


@pytest.mark.parametrize("seed", range(6))
async def test_any_watch_at_any_time_sees_what_happened(seed: int) -> None:
    world = World(SlowStore(), random.Random(seed))
    await world.cache.start()
    assert await check_random_watches(world, steps=60) > 20
    await world.cache.close()


async def test_the_same_over_sqlite_and_after_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "_LOADED", 20)
    store = await open_store(tmp_path)
    world = World(store, random.Random(7))
    await world.cache.start()
    assert await check_random_watches(world, steps=30) > 5
    await world.cache.close()
    await store.close()
    world.store = store = await open_store(tmp_path)
    try:
        world.cache = world.new_cache()
        await world.cache.start()
        if world.compacted == 0:
            everything = await world.cache.watch("pods", since=0)
            assert [told(event) for event in everything.pop_many()] == world.log
        assert await check_random_watches(world, steps=30) > 5
        await world.cache.close()
    finally:
        await store.close()


async def test_who_missed_too_much_is_sent_to_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "MAX_REPLAY", 50)
    world = World(MemoryStore(), random.Random(1))
    await world.cache.start()
    for _ in range(100):
        await world.write()
    oldest = world.cache.oldest_revision("pods")
    assert len((await world.cache.watch("pods", since=oldest - 50)).pop_many()) == 55
    with pytest.raises(CompactedError):
        await world.cache.watch("pods", since=oldest - 51)
    await world.cache.close()
