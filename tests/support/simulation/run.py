"""One seed: build a cluster, let people work and things go wrong, then let it settle, and check.

outcome = simulate(Plan(seed=7))
outcome.problems      [] if all was well
outcome.fingerprint   the same for the same plan, always and everywhere
"""

from __future__ import annotations

import asyncio
import gc
import logging
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from minik.aio import Tasks
from minik.api.builtin import builtin_registry
from minik.cli.controlplane import MASTERS
from minik.client.client import Client
from minik.client.manager import Manager
from minik.log import TextFormatter
from minik.metrics import Metrics
from minik.storage.check import check_file
from minik.storage.compactor import Retention
from tests.support.simulation import checks, loop, script
from tests.support.simulation.disk import Disk
from tests.support.simulation.ending import end_state, runs_are_awaited
from tests.support.simulation.faults import Faults
from tests.support.simulation.history import History
from tests.support.simulation.host import SimulatedNode
from tests.support.simulation.loop import HostClock
from tests.support.simulation.monitors import Monitors
from tests.support.simulation.network import Link
from tests.support.simulation.server import Server
from tests.support.simulation.spectators import RESOURCES, Spectator
from tests.support.simulation.subjects import SUBJECTS, custom, hosts
from tests.support.simulation.users import User, tidy_up

SETTLE_SECONDS = 1800.0
"""The longest it may take until all is well again once nothing goes wrong any more."""
_LOOK_SECONDS = 5.0
_TIDY_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Plan:
    """What to simulate. What is None is drawn from the seed."""

    seed: int
    minutes: float | None = None
    """For how long people work and things go wrong."""
    nodes: int | None = None
    pace: float | None = None
    """Seconds between two things that a person does."""
    fault_pace: float | None = None
    """Seconds between two things that go wrong."""
    faults: bool = True
    """Without, people are gentle, too."""
    gentle: bool = False
    """Nobody takes pods away, and what goes wrong does not touch them: Deployments must stay available throughout."""
    story: bool = False
    """Instead of people who do as they please, one who tells a fixed story (`script.py`)."""
    subjects: tuple[str, ...] | None = None
    """What people do besides workloads: names of `subjects.SUBJECTS`."""

    @property
    def is_gentle(self) -> bool:
        return (self.gentle or not self.faults) and not self.story

    def command(self) -> str:
        """How to run it again by hand."""
        words = ["scripts/simulate", "--seed", str(self.seed)]
        words += ["--minutes", str(self.minutes)] if self.minutes is not None else []
        words += ["--nodes", str(self.nodes)] if self.nodes is not None else []
        words += ["--pace", str(self.pace)] if self.pace is not None else []
        words += ["--fault-pace", str(self.fault_pace)] if self.fault_pace is not None else []
        words += ["--story"] if self.story else []
        words += ["--gentle"] if self.gentle else []
        words += [word for subject in self.subjects or () for word in ("--subject", subject)]
        return " ".join([*words, *([] if self.faults else ["--calm"]), "--trace", "FILE"])


@dataclass(slots=True)
class Outcome:
    """What came of it."""

    plan: Plan
    problems: list[str] = field(default_factory=list)
    fingerprint: str = ""
    simulated: float = 0.0
    """Seconds of the cluster's time."""
    seconds: float = 0.0
    """Seconds that it took."""
    settled: float = 0.0
    """Seconds of the cluster's time until all was well."""
    counts: dict[str, int] = field(default_factory=dict)
    reconciles: dict[str, int] = field(default_factory=dict)
    """By controller."""
    writes: dict[str, int] = field(default_factory=dict)
    """By controller."""
    end: list[str] = field(default_factory=list)
    """What came of a story."""


def simulate(plan: Plan, trace: IO[bytes] | None = None) -> Outcome:
    """Run `plan`; every line of the history goes to `trace`."""
    outcome = Outcome(plan)
    history = History(trace)
    seeds = loop.Seeds(plan.seed)
    order = seeds.rng("order") if plan.seed % 2 else None
    began = time.monotonic()
    with _no_collector(), _logging(history, outcome.problems), _directory() as directory:
        simulation = Simulation(plan, seeds, history, Path(directory))
        try:
            loop.run(simulation.run(outcome), order=order)
        except Exception as error:  # whatever ends a run is a finding
            outcome.problems.append("the run ended: " + "".join(traceback.format_exception(error)))
    outcome.fingerprint = history.fingerprint
    outcome.seconds = time.monotonic() - began
    return outcome


def _directory() -> tempfile.TemporaryDirectory[str]:
    """In memory where there is such a place: nothing here outlives the run."""
    memory = Path("/dev/shm")
    return tempfile.TemporaryDirectory(prefix="minik-simulation-", dir=memory if memory.is_dir() else None)


@contextmanager
def _no_collector() -> Iterator[None]:
    """What cycles hold must not end at a moment that depends on what else the process does."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.collect(0)  # what this run left behind; nothing of it is older
        if was_on:
            gc.enable()


class _Log(logging.Handler):
    """Errors that are logged are findings; the rest goes to the trace (it does not count for the fingerprint)."""

    def __init__(self, history: History, problems: list[str]) -> None:
        super().__init__(logging.INFO if history.is_traced else logging.ERROR)
        self._history, self._problems = history, problems

    def emit(self, record: logging.LogRecord) -> None:
        text = TextFormatter().format(record).split(" ", 1)[1]
        self._history.log(text)
        if record.levelno >= logging.ERROR and len(self._problems) < 20:
            self._problems.append(f"logged: {text}")


@contextmanager
def _logging(history: History, problems: list[str]) -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    handler = _Log(history, problems)
    root.handlers = [handler]
    root.setLevel(handler.level)
    try:
        yield
    finally:
        root.handlers = handlers
        root.setLevel(level)


class Simulation:
    """A cluster with its people and its misfortunes."""

    def __init__(self, plan: Plan, seeds: loop.Seeds, history: History, directory: Path) -> None:
        rng = seeds.rng("plan")
        self.plan, self.seeds, self.history = plan, seeds, history
        self.minutes = plan.minutes if plan.minutes is not None else rng.uniform(0.3, 0.9)
        number = plan.nodes if plan.nodes is not None else rng.randint(2, 4)
        people, self.pause = rng.randint(1, 2), rng.uniform(1.0, 6.0)
        self.pause = plan.pace or self.pause
        retention = rng.choice((Retention(), Retention(age=60.0, revisions=500, at_least=20.0)))
        self.disk = Disk(directory, seeds.rng("disk"))
        self.link = Link("server", seeds.rng("link server"), latency=0.001)
        registry = builtin_registry()
        self.server = Server(
            self.disk, self.link, seeds=seeds, history=history, on_events=self._events, retention=retention
        )
        self.nodes = [
            SimulatedNode(each, self.server, registry, seeds=seeds, history=history, on_start=self._started)
            for each in range(number)
        ]
        self.monitors = Monitors(self.nodes, self.link, history.note)
        self.monitors.is_gentle = plan.is_gentle
        self.user_link = Link("users", seeds.rng("link users"), latency=0.01)
        client = Client(self.server.transport(self.user_link, "minik-admin", MASTERS), registry)
        drawn = seeds.rng("subjects")
        subjects = drawn.sample(SUBJECTS, drawn.randint(1, 3))
        if plan.subjects is not None:
            subjects = [subject for subject in SUBJECTS if subject.name in plan.subjects]
        if plan.story or plan.is_gentle:
            subjects = []
        if hosts.SUBJECT in subjects and plan.minutes is None:
            self.minutes, self.pause = 6.0 * self.minutes, 4.0 * self.pause
        self.users = [
            User(f"u{each}", client, seeds.rng(f"user {each}"), history, gentle=plan.is_gentle, namespaces=rng.randint(1, 3),
                 subjects=subjects)
            for each in range(people)
        ]  # fmt: skip
        known = builtin_registry()
        known.replace((), custom.kinds())
        self.teller = Client(client.transport, known)
        watch_link = Link("spectators", seeds.rng("link spectators"), latency=0.01)
        watch_link.never_repeats = True
        client = Client(self.server.transport(watch_link, "minik-admin", MASTERS), registry)
        self.spectators = [Spectator(each, client, seeds.rng(f"spectator {each}")) for each in RESOURCES]
        outside = Link("outsiders", seeds.rng("link outsiders"), latency=0.01)
        clock, entropy = HostClock(), seeds.entropy("outsiders")
        self.outsiders = Manager(
            [each for subject in subjects for each in subject.outsiders],
            self.server.transport(outside, "minik-admin", MASTERS), registry, clock=clock, entropy=entropy, metrics=Metrics(),
        )  # fmt: skip
        self.links = [self.link, self.user_link, watch_link, outside, *(node.link for node in self.nodes)]
        self.faults = Faults(self, seeds.rng("faults"))

    def _events(self, events: object) -> None:
        self.monitors.events(events)  # type: ignore[arg-type]

    def _started(self, node: str, info: object) -> None:
        self.monitors.started(node, info)  # type: ignore[arg-type]

    async def run(self, outcome: Outcome) -> None:
        """All of it; ends early when a monitor has found something, for then the rest says nothing more."""
        tasks = Tasks("simulation")
        live = tasks.start("live", self._live(tasks, outcome))
        found = tasks.start("found", self.monitors.found.wait())
        await asyncio.wait([live, found], return_when=asyncio.FIRST_COMPLETED)
        clock = asyncio.get_running_loop()
        outcome.simulated = clock.time()
        outcome.counts = {
            "events": self.history.events, "faults": self.history.faults, "pods": self.monitors.created_pods,
            "requests": sum(link.requests for link in self.links), "generations": self.server.generation,
            "disk": self.disk.commits, "turns": clock.turns,  # type: ignore[attr-defined]  # a SimulatedLoop
        }  # fmt: skip
        outcome.problems += [*self.monitors.problems, *self.server.lost]
        is_through = live.done()
        if is_through:
            live.result()
        await tasks.close()
        await self.faults.close()
        await self.outsiders.close()
        for node in self.nodes:
            await node.close()
        await (self.server.stop() if is_through else self.server.crash())
        outcome.reconciles = dict(self.server.reconciles)
        prefix = "controller "
        writes = self.link.writes.items()
        outcome.writes = {name.removeprefix(prefix): number for name, number in writes if name.startswith(prefix)}
        outcome.problems += check_file(self.disk.path)

    async def _live(self, tasks: Tasks, outcome: Outcome) -> None:
        clock = asyncio.get_running_loop()
        await self.server.start()
        for node in self.nodes:
            await node.start_agent()
        await self.outsiders.start()
        end = clock.time() + 60.0 * self.minutes
        for number, spectator in enumerate(self.spectators):
            tasks.start(f"spectator {number}", spectator.run())
        if self.plan.story:
            wishes = script.story(self.seeds.rng("story"))
            telling = script.tell(wishes, self.teller, self.history, pace=60.0 * self.minutes / len(wishes))
            work = [tasks.start("story", telling)]
        else:
            work = [tasks.start(user.name, user.work(end, self.pause)) for user in self.users]
        if self.plan.faults:
            work.append(tasks.start("faults", self.faults.run(end)))
        await asyncio.gather(*work)
        await self.faults.heal()
        calm = clock.time()
        for _ in range(int(SETTLE_SECONDS / _LOOK_SECONDS) if self.plan.story else 0):
            if not runs_are_awaited(self.server.plane.cache):
                break
            await asyncio.sleep(_LOOK_SECONDS)
        for _ in range(_TIDY_ATTEMPTS):
            if await self.users[0].attempt(tidy_up):
                break
        outcome.problems += await self._settle(calm + SETTLE_SECONDS)
        outcome.settled = clock.time() - calm
        if self.plan.story:
            outcome.end = end_state(self.server.plane.cache)
        outcome.problems += [problem for spectator in self.spectators for problem in spectator.problems(self.history)]
        outcome.problems += await checks.differences(self.server.store, self.server.plane.cache)
        try:
            self.server.plane.cache.verify_unchanged()
        except AssertionError as error:
            outcome.problems.append(str(error))

    async def _settle(self, deadline: float) -> list[str]:
        """Wait until all is well twice in a row; what is not at the deadline."""
        clock, well = asyncio.get_running_loop(), 0
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            problems = checks.unsettled(self.server.plane.cache, self.nodes, self.server.plane.manager)
            well = 0 if problems else well + 1
            if well == 2:
                return []
            if clock.time() > deadline:
                return problems
