"""Selectors: the text form, the object form and a naive reading agree; no text breaks the parser."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from minik.api import selectors
from minik.api.selectors import SelectorError

_KEYS = st.sampled_from(["a", "b", "in", "notin", "example.com/c"])
_VALUES = st.sampled_from(["x", "y", "in", "1", ""])
_LABELS = st.dictionaries(_KEYS, _VALUES)


@st.composite
def expressions(draw: st.DrawFn) -> dict[str, object]:
    operator = draw(st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]))
    expression: dict[str, object] = {"key": draw(_KEYS), "operator": operator}
    if operator in ("In", "NotIn"):
        expression["values"] = draw(st.lists(_VALUES, min_size=1, max_size=3, unique=True))
    return expression


def _naive(selector: dict[str, object], labels: dict[str, str]) -> bool:
    for key, value in selector["matchLabels"].items():  # type: ignore[attr-defined]  # built below
        if labels.get(key) != value:
            return False
    for expression in selector["matchExpressions"]:  # type: ignore[attr-defined]  # built below
        value = labels.get(expression["key"])
        ok = {
            "In": value in expression.get("values", ()),
            "NotIn": value not in expression.get("values", ()),
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }[expression["operator"]]
        if not ok:
            return False
    return True


_SELECTORS = st.fixed_dictionaries(
    {
        "matchLabels": st.dictionaries(_KEYS, _VALUES, max_size=2),
        "matchExpressions": st.lists(expressions(), max_size=3),
    }
)


@given(_SELECTORS, _LABELS)
def test_object_text_and_naive_reading_agree(selector: dict[str, object], labels: dict[str, str]) -> None:
    expected = _naive(selector, labels)
    parsed = selectors.from_label_selector(selector)
    assert parsed.matches(labels) is expected
    assert selectors.matches(selector, labels) is expected
    assert selectors.parse_label_selector(str(parsed)).matches(labels) is expected


@given(_SELECTORS, _LABELS)
def test_equalities_never_exclude_a_match(selector: dict[str, object], labels: dict[str, str]) -> None:
    parsed = selectors.from_label_selector(selector)
    if parsed.matches(labels):
        assert all(labels.get(key) == value for key, value in parsed.equalities().items())


@given(st.text(alphabet="ab,=!()<> in\\.", max_size=20))
def test_no_text_breaks_the_parsers(text: str) -> None:
    for parse in (selectors.parse_label_selector, selectors.parse_field_selector):
        with contextlib.suppress(SelectorError):
            parse(text)


@given(st.dictionaries(st.sampled_from(["metadata.name", "status.phase"]), st.text(max_size=8), min_size=1))
def test_field_selectors_come_back_from_their_text(values: dict[str, str]) -> None:
    text = ",".join(f"{field}={selectors.escape_field_value(value)}" for field, value in values.items())
    assert selectors.parse_field_selector(text).equalities() == values
