"""JSONPath as Kubernetes writes it (client-go `util/jsonpath`), as far as columns and selectable fields of custom kinds need it.

    .spec.replicas   .metadata.annotations['a/b']   .spec.ports[0].port   .status.conditions[?(@.type=="Ready")].status   .spec.names[*]

`parse` once, `find` often. Pure; used by `minik.api.apiextensions_v1`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

Step = Callable[[Any], Iterable[Any]]


class JsonPathError(ValueError):
    """A path that cannot be read, in words."""


_NAME = re.compile(r"(?:[^.\[\]\\\s'\"(){}]|\\.)+")
_INDEX = re.compile(r"-?\d+")
_SLICE = re.compile(r"(-?\d*):(-?\d*)(?::(\d+))?")
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")
_FILTER = re.compile(r"\?\(\s*@((?:\.|\[).*?)\s*(?:(==|!=|<=|>=|<|>)\s*(.*?))?\s*\)")


class JsonPath:
    """A parsed path. `names` are its fields if it is nothing but fields, else None."""

    def __init__(self, text: str, steps: Sequence[Step], names: tuple[str, ...] | None) -> None:
        self.text = text
        self.names = names
        self._steps = steps

    def find(self, value: Any) -> list[Any]:
        """Everything it leads to, in order; nothing if a field is absent."""
        found = [value]
        for step in self._steps:
            found = [below for each in found for below in step(each)]
            if not found:
                break
        return found


@lru_cache(maxsize=1024)
def parse(text: str) -> JsonPath:
    """Raises JsonPathError."""
    rest = text.strip()
    if rest.startswith("{") and rest.endswith("}"):
        rest = rest[1:-1]
    if rest.startswith("$"):
        rest = rest[1:]
    steps: list[Step] = []
    names: list[str] | None = []
    while rest:
        if rest.startswith(".."):
            raise JsonPathError("recursive descent is not supported")
        if rest == ".":
            break
        if rest.startswith((".[", "[")):
            step, name, rest = _bracket(text, rest.removeprefix("."))
        elif rest.startswith(".*"):
            step, name, rest = _every, None, rest[2:]
        elif rest.startswith("."):
            found = _NAME.match(rest, 1)
            if found is None:
                raise JsonPathError(f"unrecognized character in {text!r} at {rest[1:]!r}")
            name = re.sub(r"\\(.)", r"\1", found[0])
            step, rest = _field(name), rest[found.end() :]
        else:
            raise JsonPathError(f"{text!r} does not begin with a dot")
        steps.append(step)
        names = [*names, name] if names is not None and name is not None else None
    return JsonPath(text, steps, tuple(names) if names is not None else None)


def _bracket(text: str, rest: str) -> tuple[Step, str | None, str]:
    """(step, the field's name if it is one, what follows)."""
    if rest.startswith("[*]"):
        return _every, None, rest[3:]
    chosen = _FILTER.match(rest, 1)
    if chosen is not None and rest[chosen.end() : chosen.end() + 1] == "]":
        return _filter(chosen[1], chosen[2], chosen[3]), None, rest[chosen.end() + 1 :]
    quoted = _QUOTED.match(rest, 1)
    if quoted is not None and rest[quoted.end() : quoted.end() + 1] == "]":
        name = re.sub(r"\\(.)", r"\1", quoted[1] if quoted[1] is not None else quoted[2])
        return _field(name), name, rest[quoted.end() + 1 :]
    part = _SLICE.match(rest, 1)
    if part is not None and rest[part.end() : part.end() + 1] == "]":
        bounds = slice(*(int(each) if each else None for each in part.groups()))
        return (lambda value: value[bounds] if isinstance(value, list) else ()), None, rest[part.end() + 1 :]
    index = _INDEX.match(rest, 1)
    if index is not None and rest[index.end() : index.end() + 1] == "]":
        return _at(int(index[0])), None, rest[index.end() + 1 :]
    raise JsonPathError(f"invalid array index or filter in {text!r} at {rest!r}")


def _field(name: str) -> Step:
    def step(value: Any) -> Iterable[Any]:
        return (value[name],) if isinstance(value, Mapping) and name in value else ()

    return step


def _at(index: int) -> Step:
    def step(value: Any) -> Iterable[Any]:
        return (value[index],) if isinstance(value, list) and -len(value) <= index < len(value) else ()

    return step


def _every(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, list) else ()


_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def _filter(path: str, operator: str | None, literal: str | None) -> Step:
    left = parse(path)
    right = _literal(literal) if literal is not None else None

    def holds(value: Any) -> bool:
        found = left.find(value)
        if operator is None or not found:
            return bool(found)
        try:
            return _COMPARE[operator](found[0], right)
        except TypeError:
            return False

    return lambda value: [each for each in _every(value) if holds(each)]


def _literal(text: str) -> Any:
    quoted = _QUOTED.fullmatch(text)
    if quoted is not None:
        return quoted[1] if quoted[1] is not None else quoted[2]
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        raise JsonPathError(f"unrecognized literal {text}") from None
