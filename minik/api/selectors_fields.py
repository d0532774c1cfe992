"""Field selectors: `metadata.name=web,status.phase!=Running` (apimachinery `pkg/fields`). Used through `minik.api.selectors`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from minik.api.meta import ROObj


class SelectorError(ValueError):
    """A selector that cannot be understood. The message is upstream's."""


class UnsupportedField(SelectorError):
    """A field selector names a field that the kind does not offer."""

    def __init__(self, field: str) -> None:
        super().__init__(f"field label not supported: {field}")
        self.field = field


@dataclass(frozen=True, slots=True)
class FieldTerm:
    field: str
    equal: bool
    value: str


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """All terms must hold. A field that an object lacks reads as ""."""

    terms: tuple[FieldTerm, ...] = ()

    @property
    def empty(self) -> bool:
        return not self.terms

    def equalities(self) -> dict[str, str]:
        """field → the value that every match has."""
        return {term.field: term.value for term in self.terms if term.equal}

    def fields(self) -> tuple[str, ...]:
        """The fields that are asked about, in order."""
        return tuple(dict.fromkeys(term.field for term in self.terms))

    def matches(self, values: Mapping[str, str]) -> bool:
        """Against the values of the fields."""
        return all((values.get(term.field, "") == term.value) is term.equal for term in self.terms)

    def compile(self, getters: Mapping[str, Callable[[ROObj], str]]) -> Callable[[ROObj], bool]:
        """A predicate on objects. `getters` are `Kind.fields`; metadata.name and metadata.namespace are added.

        UnsupportedField if a term names anything else.
        """
        tests: list[tuple[Callable[[ROObj], str], bool, str]] = []
        for term in self.terms:
            getter = getters.get(term.field) or METADATA_FIELDS.get(term.field)
            if getter is None:
                raise UnsupportedField(term.field)
            tests.append((getter, term.equal, term.value))

        def holds(obj: ROObj) -> bool:
            return all((get(obj) == value) is equal for get, equal, value in tests)

        return holds

    def __str__(self) -> str:
        return ",".join(f"{t.field}{'=' if t.equal else '!='}{escape_field_value(t.value)}" for t in self.terms)


METADATA_FIELDS: Mapping[str, Callable[[ROObj], str]] = {
    "metadata.name": lambda obj: obj["metadata"].get("name", ""),
    "metadata.namespace": lambda obj: obj["metadata"].get("namespace", ""),
}


def escape_field_value(value: str) -> str:
    return value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")


_FIELD_TERM = re.compile(r"((?:\\.|[^\\])*?)(!=|==|=)(.*)", re.DOTALL)


def _split_terms(text: str) -> Sequence[str]:
    terms, start, escaped = [], 0, False
    for at, char in enumerate(text):
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == ",":
            terms.append(text[start:at])
            start = at + 1
    terms.append(text[start:])
    return terms


def _unescape(value: str) -> str:
    if not any(char in value for char in "\\,="):
        return value
    out, escaped = [], False
    for char in value:
        if escaped:
            if char not in "\\,=":
                raise SelectorError(f"invalid field selector: invalid escape sequence: \\{char}")
            out.append(char)
            escaped = False
        elif char == "\\":
            escaped = True
        elif char in ",=":
            raise SelectorError(f"invalid field selector: unescaped character in value: {char}")
        else:
            out.append(char)
    if escaped:
        raise SelectorError("invalid field selector: invalid escape sequence: \\")
    return "".join(out)


@lru_cache(maxsize=4096)
def parse_field_selector(text: str) -> FieldSelector:
    """`metadata.name=web,status.phase!=Running`; "" selects everything. SelectorError with upstream's message."""
    terms: list[FieldTerm] = []
    for part in _split_terms(text):
        if not part:
            continue
        found = _FIELD_TERM.fullmatch(part)
        if not found:
            raise SelectorError(f"invalid selector: '{text}'; can't understand '{part}'")
        terms.append(FieldTerm(found[1], found[2] != "!=", _unescape(found[3])))
    return FieldSelector(tuple(terms))
