"""Writes that meet one another: both in one batch of the store, so that the second is decided against what the first left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from minik.api.errors import Conflict, NotFound
from minik.server.local import LocalTransport
from minik.storage.open import open_store
from tests.support.apiserver import running
from tests.unit.server.objects import CONFIGMAPS, MERGE, configmap

EVENTS = "/api/v1/namespaces/default/events"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[LocalTransport]:
    store = await open_store(tmp_path)
    try:
        async with running(store=store) as server:
            yield server.local()
    finally:
        await store.close()


async def test_a_conditional_put_that_loses_against_a_delete_finds_nothing(api: LocalTransport) -> None:
    made = await api.request("POST", CONFIGMAPS, body=configmap("a"))
    changed = {**made, "data": {"new": "yes"}}
    deleted, put = await asyncio.gather(
        api.request("DELETE", f"{CONFIGMAPS}/a"),
        api.request("PUT", f"{CONFIGMAPS}/a", body=changed),
        return_exceptions=True,
    )
    assert not isinstance(deleted, BaseException)
    assert isinstance(put, NotFound), "Conflict would say that it is there"


async def test_of_two_conditional_puts_one_wins(api: LocalTransport) -> None:
    made = await api.request("POST", CONFIGMAPS, body=configmap("a"))
    tries = [api.request("PUT", f"{CONFIGMAPS}/a", body={**made, "data": {"by": str(n)}}) for n in range(2)]
    first, second = await asyncio.gather(*tries, return_exceptions=True)
    assert not isinstance(first, BaseException) and first["data"] == {"by": "0"}
    assert isinstance(second, Conflict)


async def test_unconditional_patches_all_take_effect(api: LocalTransport) -> None:
    await api.request("POST", CONFIGMAPS, body=configmap("a"))
    patches = [{"data": {f"k{n}": str(n)}} for n in range(8)]
    await asyncio.gather(*(api.request("PATCH", f"{CONFIGMAPS}/a", body=p, content_type=MERGE) for p in patches))
    data = (await api.request("GET", f"{CONFIGMAPS}/a"))["data"]
    assert {k: v for k, v in data.items() if k.startswith("k")} == {f"k{n}": str(n) for n in range(8)}


async def test_puts_that_create_what_somebody_else_creates_update_it(api: LocalTransport) -> None:
    def event(n: int) -> dict[str, object]:
        involved = {"kind": "Pod", "namespace": "default", "name": "p"}
        return {"metadata": {"name": "e"}, "involvedObject": involved, "message": str(n)}

    made = await asyncio.gather(*(api.request("PUT", f"{EVENTS}/e", body=event(n)) for n in range(4)))
    assert [each["message"] for each in made] == ["0", "1", "2", "3"]
    assert len({each["metadata"]["uid"] for each in made}) == 1
    assert len({each["metadata"]["resourceVersion"] for each in made}) == 4
