"""One `Schema` per type: decode (check, prune, default) and describe fields, for the built-in kinds and, later, custom ones.

Called by the server on every body that comes in, by patches (`field`: merge keys, list types) and by OpenAPI. What the fields are
comes from `minik.api.tables`; conditional defaults and validation are the kinds' own (`minik.api.kind`).

Decoding follows Go: unknown fields go (and are reported), null is absent, zero values of plain scalars and empty lists and maps go
where the field is optional, quantities and times become canonical, ints are ints. Required fields are not enforced here: in
Kubernetes that is validation's business too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from minik.api.meta import Obj
from minik.api.schema_compile import MismatchError, struct_decoder
from minik.api.schema_diagnose import diagnose
from minik.api.tables import SCALARS, FieldFacts, TypeFacts, type_facts

Shape = Literal["scalar", "struct", "list", "map"]


class SchemaError(Exception):
    """A value does not fit its type. `path` is dotted with `[i]`; `message` is as Go words it:

    `json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32`
    """

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


@dataclass(frozen=True, slots=True)
class Decoded:
    """A draft that its holder owns (only `raw` values, like managedFields' fieldsV1, are shared with the source), and the
    paths of fields that nobody knows, in document order: `spec.template.spec.containers[0].foo`."""

    obj: Obj
    unknown: tuple[str, ...] = ()


class Field:
    """One field of a struct, as patches and server-side apply see it."""

    __slots__ = ("_element", "facts", "map_type", "shape")

    facts: FieldFacts
    shape: Shape
    map_type: str
    """`atomic` or `granular` or "": of the field, or of its struct type."""

    def __init__(self, facts: FieldFacts) -> None:
        self.facts = facts
        element = facts.type
        if element.startswith("[]"):
            self.shape, element = "list", element[2:]
        elif element.startswith("map[string]"):
            self.shape, element = "map", element[11:]
        else:
            self.shape = "scalar" if element in SCALARS else "struct"
        self._element = element
        self.map_type = facts.map_type
        if not self.map_type and self.shape == "struct":
            self.map_type = type_facts(element).map_type

    @property
    def name(self) -> str:
        return self.facts.name

    @property
    def type(self) -> str:
        """As in the tables, other types in full: `string`, `[]io.k8s.api.core.v1.Container`."""
        return self.facts.type

    @property
    def schema(self) -> Schema | None:
        """Of the field's struct, its list's elements or its map's values; None where those are no structs."""
        return (
            None if self._element in SCALARS or self._element.startswith(("[]", "map[")) else schema_of(self._element)
        )

    @property
    def list_type(self) -> str:
        """`atomic`, `set`, `map`; lists that say nothing are atomic (KEP-555)."""
        return self.facts.list_type or ("atomic" if self.shape == "list" else "")

    @property
    def list_map_keys(self) -> tuple[str, ...]:
        return self.facts.list_map_keys

    @property
    def merge_key(self) -> str | None:
        """x-kubernetes-patch-merge-key."""
        return self.facts.merge_key or None

    @property
    def patch_strategy(self) -> str:
        """x-kubernetes-patch-strategy: a comma-separated list of `merge`, `replace`, `retainKeys`, or ""."""
        return ",".join(self.facts.patch_strategy)


class Schema:
    """A struct type of the API."""

    def __init__(self, facts: TypeFacts) -> None:
        self.facts = facts
        self._fields: dict[str, Field] = {}
        self._facts_by_name = {f.name: f for f in facts.fields}
        if facts.is_kind:
            for name in ("apiVersion", "kind"):
                self._facts_by_name.setdefault(name, FieldFacts(name, "string", ()))

    @property
    def name(self) -> str:
        """As OpenAPI names it: `io.k8s.api.apps.v1.Deployment`."""
        return self.facts.name

    def decode(self, value: Any, *, default: bool = True) -> Decoded:
        """`value` (JSON as Python values) as a clean draft, with the tables' defaults unless `default` is false.

        Raises SchemaError for the first thing that does not fit.
        """
        seen: list[str] = []
        try:
            obj = struct_decoder(self.name, default)(value, seen)
        except MismatchError:
            error = diagnose(self.name, value).error or ("", "json: cannot unmarshal the object")
            raise SchemaError(*error) from None
        return Decoded(obj, tuple(diagnose(self.name, value).unknown) if seen else ())

    def field(self, name: str) -> Field | None:
        """The field of that JSON name, or None."""
        found = self._fields.get(name)
        if found is None and name in self._facts_by_name:
            found = self._fields[name] = Field(self._facts_by_name[name])
        return found

    def fields(self) -> list[Field]:
        """All fields, in the order of the table."""
        return [f for f in map(self.field, self._facts_by_name) if f is not None]

    def __repr__(self) -> str:
        return f"Schema({self.name!r})"


@cache
def schema_of(type_name: str) -> Schema:
    """The schema of `io.k8s.api.apps.v1.Deployment`. Built at the first call. Raises KeyError for an unknown type."""
    return Schema(type_facts(type_name))
