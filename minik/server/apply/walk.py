"""Pure walks over objects by their `Type`: what is wrong with one, its field set, two merged, two compared, one without some fields.

Called by `managers.py` (and by mutating policies, whose apply configurations merge the same way). Values are JSON as Python has it. None
of them is changed; what comes out shares what stays as it is. Semantics: structured-merge-diff `typed/*.go`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from minik.api.errors import show
from minik.api.tables import NO_DEFAULT
from minik.server.apply.fieldset import FieldSet, key_element, path_text, value_element
from minik.server.apply.types import Type

NONE: Any = type("Nothing", (), {"__repr__": lambda _self: "NONE", "__bool__": lambda _self: False})()
"""No value at all, since None is JSON's null."""

_EXPECTED = {
    "numeric": ("numeric (int or float)", (int, float)), "string": ("string", (str,)), "boolean": ("boolean", (bool,)),
}  # fmt: skip


class ElementError(ValueError):
    """A list's item that has no place in a path: without its key, or no scalar in a set."""


def element_of(item: Any, type_: Type) -> str:
    """How an item of a list that is not atomic is called in paths. Raises ElementError."""
    if type_.keys is None:
        if item is None or isinstance(item, (dict, list)):
            raise ElementError("associative list without keys has an element that is no scalar")
        return value_element(item)
    if not isinstance(item, dict):
        raise ElementError("associative list with keys may not have non-map elements")
    found = {}
    for name, default in type_.keys().items():
        value = item.get(name, default)
        if value is NO_DEFAULT or value is None:
            raise ElementError(
                f'associative list with keys has an element that omits key field "{name}" (and doesn\'t have default value)'
            )
        found[name] = value
    return key_element(found)


def _elements(items: Sequence[Any], type_: Type) -> Iterator[tuple[str, Any]]:
    """(element, item) of each item that has a place. What is stored may have others: nobody can own them."""
    for item in items:
        try:
            yield element_of(item, type_), item
        except ElementError:
            continue


# --- what is wrong ------------------------------------------------------------------------------------------------


def check(value: Any, type_: Type) -> list[str]:
    """What is wrong with something to apply, in words: `.spec.foo: field not declared in schema`."""
    return list(_wrong(value, type_, ""))


def _wrong(value: Any, type_: Type, at: str) -> Iterator[str]:
    type_ = type_.of(value)
    if value is None:
        return
    if type_.shape == "map":
        if not isinstance(value, dict):
            yield f"{at}: expected map, got {show(value)}"
            return
        for name, item in value.items():
            below = type_.below(name)
            if below is None:
                yield f"{at}.{name}: field not declared in schema"
            else:
                yield from _wrong(item, below, f"{at}.{name}")
    elif type_.shape == "list":
        if not isinstance(value, list):
            yield f"{at}: expected list, got {show(value)}"
            return
        yield from _wrong_items(value, type_, at)
    elif isinstance(value, (dict, list)):
        yield f"{at}: expected {_EXPECTED[type_.words][0] if type_.words else 'any scalar'}, got {show(value)}"
    elif type_.words:
        words, classes = _EXPECTED[type_.words]
        if not isinstance(value, classes) or (isinstance(value, bool) and bool not in classes):
            yield f"{at}: expected {words}, got {show(value)}"


def _wrong_items(items: Sequence[Any], type_: Type, at: str) -> Iterator[str]:
    below = type_.element
    assert below is not None
    seen: set[str] = set()
    for index, item in enumerate(items):
        place = f"[{index}]"
        if not type_.atomic:
            try:
                element = element_of(item, type_)
            except ElementError as error:
                yield f"{at}: element {index}: {error}"
                return
            place = path_text((element,))
            if element in seen:
                yield f"{at}: duplicate entries for key {place}"
            seen.add(element)
        yield from _wrong(item, below, f"{at}{place}")


# --- field sets ---------------------------------------------------------------------------------------------------


def fields_of(value: Any, type_: Type) -> FieldSet:
    """The paths of an object's leaves, of the items of its lists and of the entries of its maps: what is owned by who applies it."""
    made = FieldSet()
    type_ = type_.of(value)
    if type_.shape == "map" and isinstance(value, dict):
        for name, item in value.items():
            below = type_.below(name)
            if below is None:
                continue
            element = f"f:{name}"
            if _is_leaf(item, below) or type_.named(name) is None:
                made.members.add(element)
            made.put(element, _fields_below(item, below))
    elif type_.shape == "list" and isinstance(value, list):
        below = type_.element
        assert below is not None
        for element, item in _elements(value, type_):
            made.members.add(element)
            made.put(element, _fields_below(item, below))
    return made


def _is_leaf(value: Any, type_: Type) -> bool:
    type_ = type_.of(value)
    return type_.shape == "scalar" or type_.atomic or value is None or value == {}


def _fields_below(value: Any, type_: Type) -> FieldSet:
    type_ = type_.of(value)
    return FieldSet() if type_.atomic or type_.shape == "scalar" else fields_of(value, type_)


def with_parents(fields: FieldSet, type_: Type) -> FieldSet:
    """`fields`, and every field of a struct that some of them lie below (EnsureNamedFieldsAreMembers)."""
    made = FieldSet(set(fields.members))
    for element, inner in fields.below.items():
        below: Type | None = type_.element
        if element.startswith("f:"):
            if type_.named(element[2:]) is not None:
                made.members.add(element)
            below = type_.below(element[2:])
        made.put(element, inner if below is None else with_parents(inner, below))
    return made


# --- merge --------------------------------------------------------------------------------------------------------


def merged(live: Any, config: Any, type_: Type) -> Any:
    """`live` with `config` in it: its leaves win, and its order where lists have one."""
    if live is NONE or config is NONE:
        return live if config is NONE else config
    type_ = type_.of(config if config is not None else live)
    if type_.atomic or type_.shape == "scalar":
        return config
    if type_.shape == "map" and isinstance(live, dict) and isinstance(config, dict):
        made = dict(live)
        for name, item in config.items():
            below = type_.below(name)
            made[name] = item if below is None else merged(live.get(name, NONE), item, below)
        return made
    if type_.shape == "list" and isinstance(live, list) and isinstance(config, list) and config:
        return _merged_list(live, config, type_)
    return live if live and not config else config


def _merged_list(live: Sequence[Any], config: Sequence[Any], type_: Type) -> list[Any]:
    """Items of `config` in its order; those that only `live` has stay beside the ones they stood beside."""
    below = type_.element
    assert below is not None
    wanted = dict(_elements(config, type_))
    have: list[tuple[str, Any]] = list(_elements(live, type_))
    known: dict[str, Any] = {}
    for element, item in have:
        known[element] = NONE if element in known else item  # one of several cannot be merged with
    order = list(wanted)
    shared = [element for element in order if element in known]
    made: list[Any] = []
    left = right = 0
    while left < len(have) or right < len(order):
        if left < len(have):
            element, item = have[left]
            if element not in wanted:
                made.append(item)
                left += 1
                continue
            if right >= len(order) or element != order[right]:
                if not shared or shared[0] != element:
                    left += 1  # it comes, or came, where `config` has it
                    continue
            else:
                left += 1
        element = order[right]
        made.append(merged(known.get(element, NONE), wanted[element], below))
        right += 1
        if shared and shared[0] == element:
            del shared[0]
    return made


# --- compare ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Comparison:
    """What became of the fields of one state in another: leaves, and the structs, maps and items that they make up."""

    added: FieldSet = field(default_factory=FieldSet)
    modified: FieldSet = field(default_factory=FieldSet)
    removed: FieldSet = field(default_factory=FieldSet)

    def outside(self, ignored: FieldSet) -> Comparison:
        return Comparison(*(each.outside(ignored) for each in (self.added, self.modified, self.removed)))

    def __bool__(self) -> bool:
        return bool(self.added or self.modified or self.removed)

    def _put(self, element: str, below: Comparison) -> None:
        self.added.put(element, below.added)
        self.modified.put(element, below.modified)
        self.removed.put(element, below.removed)


def compared(old: Any, new: Any, type_: Type) -> Comparison:
    """Of two maps or lists of one type; NONE for one that is not there."""
    made = Comparison()
    if old is new:
        return made
    type_ = type_.of(old if new is NONE or new is None else new)
    if type_.shape == "map":
        before, after = _map(old), _map(new)
        for name in before.keys() | after.keys():
            below = type_.below(name)
            if below is not None:
                _compare(made, f"f:{name}", before.get(name, NONE), after.get(name, NONE), below)
    elif type_.shape == "list":
        below = type_.element
        assert below is not None
        first, second = _grouped(old, type_), _grouped(new, type_)
        for element in first.keys() | second.keys():
            mine, theirs = first.get(element, []), second.get(element, [])
            if len(mine) < 2 and len(theirs) < 2:
                _compare(made, element, mine[0] if mine else NONE, theirs[0] if theirs else NONE, below)
            elif mine != theirs:
                (made.modified if mine and theirs else made.added if theirs else made.removed).members.add(element)
    return made


def _compare(made: Comparison, element: str, old: Any, new: Any, type_: Type) -> None:
    """Put into `made` what became of one place."""
    if old is new:
        return
    if old is NONE:
        made.added.members.add(element)
    elif new is NONE:
        made.removed.members.add(element)
    resolved = type_.of(old if new is NONE or new is None else new)
    if resolved.atomic or resolved.shape == "scalar" or (not old and not new):
        if old is not NONE and new is not NONE and not _same(old, new):
            made.modified.members.add(element)
        return
    if all(each is not NONE and each is not None for each in (old, new)) and isinstance(old, dict) != isinstance(
        new, dict
    ):
        made.modified.members.add(element)  # where anything may stand, something else stands now
        return
    made._put(element, compared(old, new, resolved))


def _same(old: Any, new: Any) -> bool:
    return bool(old == new) and isinstance(old, bool) == isinstance(new, bool)


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _grouped(value: Any, type_: Type) -> dict[str, list[Any]]:
    """Element → the items that are called so: one, if nothing went wrong."""
    made: dict[str, list[Any]] = {}
    for element, item in _elements(value if isinstance(value, list) else (), type_):
        made.setdefault(element, []).append(item)
    return made


# --- remove -------------------------------------------------------------------------------------------------------


def without(value: Any, fields: FieldSet, type_: Type) -> Any:
    """`value` without the fields of a set and all that is below them; NONE if nothing of a map or list is left."""
    type_ = type_.of(value)
    if type_.atomic or type_.shape == "scalar" or not value:
        return value
    if type_.shape == "map" and isinstance(value, dict):
        made = {}
        for name, item in value.items():
            element = f"f:{name}"
            if element in fields.members:
                continue
            inner, below = fields.below.get(element), type_.below(name)
            left = item if inner is None or below is None else without(item, inner, below)
            if left is not NONE:
                made[name] = left
        return made or NONE
    if type_.shape == "list" and isinstance(value, list):
        below = type_.element
        assert below is not None
        kept = []
        for item in value:
            try:
                element = element_of(item, type_)
            except ElementError:
                kept.append(item)
                continue
            if element not in fields.members:
                inner = fields.below.get(element)
                left = item if inner is None else without(item, inner, below)
                if left is not NONE:
                    kept.append(left)
        return kept or NONE
    return value
