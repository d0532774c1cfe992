"""Label and field selectors, and their messages."""

from __future__ import annotations

import pytest

from minik.api import selectors
from minik.api.selectors import SelectorError, UnsupportedField


@pytest.mark.parametrize(
    ("text", "labels", "selected"),
    [
        ("", {}, True), ("a=b", {"a": "b"}, True), ("a==b", {"a": "c"}, False), ("a!=b", {}, True),
        ("a in (x, y)", {"a": "y"}, True), ("a notin (x)", {}, True), ("a notin (x)", {"a": "x"}, False),
        ("a", {"a": ""}, True), ("!a", {"a": ""}, False), ("!a", {}, True), ("a=", {"a": ""}, True), ("a=", {}, False),
        ("a>3", {"a": "4"}, True), ("a<3", {"a": "4"}, False), ("a>3", {"a": "x"}, False), ("a in (,x)", {"a": ""}, True),
        ("a=b,c=d", {"a": "b"}, False), (" a = b , c ", {"a": "b", "c": ""}, True), ("in in (in)", {"in": "in"}, True),
        ("example.com/x=1", {"example.com/x": "1"}, True),
    ],
)  # fmt: skip
def test_text(text: str, labels: dict[str, str], selected: bool) -> None:
    assert selectors.parse_label_selector(text).matches(labels) is selected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (",", "found ',', expected: !, identifier, or 'end of string'"),
        ("a=b,", "found '', expected: identifier after ','"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a in x", "unable to parse requirement: found 'x' expected: '('"),
        ("a=(", "unable to parse requirement: found '(', expected: identifier"),
        ("a>b", "for 'Gt', 'Lt' operators, the value must be an integer"),
        ("-a=b", "name part must consist of alphanumeric characters"),
        ("a=b_", "a valid label must be an empty string or consist of alphanumeric characters"),
    ],
)
def test_text_that_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(SelectorError) as caught:
        selectors.parse_label_selector(text)
    assert message in str(caught.value)


def test_objects() -> None:
    selector = {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "NotIn", "values": ["d"]}]}
    assert selectors.matches(selector, {"a": "b"})
    assert not selectors.matches(selector, {"a": "b", "c": "d"})
    assert selectors.matches({}, {}) and not selectors.matches(None, {})
    assert selectors.format_label_selector(selector) == "a=b,c notin (d)"
    assert selectors.format_label_selector({}) == "<none>"
    assert selectors.format_label_selector({"matchLabels": {"a": "b"}}) == "a=b"
    with pytest.raises(SelectorError):
        selectors.from_label_selector({"matchExpressions": [{"key": "a", "operator": "Near"}]})


def test_a_plain_map_of_a_service() -> None:
    assert selectors.matches_map({"a": "b"}, {"a": "b", "c": "d"})
    assert not selectors.matches_map({}, {"a": "b"})


def test_equalities_are_hints_for_an_index() -> None:
    assert selectors.parse_label_selector("a=b,c in (d),e in (f,g),!h").equalities() == {"a": "b", "c": "d"}
    assert selectors.parse_field_selector("spec.nodeName=n1,status.phase!=Failed").equalities() == {
        "spec.nodeName": "n1"
    }


def test_fields() -> None:
    pod = {"metadata": {"name": "web", "namespace": "default"}, "status": {"phase": "Running"}}
    getters = {"status.phase": lambda obj: obj["status"]["phase"]}

    def holds(text: str) -> bool:
        return selectors.parse_field_selector(text).compile(getters)(pod)

    assert holds("metadata.name=web,status.phase!=Failed") and holds("status.phase==Running") and holds("")
    assert not holds("metadata.namespace=other")
    with pytest.raises(UnsupportedField, match=r"^field label not supported: spec\.color$"):
        holds("spec.color=red")


def test_field_values_can_be_escaped() -> None:
    selector = selectors.parse_field_selector(r"a=b\,c\=d\\")
    assert selector.terms[0].value == r"b,c=d" + "\\"
    assert selectors.parse_field_selector(str(selector)) == selector
    with pytest.raises(SelectorError, match="can't understand 'ab'"):
        selectors.parse_field_selector("ab")
    with pytest.raises(SelectorError, match="invalid escape sequence"):
        selectors.parse_field_selector(r"a=\x")
