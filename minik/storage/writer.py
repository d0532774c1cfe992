"""`Writer`: the half of the SQLite store that writes. `sqlite.py` adds the half that reads.

One task writes. It takes all commits that came while the last transaction ran, decides them (`journal.py`), carries them out as one
durable transaction (`database.py`), answers the callers and hands the events to the hub, in this order and in one turn of the loop.
A batch that only touches non-durable keys skips the disk.

When the medium fails (`faults.py` tells how that is judged), `problem` says so. What needs the disk is refused, all else goes on, and
the writer tries again by itself until the medium works.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from minik.aio import Tasks
from minik.clock import Clock
from minik.storage import database
from minik.storage.base import ClosedError, ConflictError, Op, Revision, StoreError, StoreFullError, UnknownError
from minik.storage.compactor import SLICE_ROWS, Marks, Retention
from minik.storage.connection import Connect, Connection
from minik.storage.database import Contents, DirectoryLock, Extras
from minik.storage.faults import Health, Outcome, outcome_of
from minik.storage.high import HighWater
from minik.storage.hub import Hub
from minik.storage.journal import BatchPlan, plan_batch
from minik.storage.pending import PendingCommit
from minik.storage.volatile import VolatileKeys

log = logging.getLogger("minik.storage")

T = TypeVar("T")

CEILING_STEP = 10_000
"""Revisions of non-durable writes that cost one write to disk, and that may be skipped after a crash."""

_BATCH_OPS = database.MAX_ROWS
_BATCH_BYTES = 8 << 20
_CHECKPOINT_BYTES = 4 << 20
"""Roughly how much the write-ahead log grows until it is moved into the file although there is work to do."""
_IDLE_SECONDS = 5.0
"""How long nothing must have happened until it is moved otherwise."""
_RETRY_SECONDS = 1.0
"""How often an otherwise idle store tries whether the medium works again."""
_VOLATILE_HISTORY = 2_000


class Writer:
    """See the module. Made within an event loop."""

    def __init__(
        self,
        path: Path,
        db: Connection,
        lock: DirectoryLock,
        contents: Contents,
        *,
        connect: Connect,
        clock: Clock,
        retention: Retention,
        high: HighWater | None,
        volatile_history: int = _VOLATILE_HISTORY,
    ) -> None:
        self._health = Health(path)
        self._db = db
        self._lock = lock
        self._connect = connect
        self._copying = asyncio.Lock()
        self._clock = clock
        self._high = high
        self._index = contents.index
        self._revision = contents.revision
        self._last_given = contents.revision
        self._ceiling = contents.ceiling
        self._floor = contents.floor
        self._forgotten = contents.forgotten
        """History rows up to here are gone from the file; the floor runs ahead of it."""
        self._marks = Marks(retention, contents.marks)
        self._volatile_resources = set(contents.volatile)
        self._volatile = VolatileKeys(contents.revision, history=volatile_history)
        self._hub = Hub()
        self._queue: list[PendingCommit] = []
        self._wanted_floor: Revision | None = None
        self._floor_waiters: list[asyncio.Future[None]] = []
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()
        """Held by whoever uses the connection: a reader sees the file exactly as of `_revision`."""
        self._log_bytes = 0
        """Roughly what the write-ahead log has grown by since it was last moved into the file."""
        self._timer: asyncio.TimerHandle | None = None
        self._checkpoint_due = False
        self._retry_due = False
        self._unsettled = False
        """A failed transaction may still be in the log; nothing may be written before it has been made an end of."""
        self._closing = False
        self._closed = False
        self._stopped = asyncio.Event()
        """The writer has ended by an error of its own: nothing is written any more."""
        self._tasks = Tasks("storage", on_failure=self._broken)
        self._writer = self._tasks.start("writer", self._write_batches())

    @property
    def problem(self) -> str | None:
        """Why the store cannot write at present, or should not be trusted; for a person. None: all is well."""
        return self._health.problem

    async def stopped(self) -> str:
        """Wait until the writer ends by an error of its own (a bug, or a file that is not what it was), and say which: what is left can
        only read. A medium that refuses writes for a while is no such end."""
        await self._stopped.wait()
        return self._health.damage or "the store stopped"

    # --- what callers ask for -----------------------------------------------------------------------------------------

    async def commit(self, ops: Sequence[Op]) -> Sequence[Revision]:
        self._check_open()
        answer: asyncio.Future[Sequence[Revision]] = asyncio.get_running_loop().create_future()
        self._queue.append(PendingCommit(ops, answer))
        self._wake.set()
        return await answer

    async def compact(self, upto: Revision) -> None:
        self._check_open()
        upto = Revision(min(upto, self._revision))
        if upto > self._floor:
            self._wanted_floor = max(upto, self._wanted_floor or upto)
            waiter = asyncio.get_running_loop().create_future()
            self._floor_waiters.append(waiter)
            self._wake.set()
            await waiter

    # --- the task -----------------------------------------------------------------------------------------------------

    async def _write_batches(self) -> None:
        while True:
            if not (self._queue or self._has_chores()):
                if self._closing:
                    return
                self._wake.clear()
                self._set_timer()
                await self._wake.wait()
            async with self._turn:
                if self._retry_due:
                    self._retry_due = False
                    self._checkpoint_due = self._checkpoint_due or self._health.checkpoint is not None
                    if self._health.write is not None:
                        await self._settle()
                if self._queue or self._wanted_floor is not None or self._forgotten < self._floor:
                    batch = self._take()
                    try:
                        await self._write_batch(batch)
                    except BaseException as error:
                        for commit in batch:
                            commit.fail(StoreError(f"the store is broken: {error}"))
                        raise
                if self._checkpoint_due or self._log_bytes > _CHECKPOINT_BYTES:
                    await self._checkpoint()

    def _has_chores(self) -> bool:
        return (
            self._wanted_floor is not None
            or self._forgotten < self._floor
            or self._checkpoint_due
            or (self._retry_due and not self._closing)
        )

    def _take(self) -> Sequence[PendingCommit]:
        """The commits of the next batch; more than one batch can hold stay in the queue."""
        ops = size = 0
        for count, commit in enumerate(self._queue):
            ops += len(commit.ops)
            size += commit.size
            if count and (ops > _BATCH_OPS or size > _BATCH_BYTES):
                batch, self._queue = self._queue[:count], self._queue[count:]
                return batch
        batch, self._queue = self._queue, []
        return batch

    async def _write_batch(self, batch: Sequence[PendingCommit]) -> None:
        if self._unsettled and not await self._settle():
            self._turn_down(batch, StoreFullError(f"the store cannot write: {self._health.write}"))
            return
        plan = plan_batch(
            [commit.ops for commit in batch],
            index=self._index,
            volatile=self._volatile.records,
            revision=self._last_given,
            written=max(int(self._clock.now().timestamp() * 1000), 0),
        )
        self._last_given = plan.revision  # a failed batch's revisions are not used again
        extras = self._plan_extras(plan)
        if plan.rows or extras:
            if self._health.look(asyncio.get_running_loop().time()):
                self._refuse(batch, plan, StoreFullError(f"the store cannot write: {self._health.write}"))
                return
            try:
                await self._write(plan, extras)
            except sqlite3.Error as error:
                await self._fail(batch, plan, error)
                return
            self._health.write = None
        self._accept(batch, plan)

    def _plan_extras(self, plan: BatchPlan) -> Extras:
        extras = Extras()
        if plan.last_volatile > self._ceiling:
            extras.ceiling = Revision(plan.last_volatile + CEILING_STEP)
        for event in plan.events if plan.replaced else ():
            if event.revision in plan.replaced:
                resource = event.key.partition("/")[0]
                if resource not in self._volatile_resources and resource not in extras.volatile:
                    extras.volatile.append(resource)
        now = plan.written / 1000
        if plan.rows and self._marks.is_due(now):
            extras.mark = (self._revision, int(now) + 1)
        if plan.rows or extras:
            floor = self._marks.plan_floor(self._floor, self._revision, now)
            if floor > self._floor:
                extras.floor = floor
        if self._wanted_floor is not None:
            extras.floor = max(self._wanted_floor, extras.floor or self._wanted_floor)
        if extras.floor is not None and extras.floor > self._ceiling:  # no row on disk need be as late as the floor
            extras.ceiling = max(extras.floor, extras.ceiling or extras.floor)
        floor = extras.floor or self._floor
        if floor > self._forgotten:
            extras.forget = (floor, SLICE_ROWS)
        return extras

    async def _write(self, plan: BatchPlan, extras: Extras) -> None:
        rows = plan.rows
        forgotten = await self._run(lambda db: database.write(db, rows, extras))
        if rows and self._high is not None:
            self._high.note(Revision(rows[-1][0]))
        self._log_bytes += 16_384 + sum(400 + 2 * len(row[4] or b"") for row in rows) + 4096 * (forgotten // 8)
        if extras.ceiling is not None:
            self._ceiling = extras.ceiling
        self._volatile_resources.update(extras.volatile)
        if extras.mark is not None:
            self._marks.add(*extras.mark)
        if extras.floor is not None:
            self._floor = extras.floor
            self._marks.forget(extras.floor)
            self._volatile.forget(extras.floor)
            self._wanted_floor = None
            waiters, self._floor_waiters = self._floor_waiters, []
            for waiter in waiters:
                _answer(waiter, None)
        if extras.forget is not None and forgotten < extras.forget[1]:
            self._forgotten = extras.forget[0]

    def _accept(self, batch: Sequence[PendingCommit], plan: BatchPlan) -> None:
        """Take over what is durable now, answer, publish."""
        index = self._index
        for key, place in plan.durable.items():
            if place[0]:
                index[key] = place
            else:
                index.pop(key, None)
        if plan.volatile:
            self._volatile.apply(plan.events, plan.replaced, plan.volatile, plan.written)
        if plan.moved:  # their history in memory no longer tells where they are
            self._volatile.forget(plan.revision)
        self._revision = plan.revision
        for commit, result in zip(batch, plan.results, strict=True):
            if isinstance(result, ConflictError):
                commit.fail(result)
            else:
                _answer(commit.answer, result)
        if plan.events:
            self._hub.publish(plan.events)

    # --- when the medium fails ----------------------------------------------------------------------------------------

    async def _fail(self, batch: Sequence[PendingCommit], plan: BatchPlan, error: sqlite3.Error) -> None:
        """The transaction of `plan` failed: find out what that means, and tell."""
        log.warning("the store could not write", extra={"error": str(error), "commits": len(batch)})
        outcome = outcome_of(error)
        if outcome is Outcome.DISAGREES:
            raise StoreError(f"the state file is not what this server wrote ({error}); see `minik check`") from error
        what = self._health.write = self._health.note(error)
        if outcome is Outcome.NOTHING:
            self._checkpoint_due = True  # room in the log, if there is none on the disk
            self._refuse(batch, plan, StoreFullError(f"the store could not write: {what}"))
            return
        self._unsettled = True
        if await self._settle():
            self._checkpoint_due = True  # so that the next transactions go into a new log
            self._turn_down(batch, StoreFullError(f"the store could not write: {what}"))
        else:
            self._turn_down(batch, UnknownError(f"the store failed while it wrote: {what}"))

    def _refuse(self, batch: Sequence[PendingCommit], plan: BatchPlan, refused: StoreError) -> None:
        """Nothing of the batch was written. What needed the disk fails; the rest is decided again."""
        again = [c for c in batch if plan.rows and not any(op.durable or op.key in self._index for op in c.ops)]
        self._turn_down([commit for commit in batch if commit not in again], refused)
        self._queue[:0] = again

    def _turn_down(self, batch: Sequence[PendingCommit], refused: StoreError) -> None:
        for commit in batch:
            commit.fail(refused)
        self._wanted_floor = None
        waiters, self._floor_waiters = self._floor_waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(refused)
        self._forgotten = self._floor  # slices of forgetting go on when the floor moves next

    async def _settle(self) -> bool:
        """Try to write: it shows that the medium works, and that nothing is left of a transaction that failed."""
        if self._health.look(asyncio.get_running_loop().time()):
            return False
        ceiling = Revision(max(self._ceiling, self._last_given) + 1)
        revision = self._revision
        try:
            await self._run(lambda db: database.settle(db, ceiling, revision))
        except sqlite3.Error as error:
            self._health.write = self._health.note(error)
            self._unsettled = self._unsettled or outcome_of(error) is not Outcome.NOTHING
            return False
        self._ceiling = ceiling
        self._log_bytes += 16_384
        self._unsettled = False
        self._health.write = None
        log.info("the store can write")
        return True

    # --- the connection -----------------------------------------------------------------------------------------------

    async def _run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Call `function` in the connection's thread. The caller holds `_turn`."""
        return await self._db.run(function)

    def _set_timer(self) -> None:
        """For what must be done although nobody asks: move the log, or try a medium that failed."""
        failing = self._health.write is not None or self._health.checkpoint is not None
        if failing and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._timer is None and (self._log_bytes or failing):
            seconds = _RETRY_SECONDS if failing else _IDLE_SECONDS
            self._timer = asyncio.get_running_loop().call_later(seconds, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._retry_due = self._health.write is not None or self._health.checkpoint is not None
        self._checkpoint_due = self._checkpoint_due or self._log_bytes > 0
        self._wake.set()

    async def _checkpoint(self) -> None:
        self._checkpoint_due = False
        self._log_bytes = 0
        try:
            await self._run(database.checkpoint)
        except sqlite3.Error as error:
            log.warning("the write-ahead log could not be moved into the file", extra={"error": str(error)})
            self._health.checkpoint = self._health.note(error)
        else:
            self._health.checkpoint = None

    def _check_open(self) -> None:
        if self._closing:
            raise ClosedError(self._health.damage or "the store is closed")

    def _broken(self, _task: str, error: BaseException) -> None:
        self._closing = True
        self._health.damage = f"the store stopped: {error}"
        self._stopped.set()
        queue, self._queue = self._queue, []
        for commit in queue:
            commit.fail(ClosedError(self._health.damage))
        self._hub.close()

    async def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._wake.set()
        await asyncio.wait([self._writer])
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        async with self._turn:
            if self._closed:
                return
            self._closed = True
            self._hub.close()
            await self._tasks.close()
            try:
                await self._run(self._write_last)
            except sqlite3.Error as error:
                log.warning("the store could not be closed cleanly", extra={"error": str(error)})
            finally:
                await self._db.close()
                if self._high is not None:
                    self._high.close()
                self._lock.release()

    def _write_last(self, db: sqlite3.Connection) -> None:
        if self._ceiling > self._revision:
            database.write(db, (), Extras(ceiling=self._revision))
        database.checkpoint(db, truncate=True)


def _answer(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)
