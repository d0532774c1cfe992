"""`Server`: the control plane of a simulation, one generation after the other over the same file.

`start`, `stop` (an orderly end) and `crash` (as by kill -9: nothing is finished, what was not acknowledged may or may not be there).
At every start what the store holds is compared with what was published before: nothing acknowledged may be missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from minik.aio import Tasks
from minik.api.builtin import builtin_registry
from minik.cli.controlplane import ControlPlane
from minik.client.transport import Transport
from minik.metrics import Metrics
from minik.server.app import ServerSettings
from minik.server.local import LocalTransport
from minik.server.request import User
from minik.storage.base import Event, EventType, Revision
from minik.storage.compactor import Retention
from minik.storage.sqlite import SqliteStore
from tests.support.simulation import signing
from tests.support.simulation.disk import Disk
from tests.support.simulation.history import History
from tests.support.simulation.links import Asked, NodeLinks
from tests.support.simulation.loop import HostClock, Seeds
from tests.support.simulation.network import Link, LinkTransport

SETTINGS = ServerSettings(
    ca_certificate=b"-----BEGIN CERTIFICATE-----\nsimulated\n-----END CERTIFICATE-----\n",
    token_signing_key=b"none: nobody asks for a token here",
    sign_csr=signing.sign,
)
ADDRESS, PORT = "192.168.0.1", 6443

Watcher = Callable[[Sequence[Event]], None]


class _Process:
    """One generation."""

    def __init__(self, store: SqliteStore, number: int) -> None:
        self.store = store
        self.tasks = Tasks(f"server {number}")
        self.plane: ControlPlane | None = None
        self.listens = False
        """Nobody reaches it before it has read its store."""

    def transport(self, user: str, groups: frozenset[str]) -> LocalTransport:
        assert self.plane is not None
        return LocalTransport(self.plane.api.handler, User(user, groups))


class Server:
    """See the module. `on_events` hears every event that a store publishes, or that a crash kept from being published."""

    def __init__(
        self, disk: Disk, link: Link, *, seeds: Seeds, history: History, on_events: Watcher, retention: Retention
    ) -> None:
        self.disk, self.link = disk, link
        """`link`: between the controllers and the API server."""
        self.clock = HostClock()
        self.generation = 0
        self.lost: list[str] = []
        """Acknowledged writes that a restart did not bring back."""
        self.restarts: list[float] = []
        self.nodes: dict[str, Asked] = {}
        """Whom it may ask what is used."""
        self.reconciles: Counter[str] = Counter()
        """Of each controller, in the generations that have ended."""
        self._seeds, self._history, self._on_events, self._retention = seeds, history, on_events, retention
        self._process: _Process | None = None
        self._published: dict[str, int] = {}
        """Durable keys and their revisions, as published."""
        self._revision = Revision(0)

    @property
    def running(self) -> _Process | None:
        """What clients reach."""
        process = self._process
        return process if process is not None and process.listens and not process.tasks.closed else None

    @property
    def plane(self) -> ControlPlane:
        assert self._process is not None and self._process.plane is not None
        return self._process.plane

    @property
    def store(self) -> SqliteStore:
        assert self._process is not None
        return self._process.store

    def transport(self, link: Link, user: str, groups: frozenset[str]) -> LinkTransport:
        """A client's way here, over restarts."""
        return LinkTransport(link, lambda: self.running, user, groups)

    async def start(self) -> None:
        self.generation += 1
        self._history.note("server", f"starts, generation {self.generation}")
        store = await SqliteStore.open(
            self.disk.path, clock=self.clock, retention=self._retention, synchronous="OFF", connect=self.disk.connect
        )
        process = self._process = _Process(store, self.generation)
        await self._compare(store)
        store.listen(self._published_events)

        def way(transport: LocalTransport) -> Transport:
            return LinkTransport(self.link, lambda: process, transport.user.name, transport.user.groups)

        plane = process.plane = ControlPlane(
            store,
            registry=builtin_registry(),
            settings=SETTINGS,
            links=NodeLinks(self.nodes),
            metrics=Metrics(),
            clock=self.clock,
            entropy=self._seeds.entropy(f"server {self.generation}"),
            way=way,
        )
        plane.api.tokens.sign_legacy = signing.sign_token  # type: ignore[method-assign]  # the real ones differ every time
        await plane.serve()
        process.listens = True
        await plane.start(address=ADDRESS, port=PORT)

    async def _compare(self, store: SqliteStore) -> None:
        """What is there now against what was published; what a crash kept from being published is published now."""
        page = await store.list("")
        there = {record.key: int(record.revision) for record in page.records}
        for key, revision in self._published.items():
            if there.get(key, 0) < revision and key in there:
                self.lost.append(f"{key} is at revision {there[key]}, not at {revision}")
        floor = await store.oldest_revision()
        if floor <= self._revision:
            missed = await store.events("", since=self._revision, upto=await store.current_revision())
            gone = {event.key for event in missed if event.type is EventType.DELETE}
            for key in self._published:
                if key not in there and key not in gone:
                    self.lost.append(f"{key} is gone")
            self._published_events(missed)

    def _published_events(self, events: Sequence[Event]) -> None:
        self._history.store(events)
        for event in events:
            if event.revision <= self._revision:
                self.lost.append(f"revision {event.revision} comes after {self._revision}")
            self._revision = event.revision
            if event.type is EventType.DELETE:
                self._published.pop(event.key, None)
            elif _is_durable(event.key):
                self._published[event.key] = event.revision
        self._on_events(events)

    def _take_stock(self) -> None:
        metrics = self.plane.metrics
        total = metrics.counter("controller_reconcile_total", "", ["controller", "result"])
        for (controller, _), number in total.values():
            self.reconciles[controller] += int(number)

    async def stop(self) -> None:
        """An orderly end."""
        self._history.note("server", "stops")
        process = self._process
        if process is None:
            return
        if process.plane is not None:
            self._take_stock()
            await process.plane.close_loops()
        await process.tasks.close()
        if process.plane is not None:
            await process.plane.close()
        await process.store.close()
        self._process = None
        self.restarts.append(self.clock.monotonic())

    async def crash(self) -> None:
        """kill -9: the file stays as it is now."""
        self._history.note("server", "is killed")
        process = self._process
        if process is None:
            return
        if process.plane is not None:
            self._take_stock()
        self.disk.pull_plug()
        store = process.store
        await store._tasks.close()  # the writer, wherever it is: a process that is killed ends without further steps
        store._closing = True
        await process.tasks.close()
        if process.plane is not None:
            await process.plane.close()
        await store._db.close()
        store._lock.release()
        self._process = None
        self.restarts.append(self.clock.monotonic())


def _is_durable(key: str) -> bool:
    return not key.startswith(("events/", "leases.coordination.k8s.io/kube-node-lease/"))


def summary(values: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(values.items()))
