"""Equal parts of decoded objects are one part, and nobody can tell."""

from __future__ import annotations

import random
from typing import Any

import orjson

from minik.storage.base import Record, Revision
from minik.storage.entry import Entry
from minik.storage.sharing import Pool


def pod(number: int) -> dict[str, Any]:
    token = f"kube-api-access-{number}"
    mount = {"name": token, "mountPath": "/var/run/secrets"}
    env = [{"name": f"V{n}", "value": f"value {n}"} for n in range(8)]
    container = {"name": "main", "image": "app:1", "env": env, "volumeMounts": [mount]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"resourceVersion": "", "name": f"p-{number}", "labels": {"app": "web", "tier": "front"}},
        "spec": {
            "nodeName": f"node-{number % 7}",
            "containers": [container],
            "volumes": [{"name": token, "projected": {"sources": [{"token": {"path": "token", "seconds": 3607}}]}}],
            "tolerations": [{"key": "a", "effect": "NoExecute"}, {"key": "b", "effect": "NoExecute"}],
        },
        "status": {"phase": "Pending"},
    }


def containers(value: Any, seen: set[int]) -> int:
    """Distinct dicts and lists in `value`."""
    if not isinstance(value, dict | list) or id(value) in seen:
        return 0
    seen.add(id(value))
    return 1 + sum(containers(part, seen) for part in (value.values() if isinstance(value, dict) else value))


def test_entries_of_equal_pods_hold_their_equal_parts_once() -> None:
    entries = [
        Entry.of(Record(f"pods/default/p-{n}", orjson.dumps(pod(n)), Revision(n + 1), Revision(n + 1)))
        for n in range(500)
    ]
    first, last = entries[0].obj, entries[-1].obj
    assert first["spec"]["tolerations"] is last["spec"]["tolerations"]
    assert first["metadata"]["labels"] is last["metadata"]["labels"]
    assert first["spec"]["containers"][0]["env"] is last["spec"]["containers"][0]["env"]
    assert all(entry.obj == orjson.loads(entry.raw) for entry in entries)
    alone = containers(orjson.loads(entries[0].raw), set())
    seen: set[int] = set()
    together = sum(containers(entry.obj, seen) for entry in entries) / len(entries)
    assert together < 11 < 24 < alone


def test_what_is_merely_similar_stays_apart() -> None:
    pool = Pool()
    texts = [b'{"a":{"x":1}}', b'{"a":{"x":1.0}}', b'{"a":{"x":true}}', b'{"a":{"x":"1"}}', b'{"a":[{"x":1},[1]]}']
    for text in [*texts, *texts]:
        assert orjson.dumps(pool.share(orjson.loads(text))) == text
    assert orjson.dumps(pool.share({"a": {"p": {"x": 1, "y": 2}}})) == b'{"a":{"p":{"x":1,"y":2}}}'
    assert orjson.dumps(pool.share({"a": {"p": {"y": 2, "x": 1}}})) == b'{"a":{"p":{"y":2,"x":1}}}'


def test_random_objects_keep_their_value() -> None:
    rng = random.Random(7)

    def value(depth: int) -> Any:
        choice = rng.randrange(8 if depth else 5)
        if choice < 5:
            return rng.choice(["a", "b", "", 1, 0, True, None, 1.0, "é"])
        if choice == 5:
            return [value(depth - 1) for _ in range(rng.randrange(4))]
        return {rng.choice("abcd"): value(depth - 1) for _ in range(rng.randrange(4))}

    pool = Pool(size=50)
    for _ in range(3000):
        obj = {name: value(4) for name in ("kind", "metadata", "spec", "list")}
        text = orjson.dumps(obj)
        assert orjson.dumps(pool.share(obj)) == text


def test_the_pool_is_bounded_and_keeps_what_is_asked_for() -> None:
    pool = Pool(size=100)
    kept = pool.share({"spec": {"part": {"common": "yes"}}})["spec"]["part"]
    for number in range(5000):
        pool.share({"spec": {"own": {"n": number}}})
        if not number % 50:
            assert pool.share({"spec": {"part": {"common": "yes"}}})["spec"]["part"] is kept
        assert len(pool) <= 220
