"""`SimulatedNode`: the real agent on an engine that outlives it. Agents end and come back, hosts lose power, cables are pulled.

`Engine` is a `FakeRuntime` that does what it was asked even if the agent that asked is gone by then, takes its time, and tells when
a container starts.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

from minik.agent import names
from minik.agent.containers.base import ContainerInfo, ContainerSpec, ImageInfo, SandboxSpec
from minik.agent.containers.fake import FakeRuntime
from minik.agent.hooks import no_hook
from minik.agent.network.fake import FakeNetwork
from minik.agent.probes import always_well
from minik.agent.volumes.base import NoVolumes
from minik.aio import Tasks
from minik.api.errors import ServiceUnavailable
from minik.api.registry import Registry
from minik.cli.compose_node import SIMULATED, Host, Node, build_node
from minik.cli.controlplane import NODES
from minik.clock import Entropy
from minik.config import AgentConfig
from minik.link.mux import Stream
from tests.support.simulation.history import History
from tests.support.simulation.loop import HostClock, Seeds
from tests.support.simulation.network import Link
from tests.support.simulation.server import Server

T = TypeVar("T")


class Engine(FakeRuntime):
    """See the module. `on_start(container)` is called when a container, not a sandbox, begins to run."""

    def __init__(
        self, node: str, *, clock: HostClock, entropy: Entropy, rng: random.Random, on_start: Callable[[ContainerInfo], None]
    ) -> None:  # fmt: skip
        super().__init__(node, clock=clock, entropy=entropy, info=SIMULATED)
        self._rng = rng
        self._on_start = on_start
        self._work = Tasks(f"engine {node}")
        self._pods: dict[str, dict[str, Any]] = {}
        self.slow = 1.0
        """Factor on how long everything takes."""

    async def _do(self, what: Coroutine[Any, Any, T], seconds: float = 0.0) -> T:
        """Takes a while, and is done even if nobody waits for it any more."""
        seconds += self._rng.uniform(0.001, 0.1) * self.slow

        async def work() -> tuple[Exception | None, T | None]:
            try:
                await asyncio.sleep(seconds)
                return None, await what
            except Exception as error:  # whatever the engine says is the caller's
                return error, None
            finally:
                what.close()

        task = self._work.start("work", work())
        await asyncio.wait([task])
        if task.cancelled():  # power loss: nobody is there to hear of it
            await asyncio.get_running_loop().create_future()
        error, result = task.result()
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]  # there is one if there is no error

    async def run_sandbox(self, spec: SandboxSpec) -> ContainerInfo:
        return await self._do(super().run_sandbox(spec))

    async def create_container(self, spec: ContainerSpec) -> ContainerInfo:
        return await self._do(super().create_container(spec))

    async def start(self, container: str) -> ContainerInfo:
        return await self._do(super().start(container))

    async def stop(self, container: str, grace: float, *, signal: str = "") -> None:
        takes = self._rng.choice((0.0, 0.1, 1.0, grace))
        await self._do(super().stop(container, grace, signal=signal), min(grace, takes))

    async def remove(self, container: str) -> None:
        await self._do(super().remove(container))

    async def pull(self, reference: str, *, auth: Mapping[str, str] | None = None) -> ImageInfo:
        return await self._do(super().pull(reference, auth=auth), self._rng.uniform(0.1, 3.0))

    def _add(self, name: str, labels: Mapping[str, str], image: str) -> Any:
        made = super()._add(name, labels, image)
        self._pods.setdefault(labels.get(names.UID, ""), {})[made.info.id] = made
        return made

    def running_of(self, uid: str) -> list[ContainerInfo]:
        """What of one pod runs now."""
        of_pod = self._pods.get(uid, {})
        for gone in [identity for identity in of_pod if identity not in self._containers]:
            del of_pod[gone]
        return [each.info for each in of_pod.values() if each.info.state == "running"]

    def _run(self, container: Any) -> None:
        super()._run(container)
        if container.info.labels.get(names.CONTAINER):
            self._on_start(container.info)

    @property
    def is_available(self) -> bool:
        return self._available

    def running(self) -> list[ContainerInfo]:
        """What runs now, in the order of creation."""
        return [each.info for each in self._containers.values() if each.info.state == "running"]

    async def lose_power(self) -> None:
        await self._work.close()
        if self._tasks is not None:
            await self._tasks.close()
            self._tasks = None
        self._work = Tasks(f"engine {self.node}")
        self._events = None
        self.power_loss()

    def heal(self) -> None:
        """Everything works again."""
        self.slow = 1.0
        self._fail_pull.clear()
        self.set_available(True)

    async def close(self) -> None:
        """The agent ends; the engine does not."""
        self._events = None

    async def switch_off(self) -> None:
        await self._work.close()
        await super().close()


class SimulatedNode:
    """A host: engine, network, clock, cable, and an agent at times."""

    def __init__(
        self, number: int, server: Server, registry: Registry, *, seeds: Seeds, history: History,
        on_start: Callable[[str, ContainerInfo], None],
    ) -> None:  # fmt: skip
        self.name = f"node-{number}"
        self.clock = HostClock()
        self.link = Link(self.name, seeds.rng(f"link {self.name}"), latency=0.005)
        self.engine = Engine(
            self.name, clock=self.clock, entropy=seeds.entropy(f"engine {self.name}"),
            rng=seeds.rng(f"engine {self.name}"), on_start=lambda info: on_start(self.name, info),
        )  # fmt: skip
        self.is_off = False
        self._network = FakeNetwork()
        self._entropy = seeds.entropy(f"agent {self.name}")
        self._history = history
        self._registry = registry
        self._config = AgentConfig(name=self.name, data_dir=Path("/nonexistent"), containers="fake")
        self._ip = f"192.168.0.{10 + number}"
        self._transport = server.transport(self.link, f"system:node:{self.name}", NODES)
        self._node: Node | None = None
        server.nodes[self.name] = self

    @property
    def has_agent(self) -> bool:
        return self._node is not None

    @property
    def is_ready(self) -> bool:
        return self._node is not None and self._node.agent.ready.is_set()

    async def answer(self, payload: bytes, stream: Stream) -> None:
        """What the server asks of the agent, and what that says. Raises ServiceUnavailable if there is none, or no way to it."""
        await self.link.travel()
        if self._node is None:
            raise ServiceUnavailable(f"error dialing backend: node {self.name} is not connected")
        await self._node.streams.handle(payload, stream)
        await self.link.travel()

    async def start_agent(self) -> None:
        if self._node is not None or self.is_off:
            return
        self._history.note("node", f"{self.name}: the agent starts")
        parts = {"volumes": NoVolumes(), "probe": always_well, "hook": no_hook}
        self._node = build_node(
            self._config,
            self._transport,
            self._registry,
            node_ip=self._ip,
            clock=self.clock,
            entropy=self._entropy,
            host=Host(self.engine, self._network, is_real=False, parts=parts, usage=self.engine),
        )
        await self._node.start()

    async def stop_agent(self) -> None:
        """As by kill -9: it writes nothing more."""
        node, self._node = self._node, None
        if node is not None:
            self._history.note("node", f"{self.name}: the agent ends")
            await node.close()

    async def lose_power(self) -> None:
        self.is_off = True
        await self.stop_agent()
        await self.engine.lose_power()
        self._network = FakeNetwork()

    async def switch_on(self) -> None:
        self.is_off = False
        await self.start_agent()

    async def close(self) -> None:
        await self.stop_agent()
        await self.engine.switch_off()
