"""What every `Store` promises, tried on each of them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from minik.clock import SystemClock
from minik.storage import sqlite
from minik.storage.base import (
    ABSENT,
    ClosedError,
    CompactedError,
    ConflictError,
    Event,
    EventType,
    Op,
    Revision,
    Store,
    Version,
)
from minik.storage.memory import MemoryStore
from minik.storage.open import open_store


class StoppedClock(SystemClock):
    """Wall time that moves when told to."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def advance(self, seconds: float) -> float:
        self.time += timedelta(seconds=seconds)
        return self.time.timestamp()


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture(params=["memory", "sqlite", "sqlite in small slices"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: StoppedClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Store]:
    if request.param == "sqlite in small slices":
        monkeypatch.setattr(sqlite, "_SLICE", 3)
        monkeypatch.setattr(sqlite, "_EVENT_SLICE", 2)
    made: Store = MemoryStore(clock=clock) if request.param == "memory" else await open_store(tmp_path, clock=clock)
    try:
        yield made
    finally:
        await made.close()


async def take(store: Store, prefix: str, since: int, count: int) -> list[Event]:
    found: list[Event] = []
    async with asyncio.timeout(5):
        async with contextlib.aclosing(store.watch(prefix, since=Revision(since))) as events:  # type: ignore[type-var]
            async for event in events:
                found.append(event)
                if len(found) == count:
                    break
    return found


def brief(events: list[Event]) -> list[tuple[int, str, bytes | None, Revision]]:
    return [(e.type.value, e.key, e.value, e.revision) for e in events if e.type is EventType.PUT] + [
        (e.type.value, e.key, None, e.revision) for e in events if e.type is EventType.DELETE
    ]


async def put(
    store: Store, key: str, value: bytes = b"v", expected: int | None = None, durable: bool = True
) -> Revision:
    wanted = None if expected is None else Revision(expected)
    return (await store.commit([Op(key, value, wanted, durable)]))[0]


async def test_revisions_start_at_one_and_grow_by_one_a_key(store: Store) -> None:
    assert await store.current_revision() == 0
    assert await put(store, "a/1", b"x") == 1
    assert await store.commit([Op("a/2", b"y"), Op("a/1", b"z")]) == [2, 3]
    assert await store.current_revision() == 3
    record = await store.get("a/1")
    assert record is not None
    assert (record.key, record.value, record.revision, record.created) == ("a/1", b"z", 3, 1)
    assert await store.get("a/3") is None


async def test_expectations(store: Store) -> None:
    first = await put(store, "a/1", b"x", ABSENT)
    with pytest.raises(ConflictError) as refused:
        await put(store, "a/1", b"y", ABSENT)
    assert (refused.value.key, refused.value.actual) == ("a/1", first)
    with pytest.raises(ConflictError):
        await put(store, "a/1", b"y", first + 1)
    with pytest.raises(ConflictError) as refused:
        await put(store, "a/2", b"y", 1)
    assert refused.value.actual == ABSENT
    second = await put(store, "a/1", b"y", first)
    await store.commit([Op("a/1", None, second)])
    with pytest.raises(ConflictError) as refused:
        await store.commit([Op("a/1", None)])
    assert refused.value.actual == ABSENT
    assert await put(store, "a/1", b"z", ABSENT) == 4


async def test_a_commit_is_all_or_nothing(store: Store) -> None:
    await put(store, "a/1")
    with pytest.raises(ConflictError):
        await store.commit([Op("a/2", b"x"), Op("a/1", None), Op("a/3", b"x", Revision(7))])
    assert [r.key for r in (await store.list("")).records] == ["a/1"]
    assert await store.current_revision() == 1
    assert await store.commit([Op("a/1", None), Op("a/1", b"again", ABSENT), Op("a/1", b"more")]) == [2, 3, 4]
    record = await store.get("a/1")
    assert record is not None
    assert (record.value, record.revision, record.created) == (b"more", 4, 3)


async def test_of_many_writers_that_expect_the_same_one_wins(store: Store) -> None:
    first = await put(store, "a/1")
    results = await asyncio.gather(*(put(store, "a/1", b"%d" % n, first) for n in range(20)), return_exceptions=True)
    won = [r for r in results if isinstance(r, int)]
    lost = [r for r in results if isinstance(r, ConflictError)]
    assert len(won) == 1 and len(lost) == 19
    assert {e.actual for e in lost} == {won[0]}


async def test_lists_are_in_key_order_and_paged(store: Store) -> None:
    for key in ("b/x/1", "a/y/2", "a/x/9", "a-b/x/1", "a/x-y/1", "a/x/10"):
        await put(store, key, key.encode(), durable=key != "a/x/9")
    page = await store.list("a/")
    assert [r.key for r in page.records] == ["a/x-y/1", "a/x/10", "a/x/9", "a/y/2"]
    assert (page.revision, page.more, page.remaining) == (6, False, 0)
    assert [r.value for r in page.records] == [r.key.encode() for r in page.records]
    page = await store.list("a/", limit=3)
    assert (len(page.records), page.more, page.remaining) == (3, True, 1)
    page = await store.list("a/", after="a/x/10", limit=1)
    assert ([r.key for r in page.records], page.more, page.remaining) == (["a/x/9"], True, 1)
    page = await store.list("a/", after="a/x/9", limit=5)
    assert ([r.key for r in page.records], page.more) == (["a/y/2"], False)


@pytest.mark.parametrize("durable", [True, False])
async def test_lists_as_of_an_old_revision(store: Store, durable: bool) -> None:
    await put(store, "a/1", b"1", durable=durable)
    await put(store, "a/2", b"2", durable=durable)
    await put(store, "a/1", b"3", durable=durable)
    await store.commit([Op("a/2", None, durable=durable)])
    await put(store, "a/2", b"5", durable=durable)
    await put(store, "b/1", b"6")

    async def at(revision: int) -> list[tuple[str, bytes, int, int]]:
        page = await store.list("a/", at=Revision(revision))
        assert page.revision == revision
        return [(r.key, r.value, r.revision, r.created) for r in page.records]

    assert await at(6) == [("a/1", b"3", 3, 1), ("a/2", b"5", 5, 5)]
    assert await at(4) == [("a/1", b"3", 3, 1)]
    assert await at(3) == [("a/1", b"3", 3, 1), ("a/2", b"2", 2, 2)]
    assert await at(2) == [("a/1", b"1", 1, 1), ("a/2", b"2", 2, 2)]
    assert await at(1) == [("a/1", b"1", 1, 1)]
    page = await store.list("a/", at=Revision(2), limit=1)
    assert ([r.key for r in page.records], page.more, page.remaining) == (["a/1"], True, 1)


@pytest.mark.parametrize("after", ["", "a/03", "a/11x"])
@pytest.mark.parametrize("limit", [0, 1, 4, 100])
async def test_pages_of_old_lists_are_those_of_the_time(
    store: Store, monkeypatch: pytest.MonkeyPatch, after: str, limit: int
) -> None:
    monkeypatch.setattr(sqlite, "_SLICE", 5)
    for n in range(20):
        await put(store, f"a/{n * 7 % 20:02}", b"%d" % n, durable=n % 5 != 0)
    then = await store.list("a/", after=after)
    at = then.revision
    for n in range(0, 20, 3):
        await put(store, f"a/{n:02}", b"new", durable=n % 5 != 0)
    await store.commit([Op(f"a/{n:02}", None) for n in range(0, 20, 4)])
    await store.commit([Op(f"a/{n:02}", b"again") for n in range(0, 20, 8)])
    await put(store, "a/03x")
    page = await store.list("a/", after=after, limit=limit, at=at)
    shown = list(then.records)[: limit or None]
    assert list(page.records) == shown
    assert (page.revision, page.remaining, page.more) == (
        at,
        len(then.records) - len(shown),
        len(shown) < len(then.records),
    )


async def test_old_lists_are_exact_while_writers_go_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_SLICE", 7)
    for n in range(5):
        await put(store, f"a/{n}", b"%d" % n)
    then = await store.list("a/")

    async def write() -> None:
        for n in range(200):
            await put(store, f"a/{n % 7}", b"new")

    writing = asyncio.ensure_future(write())
    while not writing.done():
        assert await store.list("a/", at=then.revision) == then
        await asyncio.sleep(0)
    await writing


@pytest.mark.parametrize("durable", [True, False])
async def test_watch_replays_and_goes_on(store: Store, durable: bool) -> None:
    await put(store, "a/1", b"1", durable=durable)
    await put(store, "b/1", b"2", durable=not durable)
    await put(store, "a/1", b"3", durable=durable)
    watching = asyncio.ensure_future(take(store, "a/", 1, 4))
    await asyncio.sleep(0)
    await store.commit([Op("a/1", None, durable=durable), Op("b/1", None, durable=not durable)])
    await put(store, "a/2", b"6", durable=durable)
    await put(store, "a/2", b"7", durable=durable)
    events = await watching
    assert brief(events) == [(1, "a/1", b"3", 3), (1, "a/2", b"6", 6), (1, "a/2", b"7", 7), (2, "a/1", None, 4)]
    assert [e.revision for e in events] == [3, 4, 6, 7]
    assert [e.created for e in events] == [1, 1, 6, 6]
    replayed = await take(store, "a/", 0, 5)
    assert [(e.revision, e.value, e.previous) for e in replayed] == [
        (1, b"1", None),
        (3, b"3", b"1"),
        (4, b"3", None),
        (6, b"6", None),
        (7, b"7", b"6"),
    ]
    assert list(await store.events("a/", since=Revision(0), upto=Revision(7))) == replayed
    assert list(await store.events("a/", since=Revision(1), upto=Revision(6))) == replayed[1:4]
    assert list(await store.events("a/", since=Revision(0), upto=Revision(7), limit=2)) == replayed[3:]
    assert list(await store.events("a/", since=Revision(0), upto=Revision(6), limit=2)) == replayed[2:4]


async def test_a_watch_gets_each_event_once_while_writers_go_on(store: Store) -> None:
    async def write(writer: int) -> None:
        for n in range(30):
            await put(store, f"a/{writer}-{n % 3}", b"%d" % n, durable=n % 3 != 0)

    async def watch_from(revision: int) -> list[Event]:
        while await store.current_revision() < revision:  # noqa: ASYNC110  # to start in the midst of it
            await asyncio.sleep(0)
        await asyncio.sleep(0)  # by now the next batch is under way
        await asyncio.sleep(0)
        return await take(store, "a/", 0, 240)

    writers = asyncio.gather(*(write(n) for n in range(8)))
    seen = await asyncio.gather(*(watch_from(n) for n in range(0, 200, 10)))
    await writers
    for events in seen:
        assert [e.revision for e in events] == list(range(1, 241))


async def test_a_listener_sees_a_write_before_its_writer_goes_on(store: Store) -> None:
    seen: list[int] = []
    stop = store.listen(lambda events: seen.extend(e.revision for e in events))

    async def write(key: str) -> None:
        for durable in (True, False, True):
            revision = await put(store, key, durable=durable)
            assert revision in seen

    await asyncio.gather(*(write(f"a/{n}") for n in range(10)))
    assert seen == list(range(1, 31))
    stop()
    await put(store, "a/1")
    assert len(seen) == 30


async def test_compaction_forgets_history_and_keeps_state(store: Store) -> None:
    for n in range(6):
        await put(store, f"a/{n % 2}", b"%d" % n)
    await store.compact(Revision(4))
    assert await store.oldest_revision() == 4
    with pytest.raises(CompactedError) as refused:
        await store.list("a/", at=Revision(3))
    assert (refused.value.wanted, refused.value.oldest) == (3, 4)
    with pytest.raises(CompactedError):
        await take(store, "a/", 3, 1)
    with pytest.raises(CompactedError):
        await store.events("a/", since=Revision(3), upto=Revision(6))
    assert [(e.revision, e.previous) for e in await take(store, "a/", 4, 2)] == [(5, b"2"), (6, b"3")]
    assert [(r.value, r.revision) for r in (await store.list("a/", at=Revision(4))).records] == [(b"2", 3), (b"3", 4)]
    assert [r.value for r in (await store.list("a/")).records] == [b"4", b"5"]
    await store.compact(Revision(2))
    assert await store.oldest_revision() == 4
    await store.compact(Revision(99))
    assert await store.oldest_revision() == 6
    assert await put(store, "a/1", b"7") == 7


@pytest.mark.parametrize("durable", [True, False])
async def test_history_tells_who_wrote_what_when(store: Store, clock: StoppedClock, durable: bool) -> None:
    times = [clock.advance(10 * n + 0.25) for n in range(6)]
    clock.time = datetime.fromtimestamp(times[0], UTC)

    async def write(number: int, value: bytes | None, author: str) -> None:
        clock.time = datetime.fromtimestamp(times[number], UTC)
        await store.commit([Op("a/1", value, durable=durable, author=author)])

    assert await store.history("a/1") == []
    await write(0, b"one", "ann\tkubectl\tcreate")
    await write(1, b"two", "")
    await put(store, "a/11", b"another")
    await write(2, None, "bob")
    await write(3, b"three", "ünï")
    await store.commit([Op("a/1", b"four", durable=durable), Op("a/1", b"five", durable=durable, author="both")])
    put_, delete = EventType.PUT, EventType.DELETE
    versions = [
        Version(Revision(1), Revision(1), put_, b"one", None, "ann\tkubectl\tcreate", times[0]),
        Version(Revision(2), Revision(1), put_, b"two", b"one", "", times[1]),
        Version(Revision(4), Revision(1), delete, None, b"two", "bob", times[2]),
        Version(Revision(5), Revision(5), put_, b"three", None, "ünï", times[3]),
        Version(Revision(6), Revision(5), put_, b"four", b"three", "", times[3]),
        Version(Revision(7), Revision(5), put_, b"five", b"four", "both", times[3]),
    ]
    assert list(await store.history("a/1")) == versions
    assert [v.value for v in await store.history("a/11")] == [b"another"]
    assert await store.history("a/") == []


@pytest.mark.parametrize("durable", [True, False])
async def test_history_begins_with_the_state_at_the_floor(store: Store, durable: bool) -> None:
    for value in (b"1", b"2", b"3", None, b"5"):
        await store.commit([Op("a/1", value, durable=durable, author="ann")])
    await put(store, "b/1", b"6")

    async def brief_history() -> list[tuple[int, int, bytes | None, bytes | None, str, bool]]:
        return [
            (v.revision, v.created, v.value, v.previous, v.author, v.written is not None)
            for v in await store.history("a/1")
        ]

    await store.compact(Revision(2))
    full = await brief_history()
    assert full == [
        (2, 1, b"2", None, "", False),
        (3, 1, b"3", b"2", "ann", True),
        (4, 1, None, b"3", "ann", True),
        (5, 5, b"5", None, "ann", True),
    ]
    await store.compact(Revision(4))
    assert await brief_history() == full[3:]
    await store.compact(Revision(5))
    assert await brief_history() == [(5, 5, b"5", None, "", False)]
    await store.commit([Op("a/1", None, durable=durable)])
    await store.compact(Revision(7))
    assert await brief_history() == []


async def test_history_is_whole_while_writers_and_compaction_go_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_SLICE", 7)

    async def write() -> None:
        for n in range(120):
            await store.commit([Op(f"a/{n % 4}", b"%d" % n)])
            if n % 10 == 9:
                await store.compact(Revision(max(n - 60, 0)))

    writing = asyncio.ensure_future(write())
    while not writing.done():
        versions = await store.history("a/1")
        for before, after in itertools.pairwise(versions):
            assert (after.revision, after.previous) == (before.revision + 4, before.value)
        await asyncio.sleep(0)
    await writing


async def test_a_cancelled_writer_does_not_undo_its_write(store: Store) -> None:
    writing = asyncio.ensure_future(put(store, "a/1", b"x"))
    await asyncio.sleep(0)
    writing.cancel()
    await put(store, "a/2", b"y")
    assert [r.key for r in (await store.list("")).records] == ["a/1", "a/2"]


async def test_a_commit_of_nothing_waits_for_what_was_asked_before(store: Store) -> None:
    writer = asyncio.ensure_future(store.commit([Op("things/a", b"{}", ABSENT)]))
    await asyncio.sleep(0)
    writer.cancel()
    assert list(await store.commit([])) == []
    assert (await store.list("things/")).records


async def test_close_writes_what_was_accepted_and_refuses_the_rest(store: Store) -> None:
    accepted = [asyncio.ensure_future(put(store, f"a/{n}")) for n in range(5)]
    watching = asyncio.ensure_future(take(store, "a/", 0, 99))
    await asyncio.sleep(0)
    await store.close()
    assert sorted(await asyncio.gather(*accepted)) == [1, 2, 3, 4, 5]
    with pytest.raises(ClosedError):
        await put(store, "a/9")
    with pytest.raises(ClosedError):
        await store.get("a/1")
    with pytest.raises(ClosedError):
        await watching
    await store.close()
