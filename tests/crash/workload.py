"""What a store is made to do while its file system is recorded: steps drawn by a seed, carried out on a real `SqliteStore`.

Same seed, same steps, same log. Time is the loop's, which is simulated, so the store's idle checkpoints and its retention by age
take part.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from minik.clock import LoopClock
from minik.storage.base import ABSENT, ConflictError, Event, Op, Revision, StoreError
from minik.storage.compactor import Retention
from minik.storage.sqlite import CEILING_STEP, SqliteStore
from tests.crash.ledger import Ledger
from tests.support.apswdb import TurnConnection, connect_plain
from tests.support.recordfs import Recorder

KEYS = [f"{resource}/{namespace}/{n}" for resource in ("pods", "nodes") for namespace in ("a", "b") for n in range(5)]
VOLATILE = [f"events/a/{n}" for n in range(4)]
RETENTION = Retention(age=90.0, revisions=100_000, at_least=30.0)


@dataclass(frozen=True, slots=True)
class Mix:
    """How often each step is drawn."""

    single: int = 6
    together: int = 4
    several: int = 4
    volatile: int = 2
    large: int = 1
    sleep: int = 3
    compact: int = 1
    reopen: int = 1
    backup: int = 1

    def draw(self, rng: random.Random) -> str:
        names = list(self.__slots__)
        return rng.choices(names, [getattr(self, name) for name in names])[0]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Commits, made at once, that failed for want of a working disk. `commits` is empty for a compaction."""

    moment: int
    commits: Sequence[Sequence[Op]]
    error: StoreError
    last: int
    """The last durable revision before."""


class Workload:
    """Drives a store over `recorder`; `ledger` learns all of it."""

    def __init__(
        self,
        recorder: Recorder,
        ledger: Ledger,
        rng: random.Random,
        *,
        synchronous: str = "FULL",
        mix: Mix | None = None,
    ) -> None:
        self.recorder = recorder
        self.ledger = ledger
        self.refusals: list[Refusal] = []
        self.backups: list[tuple[Path, int]] = []
        """Copies and the revision that the store said they have."""
        self._rng = rng
        self._synchronous = synchronous
        self._mix = mix or Mix()
        self._pauses = random.Random(rng.getrandbits(32))
        self._connection: TurnConnection | None = None
        self._store: SqliteStore | None = None
        self._values = 0

    @property
    def store(self) -> SqliteStore:
        assert self._store is not None
        return self._store

    @property
    def connection(self) -> TurnConnection:
        assert self._connection is not None
        return self._connection

    @property
    def moment(self) -> int:
        return self.recorder.look()

    async def run(self, steps: int) -> None:
        """Open, take `steps` steps, close."""
        await self.open()
        for _ in range(steps):
            await self.step(self._mix.draw(self._rng))
        await self.close()

    async def open(self) -> None:
        path = self.recorder.directory / "state.db"
        with patch("minik.storage.sqlite.sync_directory", self.recorder.sync_directory):
            self._store = await SqliteStore.open(
                path, clock=LoopClock(), retention=RETENTION, synchronous=self._synchronous, connect=self._connect
            )
        self.ledger.opened(self.moment, await self._store.current_revision())
        self._store.listen(self._listen)

    async def _connect(self, path: Path) -> TurnConnection:
        if path.parent != self.recorder.directory:  # a copy
            connection = await connect_plain(path)
        else:
            connection = self._connection = await self.recorder.connect(path)
        connection.pauses = lambda: self._pauses.choice((0, 0, 1, 3))
        return connection

    def _listen(self, events: Sequence[Event]) -> None:
        self.ledger.shown(self.moment, events)

    async def close(self) -> None:
        await self.store.close()

    # --- steps --------------------------------------------------------------------------------------------------------

    async def step(self, name: str) -> None:
        await getattr(self, f"_{name}")()

    async def _single(self) -> None:
        await self.commit([self._op()])

    async def _together(self) -> None:
        await self.commit(
            *([self._op() for _ in range(self._rng.choice((1, 1, 2)))] for _ in range(self._rng.randint(2, 6)))
        )

    async def _several(self) -> None:
        """One commit of several writes, some to the same key."""
        ops = [self._op() for _ in range(self._rng.randint(2, 7))]
        first = ops[0]
        if first.value is not None and self._rng.random() < 0.4:
            ops = [op for op in ops if op.key != first.key] + [
                first,
                replace(first, value=self._value(), expected=None),
            ]
        await self.commit(ops)

    async def _volatile(self) -> None:
        """Non-durable keys, alone, beside a durable one, and once in a while so many that the ceiling must rise."""
        ops = [Op(key, self._value(), durable=False) for key in self._rng.sample(VOLATILE, 2)]
        dice = self._rng.random()
        if dice < 0.3:
            await self.commit(ops, [self._op()])
        elif dice < 0.5:
            await self.commit([*ops, self._op()])
        elif dice < 0.6:
            await self.commit([replace(ops[0], durable=True)])  # from here on this key is on disk
        elif dice < 0.7:
            await self.commit([ops[0]] * (CEILING_STEP + 1))
        else:
            await self.commit(ops)

    async def _large(self) -> None:
        await self.commit(
            [replace(self._op(deletes=False), value=self._rng.randbytes(self._rng.randint(5_000, 30_000)))]
        )

    async def _sleep(self) -> None:
        """Long enough, at times, for the log to be moved into the file, and for history to be old."""
        await asyncio.gather(asyncio.sleep(self._rng.choice((1.0, 6.0, 6.0, 40.0))), self.commit([self._op()]))

    async def _compact(self) -> None:
        current = await self.store.current_revision()
        upto = Revision(max(0, current - self._rng.choice((0, 3, 20, 50))))
        try:
            await self.store.compact(upto)
        except StoreError as error:
            self._refused([], error)
        else:
            self.ledger.compacted.append((self.moment, upto))

    async def bulk(self) -> None:
        """So much history that forgetting it takes several slices."""
        for number in range(3):
            await self.commit([Op(f"leases/a/{n}", b"%d" % number) for n in range(250)])

    async def _reopen(self) -> None:
        await self.close()
        await self.open()

    async def _backup(self) -> None:
        """A copy beside the directory, while writes go on."""
        target = self.recorder.directory.parent / f"backup-{len(self.backups)}"
        before = await self.store.current_revision()

        async def meanwhile() -> None:
            for _ in range(self._rng.randint(0, 5)):
                await self.commit(
                    [self._op(), replace(self._op(deletes=False), key=f"nodes/c/{self._values}", expected=None)]
                )

        revision, _ = await asyncio.gather(self.store.backup(target), meanwhile())
        assert before <= revision <= await self.store.current_revision()
        self.backups.append((target, revision))

    # --- commits ------------------------------------------------------------------------------------------------------

    def _value(self) -> bytes:
        self._values += 1
        return b"%d:" % self._values + self._rng.randbytes(self._rng.choice((10, 200, 600)))

    def _op(self, *, deletes: bool = True) -> Op:
        key = self._rng.choice(KEYS)
        at = self.ledger.live.get(key)
        value = self._value()
        author = self._rng.choice(("", "kate\tkubectl\tupdate", "minik"))
        if at is None:
            return Op(key, value, self._rng.choice((None, ABSENT)), author=author)
        expected = self._rng.choice((None, at[0].revision))
        return Op(key, None if deletes and self._rng.random() < 0.25 else value, expected, author=author)

    async def commit(self, *commits: Sequence[Op]) -> None:
        """All at once. What conflicts is left out; what the disk refuses is noted."""
        waiting: list[Coroutine[Any, Any, Sequence[Revision]]] = [self.store.commit(ops) for ops in commits]
        results = await asyncio.gather(*waiting, return_exceptions=True)
        done: list[tuple[Sequence[Revision], Sequence[Op]]] = []
        refused: list[Sequence[Op]] = []
        error = StoreError()
        for ops, result in zip(commits, results, strict=True):
            if isinstance(result, StoreError):
                if not isinstance(result, ConflictError):
                    refused.append(ops)
                    error = result
            elif isinstance(result, BaseException):
                raise result
            else:
                done.append((result, ops))
        for revisions, ops in sorted(done, key=lambda pair: pair[0][0]):
            self.ledger.committed(ops, revisions)
        if refused:
            self._refused(refused, error)

    def _refused(self, commits: Sequence[Sequence[Op]], error: StoreError) -> None:
        self.refusals.append(Refusal(self.moment, commits, error, self.ledger.last))
