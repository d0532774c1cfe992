"""What a store was told and what it said, with the moments: the measure that a recovered file is held against. Pure.

Moments are lengths of the recorder's log. The ledger mirrors the promises of `minik/storage/base.py`, not the store's code.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from minik.storage.base import Event, EventType, Op, Record, Revision


@dataclass(frozen=True, slots=True)
class Recovered:
    """What the real code found in the files that a power cut left. `error`: it could not even open them."""

    records: Mapping[str, Record] = field(default_factory=dict)
    events: Sequence[Event] = ()
    """All since `floor`."""
    floor: int = 0
    revision: int = 0
    """As given by the store after opening."""
    next: int = 0
    """What its next commit got."""
    authors: Mapping[int, str] = field(default_factory=dict)
    """By revision, as the history of one key has them."""
    past: Mapping[int, Mapping[str, Record]] = field(default_factory=dict)
    """By revision, the Pods there were."""
    problems: Sequence[str] = ()
    """Of check.py, and of what was tried."""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`last`: the last durable revision that is there; None if what is there was never committed so. `wrong`: why."""

    last: int | None
    wrong: str = ""


class Ledger:
    """Starts empty. `fork` gives one that starts with what another knows."""

    def __init__(self) -> None:
        self.live: dict[str, tuple[Record, bool]] = {}
        """Each key's record, and whether it is on disk."""
        self.events: list[Event] = []
        """Of durable writes, since ever."""
        self.authors: dict[int, str] = {}
        self.states: dict[int, dict[str, Record]] = {0: {}}
        """The durable state after each commit, by its last durable revision; in order."""
        self.given = [(0, 0)]
        """(moment, greatest revision that anybody knows)."""
        self.compacted = [(0, 0)]
        """(moment, revision up to which history was to be forgotten, and it was said that it is)."""
        self._state: dict[str, Record] = {}

    # --- what happens -------------------------------------------------------------------------------------------------

    def shown(self, moment: int, events: Sequence[Event]) -> None:
        """The store published `events`: their writers are answered in the same turn."""
        self.given.append((moment, max(self.given[-1][1], *(event.revision for event in events))))

    def committed(self, ops: Sequence[Op], revisions: Sequence[Revision]) -> None:
        """A commit succeeded. Called in the order of revisions."""
        durable = 0
        for op, revision in zip(ops, revisions, strict=True):
            if self._write(op, revision):
                durable = revision
                self.authors[revision] = op.author
        if durable:
            self.states[durable] = dict(self._state)

    def _write(self, op: Op, revision: Revision) -> bool:
        before, on_disk = self.live.get(op.key, (None, False))
        created = before.created if before is not None else revision
        record = Record(op.key, op.value, revision, created) if op.value is not None else None
        to_disk = on_disk or (op.durable and record is not None)
        if record is None:
            self.live.pop(op.key)
        else:
            self.live[op.key] = (record, to_disk)
        if not to_disk:
            return False
        previous = before.value if before is not None and on_disk else None
        if record is None:
            self.events.append(Event(EventType.DELETE, op.key, previous, None, revision, created))
            del self._state[op.key]
        else:
            self.events.append(Event(EventType.PUT, op.key, record.value, previous, revision, created))
            self._state[op.key] = record
        return True

    def restarted(self) -> None:
        """What was in memory alone is gone."""
        self.live = {key: (record, True) for key, (record, on_disk) in self.live.items() if on_disk}

    def fork(self, last: int, moment: int) -> Ledger:
        """The ledger of whoever goes on after a crash at `moment`, with the commits up to `last`."""
        fork = Ledger()
        fork.events = [event for event in self.events if event.revision <= last]
        fork.authors = dict(self.authors)
        fork.states = {revision: state for revision, state in self.states.items() if revision <= last}
        fork._state = dict(self.states[last])
        fork.live = {key: (record, True) for key, record in fork._state.items()}
        fork.given = [(0, self.given_at(moment))]
        fork.compacted = [(0, _at(self.compacted, moment))]
        return fork

    def adopt(self, other: Ledger) -> None:
        """From now on, what the fork `other` says is what happened."""
        self.events, self.states, self.authors = other.events, other.states, other.authors
        self.live, self._state = other.live, other._state

    def opened(self, moment: int, revision: int) -> None:
        """The store shows its state as of `revision`."""
        self.restarted()
        self.given.append((moment, max(self.given[-1][1], revision)))

    # --- what must be -------------------------------------------------------------------------------------------------

    def judge(self, recovered: Recovered) -> Verdict:
        """Whether exactly the first so many commits are there: values, revisions, history."""
        if recovered.error:
            return Verdict(None, f"cannot be opened: {recovered.error}")
        if recovered.problems:
            return Verdict(None, "; ".join(recovered.problems))
        seen = [record.revision for record in recovered.records.values()] + [e.revision for e in recovered.events]
        greatest = max(seen, default=0)
        # A deletion leaves no trace once its history is forgotten: so there may be later commits that fit as well.
        fitting = [n for n in self.states if greatest <= n <= max(greatest, recovered.floor)]
        for last in reversed(fitting):
            if self.states[last] == recovered.records:
                return self._judge_history(recovered, last)
        if greatest in self.states:
            return Verdict(
                None, f"wrong state at revision {greatest}: {_difference(self.states[greatest], recovered.records)}"
            )
        return Verdict(None, f"half a commit, or one nobody made: what is there ends at revision {greatest}")

    def _judge_history(self, recovered: Recovered, last: int) -> Verdict:
        expected = [event for event in self.events if recovered.floor < event.revision <= last]
        if list(recovered.events) != expected:
            mine = {event.revision for event in expected} ^ {event.revision for event in recovered.events}
            return Verdict(
                None, f"wrong history after {recovered.floor} up to {last}: differs at {sorted(mine) or 'a value'}"
            )
        for revision, author in recovered.authors.items():
            if self.authors[revision] != author:
                return Verdict(None, f"{author!r} instead of {self.authors[revision]!r} wrote revision {revision}")
        for at, records in recovered.past.items():
            if self._pods_at(min(at, last)) != records:
                return Verdict(None, f"wrong list at {at}: {_difference(self._pods_at(min(at, last)), records)}")
        if recovered.revision < last or recovered.next <= recovered.revision:
            return Verdict(
                None, f"last {last}, but the store says {recovered.revision} and goes on with {recovered.next}"
            )
        return Verdict(last)

    def _pods_at(self, at: int) -> dict[str, Record]:
        found: dict[str, Record] = {}
        for event in self.events:
            if event.revision <= at and event.key.startswith("pods/"):
                if event.type is EventType.DELETE:
                    del found[event.key]
                elif event.value is not None:
                    found[event.key] = Record(event.key, event.value, event.revision, event.created)
        return found

    def missing(self, recovered: Recovered, last: int, moment: int) -> str:
        """What is wrong with a sound recovered state after a power cut at `moment`; "" is right."""
        acknowledged = self.acknowledged_at(moment)
        if last < acknowledged:
            return (
                f"an acknowledged write is lost: revision {acknowledged} was acknowledged, {last} is the last one there"
            )
        if recovered.next <= self.given_at(moment):
            return f"revision {recovered.next} is given out again: {self.given_at(moment)} was given before"
        if recovered.floor < _at(self.compacted, moment):
            return f"a compaction is undone: {recovered.floor} after {_at(self.compacted, moment)}"
        return ""

    @property
    def last(self) -> int:
        """The last durable revision."""
        return next(reversed(self.states))

    def given_at(self, moment: int) -> int:
        return _at(self.given, moment)

    def acknowledged_at(self, moment: int) -> int:
        """The last durable revision that was acknowledged."""
        given = self.given_at(moment)
        ends = list(self.states)
        place = bisect.bisect_right(ends, given)
        return ends[place - 1]


def _at(moments: Sequence[tuple[int, int]], moment: int) -> int:
    place = bisect.bisect_right(moments, moment, key=lambda pair: pair[0])
    return moments[place - 1][1] if place else 0


def _difference(expected: Mapping[str, Record], found: Mapping[str, Record]) -> str:
    wrong = [key for key in {**expected, **found} if expected.get(key) != found.get(key)]
    return f"{len(wrong)} of {len(expected)} keys, such as {sorted(wrong)[:3]}"
