"""The checker of `tests/support/linearizability.py`: what it accepts, and everything that it must not."""

from __future__ import annotations

import itertools
import random

import pytest

from tests.support.linearizability import Glimpse, Operation, Outcome, Verb, check, check_object, check_revisions

KEY = "configmaps/default/a"
DEATH = 1000


def call(
    verb: Verb, start: int, end: int, outcome: Outcome = "done", *, token: str = "", revision: int = 0, **rest: object
) -> Operation:
    """An operation on an object with one lane; a write's content is what it set unless told otherwise."""
    sets = (token,) if token and verb != "get" else ()
    content = (token,) if token and outcome == "done" and verb != "delete" else None
    uid = str(rest.pop("uid", "u")) if outcome == "done" else ""
    op = Operation(KEY, verb, start, end, outcome, sets=sets, revision=revision, content=content, uid=uid)
    for name, value in rest.items():
        setattr(op, name, value)
    return op


def made(start: int = 0, end: int = 1, token: str = "a", revision: int = 1) -> Operation:
    return call("create", start, end, token=token, revision=revision)


def test_one_after_the_other() -> None:
    history = [
        call("get", 0, 1, "absent"),
        call("create", 2, 3, token="a", revision=5),
        call("create", 4, 5, "exists", token="b"),
        call("get", 6, 7, token="a", revision=5),
        call("put", 8, 9, token="c", revision=7, if_revision=5),
        call("put", 10, 11, "conflict", token="d", if_revision=5),
        call("delete", 12, 13, "conflict", if_uid="other"),
        call("delete", 14, 15, if_revision=7),
        call("put", 16, 17, "absent", token="e"),
        call("create", 18, 19, token="f", revision=9, uid="v"),
    ]
    assert check(history) == []


def test_concurrent_calls_may_take_effect_in_any_order() -> None:
    history = [
        made(),
        call("patch", 2, 9, token="b", revision=2),
        call("patch", 3, 5, token="c", revision=3),
        call("get", 4, 10, token="a", revision=1),
        call("get", 6, 7, token="c", revision=3),
    ]
    assert check(history) == []


def test_a_read_may_come_before_a_write_that_was_answered_first() -> None:
    assert check([made(), call("put", 2, 4, token="b", revision=2), call("get", 3, 6, token="a", revision=1)]) == []


@pytest.mark.parametrize("seen", ["a", "b"])
def test_a_write_without_an_answer_happened_or_not(seen: str) -> None:
    revision = {"a": 1, "b": 2}[seen]
    unknown = call("put", 2, DEATH, "unknown", token="b")
    assert check([made(), unknown, call("get", DEATH + 1, DEATH + 2, token=seen, revision=revision)]) == []


def test_a_write_without_an_answer_may_happen_late_but_not_after_the_death() -> None:
    unknown = call("put", 2, DEATH, "unknown", token="b")
    before = call("get", 3, 4, token="a", revision=1)
    assert check([made(), unknown, before, call("get", 5, 6, token="b", revision=2)]) == []
    first = call("get", DEATH + 1, DEATH + 2, token="a", revision=1)
    (text,) = check([made(), unknown, first, call("get", DEATH + 3, DEATH + 4, token="b", revision=2)])
    assert "no order of the operations explains" in text


def test_several_writes_without_an_answer_and_one_that_nobody_saw() -> None:
    history = [
        call("create", 0, DEATH, "unknown", token="a"),
        call("patch", 1, DEATH, "unknown", token="b"),
        call("delete", 2, DEATH, "unknown"),
        call("create", 3, DEATH, "unknown", token="c"),
    ]
    for last in (
        call("get", DEATH + 1, DEATH + 2, "absent"),
        call("get", DEATH + 1, DEATH + 2, token="b", revision=8),
        call("get", DEATH + 1, DEATH + 2, token="c", revision=9),
    ):
        assert check([*history, last]) == []


def test_patches_of_parts_keep_the_other_part() -> None:
    def patch(start: int, sets: tuple[str | None, str | None], content: tuple[str, str], revision: int) -> Operation:
        return Operation(KEY, "patch", start, start + 1, "done", sets=sets, content=content, revision=revision, uid="u")

    first = Operation(KEY, "create", 0, 1, "done", sets=("a", "a"), content=("a", "a"), revision=1, uid="u")
    good = [first, patch(2, ("b", None), ("b", "a"), 2), patch(4, (None, "c"), ("b", "c"), 3)]
    assert check(good) == []
    overwritten = [first, patch(2, ("b", None), ("b", "a"), 2), patch(4, (None, "c"), ("a", "c"), 3)]
    assert check(overwritten), "the second patch was applied to an old state"


def test_a_patch_that_tests_a_part() -> None:
    assert check([made(), call("patch", 2, 3, "untrue", token="b", if_content=("x",))]) == []
    assert check([made(), call("patch", 2, 3, "untrue", token="b", if_content=("a",))])
    assert check([made(), call("patch", 2, 3, token="b", revision=2, if_content=("a",))]) == []
    assert check([made(), call("patch", 2, 3, token="b", revision=2, if_content=("x",))])


def test_what_need_not_survive_may_vanish_at_a_death_only() -> None:
    history = [made(), call("get", 20, 21, "absent")]
    assert check(history, losses={KEY: [10]}) == []
    assert check(history, losses={KEY: [30]})
    assert check([made(), call("get", 20, 21, token="a", revision=1)], losses={KEY: [10]}) == []


def test_a_put_may_create_where_the_kind_has_it() -> None:
    history = [call("put", 0, 1, token="a", revision=1, if_revision=9, creates=True)]
    assert check(history) == []
    history[0].creates = False
    assert check(history)


# --- what must not be accepted ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "history"),
    [
        ("a lost update", [made(), call("put", 2, 3, token="b", revision=2), call("get", 4, 5, token="a", revision=1)]),
        ("a lost create", [made(), call("get", 2, 3, "absent")]),
        ("a stale read of absence", [made(), call("put", 2, 3, "absent", token="b")]),
        ("a create of what is there", [made(), call("create", 2, 3, token="b", revision=2)]),
        ("a failed create without a cause", [call("create", 0, 1, "exists", token="a")]),
        ("a compare-and-swap of an old revision", [
            made(), call("put", 2, 3, token="b", revision=2), call("put", 4, 5, token="c", revision=3, if_revision=1),
        ]),
        ("two compare-and-swaps of one revision", [
            made(), call("put", 2, 8, token="b", revision=2, if_revision=1), call("put", 3, 7, token="c", revision=3, if_revision=1),
        ]),
        ("a conflict without a cause", [made(), call("put", 2, 3, "conflict", token="b", if_revision=1)]),
        ("a conflict with nothing", [call("put", 2, 3, "conflict", token="b", if_revision=1)]),
        ("a deletion of another uid", [made(), call("delete", 2, 3, if_uid="other")]),
        ("a deletion of nothing", [call("delete", 2, 3)]),
        ("a deletion done twice", [made(), call("delete", 2, 3), call("delete", 4, 5)]),
        ("a resurrected object", [made(), call("delete", 2, 3), call("get", 4, 5, token="a", revision=1)]),
        ("an object resurrected by a death", [
            made(), call("delete", 2, 3), call("put", 4, DEATH, "unknown", token="b"),
            call("get", DEATH + 1, DEATH + 2, token="b", revision=4),
        ]),
        ("a patch of what was deleted", [made(), call("delete", 2, 3), call("patch", 4, 5, token="b", revision=3)]),
        ("a read of what nobody wrote", [made(), call("get", 2, 3, token="z", revision=2)]),
        ("a read of the future", [made(), call("get", 2, 3, token="b", revision=2), call("put", 4, 5, token="b", revision=2)]),
        ("a write that failed and shows", [
            made(), call("put", 2, 3, "conflict", token="b", if_revision=7), call("get", 4, 5, token="b", revision=2),
        ]),
        ("a refused write that shows", [made(), call("put", 2, 3, "refused", token="b"), call("get", 4, 5, token="b", revision=2)]),
        ("a revision that went back", [made(revision=5), call("put", 2, 3, token="b", revision=4)]),
        ("two reads in different orders", [
            made(), call("put", 2, 20, "unknown", token="b"), call("get", 3, 4, token="b", revision=2),
            call("get", 5, 6, token="a", revision=1),
        ]),
        ("a create that took effect twice", [
            made(), call("delete", 2, 3), call("get", 4, 5, token="a", revision=3, uid="v"),
        ]),
        ("a revision used for two states", [made(), call("put", 2, 3, token="b", revision=1)]),
    ],
)  # fmt: skip
def test_not_linearizable(what: str, history: list[Operation]) -> None:
    assert check(history), what


def test_the_report_names_the_operation_and_what_could_have_been() -> None:
    (text,) = check([made(), call("put", 2, 3, token="b", revision=2), call("get", 4, 5, token="a", revision=1)])
    assert "explains [4..5]  get  → done revision=1" in text
    assert "revision 2 ('b',)" in text


# --- against histories that are linearizable by construction ----------------------------------------------------------


def _random_history(seed: int, clients: int, steps: int) -> list[Operation]:
    """Of a register that does one thing at a time while calls overlap; some answers are lost, and it dies now and then."""
    rng = random.Random(seed)
    tick = itertools.count()
    revisions, tokens = itertools.count(1), itertools.count()
    state: tuple[int, str, str] | None = None
    done: list[Operation] = []
    waiting: list[Operation] = []
    answered: list[Operation] = []
    last = 0
    for number in range(steps):
        if len(waiting) + len(answered) < clients:
            verb: Verb = rng.choice(("create", "put", "patch", "delete", "get"))
            op = Operation(KEY, verb, next(tick))
            if verb in ("create", "put", "patch"):
                op.sets = (f"t{next(tokens)}",)
            if verb in ("put", "delete") and rng.random() < 0.5:
                op.if_revision = last
            waiting.append(op)
        if waiting and rng.random() < 0.6:  # one takes effect
            op = waiting.pop(rng.randrange(len(waiting)))
            answered.append(op)
            if op.verb == "create" and state is not None:
                op.outcome = "exists"
            elif op.verb != "create" and state is None:
                op.outcome = "absent"
            elif state is not None and op.if_revision not in (0, state[0]):
                op.outcome = "conflict"
            else:
                op.outcome = "done"
                if op.verb == "delete":
                    assert state is not None
                    op.uid, state = state[1], None
                    next(revisions)
                else:
                    if op.verb != "get":
                        revision = next(revisions)
                        state = (revision, state[1] if state else f"u{revision}", str(op.sets[0]))
                    assert state is not None
                    op.revision, op.uid, op.content = state[0], state[1], (state[2],)
                    last = state[0]
        if answered and rng.random() < 0.5:
            op = answered.pop(rng.randrange(len(answered)))
            op.end = next(tick)
            done.append(op)
        if rng.random() < 0.03 or number == steps - 1:  # death: nobody who waits gets an answer
            end = next(tick)
            for op in [*waiting, *answered]:
                op.outcome, op.revision, op.uid, op.content, op.end = "unknown", 0, "", None, end
                done.append(op)
            waiting, answered = [], []
    return done


@pytest.mark.parametrize("seed", range(30))
def test_random_histories_of_a_real_register_are_accepted(seed: int) -> None:
    assert check(_random_history(seed, clients=6, steps=400)) == []


def test_random_histories_with_one_answer_forged_are_mostly_refused() -> None:
    """A write's acknowledgement made up for one that failed: some such lies fit another order, most do not."""
    refused = 0
    for seed in range(40):
        history = _random_history(seed, clients=6, steps=400)
        rng = random.Random(seed)
        victim = rng.choice([op for op in history if op.outcome in ("absent", "exists", "conflict")])
        victim.outcome = {"absent": "exists" if victim.verb == "create" else "conflict", "exists": "done"}.get(
            victim.outcome, "absent"
        )
        refused += bool(check(history))
    assert refused > 25


def test_dropping_an_acknowledged_write_is_noticed() -> None:
    """The mutant of a store that loses what it acknowledged: reads as if the write had not been."""
    for seed in range(20):
        history = _random_history(seed, clients=4, steps=300)
        seen = {op.revision for op in history if op.verb == "get" and op.outcome == "done"}
        victim = next(op for op in history if op.verb == "put" and op.outcome == "done" and op.revision in seen)
        assert check_object([op for op in history if op is not victim]), "a state that nobody wrote was read"


# --- revisions --------------------------------------------------------------------------------------------------------


def test_revisions_never_go_back() -> None:
    assert check_revisions([Glimpse(5, 10, 1), Glimpse(6, 12, 2), Glimpse(4, 11, 0), Glimpse(7, 20, 13)]) == []
    assert check_revisions([Glimpse(5, 10), Glimpse(5, 20, 11)]), "a list had shown it before the write was called"
    assert check_revisions([Glimpse(9, 10, 1), Glimpse(8, 20, 11)])
