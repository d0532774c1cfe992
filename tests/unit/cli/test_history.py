"""How `minik history` tells versions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from minik.cli.changes import changes
from minik.cli.history import body, changed, headline, name_line, shortened, without_status

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def obj(**fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "a", "resourceVersion": "7"}, **fields}


def version(revision: int, value: Any, *, created: int = 1, verb: str = "patch", **more: Any) -> dict[str, Any]:
    return {
        "revision": revision, "created": created, "type": "DELETE" if value is None else "PUT", "object": value, "user": "jane",
        "manager": "kubectl", "verb": verb, "time": "2026-01-02T03:00:05.000000Z", **more,
    }  # fmt: skip


BASE = version(5, obj(), user="", manager="", verb="", time=None)


@pytest.mark.parametrize(
    ("before", "told", "line"),
    [
        (None, version(1, obj()), "revision 1 · created 4m ago by jane with kubectl (patch) · 2026-01-02 03:00:05Z"),
        (BASE, version(6, obj()), "revision 6 · changed 4m ago by jane with kubectl (patch) · 2026-01-02 03:00:05Z"),
        (BASE, version(6, None), "revision 6 · deleted 4m ago by jane with kubectl (patch) · 2026-01-02 03:00:05Z"),
        (None, BASE, "revision 5 · as it was before the history that is kept"),
        (BASE, version(6, obj(), manager="", verb=""), "revision 6 · changed 4m ago by jane · 2026-01-02 03:00:05Z"),
    ],
)
def test_a_headline_says_what_happened_when_and_by_whom(before: Any, told: Any, line: str) -> None:
    assert headline(before, told, NOW) == line


def test_without_the_servers_time_there_is_no_age() -> None:
    assert "ago" not in headline(None, version(1, obj()), None)


def test_a_body_says_what_changed() -> None:
    before, after = version(5, obj(spec={"n": 1})), version(6, obj(spec={"n": 2}))
    assert body(before, after) == ["    ~ spec.n: 1 → 2"]
    assert body(before, version(6, None)) == []
    assert body(None, BASE) == []
    assert body(before, version(6, obj(spec={"n": 1}))) == ["      (bookkeeping only)"]


def test_of_what_is_new_not_everything_is_told() -> None:
    lines = body(None, version(1, obj(data={f"k{n:02}": "x" for n in range(40)})))
    assert lines[0] == "    + data.k00: x" and "28 lines more" in lines[-1] and len(lines) == 13
    assert shortened(["a"] * 13) == ["a"] * 13


def test_an_object_made_again_is_new() -> None:
    gone, again = version(6, None), version(7, obj(data={"a": "1"}), created=7)
    assert "created" in headline(gone, again, NOW)
    assert body(gone, again) == ['    + data.a: "1"']


def test_without_the_status_only_what_was_declared_is_left() -> None:
    states = [obj(spec=1), obj(spec=1, status=1), obj(spec=2, status=1), obj(spec=2, status=2), None, obj(spec=2)]
    kept = without_status([version(number, state) for number, state in enumerate(states, 1)])
    assert [v["revision"] for v in kept] == [1, 3, 5, 6]
    assert all("status" not in (v["object"] or {}) for v in kept)
    assert [c.path for c in changed(kept[0], kept[1])] == ["spec"]


def test_a_version_in_one_line() -> None:
    told = version(6, obj(spec={"n": 2}))
    line = name_line(told, changes(obj(spec={"n": 1, "m": 1}), told["object"]))
    assert line.split("\t") == ["6", told["time"], "patch", "jane", "kubectl", "~spec.n -spec.m"]
    assert name_line(version(6, None), []).split("\t")[-1] == "deleted"
    assert name_line(BASE, []).split("\t")[1:5] == ["-", "-", "-", "-"]
