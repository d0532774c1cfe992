"""Rules in CEL (`x-kubernetes-validations`, KEP-2876): evaluated for every new object, and for an update where something changed.

Called by `structural_values.validate` for schemas that have rules, and by the validation of definitions: `what_is_wrong` with a rule, or
else `why_not` it will be enforced. The language is `minik.api.cel`; Kubernetes' own functions that it lacks (`url`, `ip`, `format` …)
make a rule one that is accepted with a warning and not enforced, and so does the absence of the library.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from minik.api import cel
from minik.api.errors import FieldError, Path, duplicate, field_forbidden, invalid, required
from minik.api.meta import ROObj
from minik.api.structural import RULES, Structural
from minik.api.structural_values import child, is_absent, old_items
from minik.api.validation import Errors

SELF = cel.Environment({"self": "dyn"})
TRANSITION = cel.Environment({"self": "dyn", "oldSelf": "dyn"})
MESSAGE = cel.Environment({"self": "dyn"}, returns="string")
TRANSITION_MESSAGE = cel.Environment({"self": "dyn", "oldSelf": "dyn"}, returns="string")

_KUBERNETES_ONLY = frozenset({
    "indexOf", "lastIndexOf", "url", "ip", "cidr", "format", "authorizer", "isCanonical", "family", "containsIP", "containsCIDR",
    "masked", "prefixLength", "getScheme", "getHost", "getHostname", "getPort", "getEscapedPath", "getQuery", "isInteger", "sign",
    "sets", "sets.contains", "sets.equivalent", "sets.intersects", "contains", "equivalent", "intersects", "ip.isCanonical",
})  # fmt: skip
"""Functions of Kubernetes' CEL libraries that `minik.api.cel` lacks."""
_UNKNOWN = re.compile(r"undeclared reference to '([^']+)'|found no matching overload for '([^']+)'")
_TYPED_STRINGS = ("date", "date-time", "datetime", "duration", "byte")
"""Formats whose values are no strings for a rule."""
_RESERVED = frozenset({
    "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop",
    "package", "namespace", "return", "var", "void", "while",
})  # fmt: skip
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def is_transition(rule: Mapping[str, Any]) -> bool:
    """Whether it compares with the old value: then it holds for updates only."""
    return re.search(r"\boldSelf\b", rule.get("rule") or "") is not None


def what_is_wrong(rule: Mapping[str, Any]) -> str:
    """Why a definition with this rule is refused, or ""."""
    if not cel.available():
        return ""
    text = rule.get("rule") or ""
    problem = cel.what_is_wrong(text, TRANSITION if is_transition(rule) else SELF)
    return problem if problem and not _is_ours(problem) else ""


def why_not(rule: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Why a rule of this schema is not enforced; "" if it is."""
    if not cel.available():
        return cel.MISSING
    if rule.get("optionalOldSelf"):
        return "optionalOldSelf is not supported"
    text = rule.get("rule") or ""
    typed = [name for name in _typed_fields(schema, "") if re.search(rf"\b{re.escape(escape(name) or name)}\b", text)]
    if typed or (schema.get("format") in _TYPED_STRINGS and schema.get("type") == "string"):
        return "fields of formats " + ", ".join(_TYPED_STRINGS) + " are not supported in rules"
    problem = cel.what_is_wrong(text, TRANSITION if is_transition(rule) else SELF)
    return problem.partition("\n")[0] if problem and _is_ours(problem) else ""


def _is_ours(problem: str) -> bool:
    """Whether a rule does not compile for the lack of a function that Kubernetes has."""
    names = [a or b for a, b in _UNKNOWN.findall(problem)]
    return bool(names) and any(name in _KUBERNETES_ONLY for name in names)


def _typed_fields(schema: Mapping[str, Any], name: str) -> Iterator[str]:
    if name and schema.get("type") == "string" and schema.get("format") in _TYPED_STRINGS:
        yield name
    for below, each in (schema.get("properties") or {}).items():
        yield from _typed_fields(each, below)
    for field in ("items", "additionalProperties"):
        if isinstance(schema.get(field), Mapping):
            yield from _typed_fields(schema[field], name)


@lru_cache(maxsize=4096)
def escape(name: str) -> str | None:
    """A field's name as a rule writes it; None if no rule can (cel-go `escaping.Escape`)."""
    if name in _RESERVED:
        return f"__{name}__"
    text = name.replace("__", "__underscores__")
    text = text.replace(".", "__dot__").replace("-", "__dash__").replace("/", "__slash__")
    return text if _IDENTIFIER.fullmatch(text) else None


def as_seen(value: Any, node: Structural | None, *, root: bool = False) -> Any:
    """A value as rules see it: fields that the schema names, under names that can be written. Of metadata only the names."""
    if isinstance(value, Mapping):
        if node is not None and isinstance(node.additional, Structural):
            return {key: as_seen(item, node.additional) for key, item in value.items()}
        if node is None or (node.preserve and not node.properties):
            return dict(value)
        seen: dict[str, Any] = {}
        for key, item in value.items():
            known, name = node.properties.get(key), escape(key)
            if known is not None and name is not None and not (item is None and not known.nullable):
                seen[name] = as_seen(item, known)
        if root or node.embedded:
            metadata = value.get("metadata") or {}
            seen |= {key: value[key] for key in ("apiVersion", "kind") if key in value}
            seen["metadata"] = {key: metadata[key] for key in ("name", "generateName") if metadata.get(key)}
        return seen
    if isinstance(value, list):
        items = node.items if node is not None else None
        return [as_seen(item, items) for item in value]
    return value


def check_rules(new: ROObj, old: ROObj | None, root: Structural) -> Sequence[FieldError]:
    """What the rules of a schema have against an object."""
    errors: Errors = []
    _walk(errors, Path(""), new, old, root, root=True)
    return errors


def _walk(errors: Errors, path: Path, value: Any, old: Any, node: Structural, *, root: bool = False) -> None:
    """`old`: the value before, None if there was none that can be compared. Of what has not changed only transitions are judged."""
    if not node.has_rules:
        return
    rules = node.schema.get(RULES)
    if rules and not (value is None and node.nullable):
        _apply(errors, path, value, old, node, rules, root=root)
    if isinstance(value, Mapping):
        before = old if isinstance(old, Mapping) else {}
        for name, item in value.items():
            known = node.properties.get(name, node.additional)
            if isinstance(known, Structural):
                at = child(path, name) if name in node.properties else path.key(name)
                _walk(errors, at, item, before.get(name), known)
    elif isinstance(value, list) and node.items is not None:
        former = old_items(old, node.schema)
        for index, item in enumerate(value):
            found = former(item)
            _walk(errors, path.index(index), item, None if is_absent(found) else found, node.items)


def _apply(
    errors: Errors,
    path: Path,
    value: Any,
    old: Any,
    node: Structural,
    rules: Sequence[Mapping[str, Any]],
    *,
    root: bool,
) -> None:
    values = {"self": as_seen(value, node, root=root)}
    if old is not None:
        values["oldSelf"] = as_seen(old, node, root=root)
    unchanged = old is not None and old == value
    for rule in rules:
        transition = is_transition(rule)
        if (old is None if transition else unchanged) or why_not_cached(rule, node):
            continue
        given = values if transition else {"self": values["self"]}
        try:
            holds = cel.compile(rule["rule"], TRANSITION if transition else SELF).evaluate(given)
        except cel.CelError as error:
            why = f"rule evaluation error: {error} evaluating rule: {rule.get('message') or rule['rule'].strip()}"
            errors.append(invalid(path, _shown(node), why))
            continue
        if holds is not True:
            errors.append(_broken(path, value, node, rule, given))


def why_not_cached(rule: Mapping[str, Any], node: Structural) -> str:
    """`why_not`, worked out once for a rule of a schema."""
    known = node.unenforced
    if known is None:
        known = node.unenforced = {}
    text: str = rule.get("rule") or ""
    if text not in known:
        known[text] = why_not(rule, node.schema)
    return known[text]


def _shown(node: Structural) -> str:
    return node.schema.get("type") or "object"


def _broken(path: Path, value: Any, node: Structural, rule: Mapping[str, Any], given: Mapping[str, Any]) -> FieldError:
    message = rule.get("message") or f"failed rule: {rule['rule'].strip()}"
    expression = rule.get("messageExpression")
    if expression:
        try:
            environment = TRANSITION_MESSAGE if "oldSelf" in given else MESSAGE
            made = str(cel.compile(expression, environment).evaluate(given)).strip()
            message = made if made and "\n" not in made else message
        except cel.CelError:
            pass  # then the message stands
    at = Path(f"{path}{rule.get('fieldPath') or ''}".lstrip("."))
    reason = rule.get("reason")
    if reason == "FieldValueForbidden":
        return field_forbidden(at, message)
    if reason == "FieldValueRequired":
        return required(at, message)
    if reason == "FieldValueDuplicate":
        return duplicate(at, value)
    return invalid(at or Path("<nil>"), _shown(node), message)
