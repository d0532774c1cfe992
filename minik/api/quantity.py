"""Kubernetes quantities: `500m`, `1.5Gi`, `2e3`: parsed exactly, compared, added, and written in canonical form.

Called by resource defaulting and validation, the scheduler (`milli()` for cpu, `value()` for bytes) and the node agent. The rules
are those of apimachinery `pkg/api/resource/quantity.go`: values are exact to one nano (10⁻⁹, finer ones are rounded away from zero),
capped at ±(2⁶³−1), and keep the suffix family they were written in (decimal, binary, exponent). Parsing is cached: a cluster uses few
different quantities.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache, total_ordering
from typing import Any, Literal

Format = Literal["DecimalSI", "BinarySI", "DecimalExponent"]

_NANO = 10**9
_MAX = (2**63 - 1) * _NANO
_SHAPE = re.compile(r"([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)", re.ASCII)
_NUMBER = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?", re.ASCII)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_EXPONENT = re.compile(r"[eE]([-+]?[0-9]+)", re.ASCII)
_DECIMAL_SUFFIX = {power: suffix for suffix, power in _DECIMAL.items()}
_BINARY_SUFFIX = {0: "", **{power: suffix for suffix, power in _BINARY.items()}}

WRONG_FORMAT = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
WRONG_NUMBER = "unable to parse numeric part of quantity"
WRONG_SUFFIX = "unable to parse quantity's suffix"


class QuantityError(ValueError):
    """A text that is no quantity. The message is upstream's."""


@total_ordering
class Quantity:
    """An exact amount: a whole number of nano-units and the suffix family it prefers. Immutable."""

    __slots__ = ("format", "nanos")

    nanos: int
    format: Format

    def __init__(self, nanos: int, format: Format = "DecimalSI") -> None:  # noqa: A002  # the field's own name
        self.nanos = max(-_MAX, min(_MAX, nanos))
        self.format = format

    def value(self) -> int:
        """In whole units, rounded away from zero (bytes, counts)."""
        return _up(self.nanos, _NANO)

    def milli(self) -> int:
        """In thousandths, rounded away from zero (cpu)."""
        return _up(self.nanos, 10**6)

    def __str__(self) -> str:
        return _canonical(self.nanos, self.format)

    def __repr__(self) -> str:
        return f"Quantity({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and self.nanos == other.nanos

    def __lt__(self, other: Quantity) -> bool:
        return self.nanos < other.nanos

    def __hash__(self) -> int:
        return hash(self.nanos)

    def __bool__(self) -> bool:
        return self.nanos != 0

    def __neg__(self) -> Quantity:
        return Quantity(-self.nanos, self.format)

    def __add__(self, other: Quantity) -> Quantity:
        return Quantity(self.nanos + other.nanos, self.format if self.nanos else other.format)

    def __sub__(self, other: Quantity) -> Quantity:
        return Quantity(self.nanos - other.nanos, self.format if self.nanos else other.format)


ZERO = Quantity(0)


def parse(text: str | int | float) -> Quantity:
    """The quantity that `text` (or a bare JSON number) stands for. QuantityError if it is none."""
    return _parse(text if isinstance(text, str) else _number_text(text))


def canonical(text: str | int | float) -> str:
    """`text` in canonical form, as the API server stores it: `1000m` → `1`, `0.5` → `500m`, `1024Mi` → `1Gi`."""
    return _canonical_of(text if isinstance(text, str) else _number_text(text))


def is_valid(text: Any) -> bool:
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        return False
    try:
        parse(text)
    except QuantityError:
        return False
    return True


def add(quantities: Iterable[Quantity]) -> Quantity:
    """The sum; zero of none."""
    total = ZERO
    for quantity in quantities:
        total = total + quantity
    return total


def from_value(value: int, format: Format = "BinarySI") -> Quantity:  # noqa: A002  # the field's own name
    """A whole number of units, by default to be written with binary suffixes."""
    return Quantity(value * _NANO, format)


def from_milli(milli: int) -> Quantity:
    return Quantity(milli * 10**6)


def _number_text(number: int | float) -> str:
    return str(number) if isinstance(number, int) else repr(number)


@lru_cache(maxsize=8192)
def _canonical_of(text: str) -> str:
    return str(_parse(text))


@lru_cache(maxsize=8192)
def _parse(text: str) -> Quantity:
    shape = _SHAPE.fullmatch(text)
    if not shape:
        raise QuantityError(WRONG_FORMAT)
    number = _NUMBER.fullmatch(shape[1])
    if not number or not (number[2] or number[3]):
        raise QuantityError(WRONG_NUMBER)
    sign = -1 if number[1] == "-" else 1
    whole, fraction = number[2], number[3] or ""
    digits = int((whole + fraction) or "0") * sign
    suffix = shape[2]
    if suffix in _DECIMAL:
        return Quantity(_scaled(digits, _DECIMAL[suffix] + 9 - len(fraction)), "DecimalSI")
    if suffix in _BINARY:
        return Quantity(_scaled(digits << (10 * _BINARY[suffix]), 9 - len(fraction)), "BinarySI")
    exponent = _EXPONENT.fullmatch(suffix)
    if not exponent or len(exponent[1]) > 11:
        raise QuantityError(WRONG_SUFFIX)
    return Quantity(_scaled(digits, int(exponent[1]) + 9 - len(fraction)), "DecimalExponent")


def _scaled(number: int, power: int) -> int:
    """number · 10^power, rounded away from zero, and never costlier than the cap makes sensible."""
    if not number or power >= 0:
        return number * 10 ** min(power, 40) if number else 0
    if -power > len(str(number)) + 1:
        return 1 if number > 0 else -1
    return _up(number, 10 ** (-power))


def _up(number: int, divisor: int) -> int:
    """number / divisor, rounded away from zero."""
    return -(-number // divisor) if number >= 0 else number // divisor


def _canonical(nanos: int, form: Format) -> str:
    if not nanos:
        return "0"
    if form == "BinarySI" and abs(nanos) >= 1024 * _NANO and nanos % _NANO == 0:
        number, power = nanos // _NANO, 0
        while number % 1024 == 0 and power < 6:
            number, power = number // 1024, power + 1
        return f"{number}{_BINARY_SUFFIX[power]}"
    number, power = nanos, -9
    while number % 1000 == 0 and power < 18:
        number, power = number // 1000, power + 3
    if form == "DecimalExponent":
        return f"{number}e{power}" if power else str(number)
    return f"{number}{_DECIMAL_SUFFIX[power]}"
