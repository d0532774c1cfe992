"""Events go an hour after they were last written, and nothing else does. In simulated time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from minik.aio import running as tasks_of
from minik.api.meta import Obj
from minik.client.client import Client
from minik.clock import LoopClock
from minik.server.event_ttl import _BATCH, TTL, EventTtl
from tests.support.apiserver import Running, running

pytestmark = pytest.mark.looptime
MINUTE = 60.0


@asynccontextmanager
async def expiring() -> AsyncIterator[tuple[Running, Client]]:
    clock = LoopClock()
    async with running(clock=clock) as server, tasks_of("test") as tasks:
        tasks.start("ttl", EventTtl(server.store, server.cache, clock).run())
        yield server, Client(server.local(), server.server.registry)


def event(name: str) -> Obj:
    about = {"kind": "Pod", "namespace": "default", "name": "p"}
    return {"metadata": {"name": name, "namespace": "default"}, "involvedObject": about, "reason": "Some"}


async def names(client: Client) -> list[str]:
    return sorted(each["metadata"]["name"] for each in (await client.list("events")).items)


async def test_an_hour_after_the_last_write() -> None:
    async with expiring() as (_, client):
        await client.create("configmaps", {"metadata": {"name": "c", "namespace": "default"}})
        for name in ("a", "b", "c"):
            await client.create("events", event(name))
        await asyncio.sleep(30 * MINUTE)
        await client.patch("events", "b", "default", {"count": 2})
        await client.delete("events", "c", "default")
        await asyncio.sleep(29 * MINUTE)
        assert await names(client) == ["a", "b"]
        await asyncio.sleep(2 * MINUTE)
        assert await names(client) == ["b"]
        await asyncio.sleep(30 * MINUTE)
        assert await names(client) == []
        await client.create("events", event("later"))
        await asyncio.sleep(TTL + MINUTE)
        assert await names(client) == []
        assert await client.get("configmaps", "c", "default")


async def test_watchers_are_told_and_nothing_is_done_without_events() -> None:
    async with expiring() as (server, client):
        gone: list[str] = []

        async def watch() -> None:
            async for told in client.watch("events"):
                if told.type == "DELETED":
                    gone.append(told.object["metadata"]["name"])

        async with tasks_of("watch") as tasks:
            tasks.start("watch", watch())
            for number in range(2 * _BATCH + 5):
                await client.create("events", event(f"e{number:03}"))
            await asyncio.sleep(TTL + MINUTE)
            assert gone == [f"e{number:03}" for number in range(2 * _BATCH + 5)]
        before = await server.store.current_revision()
        await asyncio.sleep(24 * TTL)
        assert await server.store.current_revision() == before


async def test_one_that_is_written_while_it_is_deleted_stays() -> None:
    async with expiring() as (server, client):
        for name in ("a", "b"):
            await client.create("events", event(name))
        commit = server.store.commit
        meant: list[list[str]] = []

        async def late(ops):  # type: ignore[no-untyped-def]  # as Store.commit
            if not meant and all(op.value is None for op in ops):
                meant.append([op.key for op in ops])
                await client.patch("events", "b", "default", {"count": 2})
            return await commit(ops)

        server.store.commit = late  # type: ignore[method-assign]  # somebody is quicker
        await asyncio.sleep(TTL + MINUTE)
        assert len(meant[0]) == 2 and await names(client) == ["b"]
