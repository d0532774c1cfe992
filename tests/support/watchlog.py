"""Are the watch streams that several watchers recorded complete, gapless and in one order? Pure checks over transcripts.

A `Transcript` is what one watcher saw: sessions, each beginning at a revision (or at a list) and going on until the connection ended.
The watchers of a whole resource together give the truth, the log of every write of it by revision; each stream must be exactly what
its selection makes of that log, each list exactly the log's state at its revision, and each acknowledged write must be in it.

Of kinds that need not survive a death there is no one truth: their transcripts are held against the lists of the same life.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from tests.support.linearizability import Content, Operation

EventType = Literal["ADDED", "MODIFIED", "DELETED"]


class Version(NamedTuple):
    """One state of an object. `shade` is the value of the label that selections go by."""

    revision: int
    uid: str
    content: Content
    shade: str = ""


class Seen(NamedTuple):
    """One event of a stream, and its position in the order of everything. A DELETED one has the deletion's revision."""

    type: EventType
    key: str
    version: Version
    position: int

    def __str__(self) -> str:
        return f"{self.type} {self.key} {self.version.revision} {self.version.content}"


@dataclass(slots=True)
class Session:
    """One connection's events after `since`, in the life `life` of the server. `initial`: the list it began with, if it did."""

    life: int
    since: int
    initial: Mapping[str, Version] | None = None
    events: list[Seen] = field(default_factory=list)


@dataclass(slots=True)
class Scope:
    """What a watcher or list selects: a namespace ("" is all) and a value of the label ("" is any)."""

    resource: str
    namespace: str = ""
    shade: str = ""

    def has(self, key: str) -> bool:
        """Keys are `resource/namespace/name`."""
        resource, namespace, _ = key.split("/")
        return resource == self.resource and self.namespace in ("", namespace)

    def holds(self, key: str, version: Version | None) -> bool:
        return version is not None and self.has(key) and self.shade in ("", version.shade)

    def __str__(self) -> str:
        return f"{self.resource} in {self.namespace or 'all namespaces'}" + (f" with {self.shade}" * bool(self.shade))


@dataclass(slots=True)
class Transcript:
    """`expired`: how often the server said 410."""

    name: str
    scope: Scope
    sessions: list[Session] = field(default_factory=list)
    expired: int = 0

    @property
    def events(self) -> Iterator[Seen]:
        return (event for session in self.sessions for event in session.events)


@dataclass(slots=True)
class Listing:
    """The answer to a list: the state at `revision`."""

    scope: Scope
    life: int
    revision: int
    items: dict[str, Version]
    position: int = 0


Log = Mapping[int, Seen]
"""Events by revision, ascending."""


def truth(transcripts: Iterable[Transcript]) -> tuple[Log, list[str]]:
    """The events of watchers that select everything, joined; and where two of them contradict each other."""
    log: dict[int, Seen] = {}
    found = []
    for transcript in transcripts:
        for event in transcript.events:
            known = log.setdefault(event.version.revision, event)
            if known[:3] != event[:3]:
                found.append(f"two watchers saw revision {event.version.revision} differently: {known}; {event}")
    return dict(sorted(log.items())), found


def check_order(transcript: Transcript) -> list[str]:
    """No event twice, none backwards, none of another scope; over all sessions."""
    found = []
    last = 0
    for session in transcript.sessions:
        last = max(last, session.since)
        for event in session.events:
            if event.version.revision <= last:
                found.append(f"{transcript.name}: {event} came after revision {last}")
            if not transcript.scope.has(event.key):
                found.append(f"{transcript.name}: {event} is not of {transcript.scope}")
            last = event.version.revision
    return found


def check_chain(log: Log) -> list[str]:
    """Each key's events follow from one another: added when absent, changed and deleted when there, one uid from birth to death."""
    found = []
    there: dict[str, Version] = {}
    for event in log.values():
        before = there.get(event.key)
        if (before is None) != (event.type == "ADDED"):
            found.append(f"{event}, although before it there was {before}")
        elif before is not None and before.uid != event.version.uid:
            found.append(f"{event} has uid {event.version.uid}, before it was {before.uid}")
        elif event.type == "DELETED" and before is not None and before.content != event.version.content:
            found.append(f"{event} tells another last state than {before.content}")
        if event.type == "DELETED":
            there.pop(event.key, None)
        else:
            there[event.key] = event.version
    return found


def project(log: Log, scope: Scope) -> Iterator[tuple[EventType, str, Version]]:
    """What a watcher of `scope` must see of the log. One that leaves the selection is DELETED, with its last selected state."""
    there: dict[str, Version] = {}
    for type_, key, version, _ in log.values():
        if not scope.has(key):
            continue
        before = there.get(key)
        was, is_ = scope.holds(key, before), type_ != "DELETED" and scope.holds(key, version)
        if is_:
            yield ("MODIFIED" if was else "ADDED"), key, version
        elif was and before is not None:
            yield "DELETED", key, Version(version.revision, before.uid, before.content, before.shade)
        if type_ == "DELETED":
            there.pop(key, None)
        else:
            there[key] = version


def check_complete(transcript: Transcript, log: Log) -> list[str]:
    """Between where each session began and the last event of the transcript: exactly what the scope makes of the log."""
    expected = list(project(log, transcript.scope))
    revisions = [version.revision for _, _, version in expected]
    found = []
    sessions = transcript.sessions
    for number, session in enumerate(sessions):
        if number + 1 < len(sessions):
            upto = sessions[number + 1].since
        else:
            upto = session.events[-1].version.revision if session.events else session.since
        wanted = expected[bisect.bisect_right(revisions, session.since) : bisect.bisect_right(revisions, upto)]
        got = [event[:3] for event in session.events if event.version.revision <= upto]
        if wanted != got:
            found.append(f"{transcript.name}, session {number} since {session.since}: {_difference(wanted, got)}")
        if session.initial is not None:
            problem = _compare(session.initial, state_at(log, session.since, transcript.scope))
            found += [f"{transcript.name}: its list at {session.since}: {text}" for text in problem]
    return found


def _difference(wanted: Sequence[object], got: Sequence[object]) -> str:
    for place, pair in enumerate(zip(wanted, got, strict=False)):
        if pair[0] != pair[1]:
            return f"event {place} should be {pair[0]}, it is {pair[1]}"
    if len(wanted) > len(got):
        return f"{len(wanted) - len(got)} events are missing, the first is {wanted[len(got)]}"
    return f"{len(got) - len(wanted)} events too many, the first is {got[len(wanted)]}"


def state_at(log: Log, revision: int, scope: Scope) -> dict[str, Version]:
    """What a list of `scope` shows at `revision`."""
    there: dict[str, Version] = {}
    for type_, key, version, _ in log.values():
        if version.revision > revision:
            break
        if type_ == "DELETED":
            there.pop(key, None)
        else:
            there[key] = version
    return {key: version for key, version in there.items() if scope.holds(key, version)}


def _compare(got: Mapping[str, Version], wanted: Mapping[str, Version]) -> list[str]:
    keys = [key for key in sorted({*got, *wanted}) if got.get(key) != wanted.get(key)]
    return [f"{key} should be {wanted.get(key)}, it is {got.get(key)}" for key in keys[:3]]


def check_lists(listings: Iterable[Listing], log: Log) -> list[str]:
    """Each list is one moment of the log: all its items as they were at its revision."""
    found = []
    there: dict[str, Version] = {}
    events = iter(log.values())
    event = next(events, None)
    for listing in sorted(listings, key=lambda each: each.revision):
        while event is not None and event.version.revision <= listing.revision:
            if event.type == "DELETED":
                there.pop(event.key, None)
            else:
                there[event.key] = event.version
            event = next(events, None)
        wanted = {key: version for key, version in there.items() if listing.scope.holds(key, version)}
        found += [
            f"a list of {listing.scope} at {listing.revision}: {text}" for text in _compare(listing.items, wanted)
        ]
    return found


def check_writes(operations: Iterable[Operation], log: Log) -> list[str]:
    """Every acknowledged write is in the log as it was acknowledged; every event comes from one operation that did not fail.

    `operations`: all of the resources that the log is of, and nobody else wrote to the keys named in them.
    """
    by_token: dict[str, Operation] = {}
    keys: set[str] = set()
    deletes: dict[str, list[Operation]] = {}
    found = []
    for op in operations:
        keys.add(op.key)
        by_token.update((token, op) for token in op.sets if token)
        if op.verb == "delete" and op.outcome in ("done", "unknown"):
            deletes.setdefault(op.key, []).append(op)
        elif op.outcome == "done" and op.verb != "get":
            event = log.get(op.revision)
            if event is None or (event.key, event.version.content) != (op.key, op.content) or event.type == "DELETED":
                found.append(f"{op.key}: no watcher saw {op}; at its revision: {event}")
    gone = {event.version.uid for event in log.values() if event.type == "DELETED"}
    found += [
        f"{key}: no watcher saw {op}" for key, ops in deletes.items() for op in ops if op.uid and op.uid not in gone
    ]
    there: dict[str, Version] = {}
    used: dict[int, int] = {}
    for event in log.values():
        if event.key not in keys:
            continue
        before = there.pop(event.key, None)
        if event.type != "DELETED":
            there[event.key] = event.version
            found += _explain_write(event, before, by_token, used)
            continue
        uids = ("", event.version.uid)
        fitting = [op for op in deletes.get(event.key, ()) if op.uid in uids and op.if_uid in uids]
        certain = [op for op in fitting if op.uid]
        if not fitting:
            found.append(f"{event}, but nobody deleted it")
        elif len(certain) > 1:
            found.append(f"{event} was acknowledged to two: {certain[0]}; {certain[1]}")
    return found


def _explain_write(
    event: Seen, before: Version | None, by_token: Mapping[str, Operation], used: dict[int, int]
) -> list[str]:
    """What is wrong with the origin of a state. `used`: the operations that have had their effect, by identity."""
    old = before.content if before is not None else ("",) * len(event.version.content)
    writers = {
        id(op): op
        for new, was in zip(event.version.content, old, strict=True)
        if new != was and (op := by_token.get(new))
    }
    if len(writers) != 1:
        return [f"{event} after {old} is the work of {len(writers)} operations: {[str(op) for op in writers.values()]}"]
    (op,) = writers.values()
    if op.outcome not in ("done", "unknown"):
        return [f"{event} comes from an operation that failed: {op}"]
    if (op.verb == "create") > (before is None) or (before is None and op.verb != "create" and not op.creates):
        return [f"{event} after {old} cannot be the work of {op}"]
    if op.outcome == "done" and op.revision != event.version.revision:
        return [f"{event} comes from {op}, which was acknowledged as revision {op.revision}"]
    if id(op) in used:
        return [f"{event} comes from {op}, which took effect at {used[id(op)]} already"]
    used[id(op)] = event.version.revision
    return []


def check_unique(operations: Iterable[Operation], transcripts: Iterable[Transcript]) -> list[str]:
    """No revision stands for two writes, of whatever kinds."""
    versions: list[tuple[int, str, Content | None]] = []
    versions += [(op.revision, op.key, op.content) for op in operations if op.outcome == "done" and op.content]
    for transcript in transcripts:
        if not transcript.scope.shade:  # what leaves a selection is shown with its last selected state
            versions += [
                (version.revision, key, None if type_ == "DELETED" else version.content)
                for type_, key, version, _ in transcript.events
            ]
    shown: dict[int, tuple[str, Content | None]] = {}
    return [
        f"revision {revision} stands for {shown[revision]} and for {(key, content)}"
        for revision, key, content in versions
        if shown.setdefault(revision, (key, content)) != (key, content)
    ]


def check_view(transcript: Transcript, listings: Iterable[Listing]) -> list[str]:
    """What a watcher believes is what lists of the same life show. For kinds that may vanish with the process.

    A list counts where the watcher's stream had certainly reached its revision.
    """
    found = []
    by_life: dict[int, list[Listing]] = {}
    for listing in sorted(listings, key=lambda each: each.revision):
        if listing.scope.resource == transcript.scope.resource:
            by_life.setdefault(listing.life, []).append(listing)
    view: dict[str, Version] = {}
    for session in transcript.sessions:
        if session.initial is not None:
            view = dict(session.initial)
        reached = session.events[-1].version.revision if session.events else 0
        lists = [each for each in by_life.get(session.life, ()) if session.since <= each.revision <= reached]
        place = 0
        for listing in lists:
            while place < len(session.events) and session.events[place].version.revision <= listing.revision:
                _apply(view, session.events[place])
                place += 1
            wanted = {key: version for key, version in listing.items.items() if transcript.scope.holds(key, version)}
            mine = {key: version for key, version in view.items() if listing.scope.holds(key, version)}
            texts = _compare(mine, wanted)
            found += [f"{transcript.name} at {listing.revision} in life {session.life}: {text}" for text in texts]
        for event in session.events[place:]:
            _apply(view, event)
    return found


def _apply(view: dict[str, Version], event: Seen) -> None:
    if event.type == "DELETED":
        view.pop(event.key, None)
    else:
        view[event.key] = event.version
