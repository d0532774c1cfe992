"""CEL, the Common Expression Language, as the Kubernetes API uses it: conditions on devices, rules of custom kinds,
admission policies, match conditions of webhooks.

A thin layer over cel-expr-python (Google's cel-cpp), loaded when the first expression comes. Besides CEL's own and its
standard extensions (strings, math, optionals, bindings) there are Kubernetes' `quantity(…)` and `semver(…)`
with their methods, and those of `cel_library.py`.

    program = compile('device.driver == "gpu.example.com"', DEVICE)
    program.evaluate({"device": {...}})        # → True; raises CelError

Without the library `available()` is False, and `what_is_wrong` says so of every expression.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from minik.api import quantity
from minik.api.cel_library import declarations

MISSING = "CEL expressions need the library cel-expr-python, which is not installed"
SEMVER = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")
"""A semantic version (semver.org 2.0.0)."""
_MISSING_KEY = re.compile(r'NOT_FOUND: Key not found in map : "(.*)"', re.DOTALL)
_TAIL = re.compile(r"\s*\(in container ''\)|\s*\[INVALID_ARGUMENT\]|^INVALID_ARGUMENT: ", re.MULTILINE)


class CelError(ValueError):
    """An expression that does not compile, or that cannot be evaluated for these values."""


@dataclass(frozen=True)
class Environment:
    """What an expression may name: variable → its type, `dyn` or `map(string, dyn)`; and the type it must have, or `dyn` for any."""

    variables: Mapping[str, str] = field(hash=False)
    returns: str = "bool"


DEVICE = Environment({"device": "map(string, dyn)"})
"""A device in a ResourceSlice (KEP-4381): `device.driver`, `device.attributes[domain].name`, `device.capacity[domain].name`."""


class Program:
    """A compiled expression."""

    def __init__(self, expression: str, engine: Any, compiled: Any) -> None:
        self.expression = expression
        self._engine, self._compiled = engine, compiled

    def evaluate(self, values: Mapping[str, Any]) -> Any:
        """The plain value for these variables. Raises CelError."""
        found = self._compiled.eval(self._engine.Activation(values))
        if found.type().name() == "ERROR":
            raise CelError(_worded(str(found.value())))
        return found.plain_value()


def _worded(error: str) -> str:
    """As cel-go says it, which is what people know from Kubernetes."""
    missing = _MISSING_KEY.fullmatch(error)
    if missing is not None:
        return f"no such key: {missing[1]}"
    return "no such overload" if "No matching overloads found" in error else error


def available() -> bool:
    """Whether the library is there."""
    return importlib.util.find_spec("cel_expr_python") is not None


@lru_cache(maxsize=1024)
def compile(expression: str, environment: Environment) -> Program:  # noqa: A001  # what it does
    """Compile and type-check. Raises CelError."""
    if not available():
        raise CelError(MISSING)
    engine = _engine(environment)
    try:
        compiled = engine.compile(expression)
    except RuntimeError as error:
        raise CelError("compilation failed: " + _TAIL.sub("", str(error)).strip()) from None
    wanted, given = environment.returns, compiled.return_type().name().lower()
    if wanted != "dyn" and given not in (wanted, "dyn"):
        raise CelError(f"must evaluate to {wanted}")
    return Program(expression, engine, compiled)


def what_is_wrong(expression: str, environment: Environment) -> str:
    """Why it is not a valid expression there, or ""."""
    try:
        compile(expression, environment)
    except CelError as error:
        return str(error)
    return ""


_engines: dict[int, Any] = {}


def _engine(environment: Environment) -> Any:
    made = _engines.get(id(environment))
    if made is None:
        made = _engines[id(environment)] = _new_engine(environment)
    return made


def _new_engine(environment: Environment) -> Any:
    from cel_expr_python import cel  # type: ignore[import-untyped]  # its stubs are not marked as such
    from cel_expr_python.ext import (  # type: ignore[import-untyped]  # as above
        ext_bindings,
        ext_math,
        ext_optional,
        ext_strings,
    )

    types = {"dyn": cel.Type.DYN, "map(string, dyn)": cel.Type.Map(cel.Type.STRING, cel.Type.DYN)}
    return cel.NewEnv(
        variables={name: types[text] for name, text in environment.variables.items()},
        functions=_functions(cel),
        extensions=[
            ext_strings.ExtStrings(),
            ext_optional.ExtOptional(),
            ext_math.ExtMath(),
            ext_bindings.ExtBindings(),
        ],
    )


# --- quantities and versions -------------------------------------------------------------------------------------------------
#
# The library's functions take and give plain values, so a quantity is a map {"quantity": "1Gi"} and a version {"semver": "1.2.3"}.


def of_quantity(text: str) -> dict[str, str]:
    """A quantity as an expression sees it. Raises ValueError."""
    quantity.parse(text)
    return {"quantity": text}


def of_version(text: str) -> dict[str, str]:
    """A semantic version as an expression sees it. Raises ValueError."""
    if not SEMVER.fullmatch(text):
        raise ValueError(f"not a semantic version: {text}")
    return {"semver": text}


def _order(value: Mapping[str, str]) -> Any:
    if "quantity" in value:
        return quantity.parse(value["quantity"])
    match = SEMVER.fullmatch(value["semver"])
    if match is None:
        raise ValueError(f"not a semantic version: {value['semver']}")
    pre = tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in (match[4] or "").split(".") if p)
    return int(match[1]), int(match[2]), int(match[3]), not pre, pre


def _compare(one: Mapping[str, str], other: Mapping[str, str]) -> int:
    first, second = _order(one), _order(other)
    return 0 if first == second else -1 if first < second else 1


def _is_quantity(text: str) -> bool:
    return quantity.is_valid(text)


def _sum(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, str]:
    return {"quantity": str(quantity.parse(one["quantity"]) + quantity.parse(other["quantity"]))}


def _difference(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, str]:
    return {"quantity": str(quantity.parse(one["quantity"]) - quantity.parse(other["quantity"]))}


def _functions(cel: Any) -> list[Any]:
    kind = cel.Type
    special = kind.Map(kind.STRING, kind.STRING)

    def declare(name: str, returns: Any, parameters: list[Any], do: Callable[..., Any], *, member: bool = True) -> Any:
        overload = cel.Overload(f"minik_{name}", return_type=returns, parameters=parameters, is_member=member, impl=do)
        return cel.FunctionDecl(name, [overload])

    both = [special, special]
    return [
        declare("quantity", special, [kind.STRING], of_quantity, member=False),
        declare("isQuantity", kind.BOOL, [kind.STRING], _is_quantity, member=False),
        declare("semver", special, [kind.STRING], of_version, member=False),
        declare("isSemver", kind.BOOL, [kind.STRING], lambda t: bool(SEMVER.fullmatch(t)), member=False),
        declare("compareTo", kind.INT, both, _compare),
        declare("isGreaterThan", kind.BOOL, both, lambda a, b: _compare(a, b) > 0),
        declare("isLessThan", kind.BOOL, both, lambda a, b: _compare(a, b) < 0),
        declare("asInteger", kind.INT, [special], lambda a: quantity.parse(a["quantity"]).value()),
        declare("asApproximateFloat", kind.DOUBLE, [special], lambda a: quantity.parse(a["quantity"]).milli() / 1000),
        declare("add", special, both, _sum),
        declare("sub", special, both, _difference),
        declare("major", kind.INT, [special], lambda a: _order(a)[0]),
        declare("minor", kind.INT, [special], lambda a: _order(a)[1]),
        declare("patch", kind.INT, [special], lambda a: _order(a)[2]),
        *declarations(kind, declare),
    ]
