"""`ServiceProxy`: keeps the node's service rules as Services, EndpointSlices and the host ports of its pods say.

The agent's informers feed it (`update_*`, cheap, any order), then start it once everything has been told. Changes are taken
together: one transaction is in flight at most, and what arrives meanwhile goes into the next one; a lone change is carried out at
once. Only what changed is computed and written. `rules.py` decides, a `Backend` acts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from minik.agent.network.base import NetworkError
from minik.agent.proxy.apply import Backend
from minik.agent.proxy.rules import Frontend, HostPort, NodeView, Point, Target, host_port_frontends, service_frontends
from minik.aio import Tasks
from minik.api import meta
from minik.api.meta import Key, ROObj
from minik.clock import Clock

log = logging.getLogger("minik.agent.proxy")

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
_VERIFY_SECONDS = 30.0
_RETRY_SECONDS = 1.0
_AT_ONCE = 500
"""Services computed without a pause: some 20 ms."""


class _Owner(NamedTuple):
    kind: str
    key: Key


class ServiceProxy:
    """See the module."""

    def __init__(self, *, node: NodeView, backend: Backend, clock: Clock) -> None:
        self._node, self._backend, self._clock = node, backend, clock
        self._services: dict[Key, ROObj] = {}
        self._slices: dict[Key, dict[Key, ROObj]] = {}
        self._slice_of: dict[Key, Key] = {}
        self._host_ports: dict[Key, tuple[HostPort, ...]] = {}
        self._frontends: dict[_Owner, dict[Point, Frontend]] = {}
        self._claims: dict[Point, _Owner] = {}
        self._waiting: dict[Point, set[_Owner]] = {}
        self._dirty: dict[_Owner, None] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._tasks = Tasks("service proxy")
        self._lost = False
        self._loads = self._changes = 0

    # --- what is told ----------------------------------------------------------------------------------------------------

    def update_service(self, key: Key, service: ROObj | None) -> None:
        """The Service as it is now; None when it is gone."""
        if service is None:
            self._services.pop(key, None)
        else:
            self._services[key] = service
        self._touch(_Owner("service", key))

    def update_slice(self, key: Key, slice_: ROObj | None) -> None:
        """The EndpointSlice as it is now; None when it is gone."""
        old = self._slice_of.pop(key, None)
        if old is not None:
            self._slices[old].pop(key)
            if not self._slices[old]:
                del self._slices[old]
            self._touch(_Owner("service", old))
        name = meta.labels(slice_).get(SERVICE_NAME_LABEL) if slice_ is not None else None
        if slice_ is not None and name:
            service = Key(key.namespace, name)
            self._slice_of[key] = service
            self._slices.setdefault(service, {})[key] = slice_
            self._touch(_Owner("service", service))

    def update_zone(self, zone: str) -> None:
        """The node's zone ("" for none): endpoints may be meant for zones."""
        if zone != self._node.zone:
            self._node = replace(self._node, zone=zone)
            for key in self._services:
                self._touch(_Owner("service", key))

    def update_pod(self, key: Key, pod: ROObj | None) -> None:
        """A pod of this node as it is now, for its host ports; None when it is gone."""
        ports = host_ports(pod) if pod is not None else ()
        if ports == self._host_ports.get(key, ()):
            return
        if ports:
            self._host_ports[key] = ports
        else:
            del self._host_ports[key]
        self._touch(_Owner("pod", key))

    def _touch(self, owner: _Owner) -> None:
        self._dirty[owner] = None
        self._idle.clear()
        self._wake.set()

    # --- life ------------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Everything has been told: load all rules, in the place of those of an earlier run, and keep them. Raises NetworkError."""
        while self._dirty:
            self._take(self._dirty)
        await self._load()
        self._idle.set()
        self._tasks.start("sync", self._run())
        self._tasks.start("verify", self._verify())

    async def close(self) -> None:
        """Rules of the kernel stay."""
        await self._tasks.close()
        await self._backend.close()

    async def settled(self) -> None:
        """Wait until all that was told has been carried out."""
        await self._idle.wait()

    def statistics(self) -> dict[str, int]:
        return {
            "services": len(self._services),
            "points": len(self._claims),
            "loads": self._loads,
            "changes": self._changes,
        }

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._lost:
                self._lost = False
                await self._load_until_done()
            while self._dirty:
                batch = dict(list(self._dirty.items())[:_AT_ONCE])
                removed, added = self._take(batch)
                if removed or added:
                    await self._change(removed, added)
            self._idle.set()

    def _take(self, owners: dict[_Owner, None]) -> tuple[list[Frontend], list[Frontend]]:
        """(frontends that go, frontends that come) for these owners, as decided now."""
        removed: list[Frontend] = []
        added: list[Frontend] = []
        for owner in list(owners):
            self._dirty.pop(owner, None)
            old = self._frontends.pop(owner, {})
            new = self._claim(owner)
            if new:
                self._frontends[owner] = new
            removed += [frontend for point, frontend in old.items() if new.get(point) != frontend]
            added += [frontend for point, frontend in new.items() if old.get(point) != frontend]
            for point in old.keys() - new.keys():
                del self._claims[point]
                for other in self._waiting.pop(point, ()):
                    self._touch(other)
        return removed, added

    def _claim(self, owner: _Owner) -> dict[Point, Frontend]:
        """What `owner` asks for and nobody else has. It gets the rest when that is free."""
        claimed: dict[Point, Frontend] = {}
        for frontend in self._wanted(owner):
            holder = self._claims.setdefault(frontend.point, owner)
            if holder == owner:
                claimed[frontend.point] = frontend
            else:
                self._waiting.setdefault(frontend.point, set()).add(owner)
        return claimed

    def _wanted(self, owner: _Owner) -> Iterable[Frontend]:
        if owner.kind == "pod":
            return host_port_frontends(self._host_ports.get(owner.key, ()))
        service = self._services.get(owner.key)
        if service is None:
            return ()
        return service_frontends(service, self._slices.get(owner.key, {}).values(), self._node)

    async def _change(self, removed: list[Frontend], added: list[Frontend]) -> None:
        try:
            await self._backend.change(removed, added)
            self._changes += 1
        except NetworkError as error:
            log.warning("service rules not changed; loading all", extra={"error": str(error)})
            await self._load_until_done()

    async def _load(self) -> None:
        await self._backend.load([f for of in self._frontends.values() for f in of.values()])
        self._loads += 1

    async def _load_until_done(self) -> None:
        while True:
            try:
                await self._load()
                return
            except NetworkError as error:
                log.error("service rules not loaded", extra={"error": str(error)})
                await self._clock.sleep(_RETRY_SECONDS)

    async def _verify(self) -> None:
        """Notice that somebody flushed the rules (a firewall that reloads): kernel objects cannot be watched as cheaply."""
        while True:
            await self._clock.sleep(_VERIFY_SECONDS)
            if self._idle.is_set() and not self._backend.is_intact():
                log.warning("service rules were removed by somebody else; loading them again")
                self._lost = True
                self._wake.set()


def host_ports(pod: ROObj) -> tuple[HostPort, ...]:
    """The host ports of a pod that has an address and has not ended. Pure."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    address = status.get("podIP")
    if spec.get("hostNetwork") or not address or status.get("phase") in ("Succeeded", "Failed"):
        return ()
    return tuple(
        HostPort(
            (port.get("protocol") or "TCP").lower(),
            port["hostPort"],
            Target(address, port["containerPort"]),
            "" if port.get("hostIP") in (None, "", "0.0.0.0") else port["hostIP"],
        )
        for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
        for port in container.get("ports") or ()
        if port.get("hostPort")
    )
