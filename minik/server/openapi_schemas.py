"""OpenAPI schemas of the types in the API tables, for documents of version 2 and 3. Pure; called by `minik.server.openapi`.

The shapes are those of kube-openapi, since clients read them: `kubectl explain` and `apply`, client generators, server-side-apply
libraries. Prose is not in the tables, so there are no descriptions but those of `openapi_words.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from minik.api import tables
from minik.api.meta import Obj
from minik.api.tables import NO_DEFAULT, FieldFacts
from minik.server.openapi_words import OF_FIELD, OF_TYPE

Version = Literal[2, 3]

_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
PATCH = f"{_META}.Patch"
NAMED = {
    "quantity": "io.k8s.apimachinery.pkg.api.resource.Quantity",
    "int-or-string": "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
    "time": f"{_META}.Time",
    "micro-time": f"{_META}.MicroTime",
}
"""Scalars that are types of their own in the documents."""
_PLAIN: dict[str, Obj] = {
    "string": {"type": "string"},
    "bool": {"type": "boolean"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "double": {"type": "number", "format": "double"},
    "bytes": {"type": "string", "format": "byte"},
    "raw": {"type": "object"},
}


def prefix(version: Version) -> str:
    """Where a `$ref` of that document version points."""
    return "#/definitions/" if version == 2 else "#/components/schemas/"


def schemas(roots: Iterable[str], version: Version, custom: Mapping[str, Obj] | None = None) -> dict[str, Obj]:
    """The schemas of `roots` and of everything they refer to, by type name, sorted. `custom`: those of types without a table."""
    found: dict[str, Obj] = {}
    known = custom or {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = known[name] if name in known else _named(name, version)
            waiting += _references(found[name], version)
    return dict(sorted(found.items()))


def _references(schema: Any, version: Version) -> list[str]:
    if isinstance(schema, list):
        return [name for item in schema for name in _references(item, version)]
    if not isinstance(schema, dict):
        return []
    own = [schema["$ref"].removeprefix(prefix(version))] if isinstance(schema.get("$ref"), str) else []
    return own + [name for value in schema.values() for name in _references(value, version)]


def _named(name: str, version: Version) -> Obj:
    if name == NAMED["quantity"]:
        return {"type": "string"} if version == 2 else {"oneOf": [{"type": "string"}, {"type": "number"}]}
    if name == NAMED["int-or-string"]:
        if version == 2:
            return {"type": "string", "format": "int-or-string"}
        return {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}
    if name in (NAMED["time"], NAMED["micro-time"]):
        return {"type": "string", "format": "date-time"}
    if name == PATCH:
        return {"type": "object"}
    try:
        return struct_schema(name, version)
    except KeyError:  # a custom kind: whatever it holds is allowed
        return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def struct_schema(name: str, version: Version) -> Obj:
    """The schema of one type of the tables. Raises KeyError for an unknown one."""
    facts = tables.type_facts(name)
    table = tables.table(tables.stem_of(name.rpartition(".")[0]))
    schema: Obj = {"type": "object"}
    properties: Obj = {}
    if facts.is_kind:
        properties = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
        schema["x-kubernetes-group-version-kind"] = [
            {"group": table.group, "version": table.version, "kind": facts.short}
        ]
    words = OF_FIELD.get(name, {})
    for field in facts.fields:
        described = {"description": words[field.name]} if field.name in words else {}
        properties[field.name] = {**_field(field, version), **described}
    if name in OF_TYPE:
        schema["description"] = OF_TYPE[name]
    if properties:
        schema["properties"] = dict(sorted(properties.items()))
    required = sorted(f.name for f in facts.fields if f.required)
    if required:
        schema["required"] = required
    if facts.map_type:
        schema["x-kubernetes-map-type"] = facts.map_type
    return schema


def _field(field: FieldFacts, version: Version) -> Obj:
    schema = _type(field.type, version)
    extras: Obj = {}
    if field.enum:
        extras["enum"] = list(field.enum)
    if field.default is not NO_DEFAULT and version == 3:
        extras["default"] = field.default
    if field.list_type:
        extras["x-kubernetes-list-type"] = field.list_type
    if field.list_map_keys:
        extras["x-kubernetes-list-map-keys"] = list(field.list_map_keys)
    if field.merge_key:
        extras["x-kubernetes-patch-merge-key"] = field.merge_key
    if field.patch_strategy:
        extras["x-kubernetes-patch-strategy"] = ",".join(field.patch_strategy)
    if field.map_type:
        extras["x-kubernetes-map-type"] = field.map_type
    if version == 3 and "$ref" in schema:  # siblings of a $ref are ignored in OpenAPI 3.0
        schema = {"allOf": [schema]}
    return {**schema, **extras}


def _type(type_: str, version: Version) -> Obj:
    if type_.startswith("[]"):
        return {"type": "array", "items": _type(type_[2:], version)}
    if type_.startswith("map[string]"):
        return {"type": "object", "additionalProperties": _type(type_[11:], version)}
    if type_ in _PLAIN:
        return dict(_PLAIN[type_])
    return {"$ref": prefix(version) + NAMED.get(type_, type_)}
