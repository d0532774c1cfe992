"""From a CustomResourceDefinition to the `Kind`s that it defines, one for each served version. Pure.

The rest of minik does not tell them from built-in ones: columns are JSONPath where those are functions, `Kind.custom` is the structural
schema where those have a table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from minik.api import columns, meta, times
from minik.api.apiextensions_v1.names import ESTABLISHED, is_true, storage_version
from minik.api.jsonpath import JsonPath, JsonPathError, parse
from minik.api.kind import Column, Kind, ScalePaths, Subresource, scale_subresource, status_of
from minik.api.meta import Obj, ROObj
from minik.api.structural import CustomSchema
from minik.api.versions import preferred_first

_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


def kinds_of(crd: ROObj) -> list[Kind]:
    """The kinds to serve, the preferred version last; none unless the definition is established."""
    if not is_true(crd, ESTABLISHED):
        return []
    versions = {version["name"]: version for version in crd["spec"]["versions"] if version.get("served")}
    return [_kind(crd, versions[name]) for name in reversed(preferred_first(versions))]


def schema_name(group: str, version: str, kind: str) -> str:
    """As OpenAPI documents name the type: `com.example.v1.Widget`."""
    return f"{'.'.join(reversed(group.split('.')))}.{version}.{kind}"


def _kind(crd: ROObj, version: Mapping[str, Any]) -> Kind:
    spec = crd["spec"]
    names = (crd.get("status") or {}).get("acceptedNames") or {}
    group, name, kind = spec["group"], version["name"], names["kind"]
    parts = version.get("subresources") or {}
    subresources: list[Subresource] = []
    scale = None
    if parts.get("status") is not None:
        subresources.append(status_of(kind))
    if parts.get("scale"):
        subresources.append(scale_subresource())
        scale = _scale(parts["scale"])
    has_status = parts.get("status") is not None
    custom = CustomSchema(
        (version.get("schema") or {}).get("openAPIV3Schema") or {},
        storage_version=storage_version(crd),
        has_status=has_status,
        terminating=meta.is_deleting(crd),
        conversion=(spec.get("conversion") or {}).get("webhook"),
    )
    deprecation = _deprecation(f"{group}/{name}", kind, version)
    return Kind(
        group=group,
        version=name,
        kind=kind,
        plural=names["plural"],
        singular=names.get("singular") or kind.lower(),
        namespaced=spec.get("scope") == "Namespaced",
        schema=schema_name(group, name, kind),
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        verbs=_VERBS,
        subresources=tuple(subresources),
        scale=scale,
        prepare_create=_drop_status if has_status else _leave,
        columns=tuple(_column(each) for each in version.get("additionalPrinterColumns") or ()),
        fields=dict(_field(each["jsonPath"]) for each in version.get("selectableFields") or ()),
        warnings=lambda _obj: deprecation,
        custom=custom,
    )


def _leave(_draft: Obj) -> None:
    pass


def _drop_status(draft: Obj) -> None:
    draft.pop("status", None)


def _deprecation(api_version: str, kind: str, version: Mapping[str, Any]) -> Sequence[str]:
    if not version.get("deprecated"):
        return ()
    return (version.get("deprecationWarning") or f"{api_version} {kind} is deprecated",)


def _scale(scale: Mapping[str, Any]) -> ScalePaths:
    def dotted(path: str | None) -> str:
        names = parse(path).names if path else None
        return ".".join(names) if names else ""

    return ScalePaths(
        spec_replicas=dotted(scale.get("specReplicasPath")),
        status_replicas=dotted(scale.get("statusReplicasPath")),
        selector=dotted(scale.get("labelSelectorPath")),
    )


def _field(path: str) -> tuple[str, Callable[[ROObj], str]]:
    """A selectable field: its label (without the first dot) and how to read it."""
    found = parse(path)

    def get(obj: ROObj) -> str:
        values = found.find(obj)
        return _text(values[0]) if values and values[0] is not None else ""

    return path.lstrip("."), get


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return orjson.dumps(value, default=str).decode()


def _column(definition: Mapping[str, Any]) -> Column:
    try:
        path: JsonPath | None = parse(definition.get("jsonPath") or "")
    except JsonPathError:
        path = None
    type_ = definition.get("type") or "string"
    reader = _READERS.get(type_, _string)

    def cell(obj: ROObj, now: datetime) -> Any:
        found = path.find(obj) if path is not None else []
        return reader(found, now) if found and found[0] is not None else None

    return Column(
        name=definition.get("name") or "",
        value=cell,
        type=type_,
        format=definition.get("format") or "",
        description=definition.get("description")
        or f"Custom resource definition column (in JSONPath format): {definition.get('jsonPath')}",
        priority=definition.get("priority") or 0,
    )


def _string(found: Sequence[Any], _now: datetime) -> Any:
    return " ".join(map(_text, found))


def _integer(found: Sequence[Any], _now: datetime) -> Any:
    value = found[0]
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _number(found: Sequence[Any], _now: datetime) -> Any:
    value = found[0]
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _boolean(found: Sequence[Any], _now: datetime) -> Any:
    return found[0] if isinstance(found[0], bool) else None


def _date(found: Sequence[Any], now: datetime) -> Any:
    if not isinstance(found[0], str):
        return None
    return times.since(found[0], now) if times.is_time(found[0]) else columns.UNKNOWN.replace("unknown", "invalid")


_READERS: Mapping[str, Callable[[Sequence[Any], datetime], Any]] = {
    "string": _string, "integer": _integer, "number": _number, "boolean": _boolean, "date": _date,
}  # fmt: skip
