"""The collector's share of the work stays small, and what needs it is collected."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import orjson
import pytest

from minik import memory
from minik.storage.base import Op
from minik.storage.cache import Cache
from minik.storage.memory import MemoryStore


@pytest.fixture(autouse=True)
def thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


class Leaf:
    pass


def test_an_untracked_tree_ends_with_its_last_reference() -> None:
    leaf = Leaf()
    seen = weakref.ref(leaf)
    tree = {"list": [leaf]}
    memory.untrack(tree)
    memory.untrack(tree["list"])
    memory.untrack(tree)  # twice is fine
    assert not gc.is_tracked(tree)
    del leaf
    gc.collect()
    assert seen() is not None
    del tree
    assert seen() is None


async def test_cached_objects_are_none_of_the_collectors_business() -> None:
    count = 1000
    store = MemoryStore()
    cache = Cache(store)
    await cache.start()
    gc.collect()
    before = len(gc.get_objects())
    for number in range(count):
        pod = {
            "metadata": {"resourceVersion": "", "name": f"p-{number}", "labels": {"n": f"{number}"}},
            "spec": {"containers": [{"name": "main", "env": [{"name": "A", "value": f"{number}"}]}]},
            "status": {"conditions": [{"type": "Ready", "since": f"{number}"}]},
        }
        await store.commit([Op(f"pods/default/p-{number}", orjson.dumps(pod))])
    assert all(entry.obj["spec"]["containers"] for entry in cache.list("pods"))
    gc.collect()
    cached = len(gc.get_objects()) - before
    unseen = sum(not gc.is_tracked(entry) and not gc.is_tracked(entry.obj["spec"]) for entry in cache.list("pods"))
    assert unseen == count
    # Nine containers a pod are not among them; what is left is the reference store's.
    assert cached < 8 * count
    await cache.close()
    await store.close()


def test_cycles_are_still_collected_without_being_asked_for() -> None:
    gc.set_threshold(*memory.COLLECT)
    alive = weakref.WeakSet[Leaf]()
    for _ in range(20 * memory.COLLECT[0]):
        leaf = Leaf()
        leaf.itself = leaf  # type: ignore[attr-defined]  # the cycle
        alive.add(leaf)
    assert len(alive) < 3 * memory.COLLECT[0]
