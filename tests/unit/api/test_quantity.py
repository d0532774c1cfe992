"""Quantities: parsing, canonical form, rounding; the pairs are apimachinery's own."""

from __future__ import annotations

import pytest

from minik.api import quantity
from minik.api.quantity import QuantityError


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0", "0"), ("0m", "0"), ("-0", "0"), ("1000m", "1"), ("0.5", "500m"), ("1.5", "1500m"), ("100m", "100m"),
        ("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"), ("1Ki", "1Ki"), ("1000Ki", "1000Ki"), ("0.5Ki", "512"),
        ("0.1Ki", "102400m"), ("1e3", "1e3"), ("12E6", "12e6"), ("1E", "1E"), ("100k", "100k"), ("1000k", "1M"),
        ("1.", "1"), (".5", "500m"), ("+5", "5"), ("-1.5", "-1500m"), ("5e-3", "5e-3"), ("0.0000000001", "1n"),
        ("1n", "1n"), ("1000u", "1m"), ("9223372036854775807", "9223372036854775807"),
        ("99999999999999999999", "9223372036854775807"),
    ],
)  # fmt: skip
def test_canonical_form(text: str, canonical: str) -> None:
    assert quantity.canonical(text) == canonical
    assert quantity.canonical(canonical) == canonical


@pytest.mark.parametrize("text", ["", " ", "a", "1 Gi", "1gi", "1KI", "--1", "1.2.3", "Mi", "1e", "1Kii", "0x10", "١"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(QuantityError):
        quantity.parse(text)
    assert not quantity.is_valid(text)


def test_message_is_upstreams() -> None:
    with pytest.raises(
        QuantityError, match=r"^quantities must match the regular expression '\^\(\[\+-\]\?\[0-9\.\]\+\)"
    ):
        quantity.parse("lots")


def test_rounding_is_away_from_zero() -> None:
    assert quantity.parse("100m").value() == 1
    assert quantity.parse("-100m").value() == -1
    assert quantity.parse("1500u").milli() == 2
    assert quantity.parse("2Gi").value() == 2 << 30


def test_json_numbers_are_quantities() -> None:
    assert quantity.parse(2).milli() == 2000
    assert quantity.parse(0.25).milli() == 250
    assert not quantity.is_valid(True)


def test_sums_keep_the_first_family() -> None:
    assert str(quantity.add([quantity.parse("1Gi"), quantity.parse("512Mi")])) == "1536Mi"
    assert str(quantity.parse("1") - quantity.parse("250m")) == "750m"


def test_huge_exponents_are_cheap() -> None:
    assert str(quantity.parse("1e-999999999")) == "1e-9"
    assert quantity.parse("1e999999999").value() == 2**63 - 1
