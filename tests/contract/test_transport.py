"""What every `Transport` promises, for the one inside the process and the one over HTTPS, against the same real API server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from minik.api import errors, meta
from minik.client.client import Client
from minik.client.controller import DONE, Context, Controller, Result
from minik.client.informer import Informers
from minik.client.manager import run_controllers
from minik.client.transport import Transport
from minik.client.transport_http import HttpTransport, client_ssl
from minik.clock import Entropy, SystemClock
from tests.support.apiserver import Running, running, serving
from tests.support.cluster import named


class Case:
    def __init__(self, server: Running, transport: Transport) -> None:
        self.server = server
        self.transport = transport
        self.client = Client(transport, server.server.registry)


@pytest.fixture(params=["local", "http"])
async def case(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Case]:
    async with contextlib.AsyncExitStack() as stack:
        if request.param == "local":
            server = await stack.enter_async_context(running())
            yield Case(server, cast("Transport", server.local()))
            return
        server, url = await stack.enter_async_context(serving(tmp_path))
        context = client_ssl(
            ca=(tmp_path / "ca.crt").read_bytes(), certificate=tmp_path / "admin.crt", key=tmp_path / "admin.key"
        )
        transport = HttpTransport(url, ssl_context=context)
        stack.push_async_callback(transport.close)
        yield Case(server, transport)


async def test_write_read_list_and_delete(case: Case) -> None:
    made = await case.client.create("configmaps", named("a", "default", data={"x": "1"}))
    assert made["kind"] == "ConfigMap" and meta.uid(made)
    patched = await case.client.patch("configmaps", "a", "default", {"data": {"y": "2"}})
    assert patched["data"] == {"x": "1", "y": "2"} and meta.revision(patched) > meta.revision(made)
    found = await case.client.list("configmaps", "default", field_selector="metadata.name=a")
    assert [item["kind"] for item in found.items] == ["ConfigMap"]
    assert int(found.resource_version) >= meta.revision(patched)
    await case.client.delete("configmaps", "a", "default", uid=meta.uid(made))
    with pytest.raises(errors.NotFound):
        await case.client.get("configmaps", "a", "default")


async def test_failures_are_the_same_errors(case: Case) -> None:
    made = await case.client.create("configmaps", named("a", "default"))
    with pytest.raises(errors.AlreadyExists):
        await case.client.create("configmaps", named("a", "default"))
    with pytest.raises(errors.Conflict):
        await case.client.delete("configmaps", "a", "default", uid="11111111-0000-4000-8000-000000000000")
    await case.client.patch("configmaps", "a", "default", {"data": {"x": "1"}})
    with pytest.raises(errors.Conflict):
        await case.client.update("configmaps", {**made, "data": {"x": "2"}})
    with pytest.raises(errors.Invalid) as caught:
        await case.client.create("configmaps", named("Not A Name", "default"))
    assert caught.value.details is not None and caught.value.details["causes"]
    with pytest.raises(errors.NotFound):
        await case.transport.request("GET", "/apis/nobody.example.com/v1/things")


async def test_a_watch_begins_where_it_is_told_and_sees_everything_after(case: Case) -> None:
    await case.client.create("configmaps", named("before", "default"))
    since = (await case.client.list("configmaps")).resource_version
    stream = case.client.watch("configmaps", resource_version=since)

    async def read(count: int) -> list[tuple[str, str]]:
        seen = []
        async for event in stream:
            seen.append((event.type, meta.name(event.object)))
            assert meta.revision(event.object) > int(since)
            if len(seen) == count:
                break
        return seen

    reading = asyncio.ensure_future(read(3))
    await case.client.create("configmaps", named("a", "default"))
    await case.client.patch("configmaps", "a", "default", {"data": {"big": "x" * 500_000}})
    await case.client.delete("configmaps", "a", "default")
    assert await asyncio.wait_for(reading, 10) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    await stream.aclose()  # type: ignore[attr-defined]  # an async generator, as the protocol promises


async def test_informers_and_controllers_work_over_it(case: Case) -> None:
    done = asyncio.Event()

    async def reconcile(ctx: Context, key: meta.Key) -> Result:
        configmap = ctx.cache("configmaps").get(key)
        if configmap is not None and not meta.annotations(configmap).get("seen"):
            await ctx.client.patch(
                "configmaps", key.name, key.namespace, {"metadata": {"annotations": {"seen": "yes"}}}
            )
            done.set()
        return DONE

    running_ = asyncio.ensure_future(
        run_controllers(
            [Controller("t", primary="configmaps", reconcile=reconcile)],
            case.transport,
            case.client.registry,
            clock=SystemClock(),
            entropy=Entropy(1),
        )
    )
    made = await case.client.create("configmaps", named("a", "default"))
    await asyncio.wait_for(done.wait(), 10)
    informers = Informers(case.transport, case.client.registry, clock=SystemClock(), entropy=Entropy(1))
    informer = informers.of("configmaps", field_selector="metadata.name=a")
    await asyncio.wait_for(informer.wait_for(meta.revision(made) + 1), 10)
    seen = informer.get(meta.key(made))
    assert seen is not None and meta.annotations(seen) == {"seen": "yes"}
    running_.cancel()
    await asyncio.gather(running_, return_exceptions=True)
    await informers.close()


async def test_long_lists(case: Case) -> None:
    made = {f"c{number:03}" for number in range(300)}
    for name in made:
        await case.client.create("configmaps", named(name, "default", data={"k": "x" * 5_000}))
    found = await case.client.list("configmaps", "default")
    assert {meta.name(item) for item in found.items} >= made
    assert all(len(item["data"]["k"]) == 5_000 for item in found.items if meta.name(item) in made)
