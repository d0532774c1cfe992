"""How an answer is represented: what the Accept header chose, and the conversion to a Table or to metadata only.

Verbs answer with cached objects; `app.py` calls `represent` on every successful answer of a resource. Source: apiserver
`endpoints/handlers/response.go` and the Table printing of KEP-1206.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

from minik.api import columns
from minik.api.errors import NotAcceptable
from minik.api.kind import Column, Kind
from minik.api.meta import Obj, ROObj
from minik.clock import Clock
from minik.server.request import Request, Response

As = Literal["", "Table", "PartialObjectMetadata", "PartialObjectMetadataList"]
META_V1 = "meta.k8s.io/v1"
JSON, YAML = "application/json", "application/yaml"
_ACCEPTABLE = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
_NAME = {
    "name": "Name",
    "type": "string",
    "format": "name",
    "description": (
        "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to "
        "request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and "
        "configuration definition. Cannot be updated. More info: "
        "https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names"
    ),
    "priority": 0,
}


@dataclass(frozen=True, slots=True)
class Format:
    """What to answer with."""

    media_type: str = JSON
    as_: As = ""
    pretty: bool = False

    @property
    def is_plain(self) -> bool:
        return self.media_type == JSON and not self.as_


PLAIN = Format()


@lru_cache(maxsize=512)
def negotiate(accept: str, *, objects: bool = True) -> Format:
    """The first alternative of an Accept header that can be served. Raises NotAcceptable. `objects` False: no Tables."""
    if not accept or accept in ("*/*", JSON):
        return PLAIN
    for alternative in accept.split(","):
        media, *parameters = [p.strip() for p in alternative.split(";")]
        given = dict(p.split("=", 1) for p in parameters if "=" in p)
        wanted = given.get("as", "")
        if wanted:
            if not objects or given.get("g") != "meta.k8s.io" or given.get("v") != "v1":
                continue
            if wanted not in ("Table", "PartialObjectMetadata", "PartialObjectMetadataList"):
                continue
        if media in (JSON, "application/*", "*/*"):
            return Format(JSON, wanted, given.get("pretty") == "1")  # type: ignore[arg-type]  # checked above
        if media == YAML:
            return Format(YAML, wanted)  # type: ignore[arg-type]  # checked above
    raise NotAcceptable("only the following media types are accepted: " + ", ".join(_ACCEPTABLE))


def format_of(request: Request, *, objects: bool = True) -> Format:
    """`objects` False: what is answered is no object that could be in a Table (reviews, bindings). Raises NotAcceptable."""
    if request.decoded:
        return PLAIN
    return negotiate(request.headers.get("Accept", ""), objects=objects)


def represent(response: Response, chosen: Format, request: Request, kind: Kind, clock: Clock) -> Response:
    """The answer as the client asked for it. Plain JSON answers pass through untouched."""
    if chosen.is_plain or response.watch is not None or response.status >= 400:
        return response  # a watch looks at its format itself
    if response.raw is not None or response.stream is not None or response.http is not None:
        return response
    response.content_type = chosen.media_type
    if not chosen.as_:
        return response
    if response.entries is not None:
        objects: Iterable[ROObj] = [e.obj for e in response.entries.entries]
        metadata: Obj = {"resourceVersion": str(response.entries.resource_version)}
        if response.entries.continue_:
            metadata["continue"] = response.entries.continue_
        if response.entries.remaining:
            metadata["remainingItemCount"] = response.entries.remaining
        if chosen.as_ == "Table":
            obj = table(kind, objects, metadata, include=include_object(request), now=clock.now())
        else:
            obj = {
                "kind": "PartialObjectMetadataList", "apiVersion": META_V1, "metadata": metadata,
                "items": [partial(o) for o in objects],
            }  # fmt: skip
        response.entries = None
    else:
        one = response.entry.obj if response.entry is not None else response.obj
        assert one is not None
        if one.get("kind") == "Status":
            return response
        if chosen.as_ == "Table":
            if one.get("kind") != kind.kind:
                return response
            metadata = {"resourceVersion": one["metadata"].get("resourceVersion", "")}
            obj = table(kind, [one], metadata, include=include_object(request), now=clock.now())
        else:
            obj = partial(one)
        response.entry = None
    response.obj = obj
    return response


def include_object(request: Request) -> str:
    return request.one("includeObject") or "Metadata"


def partial(obj: ROObj) -> Obj:
    """PartialObjectMetadata of an object."""
    return {"kind": "PartialObjectMetadata", "apiVersion": META_V1, "metadata": obj["metadata"]}


def _columns(kind: Kind) -> tuple[Column, ...]:
    return kind.columns or (columns.AGE,)


def _has_own_name(kind: Kind) -> bool:
    """Whether the Name stands among the kind's own columns instead of in front (Event: it is the last, and wide)."""
    return any(column.name == "Name" for column in kind.columns)


def table(
    kind: Kind, objects: Iterable[ROObj], metadata: Obj, *, include: str, now: datetime, definitions: bool = True
) -> Obj:
    """A meta.k8s.io/v1 Table. `include`: None, Metadata or Object. `definitions` False leaves the columns' definitions out, as all
    events of a watch but the first do."""
    chosen = _columns(kind)
    named = _has_own_name(kind)
    rows = []
    for obj in objects:
        cells = [_cell(c, obj, now) for c in chosen]
        row: Obj = {"cells": cells if named else [obj["metadata"].get("name", ""), *cells]}
        if include == "Object":
            row["object"] = obj
        elif include == "Metadata":
            row["object"] = partial(obj)
        rows.append(row)
    result: Obj = {"kind": "Table", "apiVersion": META_V1, "metadata": metadata}
    result["columnDefinitions"] = _definitions(kind) if definitions else None
    result["rows"] = rows
    return result


def _cell(column: Column, obj: ROObj, now: datetime) -> Any:
    try:
        return column.value(obj, now)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return "<unknown>"  # an odd object must not make a whole list unprintable


def _definitions(kind: Kind) -> list[Obj]:
    return [
        *(() if _has_own_name(kind) else (_NAME,)),
        *(
            {"name": c.name, "type": c.type, "format": c.format, "description": c.description, "priority": c.priority}
            for c in _columns(kind)
        ),
    ]
