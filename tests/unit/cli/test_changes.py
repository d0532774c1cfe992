"""What differs between two states of an object, and how it is shown."""

from __future__ import annotations

from typing import Any

import pytest

from minik.cli.changes import Change, age, changes, masked, render, text


def obj(**fields: Any) -> dict[str, Any]:
    metadata = {"name": "a", "namespace": "default", "uid": "u", **fields.pop("metadata", {})}
    return {"apiVersion": "v1", "kind": "Thing", "metadata": metadata, **fields}


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ({"replicas": 3}, {"replicas": 5}, [Change("~", "spec.replicas", 3, 5)]),
        ({"a": 1}, {"b": 2}, [Change("+", "spec.b", new=2), Change("-", "spec.a", old=1)]),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 2}}}, [Change("~", "spec.a.b.c", 1, 2)]),
        ({}, {"a": {"b": 1, "c": {}}}, [Change("+", "spec.a.b", new=1), Change("+", "spec.a.c", new={})]),
        ({"args": ["a"]}, {"args": ["a", "b"]}, [Change("~", "spec.args", ["a"], ["a", "b"])]),
        ({"x": None}, {"x": None}, []),
    ],
)
def test_fields_are_named_by_their_paths(old: Any, new: Any, wanted: list[Change]) -> None:
    assert changes(obj(spec=old), obj(spec=new)) == wanted


def test_keys_that_are_no_names_are_quoted() -> None:
    old, new = obj(), obj(metadata={"labels": {"app.kubernetes.io/name": "x", "plain": "y"}})
    assert [c.path for c in changes(old, new)] == ['metadata.labels["app.kubernetes.io/name"]', "metadata.labels.plain"]


def test_items_of_lists_are_told_apart_by_their_names_whatever_their_order() -> None:
    old = obj(spec={"containers": [{"name": "a", "image": "i:1"}, {"name": "b", "image": "j"}]})
    new = obj(
        spec={"containers": [{"name": "b", "image": "j"}, {"name": "a", "image": "i:2"}, {"name": "c", "tty": True}]}
    )
    assert changes(old, new) == [
        Change("~", "spec.containers[a].image", "i:1", "i:2"),
        Change("+", "spec.containers[c].tty", new=True),
        Change("~", "spec.containers (order)", ["a", "b"], ["b", "a"]),
    ]


def test_another_order_is_a_change() -> None:
    old, new = obj(spec={"c": [{"name": "a"}, {"name": "b"}]}), obj(spec={"c": [{"name": "b"}, {"name": "a"}]})
    assert changes(old, new) == [Change("~", "spec.c (order)", ["a", "b"], ["b", "a"])]


def test_items_without_a_name_are_told_apart_by_their_places_while_their_number_stays() -> None:
    old = obj(spec={"rules": [{"host": "a"}, {"host": "b"}]})
    assert changes(old, obj(spec={"rules": [{"host": "a"}, {"host": "c"}]})) == [
        Change("~", "spec.rules[1].host", "b", "c")
    ]
    (change,) = changes(old, obj(spec={"rules": [{"host": "a"}]}))
    assert (change.sign, change.path) == ("~", "spec.rules")


def test_two_items_of_one_name_are_not_confused() -> None:
    old = obj(spec={"ports": [{"name": "a", "port": 1}, {"name": "a", "port": 2}]})
    new = obj(spec={"ports": [{"name": "a", "port": 1}, {"name": "a", "port": 2, "x": 1}]})
    assert changes(old, new) == [Change("+", "spec.ports[2].x", new=1)]


def test_an_item_with_nothing_but_its_name_is_seen() -> None:
    assert changes(obj(), obj(refs=[{"name": "r"}])) == [Change("+", "refs[r].name", new="r")]


def test_bookkeeping_is_not_shown() -> None:
    kept = "kubectl.kubernetes.io/last-applied-configuration"
    metadata = {
        "resourceVersion": "2",
        "generation": 2,
        "managedFields": [{}],
        "annotations": {kept: "{}", "mine": "x"},
    }
    assert changes(obj(metadata={"resourceVersion": "1", "annotations": {"mine": "x"}}), obj(metadata=metadata)) == []


def test_of_a_new_object_only_what_was_declared_is_shown() -> None:
    assert changes(None, obj(metadata={"creationTimestamp": "t"}, data={"a": "1"})) == [Change("+", "data.a", new="1")]


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        (Change("~", "spec.replicas", 3, 5), ["~ spec.replicas: 3 → 5"]),
        (Change("+", "a", new="x"), ["+ a: x"]),
        (Change("-", "a", old="1"), ['- a: "1"']),
        (Change("~", "a", "x\ny\nz\n", "x\nY\nz\n"), ["  a:", "    x", "-   y", "+   Y", "    z"]),
        (Change("+", "a", new="x\ny\n"), ["+ a:", "+   x", "+   y"]),
        (Change("~", "a", "x\n", "x"), ["  a:", '~   "x\\n" → x']),
        (Change("~", "a", [1], {"b": None}), ['~ a: [1] → {"b": null}']),
    ],
)
def test_a_change_is_one_line_and_a_text_is_a_diff_of_its_lines(change: Change, lines: list[str]) -> None:
    assert render(change) == lines


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain text", "plain text"), ("", '""'), ("5", '"5"'), ("true", '"true"'), (" x", '" x"'), ("ä", "ä"), (None, "null"),
        (True, "true"), (1.5, "1.5"), ("x" * 200, "x" * 159 + "…"), ("\u202e", '"\u202e"'),
    ],
)  # fmt: skip
def test_values_cannot_be_taken_for_others(value: Any, shown: str) -> None:
    assert text(value) == shown


def secret(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": data}


def test_what_is_secret_is_masked_but_its_changes_are_seen() -> None:
    old, new = masked(secret(a="geheim", b="same")), masked(secret(a="anders", b="same", c="neu"))
    found = changes(old, new)
    assert [(c.sign, c.path) for c in found] == [("~", "data.a"), ("+", "data.c")]
    shown = "\n".join(line for change in found for line in render(change))
    assert shown == "~ data.a: (hidden) → (hidden)\n+ data.c: (hidden)"


def test_the_copy_of_a_secret_that_kubectl_keeps_is_masked_too() -> None:
    kept = {"kubectl.kubernetes.io/last-applied-configuration": '{"data":{"a":"geheim"}}', "mine": "x"}
    shown = masked({**secret(), "metadata": {"name": "s", "annotations": kept}})
    assert shown is not None and "geheim" not in str(shown) and shown["metadata"]["annotations"]["mine"] == "x"


def test_other_kinds_are_not_masked() -> None:
    assert masked(obj(data={"a": "1"})) == obj(data={"a": "1"})


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h"), (86400, "1d"), (1e6, "11d")],
)
def test_ages_are_short(seconds: float, shown: str) -> None:
    assert age(seconds) == shown
