"""What goes wrong, when and for how long: drawn from the seed. Each fault ends by itself; `heal` ends all of them at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from minik.aio import Tasks
from minik.api.errors import NotFound, StatusError
from minik.client.client import Client
from minik.storage.base import StoreError
from tests.support.simulation.network import Link, Rates
from tests.support.simulation.subjects.hosts import OUT_OF_SERVICE

if TYPE_CHECKING:
    from tests.support.simulation.host import SimulatedNode
    from tests.support.simulation.run import Simulation

LONGEST_STALL = 20.0
"""Seconds; controllers wait for their caches longer than that (`minik.client.manager.CATCH_UP_SECONDS`)."""
_UNDER_WAY = 2.0
"""Seconds in which the server has done what was asked for: a Node that is being deleted goes before its agent starts."""
_BOUND = 1000.0
"""Seconds that a wall clock is wrong at most."""


class Faults:
    """The misfortunes of a run."""

    def __init__(self, simulation: Simulation, rng: random.Random) -> None:
        self._simulation, self.rng = simulation, rng
        self._tasks = Tasks("faults")
        self._server_turn = asyncio.Lock()
        self._node_turns: dict[str, asyncio.Lock] = {}

    async def run(self, until: float) -> None:
        """Let things go wrong until the loop's time is `until`."""
        loop, rng = asyncio.get_running_loop(), self.rng
        pause = rng.choice((3.0, 8.0, 20.0))
        pause = self._simulation.plan.fault_pace or pause
        chosen = sorted(
            rng.sample(range(len(_FAULTS)), rng.randint(2, len(_FAULTS)))
        )  # swarm: not every run has every fault
        known = [_FAULTS[index] for index in chosen]
        if self._simulation.plan.is_gentle:
            known = [each for each in _FAULTS if each[0] in _HARMLESS]
        faults, weights = zip(*known, strict=True)
        while True:
            await asyncio.sleep(rng.expovariate(1.0 / pause))
            if loop.time() >= until:
                return
            (fault,) = rng.choices(faults, weights)
            self._tasks.start(fault.__name__, fault(self))

    async def heal(self) -> None:
        """Everything is well again: links, disk, engines; clocks are right, server and agents run."""
        await self.close()
        simulation = self._simulation
        self.note("everything is put right")
        simulation.disk.is_full, simulation.disk.slow = False, 1.0
        for clock in (simulation.server.clock, *(node.clock for node in simulation.nodes)):
            clock.set_right()
        for link in simulation.links:
            link.calm()
        if simulation.server.running is None:
            await simulation.server.crash()
            await simulation.server.start()
        await asyncio.sleep(_UNDER_WAY)
        for node in simulation.nodes:
            node.engine.heal()
            await node.switch_on()

    async def close(self) -> None:
        """No more of them; what is wrong stays wrong."""
        await self._tasks.close()

    async def insist(self, ask: Callable[[Client], Awaitable[object]]) -> None:
        """Ask the server until it has answered."""
        while True:
            try:
                await ask(self._simulation.teller)
            except NotFound:
                return
            except StatusError:
                await self.wait(0.5, 2.0)
            else:
                return

    # --- for the faults below ----------------------------------------------------------------------------------------

    def note(self, text: str) -> None:
        self._simulation.history.note("fault", text)

    @property
    def simulation(self) -> Simulation:
        return self._simulation

    def link(self) -> Link:
        links = self._simulation.links
        return self.rng.choice(
            links[:2] if self._simulation.plan.is_gentle else links
        )  # the server's own, and people's

    def node(self) -> SimulatedNode:
        return self.rng.choice(self._simulation.nodes)

    def turn_of(self, node: SimulatedNode) -> asyncio.Lock:
        """Held while a node is down, so that two faults do not both bring it up and down."""
        return self._node_turns.setdefault(node.name, asyncio.Lock())

    @property
    def server_turn(self) -> asyncio.Lock:
        return self._server_turn

    async def wait(self, least: float, most: float) -> None:
        await asyncio.sleep(self.rng.uniform(least, most))


Fault = Callable[[Faults], Awaitable[None]]


# --- the way to the server -------------------------------------------------------------------------------------------


async def drop_watches(faults: Faults) -> None:
    link = faults.link()
    faults.note(f"{link.name}: all watches end")
    link.drop_watches()


async def stall_watches(faults: Faults) -> None:
    link = faults.link()
    seconds = faults.rng.uniform(0.5, LONGEST_STALL)
    faults.note(f"{link.name}: watches stall for {seconds:.1f} s")
    link.stalled_until = asyncio.get_running_loop().time() + seconds


async def bad_network(faults: Faults) -> None:
    """Requests and watches fail at random for a while."""
    link, rng = faults.link(), faults.rng

    def some() -> float:
        return rng.choice((0.0, 0.0, 0.05, 0.2))

    rates = Rates(refused=some(), lost=some(), conflict=some(), dropped=some(), repeated=some(), expired=some())
    faults.note(f"{link.name}: {rates}")
    link.rates = rates
    await faults.wait(1.0, 30.0)
    link.rates = Rates()
    faults.note(f"{link.name}: good again")


async def cut_node(faults: Faults) -> None:
    """Long enough, and the node is NotReady and its pods are evicted."""
    node = faults.node()
    faults.note(f"{node.name}: cut off")
    node.link.cut()
    await faults.wait(1.0, faults.rng.choice((10.0, 100.0, 400.0)))
    node.link.is_cut = False
    faults.note(f"{node.name}: reachable again")


# --- nodes -----------------------------------------------------------------------------------------------------------


async def restart_agent(faults: Faults) -> None:
    node = faults.node()
    async with faults.turn_of(node):
        faults.note(f"{node.name}: the agent is killed")
        await node.stop_agent()
        await faults.wait(0.1, faults.rng.choice((3.0, 60.0, 400.0)))
        await node.start_agent()


async def lose_power(faults: Faults) -> None:
    node = faults.node()
    async with faults.turn_of(node):
        faults.note(f"{node.name}: loses power")
        await node.lose_power()
        await faults.wait(2.0, faults.rng.choice((20.0, 90.0, 400.0)))
        faults.note(f"{node.name}: is switched on")
        await node.switch_on()


async def lose_host(faults: Faults) -> None:
    """For long, and people know: they say that it is out of service, or delete its Node. It comes back as it was, or as a new one."""
    node, rng = faults.node(), faults.rng
    async with faults.turn_of(node):
        faults.note(f"{node.name}: is lost")
        await node.lose_power()
        await faults.wait(10.0, 120.0)
        what = rng.choice(("delete", "taint", "nothing"))
        if what == "delete":
            faults.note(f"{node.name}: its Node is deleted")
            await faults.insist(lambda client: client.delete("nodes", node.name))
        elif what == "taint":
            faults.note(f"{node.name}: is said to be out of service")
            taint = {"key": OUT_OF_SERVICE, "value": "nodeshutdown", "effect": "NoExecute"}
            patch = {"spec": {"taints": [taint]}}
            await faults.insist(lambda client: client.patch("nodes", node.name, "", patch, type="strategic"))
        await faults.wait(10.0, 120.0)
        faults.note(f"{node.name}: is back")
        await node.switch_on()


async def kill_containers(faults: Faults) -> None:
    node, rng = faults.node(), faults.rng
    running = node.engine.running() if node.engine.is_available else []
    for info in rng.sample(running, min(len(running), rng.randint(1, 3))):
        faults.note(f"{node.name}: {info.name} is killed")
        node.engine.kill(info.id, rng.choice((1, 137)), oom=rng.random() < 0.2)


async def slow_engine(faults: Faults) -> None:
    node = faults.node()
    factor = faults.rng.choice((10.0, 100.0))
    faults.note(f"{node.name}: the engine is {factor:.0f} times slower")
    node.engine.slow = factor
    await faults.wait(5.0, 40.0)
    node.engine.slow = 1.0


async def no_engine(faults: Faults) -> None:
    node = faults.node()
    faults.note(f"{node.name}: the engine does not answer")
    node.engine.set_available(False)
    await faults.wait(1.0, 60.0)
    node.engine.set_available(True)
    faults.note(f"{node.name}: the engine answers again")


async def no_pull(faults: Faults) -> None:
    node = faults.node()
    image = faults.rng.choice(("docker.io/library/app:2", "docker.io/library/app:3", "registry.test/tools/app:7"))
    faults.note(f"{node.name}: {image} cannot be pulled")
    node.engine.fail_pull(image, "toomanyrequests (simulated)")
    await faults.wait(5.0, 90.0)
    node.engine.fail_pull(image)


# --- the server ------------------------------------------------------------------------------------------------------


async def restart_server(faults: Faults) -> None:
    await _down(faults, graceful=True)


async def crash_server(faults: Faults) -> None:
    await _down(faults, graceful=False)


async def _down(faults: Faults, *, graceful: bool) -> None:
    server = faults.simulation.server
    async with faults.server_turn:
        faults.note("the server stops" if graceful else "the server is killed")
        await (server.stop() if graceful else server.crash())
        await faults.wait(0.1, faults.rng.choice((1.0, 10.0, 60.0)))
        while True:
            try:
                await server.start()
            except StoreError as error:  # no room to start in
                faults.note(f"the server does not start: {error}")
                await faults.wait(1.0, 5.0)
            else:
                return


async def fill_disk(faults: Faults) -> None:
    disk = faults.simulation.disk
    faults.note("the disk is full")
    disk.is_full = True
    await faults.wait(0.5, 30.0)
    disk.is_full = False
    faults.note("there is room on the disk again")


async def slow_disk(faults: Faults) -> None:
    disk = faults.simulation.disk
    disk.slow = faults.rng.choice((10.0, 50.0))
    faults.note(f"the disk is {disk.slow:.0f} times slower")
    await faults.wait(1.0, 20.0)
    disk.slow = 1.0


# --- clocks ----------------------------------------------------------------------------------------------------------


async def jump_clock(faults: Faults) -> None:
    simulation, rng = faults.simulation, faults.rng
    name, clock = rng.choice(
        [("server", simulation.server.clock), *((node.name, node.clock) for node in simulation.nodes)]
    )
    seconds = rng.choice((-1, 1)) * rng.choice((1.0, 10.0, 100.0, _BOUND))
    if abs(clock.error + seconds) > _BOUND:
        seconds = -seconds
    faults.note(f"{name}: the clock jumps by {seconds:.0f} s")
    clock.jump(seconds)
    if rng.random() < 0.5:
        await faults.wait(1.0, 60.0)
        faults.note(f"{name}: the clock is set right")
        clock.set_right()


_FAULTS: Sequence[tuple[Fault, float]] = (
    (drop_watches, 3.0), (stall_watches, 3.0), (bad_network, 6.0), (cut_node, 2.0), (restart_agent, 2.0), (lose_power, 1.0),
    (lose_host, 1.0),
    (kill_containers, 4.0), (slow_engine, 2.0), (no_engine, 1.0), (no_pull, 2.0), (restart_server, 0.7), (crash_server, 1.5),
    (fill_disk, 1.0), (slow_disk, 1.0), (jump_clock, 1.5),
)  # fmt: skip
_HARMLESS = (drop_watches, stall_watches, bad_network, restart_server, crash_server, fill_disk, slow_disk)
"""They keep people and controllers from their work, and leave pods alone."""
