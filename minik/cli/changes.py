"""What differs between two states of an object, and how a person is shown that. Pure; for `minik history` and `minik rewind`.

    spec.replicas: 3 → 5
    + metadata.labels["app.kubernetes.io/tier"]: front
    - spec.template.spec.containers[proxy].image: envoy:1.30

What belongs to bookkeeping is left out: resourceVersion, generation, managedFields, and the copies of the object that kubectl keeps in
annotations. Items of lists are told apart by their names, or whatever else is unlike in all of them.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

_HIDDEN = frozenset({"managedFields", "resourceVersion", "generation", "selfLink"})
_HIDDEN_ANNOTATIONS = frozenset({"kubectl.kubernetes.io/last-applied-configuration"})
_OF_BIRTH = frozenset({"uid", "creationTimestamp", "name", "namespace"})
"""Of metadata, what every object has from its creation on and never changes."""
_ITEM_KEYS = ("name", "type", "key", "containerPort", "port", "ip", "mountPath", "uid")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_LONGEST = 160
_SECRET_FIELDS = ("data", "stringData")

Sign = Literal["~", "+", "-"]


class Change(NamedTuple):
    """`+`: `new` is there now; `-`: `old` is gone; `~`: `old` became `new`."""

    sign: Sign
    path: str
    old: Any = None
    new: Any = None


def changes(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> list[Change]:
    """What becomes of `old` to make it `new`; None is an object that is not there. Field by field, in the order of the newer one."""
    before, after = visible(old or {}), visible(new or {})
    if old is None or new is None:
        for state in (before, after):
            for name in ("apiVersion", "kind"):
                state.pop(name, None)
            metadata = {k: v for k, v in state.pop("metadata", {}).items() if k not in _OF_BIRTH}
            if metadata:
                state["metadata"] = metadata
    return list(_compare("", before, after))


def visible(obj: Mapping[str, Any]) -> dict[str, Any]:
    """The object without its bookkeeping."""
    shown = dict(obj)
    metadata = {k: v for k, v in (obj.get("metadata") or {}).items() if k not in _HIDDEN}
    if "annotations" in metadata:
        metadata["annotations"] = {k: v for k, v in metadata["annotations"].items() if k not in _HIDDEN_ANNOTATIONS}
    if metadata:
        shown["metadata"] = metadata
    return shown


def _compare(path: str, old: Any, new: Any) -> Iterator[Change]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*new, *(k for k in old if k not in new)]:
            yield from _step(_member(path, key), old, new, key)
        return
    if isinstance(old, list) and isinstance(new, list) and (named := _by_name(old, new)):
        told, before, after = named
        for key in [*after, *(k for k in before if k not in after)]:
            yield from _step(f"{path}[{key}]", before, after, key, told)
        left, come = [k for k in before if k in after], [k for k in after if k in before]
        if left != come and told != "type":  # the order of conditions means nothing
            yield Change("~", f"{path} (order)", left, come)
        return
    yield Change("~", path, old, new)


def _step(path: str, old: Mapping[Any, Any], new: Mapping[Any, Any], key: Any, told: str = "") -> Iterator[Change]:
    if key not in old:
        yield from (Change("+", where, new=value) for where, value in _leaves(path, _rest(new[key], told)))
    elif key not in new:
        yield from (Change("-", where, old=value) for where, value in _leaves(path, _rest(old[key], told)))
    else:
        yield from _compare(path, old[key], new[key])


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The values within a value; empty objects and lists of scalars are values themselves."""
    if isinstance(value, dict) and value:
        for key, member in value.items():
            yield from _leaves(_member(path, key), member)
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        named = _by_name(value, value)
        told = named[0] if named else ""
        for number, member in enumerate(value):
            where = f"{path}[{member[told] if told else number}]"
            yield from _leaves(where, _rest(member, told))
    else:
        yield path, value


def _rest(item: Any, told: str) -> Any:
    """A list's item without the field that tells it apart, which stands in its path; unless that is all it has."""
    return ({k: v for k, v in item.items() if k != told} or item) if told else item


def _by_name(old: Sequence[Any], new: Sequence[Any]) -> tuple[str, dict[str, Any], dict[str, Any]] | None:
    """The items of two lists of objects by the field that tells them apart, and its name; by their places (and "") if none does and
    there are as many."""
    if not all(isinstance(item, dict) for item in (*old, *new)):
        return None
    for key in _ITEM_KEYS:
        if all(isinstance(item.get(key), str | int) for item in (*old, *new)):
            before, after = ({str(item[key]): item for item in items} for items in (old, new))
            if len(before) == len(old) and len(after) == len(new):
                return key, before, after
    if len(old) == len(new):
        return "", {str(i): item for i, item in enumerate(old)}, {str(i): item for i, item in enumerate(new)}
    return None


def _member(path: str, key: str) -> str:
    if _PLAIN.fullmatch(key):
        return f"{path}.{key}" if path else key
    return f"{path}[{json.dumps(key, ensure_ascii=False)}]"


# --- secrets ----------------------------------------------------------------------------------------------------------


class Masked(str):
    """A value that is not shown. Two of them are equal if what they hide is."""

    hidden: str

    def __new__(cls, value: str) -> Masked:
        made = super().__new__(cls, "(hidden)")
        made.hidden = value
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Masked) and self.hidden == other.hidden

    def __hash__(self) -> int:
        return hash(self.hidden)


def masked(obj: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The object; a Secret without what is secret in it."""
    if obj is None or obj.get("kind") != "Secret" or obj.get("apiVersion") != "v1":
        return obj
    shown = dict(obj)
    for field in _SECRET_FIELDS:
        if isinstance(obj.get(field), dict):
            shown[field] = {key: Masked(str(value)) for key, value in obj[field].items()}
    metadata = obj.get("metadata") or {}
    if _HIDDEN_ANNOTATIONS & (metadata.get("annotations") or {}).keys():
        annotations = {
            key: Masked(value) if key in _HIDDEN_ANNOTATIONS else value
            for key, value in metadata["annotations"].items()
        }
        shown["metadata"] = {**metadata, "annotations": annotations}
    return shown


# --- showing ----------------------------------------------------------------------------------------------------------


def render(change: Change) -> list[str]:
    """The lines that show a change. The first character is its sign, or that of a line of a longer text."""
    sign, path, old, new = change
    if sign == "+":
        return _long("+", path, new) or [f"+ {path}: {text(new)}"]
    if sign == "-":
        return [f"- {path}: {text(old)}"]
    if isinstance(old, str) and isinstance(new, str) and ("\n" in old or "\n" in new):
        lines = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=1)
        shown = [f"{line[:1]}   {line[1:]}" for line in lines if not line.startswith(("---", "+++", "@@"))]
        return [f"  {path}:", *(shown or [f"~   {text(old)} → {text(new)}"])]
    return [f"~ {path}: {text(old)} → {text(new)}"]


def _long(sign: str, path: str, value: Any) -> list[str]:
    if isinstance(value, str) and "\n" in value.rstrip("\n"):
        return [f"{sign} {path}:", *(f"{sign}   {line}" for line in value.splitlines())]
    return []


def text(value: Any) -> str:
    """A value in one line, cut if it is long. Texts as they are, unless they could be taken for something else."""
    if isinstance(value, str):
        shown = value if _is_plain(value) else json.dumps(value, ensure_ascii=False)
    else:
        shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"


def _is_plain(value: str) -> bool:
    if not value or not value.isprintable() or value != value.strip():
        return False
    try:
        json.loads(value)  # a number, true, null: a text only in quotes
    except ValueError:
        return True
    return isinstance(value, Masked)


def age(seconds: float) -> str:
    """As kubectl's short ages: `42s`, `17m`, `5h`, `3d`."""
    whole = max(0, int(seconds))
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if whole >= 2 * size or (unit == "d" and whole >= size):
            return f"{whole // size}{unit}"
    return f"{whole}s"
