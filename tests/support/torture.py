"""`torture`: load a server, kill it with SIGKILL and start it again, many times; then judge everything that its clients saw.

    plan_rounds   what is done to the server in each round; from the seed alone
    torture       does it and gives the `Record` and what is there in the end
    judge         what is wrong with that; [] is a server that lost, repeated and mixed nothing

A round ends by a SIGKILL under load, by one while the server is still starting, by two in quick succession, or (seldom) by SIGTERM.
The same seed gives the same rounds, and the same choices of each client; how they interleave is up to the processes.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
import random
import shutil
import signal
import ssl
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import orjson

from minik.aio import Tasks
from minik.storage.check import check_file
from minik.storage.open import FILE_NAME
from tests.support import linearizability, watchlog
from tests.support.lanes import (
    CONFIG_MAPS,
    EVENTS,
    LANES,
    LEASES,
    PLACES,
    PREFIX,
    SHADES,
    Target,
    lane,
    shade_of,
    whole,
)
from tests.support.load import Client, Record, Watcher
from tests.support.process import TIMEOUT, Process, Server
from tests.support.wire import CutError, NotSentError, Wire

How = Literal["load", "starting", "twice", "stop"]

NAMES = 8
"""Of objects for each kind and namespace: few, so that clients meet."""
CLIENTS = (14, 4)
"""Those that write durable objects, and those that write the others."""
CHECK_EVERY = 20
"""Rounds between two looks at the file's invariants."""


@dataclass(frozen=True, slots=True)
class Round:
    """How a life of the server ends: after `answers` further answers to clients and then `delay` seconds; for "starting", `delay`
    seconds after its process was made."""

    how: How
    answers: int
    delay: float


def plan_rounds(rounds: int, seed: int) -> list[Round]:
    rng = random.Random(f"rounds {seed}")
    plan = []
    hows: tuple[How, ...] = ("load", "starting", "twice", "stop")
    for _ in range(rounds):
        (how,) = rng.choices(hows, (76, 12, 7, 5))
        delay = rng.uniform(0.0, 0.9) if how == "starting" else rng.uniform(0.0, 0.01)
        plan.append(Round(how, rng.randint(20, 500), delay))
    return plan


@dataclass
class Result:
    """`problems`: what was found wrong while it went on."""

    seed: int
    record: Record
    rounds: int = 0
    kills: int = 0
    seconds: float = 0.0
    starts: list[float] = field(default_factory=list)
    """Seconds from process to /readyz."""
    problems: list[str] = field(default_factory=list)

    def summary(self) -> str:
        operations = [op for op in self.record.operations if not op.who.endswith("(list)")]
        outcomes = Counter(op.outcome for op in operations)
        events = sum(1 for transcript in self.record.transcripts for _ in transcript.events)
        durable = sum(t.expired for t in self.record.transcripts if t.scope.resource == CONFIG_MAPS.resource)
        volatile = sum(t.expired for t in self.record.transcripts) - durable
        starts = sorted(self.starts) or [0.0]
        return (
            f"seed {self.seed}: {self.rounds} rounds, {self.kills} kills, {self.seconds:.1f} s; {len(operations)} operations"
            f" ({', '.join(f'{n} {name}' for name, n in outcomes.most_common())}), {len(self.record.listings)} lists,"
            f" {len(self.record.exact)} of past revisions; {len(self.record.transcripts)} watchers, {events} events,"
            f" 410: {durable} durable, {volatile} not durable; start {starts[len(starts) // 2]:.2f} s median, {starts[-1]:.2f} s at most;"
            f" refused {dict(self.record.refused)}; odd {dict(self.record.odd)}; cut while alive {self.record.cut_alive}"
        )


class _Torture:
    """One run. `between(data_dir, round)` is called while the server is dead, for sabotage."""

    def __init__(
        self, server: Server, seed: int, clients: tuple[int, int], between: Callable[[Path, int], None] | None
    ) -> None:
        self.server = server
        self.record = Record()
        self.result = Result(seed, self.record)
        self.seed = seed
        self.clients = clients
        self.between = between
        self.failures: list[BaseException] = []
        self.tasks = Tasks("torture", on_failure=lambda _name, error: self.failures.append(error))
        self.watchers: list[Watcher] = []
        self.late: list[tuple[Watcher, asyncio.Task[None]]] = []
        self.context: ssl.SSLContext | None = None

    def wire(self) -> Wire:
        if self.context is None:
            self.context = self.server.context()
        return Wire("127.0.0.1", self.server.port, self.context)

    # --- the server ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Returns when it is ready. Raises AssertionError if it ends by itself or does not get ready."""
        began = time.monotonic()
        self.spawn()
        while not await self._ready():
            if not self.server.running:
                raise AssertionError(f"the server ended while it started:\n{self.server.tail()}")
            if time.monotonic() - began > TIMEOUT:
                raise AssertionError(f"the server is not ready after {TIMEOUT:.0f} s:\n{self.server.tail()}")
            await asyncio.sleep(0.02)
        self.result.starts.append(time.monotonic() - began)
        self.record.alive = True

    def spawn(self) -> None:
        Process.start(self.server)  # without waiting for /readyz: that would stop the clients' loop

    async def _ready(self) -> bool:
        if not self.server.kubeconfig.exists():
            return False
        wire = self.wire()
        try:
            return (await wire.request("GET", "/readyz"))[0] == 200
        except (NotSentError, CutError):
            return False
        finally:
            wire.close()

    async def end(self, *, kill: bool = True) -> None:
        """Returns when the process is gone: nothing that was under way can take effect any more."""
        if not self.server.running:
            raise AssertionError(f"the server ended by itself:\n{self.server.tail()}")
        self.record.alive = False
        if kill:
            self.server.kill()
            self.result.kills += 1
        else:
            os.kill(self.server.pid, signal.SIGTERM)
            began = time.monotonic()
            while self.server.running:
                if time.monotonic() - began > TIMEOUT:
                    raise AssertionError(f"the server does not end:\n{self.server.tail()}")
                await asyncio.sleep(0.005)
        self.record.died()

    # --- rounds -------------------------------------------------------------------------------------------------------

    async def round(self, number: int, planned: Round) -> None:
        if planned.how == "starting":
            self.spawn()
            await asyncio.sleep(planned.delay)
        else:
            await self.start()
            if number % 7 == 3:
                self._watch_anew(number)
            goal = self.record.answered + planned.answers
            await self._until(lambda: self.record.answered >= goal, f"{planned.answers} answers")
            await asyncio.sleep(planned.delay)
        await self.end(kill=planned.how != "stop")
        if planned.how == "twice":
            self.spawn()
            await asyncio.sleep(planned.delay * 10)
            await self.end()
        self._raise_failure()
        if self.between is not None:
            self.between(self.server.data_dir, number)
        if number % CHECK_EVERY == CHECK_EVERY - 1:
            self.check_copy(number)
        self.result.rounds += 1

    def _raise_failure(self) -> None:
        if self.failures:
            raise self.failures[0]

    def _watch_anew(self, number: int) -> None:
        """A watcher that comes late, in place of the one before, and one that reads what was a while ago."""
        late = Watcher(f"late-{number}", CONFIG_MAPS, self.record, self.wire(), shade=SHADES[number % 2])
        if self.late:
            before, task = self.late.pop()
            task.cancel()
            self.watchers.remove(before)
        self.late.append((late, self._follow(late)))
        log = list(self.watchers[0].transcript.events)[-1000:]
        if log:
            past = Watcher(f"past-{number}", CONFIG_MAPS, self.record, self.wire(), namespace=("", "other")[number % 2])
            begin, upto = log[0].version.revision, log[-1].version.revision
            if past.transcript.scope.namespace:
                upto = max((e.version.revision for e in log if past.transcript.scope.has(e.key)), default=begin)
            self.tasks.start(past.transcript.name, past.follow_from(begin, upto))

    def _follow(self, watcher: Watcher) -> asyncio.Task[None]:
        self.watchers.append(watcher)
        return self.tasks.start(watcher.transcript.name, watcher.run())

    def check_copy(self, number: int) -> None:
        """The invariants of what the dead server left, on a copy: the next one must find the write-ahead log as it is."""
        with tempfile.TemporaryDirectory(dir=self.server.data_dir.parent) as directory:
            for path in self.server.data_dir.glob(f"{Path(FILE_NAME).stem}.*"):
                shutil.copy(path, directory)
            self.result.problems += [
                f"after round {number}: {text}" for text in check_file(Path(directory) / FILE_NAME)
            ]

    # --- the whole ----------------------------------------------------------------------------------------------------

    async def run(self, plan: Sequence[Round]) -> Result:
        began = time.monotonic()
        await self.start()
        try:
            await self._prepare()
            self._follow(Watcher("all", CONFIG_MAPS, self.record, self.wire()))
            self._follow(Watcher("all too", CONFIG_MAPS, self.record, self.wire()))
            self._follow(Watcher("one namespace", CONFIG_MAPS, self.record, self.wire(), namespace="default"))
            self._follow(Watcher("red", CONFIG_MAPS, self.record, self.wire(), shade="red"))
            self._follow(Watcher("events", EVENTS, self.record, self.wire()))
            self._follow(Watcher("leases", LEASES, self.record, self.wire(), namespace="kube-node-lease"))
            await self._until(lambda: all(watcher.revision for watcher in self.watchers), "the watchers' lists")
            clients = [self._client(i, durable=True) for i in range(self.clients[0])]
            clients += [self._client(i, durable=False) for i in range(self.clients[1])]
            await self.end()
            for number, planned in enumerate(plan):
                await self.round(number, planned)
            self.check_copy(len(plan))
            await self._settle(clients)
        finally:
            await self.tasks.close()
        self.record.finish()
        self.result.seconds = time.monotonic() - began
        return self.result

    def _client(self, number: int, *, durable: bool) -> asyncio.Task[None]:
        name = f"{'c' if durable else 'v'}{number}"
        client = Client(name, self.record, self.wire(), seed=f"{self.seed} {name}", names=NAMES, durable=durable)
        return self.tasks.start(name, client.run())

    async def _prepare(self) -> None:
        wire = self.wire()
        body = orjson.dumps({"metadata": {"name": "other"}})
        status, answer = await wire.request("POST", "/api/v1/namespaces", body)
        assert status == 201, answer
        for _, namespace in PLACES:
            assert (await wire.request("GET", f"/api/v1/namespaces/{namespace}"))[0] == 200, namespace
        wire.close()

    async def _settle(self, clients: Sequence[asyncio.Task[None]]) -> None:
        """After the last kill: the clients stop; every watcher catches up with a last mark; everything is listed, which counts as reads
        like any other; and the server is stopped."""
        await self.start()
        self.record.ending = True
        await asyncio.gather(*clients)
        wire = self.wire()
        reader = Client("last", self.record, wire, seed="last", names=NAMES, durable=True)
        marks = {(place, shade): await self._mark(wire, *place, shade) for place in PLACES for shade in SHADES}
        for watcher in self.watchers:
            scope = watcher.transcript.scope
            goal = max(
                revision
                for ((target, namespace), shade), revision in marks.items()
                if target.resource == scope.resource
                and scope.namespace in ("", namespace)
                and scope.shade in ("", shade)
            )
            name = watcher.transcript.name
            await self._until(functools.partial(_has_reached, watcher, goal), f"watcher {name} at {goal}")
        for place in PLACES:
            await reader.list(*place)
        wire.close()
        await self.end(kill=False)
        self.check_copy(self.result.rounds + 1)

    async def _mark(self, wire: Wire, target: Target, namespace: str, shade: str) -> int:
        """The revision of a new object with this label, whose key no client uses."""
        token = next(token for token in (f"mark-{n}" for n in itertools.count()) if shade_of(token) == shade)
        fields = {k: v for name in LANES for k, v in lane(name, token, 1).items()}
        body = whole(target, f"{PREFIX}mark-{shade}", token, fields)
        status, answer = await wire.request("POST", target.path(namespace), orjson.dumps(body))
        assert status == 201, answer
        return int(orjson.loads(answer)["metadata"]["resourceVersion"])

    async def _until(self, condition: Callable[[], bool], what: str) -> None:
        began = time.monotonic()
        while not condition():
            self._raise_failure()
            if not self.server.running:
                raise AssertionError(f"the server ended by itself:\n{self.server.tail()}")
            if time.monotonic() - began > TIMEOUT:
                raise AssertionError(f"not within {TIMEOUT:.0f} s: {what}")
            await asyncio.sleep(0.002)


def _has_reached(watcher: Watcher, revision: int) -> bool:
    return watcher.revision >= revision


def torture(
    server: Server,
    plan: Sequence[Round],
    *,
    seed: int,
    clients: tuple[int, int] = CLIENTS,
    between: Callable[[Path, int], None] | None = None,
) -> Result:
    """Run it. `server` is not started yet and is stopped afterwards. `clients`: how many, as CLIENTS. `between`: as in `_Torture`.

    Raises AssertionError if the server ends by itself, does not start, does not answer or does not end.
    """
    try:
        return asyncio.run(_Torture(server, seed, clients, between).run(plan))
    finally:
        server.kill()


def judge(result: Result) -> list[str]:
    """Everything wrong with what was seen."""
    record = result.record
    found = [*result.problems, *record.mixed]
    durable = [op for op in record.operations if op.key.startswith(f"{CONFIG_MAPS.resource}/")]
    volatile = [op for op in record.operations if not op.key.startswith(f"{CONFIG_MAPS.resource}/")]
    found += linearizability.check(durable)
    found += linearizability.check(volatile, losses={op.key: record.deaths for op in volatile})
    found += linearizability.check_revisions(record.glimpses())
    found += watchlog.check_unique(record.operations, record.transcripts)
    for transcript in record.transcripts:
        found += watchlog.check_order(transcript)
    following = [t for t in record.transcripts if t.scope.resource == CONFIG_MAPS.resource]
    log, contradictions = watchlog.truth([t for t in following if not t.scope.namespace and not t.scope.shade])
    found += contradictions
    found += watchlog.check_chain(log)
    found += watchlog.check_writes(durable, log)
    for transcript in following:
        found += watchlog.check_complete(transcript, log)
    lists = [each for each in record.listings if each.scope.resource == CONFIG_MAPS.resource]
    found += watchlog.check_lists([*lists, *record.exact], log)
    for transcript in record.transcripts:
        if transcript not in following:
            found += watchlog.check_view(transcript, record.listings)
    return found
