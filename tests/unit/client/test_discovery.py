"""A registry of what a server serves, from outside: asked, kept in step, by either form of discovery, with and without the right to
watch definitions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from minik.api.builtin import builtin_registry
from minik.api.errors import Forbidden
from minik.client import discovery
from minik.client.discovery import Discovered, discover
from minik.client.served import wait_served
from minik.client.transport import ListResult
from minik.client.transport_http import HttpTransport, client_ssl
from minik.clock import Entropy, SystemClock
from tests.support.apiserver import serving
from tests.unit.server.crd.conftest import CRDS, MERGE, crd, version


@pytest.fixture
async def transport(tmp_path: Path) -> AsyncIterator[HttpTransport]:
    async with serving(tmp_path) as (_, url):
        context = client_ssl(
            ca=(tmp_path / "ca.crt").read_bytes(), certificate=tmp_path / "admin.crt", key=tmp_path / "admin.key"
        )
        made = HttpTransport(url, ssl_context=context)
        yield made
        await made.close()


async def test_both_forms_of_discovery_tell_the_same(transport: HttpTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    new = {kind.path("n", "o"): kind for kind in await discover(transport)}
    monkeypatch.setattr(discovery, "ACCEPT", "application/json")
    old = {kind.path("n", "o"): kind for kind in await discover(transport)}
    assert new == old
    for kind in builtin_registry():
        found = new[kind.path("n", "o")]
        assert (found.kind, found.namespaced, set(found.verbs)) == (kind.kind, kind.namespaced, set(kind.verbs))
        assert {s.name for s in found.subresources} == {s.name for s in kind.subresources}


async def follow(transport: HttpTransport) -> None:
    discovered = Discovered(transport, clock=SystemClock(), entropy=Entropy(1))
    try:
        await discovered.start()
        registry = discovered.registry
        assert registry["deployments.apps"].kind == "Deployment"
        await transport.request("POST", CRDS, body=crd("widgets", version("v1"), version("v2", storage=False)))
        async with asyncio.timeout(20):
            await wait_served(registry, ["widgets.example.com"])
        assert registry["widgets.example.com"].version == "v2"
        name = f"{CRDS}/widgets.example.com"
        await transport.request("DELETE", name)
        await transport.request("PATCH", name, body={"metadata": {"finalizers": None}}, content_type=MERGE)
        gone = asyncio.Event()
        registry.on_change(lambda: gone.set() if registry.get("widgets.example.com") is None else None)
        if registry.get("widgets.example.com") is not None:
            await asyncio.wait_for(gone.wait(), 20)
    finally:
        await discovered.close()


async def test_kinds_come_and_go_with_their_definitions(transport: HttpTransport) -> None:
    await follow(transport)


async def test_who_may_not_watch_definitions_asks_now_and_then(
    transport: HttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(_path: str, *, query: Mapping[str, str] | None = None) -> ListResult:
        raise Forbidden("no")

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("it may not watch")

    monkeypatch.setattr(discovery, "ASK_AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(transport, "list", refused)
    monkeypatch.setattr(transport, "watch", never)
    await follow(transport)
