"""`Agent`: one node. Start reading here: it wires the node's parts together and turns what is watched into workers.

    pods of this node (informer) ──┐
    containers (observe.py) ───────┼─► PodWorker (podloop.py): plan.py → act.py → status.py
    probes, volume sources ────────┘
    heartbeat.py: Lease, node status, the occasional full list

Made by the command line (one per host), by the server for its own node, and by simulations (thousands in one process, with
`FakeRuntime`, `FakeNetwork` and `NoVolumes`). Service proxy, DNS and the link to the server are parts beside it, not in it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from minik.agent import names
from minik.agent.act import Actor
from minik.agent.admission import WRONG_NODE, Room
from minik.agent.containers.base import ContainerInfo, ContainerRuntime, EngineInfo, RuntimeFailure
from minik.agent.context import ImageSource, NodeContext
from minik.agent.etcfiles import ClusterDns
from minik.agent.events import pod_events
from minik.agent.heartbeat import Heartbeat
from minik.agent.hooks import HookRunner, HostHooks
from minik.agent.host import disk_size, free_disk, free_memory, min_oom_score
from minik.agent.network.base import NetworkError, PodNetwork
from minik.agent.observe import Observations
from minik.agent.podloop import PodWorker, orphan
from minik.agent.probes import HostProbes, Prober, ProbeRunner
from minik.agent.registration import Health, HostFacts, host_facts, node_object, register
from minik.agent.room import NodeRoom
from minik.agent.sources import PodTokens, WatchedObjects
from minik.agent.stats import CgroupUsage
from minik.agent.volumes.base import Volumes
from minik.agent.volumes.claims import PodClaims, may_have
from minik.agent.volumes.directories import Directories
from minik.agent.volumes.manager import HostVolumes
from minik.aio import Tasks
from minik.api import meta
from minik.api.errors import StatusError
from minik.api.meta import ROObj
from minik.client.client import Client
from minik.client.informer import Informer, Informers
from minik.client.recorder import Recorder
from minik.clock import Clock, Entropy

log = logging.getLogger("minik.agent")

RETRY_SECONDS = 1.0
_SIMULATED_DISK = 100 << 30


class Agent:
    """A node. `start` returns at once; `ready` is set when the node has reported itself Ready."""

    def __init__(
        self,
        *,
        name: str,
        node_ip: str,
        client: Client,
        informers: Informers,
        runtime: ContainerRuntime,
        network: PodNetwork,
        images: ImageSource,
        clock: Clock,
        entropy: Entropy,
        data_dir: Path,
        recorder: Recorder | None = None,
        volumes: Volumes | None = None,
        probe: ProbeRunner | None = None,
        hook: HookRunner | None = None,
        dns: ClusterDns | None = None,
        services: Callable[[], Iterable[ROObj]] = tuple,
        labels: Mapping[str, str] | None = None,
        taints: Sequence[Mapping[str, str]] = (),
    ) -> None:
        """`volumes`, `probe`, `hook`: None for those of a real host; simulations give `NoVolumes()`, `always_well`, `no_hook`."""
        self.name, self.node_ip = name, node_ip
        self.ready = asyncio.Event()
        self.pod_cidr = ""
        self._client, self._informers, self._clock, self._entropy = client, informers, clock, entropy
        self._runtime, self._network = runtime, network
        self._labels, self._taints = dict(labels or {}), tuple(taints)
        self._tasks = Tasks(f"agent {name}")
        self._workers: dict[str, PodWorker] = {}
        self._by_key: dict[meta.Key, str] = {}
        self._pods: Informer | None = None
        self._unsubscribe: Callable[[], None] = lambda: None
        self._room = NodeRoom(self._workers, self._wake)
        self._asking: dict[str, ROObj] = {}
        """By uid: pods that are not refused before the node's labels were read anew."""
        self._network_failure = "the pod network is not set up yet"
        self._said: dict[str, str] = {}
        """What was logged of each thing that does not work, last."""
        self._objects: WatchedObjects | None = None
        self._claims: PodClaims | None = None
        self.observations = Observations(runtime, self._wake, self._wake_all)
        dns = dns or ClusterDns()
        if volumes is None:
            self._objects = WatchedObjects(client, clock=clock, entropy=entropy, on_change=self._sources_changed)
            self._claims = PodClaims(
                client, self._objects, node=name, labels=lambda: self._room.room.labels,
                on_change=lambda: self._directories.look_again(),
            )  # fmt: skip
            tokens = PodTokens(client, clock=clock)
            volumes = HostVolumes(data_dir, objects=self._objects, tokens=tokens, claims=self._claims, dns=dns)
        self._directories = Directories(
            client, informers, node=name, clock=clock, recorder=recorder, in_use=self._is_used,
            is_real=self._objects is not None,
        )  # fmt: skip
        self._prober = Prober(
            clock=clock, ask=probe or HostProbes(runtime, network), on_change=self._wake, on_unhealthy=self._unhealthy
        )
        self._ctx = NodeContext(
            name=name,
            node_ip=node_ip,
            client=client,
            runtime=runtime,
            network=network,
            volumes=volumes,
            images=images,
            observations=self.observations,
            prober=self._prober,
            hook=hook or HostHooks(runtime, network, clock),
            clock=clock,
            event=pod_events(recorder),
            data_dir=data_dir,
            dns=dns,
            services=services,
            min_oom_score=min_oom_score(),
            has_devices=self._objects is None,
        )
        if self._objects is not None:
            self._ctx.memory_used = CgroupUsage().memory_of
        self._actor = Actor(self._ctx)

    # --- life ------------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin: register, set up the network, take over what runs, follow the API server."""
        self._tasks.start("main", self._main())

    async def close(self) -> None:
        """Stop; containers are left as they are."""
        self._unsubscribe()
        for worker in self._workers.values():
            worker.close()
        await self._tasks.close()
        await self._directories.close()
        await self._prober.close()
        if self._objects is not None:
            await self._objects.close()

    async def _main(self) -> None:
        engine = await self._engine_info()
        is_real, disk = self._objects is not None, _SIMULATED_DISK  # volumes of a real host
        if is_real:
            self._ctx.data_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
            disk = disk_size(self._ctx.data_dir)
        facts = host_facts(
            self.name, self.node_ip, engine, disk=disk, labels=self._labels, taints=self._taints, is_real=is_real
        )
        self._ctx.cpus, self._ctx.memory = facts.cpus * 1000, facts.memory
        self._tasks.start("events", self.observations.run())
        node = await self._register(facts)
        heartbeat = Heartbeat(
            self._client, self.observations, facts, node,
            clock=self._clock, entropy=self._entropy, measure=self._measure,
            images=self._runtime.images if is_real else None,
        )  # fmt: skip
        self.pod_cidr = await self._wait_pod_cidr(node)
        await self.observations.listed.wait()
        await self._start_network()
        await self._report_ready(heartbeat)
        self._tasks.start("heartbeat", heartbeat.run())
        self._room.room = Room(facts.cpus * 1000, facts.memory, facts.pods, meta.labels(node))
        self._pods = self._informers.of("pods", field_selector=f"spec.nodeName={self.name}")
        self._unsubscribe = self._pods.add_handler(added=self._added, updated=self._updated, deleted=self._deleted)
        await self._pods.wait_synced()
        self._adopt_orphans()
        self._directories.start()
        await self._clear_leftovers()

    async def _engine_info(self) -> EngineInfo:
        while True:
            try:
                return await self._runtime.info()
            except RuntimeFailure as error:
                await self._try_again("the container engine does not answer", error)

    async def _try_again(self, what: str, error: Exception) -> None:
        """Wait before another try. What has been said is not said again until it changes."""
        text = str(error)
        if self._said.get(what) != text:
            self._said[what] = text
            log.warning(what, extra={"node": self.name, "error": text})
        await self._clock.sleep(RETRY_SECONDS)

    async def _register(self, facts: HostFacts) -> ROObj:
        while True:
            try:
                return await register(self._client, node_object(facts, self._measure(), self._clock.now()))
            except StatusError as error:
                await self._try_again("node not registered", error)

    async def _wait_pod_cidr(self, node: ROObj) -> str:
        """The node's range of pod addresses, once the control plane has given it one."""
        while True:
            cidr = node["spec"].get("podCIDR")
            if cidr:
                return str(cidr)
            try:
                stream = self._client.watch("nodes", field_selector=f"metadata.name={self.name}")
                async for event in stream:
                    if event.type != "BOOKMARK" and event.object["spec"].get("podCIDR"):
                        node = event.object
                        break
                await stream.aclose()  # type: ignore[attr-defined]  # the protocol promises an async generator
            except StatusError as error:
                await self._try_again("node not watched", error)

    async def _start_network(self) -> None:
        """Set up the pod network and tell it which addresses are taken."""
        while True:
            try:
                await self._network.start(node_name=self.name, pod_cidr=self.pod_cidr, node_ip=self.node_ip)
                break
            except (NetworkError, OSError) as error:
                self._network_failure = str(error)
                await self._try_again("pod network not started", error)
        self._network_failure = ""
        for uid in self.observations.pods():
            for sandbox in self.observations.pod(uid).sandboxes[:1]:
                address = sandbox.labels.get(names.POD_IP, "")
                if address and address != self.node_ip:
                    self._network.adopt(uid, address)

    async def _report_ready(self, heartbeat: Heartbeat) -> None:
        while True:
            try:
                await heartbeat.beat()
                break
            except StatusError as error:
                await self._try_again("node status not written", error)
        self.ready.set()

    def _measure(self) -> Health:
        if self._objects is None:  # simulated: the host's shortages are not this node's
            return Health(network=self._network_failure)
        memory, disk = free_memory(), free_disk(self._ctx.data_dir)
        return Health(network=self._network_failure, free_memory=memory, free_disk=disk)

    # --- workers ---------------------------------------------------------------------------------------------------------

    def _added(self, pod: ROObj) -> None:
        uid = meta.uid(pod)
        worker = self._workers.get(uid)
        if worker is not None:
            worker.update(pod)
            self._room.changed(uid)
            return
        if uid in self._asking:
            self._asking[uid] = pod
        else:
            self._take(pod)

    def _take(self, pod: ROObj, *, asked: bool = False) -> None:
        """A worker for the pod, if this node has room for it. `asked`: the node's labels are fresh."""
        uid, refusal = meta.uid(pod), None
        if self.observations.pod(uid).is_empty:
            refusal = self._room.refusal(pod)
        if refusal is not None and refusal.reason == WRONG_NODE and not asked:
            self._asking[uid] = pod
            self._tasks.start(f"labels for {meta.key(pod)}", self._ask_labels(uid))
            return
        worker = self._make_worker(pod)
        if refusal is not None:
            worker.reject(refusal.reason, f"Pod was rejected: {refusal.message}")
        worker.wake()

    async def _ask_labels(self, uid: str) -> None:
        """Before a pod is refused for this node's labels: they may have changed since the node registered."""
        try:
            node = await self._client.get("nodes", self.name)
            self._room.room = replace(self._room.room, labels=meta.labels(node))
        except StatusError as error:
            log.warning("labels of the node not read", extra={"node": self.name, "error": str(error)})
        pod = self._asking.pop(uid, None)
        if pod is not None:
            self._take(pod, asked=True)

    def _make_worker(self, pod: ROObj) -> PodWorker:
        uid = meta.uid(pod)
        worker = PodWorker(self._ctx, self._actor, self._tasks, pod, on_done=self._done, fits=self._room.fits)
        self._workers[uid] = worker
        self._by_key[meta.key(pod)] = uid
        return worker

    def _updated(self, _old: ROObj, pod: ROObj) -> None:
        self._added(pod)

    def _deleted(self, pod: ROObj) -> None:
        self._asking.pop(meta.uid(pod), None)
        worker = self._workers.get(meta.uid(pod))
        if worker is not None:
            worker.vanish(pod)

    def _done(self, uid: str) -> None:
        worker = self._workers.pop(uid, None)
        if worker is not None and self._by_key.get(meta.key(worker.pod)) == uid:
            del self._by_key[meta.key(worker.pod)]
        self._room.gone(uid)
        self._directories.look_again()
        if worker is not None and not self.observations.pod(uid).is_empty:
            self._wake(uid)

    def _wake(self, uid: str) -> None:
        worker = self._workers.get(uid)
        if worker is not None:
            worker.wake()
        elif self._pods is not None and self._pods.synced:
            self._adopt_orphan(uid)

    def _wake_all(self) -> None:
        """The engine is back: whoever waited for it need not wait longer."""
        for worker in self._workers.values():
            worker.wake()

    def _sources_changed(self, uid: str) -> None:
        worker = self._workers.get(uid)
        if worker is not None:
            worker.sources_changed()

    def _is_used(self, volume: ROObj) -> bool:
        """Whether a pod here may have the PersistentVolume."""
        held = self._claims.held if self._claims is not None else None
        return held is not None and any(may_have(w.pod, volume, held(uid)) for uid, w in self._workers.items())

    def _unhealthy(self, pod: ROObj, container: str, message: str) -> None:
        self._ctx.event(pod, "Warning", "Unhealthy", message, container=container)

    def _adopt_orphans(self) -> None:
        for uid in self.observations.pods():
            if uid not in self._workers:
                self._adopt_orphan(uid)

    def _adopt_orphan(self, uid: str) -> None:
        """Containers whose pod is unknown to the API server: a worker that clears them away."""
        observed = self.observations.pod(uid)
        if not observed.is_empty and uid:
            worker = self._make_worker(orphan(observed))
            worker.vanish(worker.pod)

    async def _clear_leftovers(self) -> None:
        """Addresses and files of pods that are neither here nor in the API server."""
        for uid in await self._network.attached():
            if uid not in self._workers:
                await self._network.detach(uid)
        for uid in self._ctx.volumes.pods():
            if uid not in self._workers:
                await self._ctx.volumes.remove(uid)

    # --- for the link to the server (serve.py) ---------------------------------------------------------------------------

    def find_container(
        self, namespace: str, pod: str, uid: str, container: str, *, previous: bool = False
    ) -> ContainerInfo:
        """The newest attempt of a container that has run, or the one before it. `uid` "" for whichever pod has the name.
        LookupError with words for the user."""
        uid = uid or self._by_key.get(meta.Key(namespace, pod), "")
        attempts = self.observations.pod(uid).containers.get(container, ())
        shown = [info for info in attempts if info.state != "created" or info.error]
        wanted = shown[1:] if previous else shown
        if not wanted:
            if previous:
                raise LookupError(f'previous terminated container "{container}" in pod "{pod}" not found')
            raise LookupError(f'container "{container}" in pod "{pod}" is waiting to start: ContainerCreating')
        return wanted[0]

    def find_sandbox(self, namespace: str, pod: str, uid: str) -> ContainerInfo:
        """The pod's running sandbox. LookupError with words for the user."""
        uid = uid or self._by_key.get(meta.Key(namespace, pod), "")
        sandbox = self.observations.pod(uid).sandbox
        if sandbox is None:
            raise LookupError(f'pod "{pod}" is not running')
        return sandbox

    def statistics(self) -> dict[str, Any]:
        return {"pods": len(self._workers), "tasks": len(self._tasks), "ready": self.ready.is_set()}
