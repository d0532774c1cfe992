"""Quantities against exact fractions."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from minik.api import quantity

_FACTORS = {
    "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000), "": Fraction(1), "k": Fraction(10**3),
    "M": Fraction(10**6), "G": Fraction(10**9), "Ki": Fraction(2**10), "Mi": Fraction(2**20), "Gi": Fraction(2**30),
    "e3": Fraction(1000), "E-2": Fraction(1, 100),
}  # fmt: skip


@st.composite
def amounts(draw: st.DrawFn) -> tuple[str, Fraction]:
    whole, fraction = draw(st.integers(0, 10**6)), draw(st.text("0123456789", max_size=4))
    sign = draw(st.sampled_from(["", "-", "+"]))
    suffix = draw(st.sampled_from(sorted(_FACTORS)))
    number = f"{whole}.{fraction}" if fraction else str(whole)
    return f"{sign}{number}{suffix}", Fraction(f"{sign}{number}") * _FACTORS[suffix]


def _away(value: Fraction) -> int:
    magnitude = -(-abs(value).numerator // abs(value).denominator)
    return magnitude if value >= 0 else -magnitude


@given(amounts())
def test_parsing_is_exact_to_the_nano(amount: tuple[str, Fraction]) -> None:
    text, exact = amount
    parsed = quantity.parse(text)
    assert parsed.nanos == _away(exact * 10**9)
    assert parsed.value() == _away(Fraction(parsed.nanos, 10**9))
    assert parsed.milli() == _away(Fraction(parsed.nanos, 10**6))


@given(amounts())
def test_the_canonical_form_means_the_same_and_stays(amount: tuple[str, Fraction]) -> None:
    parsed = quantity.parse(amount[0])
    written = str(parsed)
    assert quantity.parse(written) == parsed
    assert str(quantity.parse(written)) == written


@given(amounts(), amounts())
def test_order_and_sums(one: tuple[str, Fraction], two: tuple[str, Fraction]) -> None:
    a, b = quantity.parse(one[0]), quantity.parse(two[0])
    assert (a < b) == (a.nanos < b.nanos)
    assert (a + b) == (b + a)
    assert a + b - b == a


@given(st.text(max_size=12))
def test_no_text_breaks_it(text: str) -> None:
    assert quantity.is_valid(text) in (True, False)
