"""The CEL of admission policies: what their expressions may name, and the `Object{…}` and `JSONPatch{…}` that mutations are made of.

The library knows no types but its own, so these are written as maps before they are compiled: `Object{spec: Object.spec{replicas: 1}}` as
`{"spec": {"replicas": 1}}`. What does not fit the kind shows when it is applied. `authorizer` is not served.

Source: apiserver `pkg/admission/plugin/cel`, `pkg/admission/plugin/policy/mutating/patch`, `pkg/cel/mutation`.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from minik.api import cel
from minik.api.cel import CelError, Environment

_NAMES = {
    "object": "dyn",
    "oldObject": "dyn",
    "request": "dyn",
    "namespaceObject": "dyn",
    "variables": "map(string, dyn)",
}
_WITH_PARAMS = {**_NAMES, "params": "dyn"}
CONDITION, TEXT, VALUE = (Environment(_NAMES, returns) for returns in ("bool", "string", "dyn"))
"""For validations and conditions, for messages, for variables and mutations; without params."""
_PARAMETRIC = {
    returns: Environment(_WITH_PARAMS, returns) for returns in ("bool", "string", "dyn")
}  # by the type that comes out
_VARIABLE = re.compile(r"(?<![\w.])variables\s*\.\s*\??\s*([A-Za-z_]\w*)")
_DOT = re.compile(r"\.\s+")
_TOKEN = re.compile(
    r"""(?P<skip>[rRbB]{0,2}(?:\"{3}.*?\"{3}|'{3}.*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|//[^\n]*)"""
    r"""|(?P<struct>(?<![\w.])(?:Object(?:\s*\.\s*\w+)*|JSONPatch)\s*\{)"""
    r"""|(?P<open>[({\[])|(?P<close>[)}\]])|(?P<comma>,)""",
    re.DOTALL,
)
_FIELD = re.compile(r"\s*(\??)\s*([A-Za-z_]\w*)\s*:(?!:)")
_ESCAPES = {"__underscores__": "__", "__dot__": ".", "__dash__": "-", "__slash__": "/"}


def environment(returns: str, *, params: bool) -> Environment:
    """`returns`: bool, string or dyn."""
    if params:
        return _PARAMETRIC[returns]
    return {"bool": CONDITION, "string": TEXT, "dyn": VALUE}[returns]


def variables_in(expression: str) -> list[str]:
    """The names that it takes from `variables`, each once; texts and comments are none of it, nor are fields of that name."""
    plain = _TOKEN.sub(lambda found: '""' if found["skip"] else found[0], expression)
    return list(dict.fromkeys(_VARIABLE.findall(_DOT.sub(".", plain))))


def what_is_wrong(expression: str, where: Environment, variables: Collection[str] = ()) -> str:
    """Why it is no expression there, or "". `variables`: those that are there already."""
    if why := cel.what_is_wrong(as_maps(expression), where):
        return why
    missing = [name for name in variables_in(expression) if name not in variables]
    return f"compilation failed: undefined field '{missing[0]}'" if missing else ""


def program(expression: str, where: Environment) -> cel.Program:
    """Raises CelError."""
    return cel.compile(as_maps(expression), where)


def as_maps(expression: str) -> str:
    """The expression with its `Object{…}` and `JSONPatch{…}` written as maps."""
    if "Object" not in expression and "JSONPatch" not in expression:
        return expression
    out: list[str] = []
    structs: list[bool] = []
    at = 0
    while at < len(expression):
        if structs and structs[-1] and (not out or out[-1] in ("{", ",")):
            field = _FIELD.match(expression, at)
            if field is not None:
                out.append(f'{field[1]}"{_unescaped(field[2])}":')
                at = field.end()
                continue
        found = _TOKEN.search(expression, at)
        if found is None:
            out.append(expression[at:])
            break
        if found.start() > at:
            out.append(expression[at : found.start()])
            if out[-1].isspace():
                out.pop()
        if found["struct"]:
            out.append("{")
            structs.append(True)
        elif found["open"]:
            out.append(found["open"])
            structs.append(False)
        else:
            out.append(found[0])
            if found["close"] and structs:
                structs.pop()
        at = found.end()
    return " ".join(out)


def _unescaped(name: str) -> str:
    """A field's name as the API has it: names that CEL cannot write are escaped (apiserver `pkg/cel/escaping.go`)."""
    for escaped, text in _ESCAPES.items():
        name = name.replace(escaped, text)
    if name.startswith("__") and name.endswith("__") and len(name) > 4:
        return name[2:-2]  # a word that CEL keeps for itself: __namespace__
    return name


__all__ = ["CelError", "as_maps", "environment", "program", "variables_in", "what_is_wrong"]
