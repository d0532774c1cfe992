"""Controllers at work, in simulated time: `cluster(...)` against `FakeApi`, where a test plays with failures and lag of the
transport; `control_plane(...)` against the real API server over a store in memory, for what controllers do to a cluster.

    @pytest.mark.looptime
    async def test_it() -> None:
        async with cluster(namespace.CONTROLLER) as c:
            c.api.put("namespaces", named("a"))
            await c.settle()
            assert ...

Time stands still while anything can run, so `settle` (some simulated seconds) waits for everything that does not wait for time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from minik.api.builtin import builtin_registry
from minik.api.errors import NotFound
from minik.api.kind import Kind
from minik.api.meta import Obj, ROObj
from minik.api.times import format_micro_time
from minik.client.client import Client
from minik.client.controller import Controller
from minik.client.informer import Informers
from minik.client.manager import Manager
from minik.clock import Entropy, LoopClock
from minik.metrics import Metrics
from tests.support.apiserver import Running, running
from tests.support.fakeapi import FakeApi, FakeTransport


@dataclass
class Cluster:
    api: FakeApi
    transport: FakeTransport
    client: Client
    informers: Informers
    manager: Manager
    metrics: Metrics
    clock: LoopClock
    entropy: Entropy

    async def settle(self, seconds: float = 1.0) -> None:
        """Let that much simulated time pass."""
        await asyncio.sleep(seconds)

    def get(self, resource: str, name: str, namespace: str = "") -> ROObj | None:
        return self.api.get(resource, name, namespace)


@contextlib.asynccontextmanager
async def cluster(
    *controllers: Controller, seed: int = 1, watch_lag: float = 0.0, kinds: tuple[Kind, ...] = ()
) -> AsyncIterator[Cluster]:
    """An API in memory with `controllers` running on it, and nothing in it yet."""
    clock, entropy, metrics = LoopClock(), Entropy(seed), Metrics()
    registry = builtin_registry()
    for kind in kinds:
        registry.add(kind)
    api = FakeApi(registry, clock=clock, entropy=entropy)
    transport = FakeTransport(api, watch_lag=watch_lag)
    informers = Informers(transport, registry, clock=clock, entropy=entropy)
    manager = Manager(
        controllers, transport, registry, clock=clock, entropy=entropy, metrics=metrics, informers=informers
    )
    try:
        await manager.start()
        yield Cluster(api, transport, Client(transport, registry), informers, manager, metrics, clock, entropy)
    finally:
        await manager.close()
        await informers.close()


def named(name: str, namespace: str = "", **more: Any) -> Obj:
    """`{"metadata": {"name": ..., ...}}`; keywords `labels`, `finalizers`, `ownerReferences` go into metadata, others beside it."""
    metadata: Obj = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    for field in ("labels", "annotations", "finalizers", "ownerReferences"):
        if field in more:
            metadata[field] = more.pop(field)
    return {"metadata": metadata, **more}


def owned(by: ROObj, *, controller: bool = False, block: bool = False) -> Obj:
    """An owner reference to `by`."""
    ref: Obj = {
        "apiVersion": by["apiVersion"], "kind": by["kind"], "name": by["metadata"]["name"], "uid": by["metadata"]["uid"],
    }  # fmt: skip
    if controller:
        ref["controller"] = True
    if block:
        ref["blockOwnerDeletion"] = True
    return ref


@dataclass
class ControlPlane:
    """The real API server and controllers, in one loop."""

    server: Running
    client: Client
    manager: Manager
    clock: LoopClock

    async def settle(self, seconds: float = 1.0) -> None:
        """Let that much simulated time pass."""
        await asyncio.sleep(seconds)

    async def create(self, resource: str, obj: Obj) -> ROObj:
        return await self.client.create(resource, obj)

    async def get(self, resource: str, name: str, namespace: str = "") -> ROObj | None:
        try:
            return await self.client.get(resource, name, namespace)
        except NotFound:
            return None

    async def names(self, resource: str, namespace: str = "") -> list[str]:
        return [item["metadata"]["name"] for item in (await self.client.list(resource, namespace)).items]

    async def renew(self, node: str) -> None:
        """A sign of life of a node, as its agent gives it."""
        renewed = {"spec": {"holderIdentity": node, "leaseDurationSeconds": 40,
                            "renewTime": format_micro_time(self.clock.now())}}  # fmt: skip
        leases = "leases.coordination.k8s.io"
        if await self.get(leases, node, "kube-node-lease") is None:
            await self.create(leases, named(node, "kube-node-lease", **renewed))
        else:
            await self.client.patch(leases, node, "kube-node-lease", renewed)


@contextlib.asynccontextmanager
async def control_plane(
    *controllers: Controller, kinds: tuple[Kind, ...] = (), namespaces: tuple[str, ...] = ("default", "kube-node-lease")
) -> AsyncIterator[ControlPlane]:
    """A real API server with `controllers` running on it, and some namespaces."""
    clock = LoopClock()
    async with running(clock=clock, namespaces=namespaces) as server:
        registry = server.server.registry
        for kind in kinds:
            registry.add(kind)
        transport = server.local()
        manager = Manager(controllers, transport, registry, clock=clock, entropy=server.entropy, metrics=Metrics())
        await manager.start()
        await manager.wait_synced()
        try:
            yield ControlPlane(server, Client(transport, registry), manager, clock)
        finally:
            await manager.close()


def pod(name: str, namespace: str = "default", *, node: str = "", **more: Any) -> Obj:
    """A Pod that validates. `more` as for `named`, and `spec` fields."""
    spec: Obj = {"containers": [{"name": "c", "image": "busybox"}], **more.pop("spec", {})}
    if node:
        spec["nodeName"] = node
    return named(name, namespace, spec=spec, **more)
