"""`plan_batch`: what a batch of commits amounts to. Pure; the SQLite store decides by it before it touches the disk.

Expectations are checked here, in the order in which the commits came, against the committed state and what the batch itself has
written so far. So a commit is refused only because of a write that is durable, or becomes so together with the refusal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from minik.storage.base import ABSENT, ConflictError, Event, EventType, Op, Record, Revision

Place = tuple[Revision, Revision]
"""Where a key is: (revision, created)."""

Row = tuple[int, int, int | None, str, bytes | None, str, int]
"""One write on disk: revision, created, revision it replaces on disk, key, value (None deletes), author, time (Unix ms)."""

_GONE: Place = (ABSENT, ABSENT)


@dataclass(slots=True)
class BatchPlan:
    """The outcome of a batch. `results` has one element per commit: its revisions, or why not."""

    revision: Revision
    """The last one given out."""
    written: int
    """When, in Unix milliseconds."""
    results: list[Sequence[Revision] | ConflictError] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    durable: dict[str, Place] = field(default_factory=dict)
    """Keys on disk that change: where they are afterwards; (0, 0) if they are gone."""
    volatile: dict[str, Record | None] = field(default_factory=dict)
    """Keys in memory that change."""
    replaced: dict[Revision, tuple[Record | None, str]] = field(default_factory=dict)
    """Per event of a key in memory: the record it replaced, and the author."""
    last_volatile: Revision = ABSENT
    """The greatest revision given to a key in memory; the ceiling must not lie below it."""
    moved: set[str] = field(default_factory=set)
    """Keys that were in memory and are on disk now."""


def plan_batch(
    commits: Sequence[Sequence[Op]],
    *,
    index: Mapping[str, Place],
    volatile: Mapping[str, Record],
    revision: Revision,
    written: int = 0,
) -> BatchPlan:
    """Decide `commits` one after the other; revisions go on after `revision`. `written`: the time, in Unix milliseconds.

    A key that is on disk stays there until it is deleted: `durable=False` is a permission, not an order.
    """
    plan = BatchPlan(revision, written)
    for ops in commits:
        plan.results.append(_decide(plan, ops, index, volatile))
    return plan


def _decide(
    plan: BatchPlan, ops: Sequence[Op], index: Mapping[str, Place], volatile: Mapping[str, Record]
) -> Sequence[Revision] | ConflictError:
    places: dict[str, Revision] = {}
    for op in ops:
        actual = places.get(op.key)
        if actual is None:
            actual = _revision_of(plan, op.key, index, volatile)
        if (op.expected is not None and op.expected != actual) or (op.value is None and actual == ABSENT):
            return ConflictError(op.key, actual)
        places[op.key] = (
            ABSENT if op.value is None else Revision(-1)
        )  # -1: written by this commit; nobody can expect it
    return [_write(plan, op, index, volatile) for op in ops]


def _revision_of(plan: BatchPlan, key: str, index: Mapping[str, Place], volatile: Mapping[str, Record]) -> Revision:
    place = plan.durable.get(key) or index.get(key, _GONE)
    if place[0] != ABSENT:
        return place[0]
    record = plan.volatile[key] if key in plan.volatile else volatile.get(key)
    return ABSENT if record is None else record.revision


def _write(plan: BatchPlan, op: Op, index: Mapping[str, Place], volatile: Mapping[str, Record]) -> Revision:
    revision = plan.revision = Revision(plan.revision + 1)
    key, value = op.key, op.value
    on_disk = plan.durable.get(key) or index.get(key, _GONE)
    record = plan.volatile[key] if key in plan.volatile else volatile.get(key)
    before = record.value if record is not None else None
    if on_disk[0] != ABSENT:
        created = on_disk[1]
    elif record is not None:
        created = record.created
    else:
        created = revision
    if value is None:
        plan.events.append(Event(EventType.DELETE, key, before, None, revision, created))
    else:
        plan.events.append(Event(EventType.PUT, key, value, before, revision, created))
    if on_disk[0] != ABSENT or (op.durable and value is not None):
        plan.rows.append((revision, created, on_disk[0] or None, key, value, _clean(op.author), plan.written))
        plan.durable[key] = _GONE if value is None else (revision, created)
        if record is not None:
            plan.volatile[key] = None
            plan.moved.add(key)
    else:
        plan.volatile[key] = Record(key, value, revision, created) if value is not None else None
        plan.replaced[revision] = (record, op.author)
        plan.last_volatile = revision
    return revision


def _clean(author: str) -> str:
    """As UTF-8 can hold it: names come from headers, which may hold anything, and must not fail a write."""
    return author if author.isascii() else author.encode("utf-8", "replace").decode()
