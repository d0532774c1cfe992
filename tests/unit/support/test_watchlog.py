"""The checks of `tests/support/watchlog.py`: a sound recording passes, and each kind of damage is found."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from tests.support.lanes import CONFIG_MAPS, LANES, MixedError, lane, read, shade_of, whole
from tests.support.linearizability import Operation
from tests.support.watchlog import (
    EventType,
    Listing,
    Scope,
    Seen,
    Session,
    Transcript,
    Version,
    check_chain,
    check_complete,
    check_lists,
    check_order,
    check_unique,
    check_view,
    check_writes,
    project,
    state_at,
    truth,
)

A, B = "configmaps/default/a", "configmaps/other/b"
WHOLE, ONE, RED = Scope("configmaps"), Scope("configmaps", "default"), Scope("configmaps", shade="red")


def seen(type_: EventType, key: str, revision: int, token: str, shade: str, uid: str = "") -> Seen:
    return Seen(type_, key, Version(revision, uid or f"u-{key[-1]}", (token,), shade), revision)


EVENTS = (
    seen("ADDED", A, 1, "t1", "red"),
    seen("ADDED", B, 3, "t3", "blue"),
    seen("MODIFIED", A, 4, "t4", "blue"),
    seen("MODIFIED", B, 5, "t5", "red"),
    seen("MODIFIED", A, 7, "t7", "red"),
    seen("DELETED", A, 8, "t7", "red"),
    seen("ADDED", A, 9, "t9", "red", "u-new"),
)


def write(verb: str, key: str, token: str, revision: int, **rest: object) -> Operation:
    op = Operation(key, verb, revision * 10, revision * 10 + 5, "done", (token,), revision=revision, content=(token,))  # type: ignore[arg-type]  # verb is one
    for name, value in rest.items():
        setattr(op, name, value)
    return op


WRITES = (
    write("create", A, "t1", 1),
    write("create", B, "t3", 3),
    write("put", A, "t4", 4),
    write("patch", B, "t5", 0, outcome="unknown", content=None),
    write("patch", A, "t7", 7),
    Operation(A, "delete", 80, 85, "done", uid="u-a"),
    write("create", A, "t9", 9),
    Operation(A, "put", 20, 25, "conflict", ("t2",), if_revision=9),
)


def transcript(scope: Scope, *cuts: int, events: tuple[Seen, ...] = EVENTS) -> Transcript:
    """What a watcher of `scope` sees of the events, its connection cut behind these revisions."""
    log, _ = truth([Transcript("log", WHOLE, [Session(0, 0, None, list(events))])])
    made = Transcript(str(scope), scope, [Session(0, 0)])
    for type_, key, version in project(log, scope):
        if any(made.sessions[-1].since < cut < version.revision for cut in cuts):
            last = made.sessions[-1].events
            made.sessions.append(Session(len(made.sessions), last[-1].version.revision if last else 0))
        made.sessions[-1].events.append(Seen(type_, key, version, version.revision))
    return made


def problems(*transcripts: Transcript, writes: tuple[Operation, ...] = WRITES) -> list[str]:
    log, found = truth(t for t in transcripts if t.scope is WHOLE)
    found += check_chain(log) + check_writes(writes, log)
    for each in transcripts:
        found += check_order(each) + check_complete(each, log)
    return found


def test_a_sound_recording() -> None:
    every = [transcript(WHOLE), transcript(WHOLE, 3, 5), transcript(ONE, 4), transcript(RED, 5)]
    assert problems(*every) == []
    assert [e[0] for e in every[3].events] == ["ADDED", "DELETED", "ADDED", "ADDED", "DELETED", "ADDED"]
    left = list(every[3].events)[1]
    assert (left.version.revision, left.version.content) == (4, ("t1",)), "with its last selected state"


def _drop(place: int) -> Callable[[Transcript], None]:
    def damage(transcript: Transcript) -> None:
        del transcript.sessions[-1].events[place]

    return damage


def _twice(transcript: Transcript) -> None:
    transcript.sessions[-1].events.insert(0, transcript.sessions[0].events[-1])


def _swap(transcript: Transcript) -> None:
    events = transcript.sessions[-1].events
    events[0], events[1] = events[1], events[0]


def _alter(transcript: Transcript) -> None:
    events = transcript.sessions[-1].events
    events[0] = events[0]._replace(version=events[0].version._replace(content=("other",)))


def _retype(transcript: Transcript) -> None:
    events = transcript.sessions[-1].events
    events[0] = events[0]._replace(type="DELETED" if events[0].type != "DELETED" else "ADDED")


@pytest.mark.parametrize("damage", [_drop(0), _drop(1), _twice, _swap, _alter, _retype])
@pytest.mark.parametrize("scope", [WHOLE, ONE, RED])
def test_damage_to_one_stream_is_found(scope: Scope, damage: Callable[[Transcript], None]) -> None:
    damaged = copy.deepcopy(transcript(scope, 4))
    damaged.scope = scope
    damage(damaged)
    assert problems(transcript(WHOLE), damaged)


def test_a_write_that_no_watcher_saw_is_found() -> None:
    for place, event in enumerate(EVENTS):
        if event.version.revision == 5:
            continue  # nobody was told that this one happened
        events = EVENTS[:place] + EVENTS[place + 1 :]
        assert problems(*[_stream(scope, events) for scope in (WHOLE, ONE, RED)]), event


def _stream(scope: Scope, events: tuple[Seen, ...]) -> Transcript:
    made = transcript(scope, events=events)
    made.scope = scope
    return made


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("a write that failed", lambda op: setattr(op, "outcome", "conflict")),
        ("another revision than acknowledged", lambda op: setattr(op, "revision", 6)),
        ("nobody's write", lambda op: setattr(op, "sets", ("t0",))),
    ],
)
def test_events_need_an_origin(what: str, change: Callable[[Operation], None]) -> None:
    writes = copy.deepcopy(WRITES)
    change(writes[2])
    assert problems(transcript(WHOLE), writes=writes), what


def test_a_deletion_needs_somebody_who_deleted() -> None:
    assert problems(transcript(WHOLE), writes=tuple(op for op in WRITES if op.verb != "delete"))
    twice = (*WRITES, Operation(A, "delete", 86, 89, "done", uid="u-a"))
    assert problems(transcript(WHOLE), writes=twice)
    unknown = (*WRITES[:5], Operation(A, "delete", 80, 900), *WRITES[6:])
    assert problems(transcript(WHOLE), writes=unknown) == []


def test_a_write_that_took_effect_twice_is_found() -> None:
    def effects(count: int) -> list[str]:
        events, writes = [*EVENTS], [*WRITES, Operation(B, "create", 100, 900, sets=("t",))]
        before = EVENTS[3]
        for n in range(count):
            revision = 10 + 2 * n
            _, uid, (token,), shade = before.version
            events.append(seen("DELETED", B, revision, token, shade, uid))
            writes.append(Operation(B, "delete", revision, revision + 1, "done", uid=uid))
            before = seen("ADDED", B, revision + 1, "t", "red", f"u-{n}")
            events.append(before)
        return problems(_stream(WHOLE, tuple(events)), writes=tuple(writes))

    assert effects(1) == []
    (text,) = effects(2)
    assert "took effect at 11 already" in text


def test_a_patch_makes_nothing() -> None:
    writes = copy.deepcopy(WRITES)
    writes[0].verb = "patch"
    assert problems(transcript(WHOLE), writes=writes)


def test_a_revision_used_twice_is_found() -> None:
    assert check_unique(WRITES, [transcript(WHOLE), transcript(ONE), transcript(RED)]) == []
    reused = write("create", "leases/kube-node-lease/l", "l", 7)
    assert check_unique([*WRITES, reused], [transcript(WHOLE)])
    event = seen("ADDED", "events/default/e", 8, "e", "red")
    assert check_unique(WRITES, [transcript(WHOLE), Transcript("e", Scope("events"), [Session(0, 0, None, [event])])])


def test_lists_are_moments() -> None:
    log, _ = truth([transcript(WHOLE)])
    for revision in range(11):
        for scope in (WHOLE, ONE, RED):
            items = state_at(log, revision, scope)
            assert check_lists([Listing(scope, 0, revision, items)], log) == []
            for key in items:
                fewer = {k: v for k, v in items.items() if k != key}
                assert check_lists([Listing(scope, 0, revision, fewer)], log)
    early = state_at(log, 4, WHOLE) | {B: state_at(log, 5, WHOLE)[B]}
    assert check_lists([Listing(WHOLE, 0, 4, early)], log), "half of one moment and half of the next"


def test_a_stale_view_after_a_loss_is_found() -> None:
    """A watcher of what need not survive: told by 410, or by an event, but not left with what is gone."""
    version = EVENTS[0].version
    before = Session(0, 0, {A: version}, [seen("ADDED", B, 3, "t3", "blue")])
    live = [seen("ADDED", "configmaps/default/c", 10_002, "t", "red")]
    lists = [
        Listing(WHOLE, 0, 3, {A: version, B: EVENTS[1].version}),
        Listing(WHOLE, 1, 10_002, {live[0].key: live[0].version}),
    ]
    silent = Transcript("w", WHOLE, [before, Session(1, 3, None, live)])
    assert len(check_view(silent, lists)) == 2
    told = Transcript("w", WHOLE, [before, Session(1, 10_001, {}, live)])
    assert check_view(told, lists) == []
    deleted = [seen("DELETED", A, 9_000, "t1", "red"), seen("DELETED", B, 9_001, "t3", "blue"), *live]
    assert check_view(Transcript("w", WHOLE, [before, Session(1, 3, None, deleted)]), lists) == []


def test_objects_of_two_writes_are_found() -> None:
    fields = {k: v for name in LANES for k, v in lane(name, "x", 3).items()}
    obj = whole(CONFIG_MAPS, "a", "x", fields)
    obj["metadata"] |= {"resourceVersion": "7", "uid": "u"}
    assert read(CONFIG_MAPS, obj) == Version(7, "u", ("x", "x"), shade_of("x"))
    for name in obj["data"]:
        with pytest.raises(MixedError):
            read(CONFIG_MAPS, obj | {"data": obj["data"] | {name: "y"}})
        with pytest.raises(MixedError):
            read(CONFIG_MAPS, obj | {"data": {k: v for k, v in obj["data"].items() if k != name}})
    other = next(t for t in "abcdefgh" if shade_of(t) != shade_of("x"))
    with pytest.raises(MixedError):
        read(CONFIG_MAPS, obj | {"data": obj["data"] | lane("left", other, 3)})
