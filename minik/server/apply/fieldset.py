"""Sets of field paths: what a manager owns of an object, what changed between two of its states.

A path is a sequence of elements, written as FieldsV1 writes them:

    f:replicas                   a field of a struct, or a key of a map
    k:{"name":"web"}             the item of a list whose key fields have these values
    v:"web"                      the item of a set that is this value

Source of the form: structured-merge-diff `fieldpath/{serialize,serialize-pe,set}.go`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

SELF = "."
"""In FieldsV1, beside the elements below a path: the path itself is in the set too."""
_KINDS = ("f:", "k:", "v:", "i:")


class FieldSet:
    """A set of paths, as a tree. Not changed once it is made, but by who makes it."""

    __slots__ = ("below", "members")

    def __init__(self, members: set[str] | None = None, below: dict[str, FieldSet] | None = None) -> None:
        self.members: set[str] = set() if members is None else members
        """Elements that are in the set."""
        self.below: dict[str, FieldSet] = {} if below is None else below
        """Element → what is in the set below it; never an empty set."""

    def __bool__(self) -> bool:
        return bool(self.members or self.below)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FieldSet) and self.members == other.members and self.below == other.below

    __hash__ = None  # type: ignore[assignment]  # it can be changed while it is made

    def __repr__(self) -> str:
        return f"FieldSet({sorted(map(path_text, self))})"

    def add(self, *path: str) -> None:
        """Put one path in: for who makes the set."""
        here = self
        for element in path[:-1]:
            here = here.below.setdefault(element, FieldSet())
        here.members.add(path[-1])

    def put(self, element: str, below: FieldSet) -> None:
        """Put in everything of `below`, one element deeper: for who makes the set."""
        if below:
            self.below[element] = below

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        """Every path, those nearer to the root first."""
        for element in sorted(self.members, key=_order):
            yield (element,)
        for element in sorted(self.below, key=_order):
            for path in self.below[element]:
                yield (element, *path)

    def __contains__(self, path: tuple[str, ...]) -> bool:
        here: FieldSet | None = self
        for element in path[:-1]:
            here = here.below.get(element) if here is not None else None
        return here is not None and path[-1] in here.members

    def __or__(self, other: FieldSet) -> FieldSet:
        below = dict(self.below)
        for element, theirs in other.below.items():
            mine = below.get(element)
            below[element] = theirs if mine is None else mine | theirs
        return FieldSet(self.members | other.members, below)

    def __and__(self, other: FieldSet) -> FieldSet:
        made = FieldSet(self.members & other.members)
        for element, mine in self.below.items():
            if element in other.below:
                made.put(element, mine & other.below[element])
        return made

    def __sub__(self, other: FieldSet) -> FieldSet:
        """Without the very paths of `other`; what lies below one of them stays."""
        made = FieldSet(self.members - other.members)
        for element, mine in self.below.items():
            theirs = other.below.get(element)
            made.put(element, mine if theirs is None else mine - theirs)
        return made

    def outside(self, other: FieldSet) -> FieldSet:
        """Without the paths of `other` and all that lies below them."""
        made = FieldSet(self.members - other.members)
        for element, mine in self.below.items():
            if element not in other.members:
                theirs = other.below.get(element)
                made.put(element, mine if theirs is None else mine.outside(theirs))
        return made


def field_set(*paths: str) -> FieldSet:
    """Of paths through fields: `field_set("status", "metadata.uid")`."""
    made = FieldSet()
    for path in paths:
        made.add(*(f"f:{name}" for name in path.split(".")))
    return made


def key_element(keys: Mapping[str, Any]) -> str:
    return "k:" + orjson.dumps(keys, option=orjson.OPT_SORT_KEYS).decode()


def value_element(value: Any) -> str:
    return "v:" + orjson.dumps(value).decode()


def path_text(path: tuple[str, ...]) -> str:
    """As messages show it: `.spec.containers[name="web"].image`."""
    return "".join(map(_element_text, path))


def _element_text(element: str) -> str:
    kind, rest = element[:2], element[2:]
    if kind == "f:":
        return f".{rest}"
    if kind == "k:":
        keys = orjson.loads(rest)
        return "[" + ",".join(f"{name}={orjson.dumps(keys[name]).decode()}" for name in sorted(keys)) + "]"
    return f"[={rest}]" if kind == "v:" else f"[{rest}]"


def _order(element: str) -> tuple[int, str]:
    return _KINDS.index(element[:2]), element


def from_fields_v1(value: Any) -> FieldSet:
    """Raises ValueError for what is no FieldsV1."""
    if not isinstance(value, Mapping):
        raise ValueError("fieldsV1 must be an object")
    made = FieldSet()
    for element, below in value.items():
        if element == SELF:
            continue
        if element[:2] not in _KINDS:
            raise ValueError(f"unknown element of a path: {element}")
        child = from_fields_v1(below)
        if not child or SELF in below:
            made.members.add(element)
        made.put(element, child)
    return made


def to_fields_v1(fields: FieldSet) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for element in sorted(fields.members | fields.below.keys(), key=_order):
        child = fields.below.get(element)
        if child is None:
            made[element] = {}
        elif element in fields.members:
            made[element] = {SELF: {}, **to_fields_v1(child)}
        else:
            made[element] = to_fields_v1(child)
    return made
