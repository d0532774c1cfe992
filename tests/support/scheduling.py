"""A scheduler on a real API server, in one loop of simulated time, with nobody else at work.

async with scheduling(nodes=[node("n", cpu="1")]) as rig:
    await rig.pod("a", cpu="1")
    await rig.settle()
    assert await rig.node_of("a") == "n"
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from minik.api import meta
from minik.api.meta import Obj, ROObj
from minik.client.client import Client
from minik.client.informer import Informers
from minik.client.recorder import Recorder
from minik.client.transport import Transport
from minik.metrics import Metrics
from minik.sched.loop import Scheduler
from minik.sched.plugins import Plugins, default_plugins
from minik.sched.profiles import Configuration, Profile
from tests.support import objects
from tests.support.cluster import ControlPlane, control_plane


@dataclass
class Rig(ControlPlane):
    """The API server, and the scheduler on it."""

    scheduler: Scheduler
    metrics: Metrics

    async def pod(self, name: str, **more: Any) -> ROObj:
        """Create a pod: as `objects.pod`."""
        made = objects.pod(name, **more)
        del made["metadata"]["uid"], made["status"]
        return await self.create("pods", made)

    async def node(self, obj: Obj) -> ROObj:
        """Create a node, or replace it."""
        obj["metadata"].pop("uid", None)
        if await self.get("nodes", meta.name(obj)) is None:
            made = await self.create("nodes", {key: value for key, value in obj.items() if key != "status"})
        else:
            made = await self.client.update("nodes", obj)
        return await self.client.update_status("nodes", {**made, "status": obj["status"]})

    async def found(self, name: str) -> ROObj:
        """The pod as it is now."""
        return await self.client.get("pods", name, "default")

    async def node_of(self, name: str) -> str:
        found: str = (await self.found(name))["spec"].get("nodeName", "")
        return found

    async def events(self, reason: str) -> list[str]:
        """The messages of all Events of that reason."""
        found = (await self.client.list("events", "default")).items
        return [event["message"] for event in found if event["reason"] == reason]


@contextlib.asynccontextmanager
async def scheduling(
    nodes: Iterable[Obj] = (), *, plugins: Plugins | None = None, profiles: Sequence[Profile] | None = None
) -> AsyncIterator[Rig]:
    """With these profiles, or one with these plugins."""
    async with (
        control_plane() as plane,
        scheduler_on(plane, plane.server.local(), plugins=plugins, profiles=profiles) as rig,
    ):
        for each in nodes:
            await rig.node(each)
        yield rig


@contextlib.asynccontextmanager
async def scheduler_on(
    plane: ControlPlane,
    transport: Transport,
    *,
    plugins: Plugins | None = None,
    profiles: Sequence[Profile] | None = None,
) -> AsyncIterator[Rig]:
    """A scheduler that talks to an API server over `transport`."""
    clock, entropy, registry = plane.clock, plane.server.entropy, plane.server.server.registry
    metrics = Metrics()
    client = Client(transport, registry)
    informers = Informers(transport, registry, clock=clock, entropy=entropy)
    profiles = profiles or (Profile("default-scheduler", plugins or default_plugins()),)
    recorders = {each.name: Recorder(client, component=each.name, clock=clock, entropy=entropy) for each in profiles}
    scheduler = Scheduler(
        client,
        informers,
        recorders,
        clock=clock,
        entropy=entropy,
        metrics=metrics,
        configuration=Configuration(profiles),
    )
    rig = Rig(plane.server, plane.client, plane.manager, clock, scheduler, metrics)
    await scheduler.start()
    try:
        yield rig
    finally:
        await scheduler.close()
        for recorder in recorders.values():
            await recorder.close()
        await informers.close()
