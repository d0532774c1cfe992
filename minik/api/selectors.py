"""Label selectors and field selectors: parsing, matching, writing.

Label selectors come as text (`labelSelector=` of a list: `app=web,tier in (a,b),!old`), as an object (`matchLabels`,
`matchExpressions`) or as a plain map (Service, ReplicationController); all become a `Selector`. The grammar and the error texts are
those of apimachinery `pkg/labels` and `pkg/fields`. Parsing of text is cached. Which fields a kind lets be selected is the kind's
business (`Kind.fields`); an unknown one raises `UnsupportedField` from `compile`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from minik.api.selectors_fields import (
    FieldSelector,
    FieldTerm,
    SelectorError,
    UnsupportedField,
    escape_field_value,
    parse_field_selector,
)
from minik.api.validation_names import label_value, qualified_name

__all__ = [
    "EVERYTHING", "NOTHING", "FieldSelector", "FieldTerm", "Requirement", "Selector", "SelectorError", "UnsupportedField",
    "escape_field_value", "format_label_selector", "from_label_selector", "from_labels", "matches", "matches_map",
    "parse_field_selector", "parse_label_selector", "whole_number",
]  # fmt: skip

_WHOLE = re.compile(r"[+-]?[0-9]+")


def whole_number(text: str) -> int | None:
    """The number that operators `Gt` and `Lt` compare, as Go's ParseInt reads 64 bits (Python's int takes `1_000`); None if it is none."""
    number = int(text) if _WHOLE.fullmatch(text) else None
    return number if number is not None and -(1 << 63) <= number < 1 << 63 else None


Operator = Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "=", "!="]


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on the label `key`. `values` is empty for Exists and DoesNotExist."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        operator, value = self.operator, labels.get(self.key)
        if operator == "=" or operator == "In":
            return value is not None and value in self.values
        if operator == "!=" or operator == "NotIn":
            return value is None or value not in self.values
        if operator == "Exists":
            return value is not None
        if operator == "DoesNotExist":
            return value is None
        if value is None:
            return False
        number, bound = whole_number(value), whole_number(self.values[0])
        if number is None or bound is None:
            return False
        return number > bound if operator == "Gt" else number < bound

    def __str__(self) -> str:
        if self.operator == "Exists":
            return self.key
        if self.operator == "DoesNotExist":
            return f"!{self.key}"
        sign = {"In": " in ", "NotIn": " notin ", "Gt": ">", "Lt": "<", "=": "=", "!=": "!="}[self.operator]
        text = ",".join(sorted(self.values))
        return f"{self.key}{sign}({text})" if self.operator in ("In", "NotIn") else f"{self.key}{sign}{text}"


@dataclass(frozen=True, slots=True)
class Selector:
    """All of `requirements` must hold. None of them: everything. `nothing`: nothing at all."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        if self.nothing:
            return False
        labels = labels or {}
        for requirement in self.requirements:  # noqa: SIM110  # runs for each pod of each pass; a generator doubles it
            if not requirement.matches(labels):
                return False
        return True

    @property
    def empty(self) -> bool:
        """Whether it selects everything."""
        return not self.requirements and not self.nothing

    def equalities(self) -> dict[str, str]:
        """Labels that every match must carry with exactly this value: hints for an index."""
        return {r.key: r.values[0] for r in self.requirements if r.operator in ("=", "In") and len(r.values) == 1}

    def __str__(self) -> str:
        return ",".join(str(r) for r in self.requirements)


EVERYTHING = Selector()
NOTHING = Selector(nothing=True)

# --- label selectors from objects -----------------------------------------------------------------------------------


def from_labels(labels: Mapping[str, str] | None) -> Selector:
    """A Selector from a plain map. None and an empty map select everything (callers with another reading check first)."""
    return Selector(tuple(Requirement(k, "=", (v,)) for k, v in sorted((labels or {}).items())))


def from_label_selector(selector: Mapping[str, Any] | None) -> Selector:
    """A Selector from a meta/v1 LabelSelector: None selects nothing, an empty one everything. SelectorError if it is invalid."""
    if selector is None:
        return NOTHING
    found = [Requirement(k, "=", (v,)) for k, v in sorted((selector.get("matchLabels") or {}).items())]
    for expression in selector.get("matchExpressions") or ():
        operator = expression.get("operator", "")
        if operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
            raise SelectorError(f'"{operator}" is not a valid label selector operator')
        values = tuple(expression.get("values") or ())
        if operator in ("In", "NotIn") and not values:
            raise SelectorError("for 'in', 'notin' operators, values set can't be empty")
        found.append(Requirement(expression.get("key", ""), operator, values))
    return Selector(tuple(found))


def matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str] | None) -> bool:
    """Whether a LabelSelector object selects `labels`; False for None and for an invalid one."""
    if selector is None:
        return False
    labels = labels or {}
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    if not selector.get("matchExpressions"):
        return True
    try:
        return from_label_selector(selector).matches(labels)
    except SelectorError:
        return False


def matches_map(selector: Mapping[str, str] | None, labels: Mapping[str, str] | None) -> bool:
    """Whether a plain map (a Service's selector) selects `labels`. An empty selector selects nothing here."""
    if not selector:
        return False
    labels = labels or {}
    return all(labels.get(key) == value for key, value in selector.items())


def format_label_selector(selector: Mapping[str, Any] | None) -> str:
    """A LabelSelector in text form; `<none>` for an empty one, `<error>` for an invalid one (metav1.FormatLabelSelector)."""
    try:
        return str(from_label_selector(selector)) or "<none>"
    except SelectorError:
        return "<error>"


# --- label selectors from text --------------------------------------------------------------------------------------

_TOKEN = re.compile(r"[ \t\r\n]*(==|!=|[=!(),<>]|[^=!(),<> \t\r\n]+)")
_OPERATORS: dict[str, Operator] = {
    "in": "In", "notin": "NotIn", "=": "=", "==": "=", "!=": "!=", ">": "Gt", "<": "Lt",
}  # fmt: skip
_SPECIAL = frozenset(("==", "!=", "=", "!", "(", ")", ",", "<", ">"))
_END = ""


def _tokens(text: str) -> list[str]:
    found = _TOKEN.findall(text)
    found.append(_END)
    return found


class _Parser:
    """Recursive descent over the tokens, with upstream's messages. A word is an identifier wherever a value may stand."""

    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at]

    def take(self) -> str:
        token = self.tokens[self.at]
        if token != _END:
            self.at += 1
        return token

    @staticmethod
    def is_word(token: str) -> bool:
        return token != _END and token not in _SPECIAL

    def parse(self) -> Selector:
        found: list[Requirement] = []
        while True:
            token = self.peek()
            if token == _END:
                return Selector(tuple(sorted(found, key=lambda r: r.key)))
            if not self.is_word(token) and token != "!":
                raise SelectorError(f"found '{token}', expected: !, identifier, or 'end of string'")
            try:
                found.append(self.requirement())
            except SelectorError as error:
                raise SelectorError(f"unable to parse requirement: {error}") from error
            token = self.take()
            if token == _END:
                return Selector(tuple(sorted(found, key=lambda r: r.key)))
            if token != ",":
                raise SelectorError(f"found '{token}', expected: ',' or 'end of string'")
            following = self.peek()
            if not self.is_word(following) and following != "!":
                raise SelectorError(f"found '{following}', expected: identifier after ','")

    def requirement(self) -> Requirement:
        token = self.take()
        negated = token == "!"
        if negated:
            token = self.take()
        if not self.is_word(token):
            raise SelectorError(f"found '{token}', expected: identifier")
        key = token
        _check_key(key)
        if self.peek() in (_END, ","):
            return Requirement(key, "DoesNotExist" if negated else "Exists")
        sign = self.take()
        operator = _OPERATORS.get(sign)
        if operator is None:
            raise SelectorError(f"found '{sign}', expected: in, notin, =, ==, !=, gt, lt")
        values = self.value_list() if operator in ("In", "NotIn") else (self.exact_value(),)
        return _requirement(key, operator, values)

    def value_list(self) -> tuple[str, ...]:
        token = self.take()
        if token != "(":
            raise SelectorError(f"found '{token}' expected: '('")
        token = self.peek()
        if token == ")":
            self.take()
            return ("",)
        if not self.is_word(token) and token != ",":
            raise SelectorError(f"found '{token}', expected: ',', ')' or identifier")
        values: set[str] = set()
        expect_value = True
        while True:
            token = self.take()
            if self.is_word(token):
                if not expect_value:
                    raise SelectorError(f"found '{token}', expected: ',' or ')'")
                values.add(token)
                expect_value = False
            elif token == ",":
                if expect_value:
                    values.add("")
                expect_value = True
            elif token == ")":
                if expect_value:
                    values.add("")
                return tuple(sorted(values))
            else:
                raise SelectorError(f"found '{token}', expected: ',', or ')'")

    def exact_value(self) -> str:
        if self.peek() in (_END, ","):
            return ""
        token = self.take()
        if not self.is_word(token):
            raise SelectorError(f"found '{token}', expected: identifier")
        return token


def _check_key(key: str) -> None:
    problems = qualified_name(key)
    if problems:
        raise SelectorError(f'<nil>: Invalid value: "{key}": {"; ".join(problems)}')


def _requirement(key: str, operator: Operator, values: tuple[str, ...]) -> Requirement:
    if operator in ("Gt", "Lt"):
        if not re.fullmatch(r"[+-]?\d+", values[0], re.ASCII):
            raise SelectorError(
                f"<nil>[0]: Invalid value: \"{values[0]}\": for 'Gt', 'Lt' operators, the value must be an integer"
            )
    else:
        for number, value in enumerate(values):
            problems = label_value(value)
            if problems:
                raise SelectorError(f'<nil>[{number}]: Invalid value: "{value}": {"; ".join(problems)}')
    return Requirement(key, operator, values)


@lru_cache(maxsize=4096)
def parse_label_selector(text: str) -> Selector:
    """The Selector that `text` writes; "" selects everything. SelectorError with upstream's message."""
    return _Parser(text).parse()
