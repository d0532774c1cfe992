"""The SQLite store against the memory store, under random histories with crashes; and killed for real in the middle of its work."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minik.api.codec import encode
from minik.storage import check
from minik.storage.base import ABSENT, CompactedError, ConflictError, Event, EventType, Op, Revision
from minik.storage.cache import Cache, Entry
from minik.storage.memory import MemoryStore
from minik.storage.open import open_store
from minik.storage.sqlite import SqliteStore

KEYS = [f"{resource}/{namespace}/{n}" for resource in ("pods", "nodes") for namespace in ("", "a") for n in range(3)]
VOLATILE = [f"events/a/{n}" for n in range(3)]


@dataclass(frozen=True)
class Write:
    """A commit: per op the key, the value (None deletes) and what it expects: "any", "right", "absent" or "wrong"."""

    ops: tuple[tuple[str, bytes | None, str], ...]


@dataclass(frozen=True)
class Crash:
    """Go on with the files as they are now."""


@dataclass(frozen=True)
class Restart:
    """Close and open."""


@dataclass(frozen=True)
class Compact:
    back: int


ops = st.tuples(
    st.sampled_from(KEYS + VOLATILE),
    st.one_of(st.none(), st.binary(min_size=1, max_size=3)),
    st.sampled_from(["any", "right", "right", "absent", "wrong"]),
)
writes = st.builds(Write, st.lists(ops, min_size=1, max_size=3).map(tuple))
together = st.lists(writes, min_size=1, max_size=6)
"""Commits made at once, which share a batch."""
steps = st.lists(
    st.one_of(
        together, together, together, st.builds(Crash), st.builds(Restart), st.builds(Compact, st.integers(0, 10))
    ),
    max_size=15,
)


def durable(key: str) -> bool:
    return not key.startswith("events/")


@dataclass
class World:
    """The store, the model of what it must hold, and the events that were seen live."""

    store: SqliteStore
    directory: Path
    root: Path
    state: dict[str, tuple[bytes, int, int]] = field(default_factory=dict)
    log: list[tuple[int, int, str, bytes | None]] = field(default_factory=list)
    """(revision, type, key, value) of every durable write since ever."""
    live: list[Event] = field(default_factory=list)
    floor: int = 0
    states: dict[int, dict[str, tuple[bytes, int, int]]] = field(default_factory=dict)
    """The durable state as of every revision."""

    def snapshot(self, revision: int) -> None:
        self.states[revision] = {key: value for key, value in self.state.items() if durable(key)}

    async def commit_all(self, commits: list[Write]) -> None:
        self.live.clear()
        made = [
            [Op(key, value, self._expectation(key, how), durable(key), "ann") for key, value, how in write.ops]
            for write in commits
        ]
        results = await asyncio.gather(*(self.store.commit(c) for c in made), return_exceptions=True)
        events = []
        for commit, result in zip(made, results, strict=True):
            assert isinstance(result, ConflictError) == self._conflicts(commit)
            if not isinstance(result, BaseException):
                for op, revision in zip(commit, result, strict=True):
                    self._apply(op, revision)
                    events.append(revision)
        assert [e.revision for e in self.live] == events == sorted(events)

    def _expectation(self, key: str, how: str) -> Revision | None:
        at = self.state.get(key, (b"", 0, 0))[1]
        return {"any": None, "right": Revision(at), "absent": ABSENT, "wrong": Revision(at + 1)}[how]

    def _conflicts(self, commit: list[Op]) -> bool:
        present = {key: value[1] for key, value in self.state.items()}
        for op in commit:
            at = present.get(op.key, 0)
            if (op.expected is not None and op.expected != at) or (op.value is None and not at):
                return True
            present[op.key] = -1 if op.value is not None else 0
        return False

    def _apply(self, op: Op, revision: int) -> None:
        created = self.state[op.key][2] if op.key in self.state else revision
        if op.value is None:
            value, *_ = self.state.pop(op.key)
            what = (revision, int(EventType.DELETE), op.key, value)
        else:
            self.state[op.key] = (op.value, revision, created)
            what = (revision, int(EventType.PUT), op.key, op.value)
        if durable(op.key):
            self.log.append(what)
        self.snapshot(revision)

    async def reopen(self, *, crash: bool) -> None:
        last = await self.store.current_revision()
        if crash:
            new = Path(tempfile.mkdtemp(dir=self.root))
            for name in ("state.db", "state.db-wal"):
                shutil.copy(self.directory / name, new / name)
            await self.store.close()
            self.directory = new
        else:
            await self.store.close()
        self.store = await open_store(self.directory)
        self.store.listen(self.live.extend)
        self.state = {key: value for key, value in self.state.items() if durable(key)}
        assert await self.store.current_revision() >= last
        self.snapshot(await self.store.current_revision())

    async def verify(self) -> None:
        page = await self.store.list("")
        assert {r.key: (r.value, r.revision, r.created) for r in page.records} == self.state
        assert [r.key for r in page.records] == sorted(self.state)
        assert await self.store.oldest_revision() == self.floor
        now = await self.store.current_revision()
        for prefix in ("pods/", "nodes/a/"):
            wanted = [w for w in self.log if w[0] > self.floor and w[2].startswith(prefix)]
            found = await self.store.events(prefix, since=Revision(self.floor), upto=now)
            assert [(e.revision, int(e.type), e.key, e.value) for e in found] == wanted
        for key in KEYS:
            wanted = [w for w in self.log if w[0] > self.floor and w[2] == key]
            versions = [v for v in await self.store.history(key) if v.revision > self.floor]
            told = [
                (v.revision, int(v.type), key, v.value if v.type is EventType.PUT else v.previous) for v in versions
            ]
            assert told == wanted
            assert {v.author for v in versions} <= {"ann"}
        for revision, state in self.states.items():
            if revision < self.floor:
                with pytest.raises(CompactedError):
                    await self.store.list("pods/", at=Revision(revision))
            elif revision <= now:
                page = await self.store.list("pods/", at=Revision(revision))
                wanted_state = {key: value for key, value in state.items() if key.startswith("pods/")}
                assert {r.key: (r.value, r.revision, r.created) for r in page.records} == wanted_state
        assert await self.store._run(check.check_all) == []
        assert await self.store.check() == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_the_sqlite_store_is_what_was_written(history: list[list[Write] | Crash | Restart | Compact]) -> None:
    async def run(root: Path) -> None:
        directory = Path(tempfile.mkdtemp(dir=root))
        world = World(await open_store(directory), directory, root)
        world.store.listen(world.live.extend)
        world.snapshot(0)
        try:
            for step in history:
                match step:
                    case list():
                        await world.commit_all(step)
                    case Crash():
                        await world.reopen(crash=True)
                    case Restart():
                        await world.reopen(crash=False)
                    case Compact(back):
                        upto = max(await world.store.current_revision() - back, 0)
                        await world.store.compact(Revision(upto))
                        world.floor = max(world.floor, upto)
            await world.verify()
        finally:
            await world.store.close()

    with tempfile.TemporaryDirectory() as root:
        asyncio.run(run(Path(root)))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["", "n1", "n2", None]), st.booleans()), max_size=40))
def test_the_cache_and_its_watches_are_what_was_written(history: list[tuple[int, str | None, bool]]) -> None:
    """Whoever replays a watch has the same as whoever lists; a watch by index has what the index has."""

    async def run() -> None:
        store = MemoryStore()
        cache = Cache(store)
        cache.add_index("pods", "node", lambda obj: obj["spec"]["node"])
        await cache.start()
        watches = {value: await cache.watch("pods", since=0, index=("node", value)) for value in ("", "n1", "n2")}
        everything = await cache.watch("pods", since=0)
        for number, node, namespaced in history:
            key = f"pods/{'a' if namespaced else 'b'}/{number}"
            metadata = {"name": str(number)}
            obj = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"node": node}}
            try:
                await store.commit([Op(key, encode(obj) if node is not None else None)])
            except ConflictError:
                continue
        seen: dict[str, Entry] = {}
        for event in everything.pop_many():
            if event.type == "DELETED":
                del seen[event.entry.key]
            else:
                seen[event.entry.key] = event.entry
        assert [seen[key] for key in sorted(seen)] == list(cache.list("pods"))
        for value, watch in watches.items():
            late = (await cache.watch("pods", since=0, index=("node", value))).pop_many()
            events = watch.pop_many()
            assert [e.revision for e in events] == [e.revision for e in late]
            selected: dict[str, Entry] = {}
            for event in events:
                if event.type == "DELETED" or event.entry.obj["spec"]["node"] != value:
                    selected.pop(event.entry.key, None)
                else:
                    selected[event.entry.key] = event.entry
            assert [selected[key] for key in sorted(selected)] == list(cache.by_index("pods", "node", value))
        for revision in range(cache.revision + 1):
            page = await store.list("pods/", at=Revision(revision))
            found = await cache.list_at("pods", "", revision)
            assert [(e.key, e.revision) for e in found] == [(r.key, r.revision) for r in page.records]
        cache.verify_unchanged()
        await cache.close()

    asyncio.run(run())


_WRITER = """
import asyncio, sys
from pathlib import Path
from minik.storage.base import Op
from minik.storage.open import open_store

async def main():
    store = await open_store(Path(sys.argv[1]))
    async def write(writer):
        for n in range(1_000_000):
            key = f"pods/a/{writer}-{n % 20}"
            revision = (await store.commit([Op(key, b"%d %d" % (writer, n) + b"x" * 1500)]))[0]
            print(revision, key, n, flush=True)
            await store.commit([Op(f"events/a/{writer}", b"e", durable=False)])
    await asyncio.gather(*(write(w) for w in range(8)))

asyncio.run(main())
"""


@pytest.mark.parametrize("lines", [1, 200, 1500])
def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path: Path, lines: int) -> None:
    acknowledged: dict[str, tuple[int, int]] = {}
    for _round in range(2):
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for count, line in enumerate(process.stdout):
                if count == lines:
                    process.kill()
                if line.endswith("\n"):
                    revision, key, n = line.split()
                    assert int(revision) > max((a for a, _ in acknowledged.values()), default=0) - 16
                    acknowledged[key] = (int(revision), int(n))

    async def verify() -> None:
        store = await open_store(tmp_path)
        try:
            for key, (revision, n) in acknowledged.items():
                record = await store.get(key)
                assert record is not None
                assert record.revision >= revision
                found = int(record.value.split(b" ")[1].partition(b"x")[0])
                assert found == n if record.revision == revision else found > n or record.revision > revision
            assert await store._run(check.check_all) == []
            history = await store.events("", since=Revision(0), upto=await store.current_revision())
            revisions = [e.revision for e in history]
            assert revisions == sorted(set(revisions))
            assert await store.current_revision() >= revisions[-1]
        finally:
            await store.close()

    asyncio.run(verify())
