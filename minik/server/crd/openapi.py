"""OpenAPI schemas of custom kinds, for the documents of version 2 and 3. Pure; called by `minik.server.openapi`.

Version 3 says what the definition says. Version 2 cannot say all of it and is read by old kubectl, which refuses what it does not
understand: there a field that takes anything is just that (apiextensions `pkg/controller/openapi/{builder,v2}`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik.api.kind import Kind
from minik.api.meta import Obj
from minik.api.structural import EMBEDDED, INT_OR_STRING, PRESERVE, RULES
from minik.server.openapi_schemas import Version, prefix

_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_CONVENTIONS = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
_API_VERSION = (
    "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the "
    f"latest internal value, and may reject unrecognized values. More info: {_CONVENTIONS}#resources"
)
_KIND = (
    "Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the "
    f"client submits requests to. Cannot be updated. In CamelCase. More info: {_CONVENTIONS}#types-kinds"
)
_METADATA = f"Standard object's metadata. More info: {_CONVENTIONS}#metadata"
_LIST_METADATA = f"Standard list metadata. More info: {_CONVENTIONS}#types-kinds"
_JUNCTORS = ("allOf", "anyOf", "oneOf", "not")


def schemas_of(kind: Kind, version: Version) -> dict[str, Obj]:
    """The types of one custom kind by name: the kind and its list."""
    assert kind.custom is not None
    described = _schema(kind.custom.schema, version)
    if version == 2 and kind.custom.root.preserve:
        described = {"type": "object"}
    described.setdefault("type", "object")
    properties = dict(described.get("properties") or {})
    described["properties"] = {
        **properties,
        **_type_meta(),
        "metadata": _ref(f"{_META}.ObjectMeta", version, _METADATA),
    }
    gvk = {"group": kind.group, "version": kind.version, "kind": kind.kind}
    described["x-kubernetes-group-version-kind"] = [gvk]
    items = f"List of {kind.plural}. More info: {_CONVENTIONS}"
    listed: Obj = {
        "type": "object",
        "description": f"{kind.list_kind} is a list of {kind.kind}",
        "required": ["items"],
        "properties": {
            **_type_meta(),
            "items": {"type": "array", "description": items, "items": {"$ref": prefix(version) + kind.schema}},
            "metadata": _ref(f"{_META}.ListMeta", version, _LIST_METADATA),
        },
        "x-kubernetes-group-version-kind": [{**gvk, "kind": kind.list_kind}],
    }
    return {kind.schema: described, f"{kind.schema}List": listed}


def _type_meta() -> Obj:
    return {
        "apiVersion": {"type": "string", "description": _API_VERSION},
        "kind": {"type": "string", "description": _KIND},
    }


def _ref(name: str, version: Version, description: str) -> Obj:
    ref = {"$ref": prefix(version) + name}
    if version == 2:
        return {**ref, "description": description}
    return {"allOf": [ref], "description": description, "default": {}}


def _schema(schema: Mapping[str, Any], version: Version) -> Obj:
    """One node; for version 2 without what that cannot say."""
    old = version == 2
    found: Obj = {}
    anything = old and (schema.get("nullable") or schema.get(INT_OR_STRING) or schema.get(PRESERVE))
    for key, value in schema.items():
        if old and (key in _JUNCTORS or key in ("default", "nullable", RULES)):
            continue
        if anything and key in ("items", "properties", "additionalProperties", "required"):
            continue
        if anything and key in ("type", "enum", "format", "pattern") and not schema.get(PRESERVE):
            continue
        if key == "properties":
            found[key] = {name: _schema(below, version) for name, below in value.items()}
        elif key in ("items", "additionalProperties", "not") and isinstance(value, Mapping):
            found[key] = _schema(value, version)
        elif key in _JUNCTORS:
            found[key] = [_schema(below, version) for below in value]
        else:
            found[key] = value
    if schema.get(EMBEDDED) and "properties" in found:
        metadata = _ref(f"{_META}.ObjectMeta", version, _METADATA)
        found["properties"] = {**found["properties"], **_type_meta(), "metadata": metadata}
    return found
