"""What a kind's fields are to a merge. Of built-in kinds the tables say it (list=map(name), map=atomic, …), of custom kinds their
structural schema (x-kubernetes-list-type, …). Types are made when first asked for: some contain themselves.

Source: OpenAPI's conversion to structured-merge-diff schemas (kube-openapi `pkg/schemaconv`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal

import orjson

from minik.api.kind import Kind
from minik.api.schema import Field, schema_of
from minik.api.structural import INT_OR_STRING, LIST_MAP_KEYS, LIST_TYPE, OBJECT_META, Structural
from minik.api.tables import NO_DEFAULT, SCALARS

Shape = Literal["scalar", "map", "list", "any"]


class Type:
    """Of one place in an object. A struct is a map whose fields have names and types of their own."""

    __slots__ = ("_element", "_field", "_fields", "_make_element", "atomic", "keys", "shape", "words")

    def __init__(
        self,
        shape: Shape,
        *,
        atomic: bool = False,
        field: Callable[[str], Type | None] | None = None,
        element: Callable[[], Type] | None = None,
        keys: Callable[[], Mapping[str, Any]] | None = None,
        words: str = "",
    ) -> None:
        self.shape = shape
        self.atomic = atomic
        """Owned and replaced as a whole."""
        self.keys = keys
        """Of a list that is not atomic: its items' key fields, and their defaults or NO_DEFAULT. None: a set of scalars."""
        self.words = words
        """Of a scalar: what may stand there: `numeric`, `string`, `boolean`, or "" for any."""
        self._field = field
        self._fields: dict[str, Type | None] = {}
        self._make_element = element
        self._element: Type | None = None

    def named(self, name: str) -> Type | None:
        """The struct's field of that name; None: it has none."""
        if self._field is None:
            return None
        if name not in self._fields:
            self._fields[name] = self._field(name)
        return self._fields[name]

    @property
    def element(self) -> Type | None:
        """Of a list's items, of a map's values (those without a name of their own). None: a struct has no others."""
        if self._element is None and self._make_element is not None:
            self._element = self._make_element()
        return self._element

    def below(self, name: str) -> Type | None:
        """Of a map's value; None: it may not be there."""
        return self.named(name) or self.element

    def of(self, value: Any) -> Type:
        """This type, or where anything may stand: the one that fits the value."""
        if self.shape != "any":
            return self
        return _OPEN_MAP if isinstance(value, dict) else _ATOMIC_LIST if isinstance(value, list) else SCALAR


SCALAR = Type("scalar")
ANY = Type("any")
_OPEN_MAP = Type("map", element=lambda: ANY)
_ATOMIC_LIST = Type("list", atomic=True, element=lambda: ANY)
_NUMBER, _STRING, _BOOLEAN = (Type("scalar", words=words) for words in ("numeric", "string", "boolean"))
_SCALARS = {
    "bool": _BOOLEAN, "int32": _NUMBER, "int64": _NUMBER, "double": _NUMBER, "raw": ANY, "int-or-string": SCALAR, "quantity": SCALAR,
}  # fmt: skip
_SCHEMA_SCALARS = {"integer": _NUMBER, "number": _NUMBER, "string": _STRING, "boolean": _BOOLEAN}


def type_of_kind(kind: Kind) -> Type:
    if kind.custom is None:
        return type_named(kind.schema)
    custom = kind.custom
    if custom.merge_type is None:
        custom.merge_type = _of_resource(custom.root)
    made: Type = custom.merge_type
    return made


# --- built-in kinds -----------------------------------------------------------------------------------------------


@cache
def type_named(name: str) -> Type:
    """Of a struct of the tables, `io.k8s.api.core.v1.Pod`."""
    schema = schema_of(name)

    def field(each: str) -> Type | None:
        found = schema.field(each)
        return None if found is None else _of_field(found)

    return Type("map", atomic=schema.facts.map_type == "atomic", field=field)


def _of_field(field: Field) -> Type:
    if field.shape == "list":
        element = field.type[2:]
        if field.list_type == "atomic":
            return Type("list", atomic=True, element=lambda: _of_text(element))
        keys = None if field.list_type == "set" else lambda: _table_keys(field)
        return Type("list", element=lambda: _of_text(element), keys=keys)
    if field.shape == "map":
        return Type("map", atomic=field.map_type == "atomic", element=lambda: _of_text(field.type[11:]))
    if field.shape == "struct" and field.map_type == "atomic":
        whole = type_named(field.type)
        return Type("map", atomic=True, field=whole.named)
    return _of_text(field.type)


def _of_text(text: str) -> Type:
    """Of a type as the tables write it, without what only a field can say."""
    if text in SCALARS:
        return _SCALARS.get(text, _STRING)
    if text.startswith("[]"):
        return Type("list", atomic=True, element=lambda: _of_text(text[2:]))
    if text.startswith("map[string]"):
        return Type("map", element=lambda: _of_text(text[11:]))
    return type_named(text)


def _table_keys(field: Field) -> Mapping[str, Any]:
    schema = field.schema
    assert schema is not None
    found = {}
    for name in field.list_map_keys:
        key = schema.field(name)
        found[name] = NO_DEFAULT if key is None else key.facts.default
    return found


# --- custom kinds -------------------------------------------------------------------------------------------------


def _of_resource(node: Structural) -> Type:
    """Of an object with apiVersion, kind and metadata of its own."""
    inner = _of_object(node)

    def field(name: str) -> Type | None:
        if name in ("apiVersion", "kind"):
            return _STRING
        return type_named(OBJECT_META) if name == "metadata" else inner.named(name)

    element = None if inner.element is None else lambda: inner.element or ANY
    return Type("map", atomic=inner.atomic, field=field, element=element)


def _of_node(node: Structural) -> Type:
    if node.embedded:
        return _of_resource(node)
    kind = node.schema.get("type")
    if node.schema.get(INT_OR_STRING):
        return SCALAR
    if kind == "array":
        return _of_array(node)
    if kind == "object" or node.properties:
        return _of_object(node)
    return _SCHEMA_SCALARS.get(kind or "", ANY)


def _of_object(node: Structural) -> Type:
    atomic = node.schema.get("x-kubernetes-map-type") == "atomic"

    def field(name: str) -> Type | None:
        found = node.properties.get(name)
        return None if found is None else _of_node(found)

    return Type("map", atomic=atomic, field=field, element=_of_values(node))


def _of_values(node: Structural) -> Callable[[], Type] | None:
    """Of properties that the schema does not name; None: there are none."""
    additional = node.additional
    if isinstance(additional, Structural):
        return lambda: _of_node(additional)
    return (lambda: ANY) if additional or node.preserve else None


def _of_array(node: Structural) -> Type:
    items = node.items
    element = ANY if items is None else _of_node(items)
    list_type = node.schema.get(LIST_TYPE)
    if list_type not in ("map", "set") or items is None:
        return Type("list", atomic=True, element=lambda: element)
    if list_type == "set":
        return Type("list", element=lambda: element)

    def keys() -> Mapping[str, Any]:
        found: dict[str, Any] = {}
        for name in node.schema.get(LIST_MAP_KEYS) or ():
            key = items.properties.get(name)
            found[name] = NO_DEFAULT if key is None or key.default is None else orjson.loads(key.default)
        return found

    return Type("list", element=lambda: element, keys=keys)
