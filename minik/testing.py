"""A cluster in memory for tests of controllers: the whole control plane (API server, scheduler, built-in controllers) and the
controllers under test, in one event loop, up in a fraction of a second and gone with the block. There are no nodes, so pods stay pending.

    async def test_a_website_gets_a_deployment() -> None:
        async with cluster(CONTROLLER, crds=CRDS) as c:
            await c.create("websites.example.com", {"metadata": {"name": "w"}, "spec": {"html": "hi"}})
            deployment = await c.eventually(lambda: c.get("deployments.apps", "w"))
            assert deployment["spec"]["replicas"] == 2

What a controller does outside the API is the test's own business. Needs nothing but minik and an event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from minik import pki
from minik.api import meta
from minik.api.builtin import builtin_registry
from minik.api.errors import NotFound
from minik.api.meta import Obj, ROObj
from minik.cli.controlplane import ControlPlane
from minik.client.client import Client
from minik.client.controller import Controller
from minik.client.served import wait_served
from minik.clock import Clock, Entropy, SystemClock
from minik.metrics import Metrics
from minik.sdk.hosting import Host
from minik.server.app import ServerSettings
from minik.server.tunnel import Links
from minik.storage.memory import MemoryStore

T = TypeVar("T")
TIMEOUT = 20.0
"""Seconds that `eventually` waits at most."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running control plane. `client` is the administrator's."""

    client: Client
    plane: ControlPlane
    host: Host

    async def create(self, resource: str, obj: Obj, namespace: str = "default") -> ROObj:
        """Create an object; apiVersion, kind and namespace are filled in."""
        kind = self.client.kind(resource)
        draft = meta.draft(obj)
        draft.setdefault("metadata", {})
        if kind.namespaced:
            draft["metadata"].setdefault("namespace", namespace)
        return await self.client.create(resource, {"apiVersion": kind.api_version, "kind": kind.kind, **draft})

    async def get(self, resource: str, name: str, namespace: str = "default") -> ROObj | None:
        """The object, or None."""
        try:
            return await self.client.get(resource, name, namespace)
        except NotFound:
            return None

    async def eventually(self, look: Callable[[], Awaitable[T | None]], *, timeout: float = TIMEOUT) -> T:
        """What `look` gives as soon as it is true, tried after each change of anything. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            while True:
                revision = self.plane.cache.revision
                found = await look()
                if found:
                    return found
                await self.plane.cache.wait_for(revision + 1)


@contextlib.asynccontextmanager
async def cluster(
    *controllers: Controller,
    crds: Sequence[Obj] = (),
    namespaces: Sequence[str] = (),
    clock: Clock | None = None,
    seed: int = 1,
) -> AsyncIterator[Cluster]:
    """A control plane with the controllers on it; `crds` are served when the block begins. `namespaces`: beside `default` and the
    system's own."""
    clock, entropy, registry, store = clock or SystemClock(), Entropy(seed), builtin_registry(), MemoryStore()
    ca = pki.new_ca(now=clock.now())
    settings = ServerSettings(ca_certificate=ca.certificate, token_signing_key=pki.new_signing_key())
    plane = ControlPlane(
        store, registry=registry, settings=settings, links=Links(), metrics=Metrics(), clock=clock, entropy=entropy
    )
    client = Client(plane.transport("test"), registry)
    host = Host(
        controllers, crds, plane.transport("system:minik:controllers"), registry,
        clock=clock, entropy=entropy, metrics=plane.metrics,
    )  # fmt: skip
    try:
        await plane.serve()
        await plane.start(address="127.0.0.1", port=6443)
        await host.start()
        await wait_served(registry, [meta.name(crd) for crd in crds])
        for name in namespaces:
            await client.create("namespaces", {"metadata": {"name": name}})
        yield Cluster(client, plane, host)
    finally:
        await host.close()
        await plane.close()
        await store.close()
