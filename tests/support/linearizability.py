"""Is what clients saw of an object explained by one object that does one thing at a time? (Herlihy and Wing's linearizability.)

An object here is a register with the API server's rules: create-if-absent, PUT bound to a resourceVersion or not, patches of parts
("lanes") of the content, delete with preconditions, reads. `check` takes the recorded operations and says what cannot be explained;
[] is a linearizable history. Pure: no I/O, no clock. `torture.py` records such histories from a server that is killed all the time.

The search is the just-in-time linearization of Lowe ("Testing for linearizability", 2017), a refinement of Wing and Gong's: go
through calls and answers in their order, keep all configurations that are possible so far (the register's state, and which of the
operations under way have taken effect), and let an operation take effect only when its own or another's answer needs it. Operations
that change nothing take effect as soon as they fit, which never excludes anything. Locality makes it a search per object.

What keeps the configurations few: every write sets tokens that no other write uses, so what somebody has seen of a content tells
its one revision and uid (`facts`, whose own contradictions are violations: a write that happened twice, a revision used twice);
and revisions only grow.

An operation without an answer may have taken effect at any moment until `end`, where the process that got it had died, or never.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Content = tuple[str, ...]
"""The token of the last write of each lane."""

Verb = Literal["create", "put", "patch", "delete", "get"]

Outcome = Literal["done", "absent", "exists", "conflict", "untrue", "refused", "unknown"]
"""done: as asked. absent: 404. exists: 409 of a create. conflict: 409 of another precondition. untrue: the `test` of a JSON patch did not
hold. refused: no effect, for a reason that tells nothing of the state. unknown: no answer, or one that leaves it open."""


@dataclass(slots=True, eq=False)
class Operation:
    """A call and its answer. `start` and `end` are positions in the order of all calls and answers.

    `sets`: per lane the token written, or None to leave it. `if_*`: what must hold for a write. `creates`: a PUT makes what is
    absent, whatever revision it names (as kube-apiserver has it for Events and Leases).
    `revision`, `uid`, `content`: what the answer says, as far as it does (a delete's answer often has only the uid).
    """

    key: str
    verb: Verb
    start: int
    end: int = -1
    outcome: Outcome = "unknown"
    sets: tuple[str | None, ...] = ()
    if_revision: int = 0
    if_uid: str = ""
    if_content: tuple[str | None, ...] = ()
    creates: bool = False
    revision: int = 0
    uid: str = ""
    content: Content | None = None
    who: str = ""

    def __str__(self) -> str:
        wanted = [f"{name}={value}" for name, value in (
            ("sets", self.sets), ("if_revision", self.if_revision), ("if_uid", self.if_uid), ("if_content", self.if_content),
        ) if value]  # fmt: skip
        told = [f"{name}={value}" for name, value in (
            ("revision", self.revision), ("uid", self.uid), ("content", self.content)
        ) if value]  # fmt: skip
        return f"[{self.start}..{self.end}] {self.who} {self.verb} {' '.join(wanted)} → {self.outcome} {' '.join(told)}".rstrip()


class State(NamedTuple):
    """A register. `content` None: there is no object. `floor`: the greatest revision that this object is known to have had."""

    floor: int = 0
    revision: int = 0
    uid: str = ""
    content: Content | None = None

    def __str__(self) -> str:
        return (
            "no object"
            if self.content is None
            else f"revision {self.revision or '?'} {self.content} uid {self.uid or '?'}"
        )


@dataclass(frozen=True, slots=True)
class Facts:
    """What contents are known to have been: content → (revision, uid)."""

    versions: Mapping[Content, tuple[int, str]]
    revisions: frozenset[int] = frozenset()

    def is_at(self, state: State, revision: int) -> bool:
        """Whether the register can be at that revision: it is, or nobody saw the content that is there nor that revision's."""
        if state.revision:
            return state.revision == revision
        return revision > state.floor and revision not in self.revisions


def gather(operations: Iterable[Operation]) -> tuple[Facts, list[str]]:
    """What the answers say of one object's contents, and where they contradict one another."""
    versions: dict[Content, tuple[int, str]] = {}
    contents: dict[int, Content] = {}
    found = []
    for op in operations:
        if op.outcome != "done" or op.content is None or not op.revision:
            continue
        known = versions.setdefault(op.content, (op.revision, op.uid))
        if known != (op.revision, op.uid):
            found.append(
                f"{op.key}: {op.content} is at revision {known[0]} (uid {known[1]}) and at {op.revision} (uid {op.uid})"
            )
        held = contents.setdefault(op.revision, op.content)
        if held != op.content:
            found.append(f"{op.key}: revision {op.revision} was used twice: for {held} and for {op.content}")
    return Facts(versions, frozenset(contents)), found


def changes_nothing(op: Operation) -> bool:
    """Whether the operation leaves the register as it is, by what is known of its outcome."""
    return op.verb == "get" or op.outcome not in ("done", "unknown")


def fits(state: State, op: Operation) -> bool:
    """Whether an operation that changes nothing can have had its outcome in this state."""
    if op.outcome == "refused":
        return True
    if op.outcome == "absent":
        return state.content is None
    if state.content is None:
        return False
    if op.outcome == "exists":
        return True
    if op.outcome == "conflict":
        return bool(op.if_revision and op.if_revision != state.revision) or bool(op.if_uid and op.if_uid != state.uid)
    if op.outcome == "untrue":
        return not _holds(op.if_content, state.content)
    return op.verb == "get" and (state.revision, state.uid, state.content) == (op.revision, op.uid, op.content)


def _holds(wanted: tuple[str | None, ...], content: Content) -> bool:
    return all(token is None or token == there for token, there in zip(wanted, content, strict=False))


def step(state: State, op: Operation, facts: Facts) -> State | None:
    """The state after a write took effect in `state`; None if it cannot have, with the answer that it gave."""
    if op.revision and op.verb != "delete" and op.revision <= state.floor:
        return None
    if state.content is None:
        if op.verb == "create" or op.creates:
            return _becomes(state.floor, "", tuple(token or "" for token in op.sets), op, facts)
        return None
    if op.verb == "create":
        return None
    if op.if_revision and not facts.is_at(state, op.if_revision):
        return None
    if op.if_uid and state.uid and op.if_uid != state.uid:
        return None
    if op.if_content and not _holds(op.if_content, state.content):
        return None
    if op.verb == "delete":
        if op.uid and state.uid and op.uid != state.uid:
            return None
        return State(max(state.floor, op.revision))
    merged = tuple(new or old for new, old in zip(op.sets, state.content, strict=True))
    return _becomes(state.floor, state.uid, merged, op, facts)


def _becomes(floor: int, uid: str, content: Content, op: Operation, facts: Facts) -> State | None:
    """The state that a write leaves, if all that is known of it agrees."""
    revision, known_uid = facts.versions.get(content, (0, ""))
    if uid and known_uid and uid != known_uid:
        return None
    if revision and revision <= floor:
        return None
    if op.outcome == "done" and (op.content != content or op.revision != revision):
        return None
    return State(max(floor, revision), revision, uid or known_uid, content)


Configuration = tuple[State, frozenset[int]]
"""A possible state, and which of the operations under way (by index) have taken effect."""


class _Search:
    """The operations of one object, and the configurations possible so far."""

    def __init__(self, operations: Sequence[Operation], facts: Facts) -> None:
        self.operations = operations
        self.facts = facts
        self.under_way: set[int] = set()
        self.possible: set[Configuration] = {(State(), frozenset())}

    def _settled(self, state: State, done: frozenset[int]) -> Configuration:
        """With everything done that fits here and changes nothing."""
        ops = self.operations
        fitting = [i for i in self.under_way if i not in done and changes_nothing(ops[i]) and fits(state, ops[i])]
        return (state, done.union(fitting)) if fitting else (state, done)

    def call(self, index: int) -> None:
        self.under_way.add(index)
        if changes_nothing(self.operations[index]):
            self.possible = {self._settled(*configuration) for configuration in self.possible}

    def answer(self, index: int) -> bool:
        """The operation must have taken effect by now (or may have, without an answer). False if that is impossible."""
        found: set[Configuration] = set()
        optional = self.operations[index].outcome == "unknown"
        seen = set(self.possible)
        stack = list(self.possible)
        writes = [i for i in self.under_way if not changes_nothing(self.operations[i])]
        while stack:
            state, done = stack.pop()
            if index in done:
                found.add((state, done - {index}))
                continue
            if optional:
                found.add((state, done))
            for i in writes:
                if i in done:
                    continue
                after = step(state, self.operations[i], self.facts)
                if after is not None:
                    configuration = self._settled(after, done | {i})
                    if configuration not in seen:
                        seen.add(configuration)
                        stack.append(configuration)
        self.under_way.discard(index)
        self.possible = found
        return bool(found)

    def may_lose(self) -> None:
        """The process died, and the object need not have survived it."""
        self.possible |= {self._settled(State(state.floor), done) for state, done in self.possible}


def check_object(operations: Iterable[Operation], *, losses: Sequence[int] = ()) -> list[str]:
    """What cannot be explained of one object's history. `losses`: positions at which it may have vanished."""
    ops = sorted((op for op in operations if op.verb != "get" or op.outcome != "unknown"), key=lambda op: op.start)
    facts, found = gather(ops)
    if found:
        return found
    moments = [(op.start, 1, i) for i, op in enumerate(ops)]
    moments += [(op.end, 2, i) for i, op in enumerate(ops)]
    moments += [(position, 3, 0) for position in losses]
    moments.sort()
    search = _Search(ops, facts)
    for _, what, index in moments:
        before = search.possible
        if what == 1:
            search.call(index)
        elif what == 3:
            search.may_lose()
        elif not search.answer(index):
            return [_explain(ops, index, before)]
    return []


def _explain(ops: Sequence[Operation], index: int, before: Iterable[Configuration]) -> str:
    """Why no order is possible: the answer that does not fit, what could have been, and what went on around it."""
    op = ops[index]
    states = sorted({str(state) for state, _ in before})[:5]
    around = sorted((o for o in ops if o.start <= op.end), key=lambda o: o.end)[-12:]
    lines = [f"{op.key}: no order of the operations explains {op}", "  before it, possibly: " + "; or ".join(states)]
    return "\n".join([*lines, *(f"  {o}" for o in around)])


def check(operations: Iterable[Operation], *, losses: Mapping[str, Sequence[int]] | None = None) -> list[str]:
    """What cannot be explained of a history of many objects. `losses`: per key that need not survive a death, the deaths."""
    by_key: dict[str, list[Operation]] = defaultdict(list)
    for op in operations:
        by_key[op.key].append(op)
    losses = losses or {}
    return [text for key in sorted(by_key) for text in check_object(by_key[key], losses=losses.get(key, ()))]


@dataclass(frozen=True, slots=True)
class Glimpse:
    """A revision that somebody was told (`end`) by an answer, a list or a watch; of a write that was called at `start`, if any."""

    revision: int
    end: int
    start: int = -1


def check_revisions(glimpses: Iterable[Glimpse]) -> list[str]:
    """Revisions never go back: a write that was called after a revision had been shown has a greater one."""
    glimpses = list(glimpses)
    moments = [(g.end, 0, g.revision) for g in glimpses] + [(g.start, 1, g.revision) for g in glimpses if g.start >= 0]
    moments.sort()
    bounds: dict[tuple[int, int], int] = {}
    greatest = 0
    for position, what, revision in moments:
        if what == 1:
            bounds[position, revision] = greatest
        greatest = max(greatest, revision) if what == 0 else greatest
    return [
        f"a write called at {position} got revision {revision}, although {bound} had been seen before"
        for (position, revision), bound in bounds.items()
        if revision <= bound
    ]
