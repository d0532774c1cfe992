"""`SqliteStore`: the `Store` that keeps a server's state in one SQLite file. Opened by `open.py`.

One task writes. It takes all commits that came while the last transaction ran, decides them (`journal.py`), carries them out as one
durable transaction (`database.py`), answers the callers and hands the events to the hub, in this order and in one turn of the loop.
A batch that only touches non-durable keys skips the disk.

In memory are, per durable key, its revisions but not its value: values are held once in the process, by the cache, as the bytes it
serves. So live events of durable keys do not carry what they replaced, and `get` and `list` read the file.

The connection's thread competes with the event loop for the interpreter's lock; `lending.py` sees to it that it does not starve.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from minik.aio import Tasks
from minik.clock import Clock
from minik.files import sync_directory
from minik.storage import check, database
from minik.storage.base import (
    ClosedError,
    CompactedError,
    ConflictError,
    Event,
    Listener,
    Op,
    OpenError,
    Page,
    Record,
    Revision,
    Store,
    StoreError,
    StoreFullError,
    Version,
)
from minik.storage.compactor import SLICE_ROWS, Marks, Retention
from minik.storage.connection import Connect, Connection, ThreadConnection
from minik.storage.database import Contents, DirectoryLock, Extras
from minik.storage.hub import Hub, follow
from minik.storage.journal import BatchPlan, plan_batch
from minik.storage.versions import VersionRow, plan_versions
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
_VOLATILE_HISTORY = 2_000
_HISTORY_SLICE = 4096
"""Revisions looked through at a time for the versions of a key."""


class _Commit:
    """A commit that waits for its batch."""

    __slots__ = ("answer", "ops", "size")

    def __init__(self, ops: Sequence[Op], answer: asyncio.Future[Sequence[Revision]]) -> None:
        self.ops = ops
        self.answer = answer
        self.size = sum(len(op.value) for op in ops if op.value is not None)

    def fail(self, error: StoreError) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class SqliteStore:
    """See the module. Made by `SqliteStore.open`; must be closed, or the process does not end."""

    def __init__(
        self,
        db: Connection,
        lock: DirectoryLock,
        contents: Contents,
        *,
        clock: Clock,
        retention: Retention,
        volatile_history: int = _VOLATILE_HISTORY,
    ) -> None:
        self._db = db
        self._lock = lock
        self._clock = clock
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
        self._queue: list[_Commit] = []
        self._wanted_floor: Revision | None = None
        self._floor_waiters: list[asyncio.Future[None]] = []
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()
        """Held by whoever uses the connection: a reader sees the file exactly as of `_revision`."""
        self._log_bytes = 0
        self._idle_timer: asyncio.TimerHandle | None = None
        self._checkpoint_due = False
        self._closing = False
        self._closed = False
        self._tasks = Tasks("storage", on_failure=self._broken)
        self._writer = self._tasks.start("writer", self._write_batches())

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        clock: Clock,
        retention: Retention | None = None,
        synchronous: str = "FULL",
        connect: Connect = ThreadConnection.open,
    ) -> SqliteStore:
        """Open or make the file `path`, whose directory must exist. Raises OpenError."""
        lock = DirectoryLock(path.parent)
        db: Connection | None = None
        try:
            path.touch(mode=0o600)  # noqa: ASYNC240  # opening is local and blocks for microseconds
            db = await connect(path)
            contents = await db.run(lambda c: database.prepare(c, synchronous=synchronous))
            problems = await db.run(check.check_quickly)
            if problems:
                raise OpenError(f"{path} is damaged: {'; '.join(problems)}")
            sync_directory(path.parent)  # the names first: that of the log, before anything of it goes into the file
            await db.run(database.settle)
        except BaseException as error:
            if db is not None:
                await db.close()
            lock.release()
            if isinstance(error, sqlite3.Error | OSError):
                raise OpenError(f"{path} cannot be opened: {error}") from error
            raise
        return cls(db, lock, contents, clock=clock, retention=retention or Retention())

    # --- reading ------------------------------------------------------------------------------------------------------

    async def get(self, key: str) -> Record | None:
        self._check_open()
        async with self._turn:
            if key not in self._index:
                return self._volatile.records.get(key)
            return await self._run(lambda db: database.get(db, key))

    async def list(self, prefix: str, *, after: str = "", limit: int = 0, at: Revision | None = None) -> Page:
        self._check_open()
        async with self._turn:
            if at is not None and at < self._revision:
                return await self._list_at(prefix, after, limit, at)
            found, total = await self._run(lambda db: database.list_page(db, prefix, after, limit))
            volatile = self._volatile.list(prefix, after, None)
            return _page([*found, *volatile], limit, total + len(volatile), self._revision if at is None else at)

    async def _list_at(self, prefix: str, after: str, limit: int, at: Revision) -> Page:
        self._check_retained(prefix, at)
        found = await self._run(lambda db: database.list_at(db, prefix, after, at))
        volatile = self._volatile.list(prefix, after, at)
        return _page([*found, *volatile], limit, len(found) + len(volatile), at)

    async def events(self, prefix: str, *, since: Revision, upto: Revision, limit: int = 0) -> Sequence[Event]:
        self._check_open()
        async with self._turn:
            if since < self._floor:
                raise CompactedError(since, self._floor)
            return await self._events(prefix, since, upto, limit)

    async def _events(self, prefix: str, since: Revision, upto: Revision, limit: int) -> Sequence[Event]:
        bound = None if upto >= self._revision else upto
        found = await self._run(lambda db: database.events(db, prefix, since, bound, limit))
        volatile = self._volatile.events(prefix, since, upto)
        if volatile:
            found = sorted([*found, *volatile], key=lambda event: event.revision)
        return found[-limit:] if limit else found

    async def history(self, key: str) -> Sequence[Version]:
        self._check_open()
        rows: list[VersionRow] = []
        at = self._floor
        while True:  # there is no index by key: slices, so that writers get their turn
            async with self._turn:
                after, at = at, Revision(at + _HISTORY_SLICE)
                rows += await self._run(lambda db, after=after, at=at: database.version_rows(db, key, after, at))  # type: ignore[misc]  # mypy cannot infer lambdas with defaults
                if at < self._revision:
                    continue
                current = await self._run(lambda db: database.get(db, key))
                found = plan_versions([row for row in rows if row[0] > self._floor], current)
                return sorted([*found, *self._volatile.versions(key)], key=lambda version: version.revision)

    def watch(self, prefix: str, *, since: Revision) -> AsyncIterator[Event]:
        async def replay() -> Sequence[Event]:
            async with self._turn:
                self._check_retained(prefix, since)
                return await self._events(prefix, since, self._revision, 0)

        return follow(self._hub, prefix, since=since, replay=replay)

    def listen(self, listener: Listener) -> Callable[[], None]:
        return self._hub.listen(listener)

    async def current_revision(self) -> Revision:
        return self._revision

    async def oldest_revision(self) -> Revision:
        return self._floor

    async def floors(self) -> Mapping[str, Revision]:
        floor = self._volatile.floor
        return dict.fromkeys(self._volatile_resources, floor) if floor > self._floor else {}

    def _check_retained(self, prefix: str, revision: Revision) -> None:
        """Raise CompactedError if the events of `prefix` after `revision` are not all there."""
        oldest = self._floor
        if self._volatile.floor > oldest:
            for resource in self._volatile_resources:
                if prefix.startswith(f"{resource}/") or f"{resource}/".startswith(prefix):
                    oldest = self._volatile.floor
        if revision < oldest:
            raise CompactedError(revision, oldest)

    # --- writing ------------------------------------------------------------------------------------------------------

    async def commit(self, ops: Sequence[Op]) -> Sequence[Revision]:
        self._check_open()
        answer: asyncio.Future[Sequence[Revision]] = asyncio.get_running_loop().create_future()
        self._queue.append(_Commit(ops, answer))
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

    async def _write_batches(self) -> None:
        while True:
            if not (self._queue or self._has_chores()):
                if self._closing:
                    return
                self._wake.clear()
                self._set_idle_timer()
                await self._wake.wait()
            async with self._turn:
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
        return self._wanted_floor is not None or self._forgotten < self._floor or self._checkpoint_due

    def _take(self) -> Sequence[_Commit]:
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

    async def _write_batch(self, batch: Sequence[_Commit]) -> None:
        plan = plan_batch(
            [commit.ops for commit in batch],
            index=self._index,
            volatile=self._volatile.records,
            revision=self._last_given,
            written=int(self._clock.now().timestamp() * 1000),
        )
        self._last_given = plan.revision  # a failed batch's revisions are not used again
        extras = self._plan_extras(plan)
        if plan.rows or extras:
            try:
                await self._write(plan, extras)
            except sqlite3.Error as error:
                self._refuse(batch, plan, error)
                return
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

    def _accept(self, batch: Sequence[_Commit], plan: BatchPlan) -> None:
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

    def _refuse(self, batch: Sequence[_Commit], plan: BatchPlan, error: sqlite3.Error) -> None:
        """Nothing of the batch was written. What needed the disk fails; the rest is decided again."""
        log.warning("the store could not write", extra={"error": str(error), "commits": len(batch)})
        error_type = StoreError if isinstance(error, sqlite3.IntegrityError) else StoreFullError
        refused = error_type(f"the store could not write: {error}")
        again = [c for c in batch if plan.rows and not any(op.durable or op.key in self._index for op in c.ops)]
        for commit in batch:
            if commit not in again:
                commit.fail(refused)
        self._queue[:0] = again
        self._wanted_floor = None
        waiters, self._floor_waiters = self._floor_waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(refused)
        if not plan.rows and not batch:  # a slice of forgetting failed: try it again with the next write
            self._forgotten = self._floor

    # --- the connection -----------------------------------------------------------------------------------------------

    async def _run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Call `function` in the connection's thread. The caller holds `_turn`."""
        return await self._db.run(function)

    def _set_idle_timer(self) -> None:
        if self._log_bytes and self._idle_timer is None:
            self._idle_timer = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._idle)

    def _idle(self) -> None:
        self._idle_timer = None
        self._checkpoint_due = True
        self._wake.set()

    async def _checkpoint(self) -> None:
        self._checkpoint_due = False
        self._log_bytes = 0
        try:
            await self._run(database.checkpoint)
        except sqlite3.Error as error:
            log.warning("the write-ahead log could not be moved into the file", extra={"error": str(error)})

    def _check_open(self) -> None:
        if self._closing:
            raise ClosedError("the store is closed")

    def _broken(self, _task: str, error: BaseException) -> None:
        self._closing = True
        queue, self._queue = self._queue, []
        for commit in queue:
            commit.fail(ClosedError(f"the store is broken: {error}"))
        self._hub.close()

    async def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._wake.set()
        await asyncio.wait([self._writer])
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
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
                self._lock.release()

    def _write_last(self, db: sqlite3.Connection) -> None:
        if self._ceiling > self._revision:
            database.write(db, (), Extras(ceiling=self._revision))
        database.checkpoint(db, truncate=True)


def _answer(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _page(records: Sequence[Record], limit: int, total: int, revision: Revision) -> Page:
    """A page of records from disk followed by ones from memory; `total` of them come after the asked key."""
    ordered = sorted(records, key=lambda record: record.key)
    shown = ordered[:limit] if limit else ordered
    return Page(shown, revision, more=total > len(shown), remaining=total - len(shown))


if TYPE_CHECKING:

    def _is_store(store: SqliteStore) -> Store:
        return store
