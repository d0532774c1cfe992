"""Structural schemas: the fields of a custom kind, in the place of a table (KEP-1133). The same two steps as for built-in kinds:
`decode` makes a clean draft of what came in (unknown fields go and are reported, nulls that mean nothing go, defaults come), and
`validate` says what is wrong with it.

Made of a CustomResourceDefinition by `minik.api.apiextensions_v1.kinds`; `Kind.custom` holds it, and the server calls it where it calls
`minik.api.schema` for a built-in kind. Validation of values is in `structural_values`, rules in CEL are in `structural_rules`.

Semantics: apiextensions-apiserver `pkg/apiserver/schema/{pruning,defaulting,objectmeta}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from minik.api.errors import FieldError
from minik.api.meta import Obj, ROObj
from minik.api.schema import Decoded, SchemaError, schema_of
from minik.api.tables import NO_DEFAULT

OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
PRESERVE = "x-kubernetes-preserve-unknown-fields"
INT_OR_STRING = "x-kubernetes-int-or-string"
EMBEDDED = "x-kubernetes-embedded-resource"
LIST_TYPE = "x-kubernetes-list-type"
LIST_MAP_KEYS = "x-kubernetes-list-map-keys"
RULES = "x-kubernetes-validations"

JsonSchema = Mapping[str, Any]
_TYPE_META = frozenset({"apiVersion", "kind"})
_MOST_UNKNOWN = 100


class Structural:
    """One node of a structural schema, read from its JSONSchemaProps. `schema` keeps them all, for validation."""

    __slots__ = (
        "additional", "default", "embedded", "has_keys", "has_rules", "items", "nullable", "preserve", "properties", "schema", "unenforced",
        "with_defaults",
    )  # fmt: skip

    def __init__(self, schema: JsonSchema) -> None:
        self.schema = schema
        self.unenforced: dict[str, str] | None = None
        """What `structural_rules` knows of its rules: text → why it is not enforced."""
        self.preserve = bool(schema.get(PRESERVE))
        self.embedded = bool(schema.get(EMBEDDED))
        self.nullable = bool(schema.get("nullable"))
        default = schema.get("default", NO_DEFAULT)
        self.default: bytes | None = None if default is NO_DEFAULT else orjson.dumps(default)
        """As JSON, so that every object gets its own."""
        self.properties: dict[str, Structural] = {
            name: Structural(each) for name, each in (schema.get("properties") or {}).items()
        }
        self.items: Structural | None = None
        items = schema.get("items")
        if isinstance(items, Mapping):
            self.items = Structural(items)
        self.additional: Structural | bool | None = None
        additional = schema.get("additionalProperties")
        if isinstance(additional, Mapping):
            self.additional = Structural(additional)
        elif additional is not None:
            self.additional = bool(additional)
        self.with_defaults = [name for name, each in self.properties.items() if each.default is not None]
        below = [n for n in (*self.properties.values(), self.items, self.additional) if isinstance(n, Structural)]
        self.has_keys: bool = schema.get(LIST_TYPE) in ("map", "set") or any(node.has_keys for node in below)
        """Whether there is a list here or anywhere below that holds nothing twice."""
        self.has_rules: bool = bool(schema.get(RULES)) or any(node.has_rules for node in below)
        """Whether there is a rule in CEL here or anywhere below."""


Unknown = list[str]


def _copy(value: Any) -> Any:
    return orjson.loads(orjson.dumps(value)) if isinstance(value, (dict, list)) else value


class _Cleaner:
    """One walk over one value: a pruned and defaulted copy, and what was pruned."""

    def __init__(self, *, default: bool) -> None:
        self.unknown: Unknown = []
        self._default = default

    def value(self, value: Any, node: Structural | None, path: str) -> Any:
        if isinstance(value, dict):
            if node is not None and node.embedded:
                return self.resource(value, node, path)
            return self.object(value, node, path, frozenset())
        if isinstance(value, list):
            if node is not None and node.preserve and node.items is None:
                return _copy(value)
            items = node.items if node is not None else None
            return [self._item(item, items, f"{path}[{index}]") for index, item in enumerate(value)]
        return value

    def _item(self, item: Any, node: Structural | None, path: str) -> Any:
        if item is None and node is not None and not node.nullable and node.default is not None and self._default:
            return orjson.loads(node.default)
        return self.value(item, node, path)

    def resource(self, value: Obj, node: Structural, path: str) -> Obj:
        """An object with apiVersion, kind and metadata of its own: the root, and embedded resources."""
        found = self.object(value, node, path, _TYPE_META | {"metadata"})
        if isinstance(found.get("metadata"), dict):
            found["metadata"] = self.metadata(found["metadata"], f"{path}.metadata" if path else "metadata")
        return found

    def metadata(self, value: Obj, path: str) -> Obj:
        """ObjectMeta, which is the same for all kinds. Raises SchemaError."""
        try:
            decoded = schema_of(OBJECT_META).decode(value)
        except SchemaError as error:
            raise SchemaError(f"{path}.{error.path}", error.message) from None
        self._report(*(f"{path}.{each}" for each in decoded.unknown))
        return decoded.obj

    def object(self, value: Obj, node: Structural | None, path: str, whole: frozenset[str]) -> Obj:
        """`whole`: fields that are kept as they are."""
        out: Obj = {}
        properties = node.properties if node is not None else {}
        for key, item in value.items():
            if key in whole:
                out[key] = _copy(item)
                continue
            known = properties.get(key)
            at = f"{path}.{key}" if path else key
            if known is None and node is not None and isinstance(node.additional, Structural):
                known = node.additional
            if known is not None:
                if item is None and not known.nullable:
                    if known.default is not None and self._default:
                        out[key] = orjson.loads(known.default)
                    continue
                out[key] = self.value(item, known, at)
            elif node is not None and node.preserve:
                out[key] = _copy(item)
            elif node is not None and node.additional is True:
                out[key] = self.value(item, None, at)
            else:
                self._report(at)
        if self._default and node is not None:
            for key in node.with_defaults:
                if key not in out and key not in whole:
                    known = properties[key]
                    assert known.default is not None
                    out[key] = self.value(orjson.loads(known.default), known, key)
        return out

    def _report(self, *paths: str) -> None:
        if len(self.unknown) < _MOST_UNKNOWN:
            self.unknown += paths


class CustomSchema:
    """What a custom kind has in place of a table: one version of one CustomResourceDefinition."""

    def __init__(
        self, schema: JsonSchema, *, storage_version: str, has_status: bool, terminating: bool = False,
        conversion: JsonSchema | None = None,
    ) -> None:  # fmt: skip
        self.schema = schema
        """As in the CustomResourceDefinition."""
        self.storage_version = storage_version
        """The version under which objects are stored, whichever they came in as."""
        self.terminating = terminating
        """The definition is being deleted: nothing new is taken."""
        self.conversion = conversion
        """`spec.conversion.webhook` of the CustomResourceDefinition: who converts between versions; None: nobody, by name alone."""
        self.has_status = has_status
        self.root = Structural(schema)
        self.merge_type: Any = None
        """What `server/apply/types.py` made of it."""
        self.served: dict[str, Any] = {}
        """What `server/crd/reading.py` remembers: key → (revision, the entry in this version)."""

    def decode(self, value: Any, *, default: bool = True) -> Decoded:
        """As `minik.api.schema.Schema.decode`. Raises SchemaError for metadata that is none."""
        if not isinstance(value, dict):
            raise SchemaError("", "json: cannot unmarshal the object")
        metadata = value.get("metadata")
        if metadata is not None and not isinstance(metadata, dict):
            words = {str: "string", bool: "bool", int: "number", float: "number", list: "array"}
            what = words.get(type(metadata), "value")
            raise SchemaError("metadata", f"json: cannot unmarshal {what} into Go value of type v1.ObjectMeta")
        cleaner = _Cleaner(default=default)
        obj = cleaner.resource(value, self.root, "")
        if obj.get("metadata") is None:
            obj.pop("metadata", None)
        return Decoded(obj, tuple(cleaner.unknown))

    def validate(self, new: ROObj, old: ROObj | None) -> Sequence[FieldError]:
        """Everything wrong with an object, its own metadata excepted. What `old` has too is not wrong with an update of it."""
        from minik.api.structural_values import validate

        return validate(new, old, self.root)


def clean(value: Any, schema: JsonSchema) -> tuple[Any, tuple[str, ...]]:
    """A default of a schema, pruned and with the defaults below it; and what was pruned."""
    cleaner = _Cleaner(default=True)
    return cleaner.value(value, Structural(schema), ""), tuple(cleaner.unknown)
