"""`plan_batch`, and the retention that rides along."""

from __future__ import annotations

from minik.storage.base import ABSENT, ConflictError, Op, Record, Revision
from minik.storage.compactor import Marks, Retention
from minik.storage.journal import plan_batch


def r(number: int) -> Revision:
    return Revision(number)


def test_a_batch_is_decided_in_order_against_itself() -> None:
    plan = plan_batch(
        [
            [Op("a", b"1", ABSENT, author="ann")],
            [Op("a", b"2", ABSENT)],
            [Op("b", b"3", r(4)), Op("c", None)],
            [Op("b", None, r(4))],
            [Op("b", b"4", ABSENT)],
        ],
        index={"b": (r(4), r(2))},
        volatile={},
        revision=r(10),
        written=77,
    )
    assert [(x.key, x.actual) if isinstance(x, ConflictError) else x for x in plan.results] == [
        [11],
        ("a", 11),
        ("c", 0),
        [12],
        [13],
    ]
    assert isinstance(plan.results[1], ConflictError)
    assert plan.rows == [
        (11, 11, None, "a", b"1", "ann", 77),
        (12, 2, 4, "b", None, "", 77),
        (13, 13, None, "b", b"4", "", 77),
    ]
    assert plan.durable == {"a": (11, 11), "b": (13, 13)}
    assert plan.revision == 13


def test_a_refused_commit_leaves_no_trace() -> None:
    plan = plan_batch([[Op("a", b"1"), Op("b", None)]], index={}, volatile={}, revision=r(3))
    assert plan.revision == 3
    assert (plan.rows, plan.events, plan.durable, plan.volatile) == ([], [], {}, {})


def test_keys_in_memory_stay_there_until_they_are_written_durably() -> None:
    old = Record("e", b"0", r(2), r(1))
    plan = plan_batch(
        [[Op("e", b"1", r(2), durable=False, author="ann")], [Op("e", b"2", r(4))], [Op("e", b"3", durable=False)]],
        index={},
        volatile={"e": old},
        revision=r(3),
    )
    assert plan.results == [[4], [5], [6]]
    assert plan.rows == [(5, 1, None, "e", b"2", "", 0), (6, 1, 5, "e", b"3", "", 0)]
    assert plan.volatile == {"e": None}
    assert plan.moved == {"e"}
    assert plan.replaced == {4: (old, "ann")}
    assert plan.last_volatile == 4


def test_marks_tell_what_is_old_enough() -> None:
    marks = Marks(Retention(age=3600, revisions=1000, at_least=300), [(0, 0), (5000, 1000)])
    assert not marks.is_due(1010) and marks.is_due(1030) and marks.is_due(900)
    assert marks.plan_floor(r(0), r(6000), 1200) == 0, "everything is younger than five minutes"
    assert marks.plan_floor(r(0), r(6000), 1400) == 5000, "too many, and old enough"
    assert marks.plan_floor(r(0), r(5400), 1400) == 4400
    assert marks.plan_floor(r(4400), r(5401), 1400) == 4400, "not for a few"
    assert marks.plan_floor(r(0), r(900), 4700) == 5000, "by age alone"
    marks.forget(r(5000))
    assert marks.plan_floor(r(5000), r(5100), 9000) == 5000
