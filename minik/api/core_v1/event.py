"""Event, core/v1. Its table has the Name last and wide, so `columns` holds it and the leading one is left out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from minik.api import meta, times
from minik.api.columns import column
from minik.api.kind import Column, Kind
from minik.api.meta import ROObj


def _first_seen(event: ROObj, now: datetime) -> str:
    return times.since(event.get("firstTimestamp") or event.get("eventTime"), now)


def _last_seen(event: ROObj, now: datetime) -> str:
    series = event.get("series")
    if series:
        return times.since(series.get("lastObservedTime"), now)
    if event.get("lastTimestamp"):
        return times.since(event["lastTimestamp"], now)
    return _first_seen(event, now)


def _count(event: ROObj) -> int:
    series = event.get("series")
    return int((series.get("count") if series else event.get("count")) or 1)


def _object(event: ROObj) -> str:
    about = event.get("involvedObject") or {}
    kind = str(about.get("kind") or "").lower()
    return f"{kind}/{about['name']}" if about.get("name") else kind


def source(event: ROObj) -> str:
    return (event.get("source") or {}).get("component") or event.get("reportingComponent") or ""


def _source_and_host(event: ROObj) -> str:
    host = (event.get("source") or {}).get("host") or event.get("reportingInstance") or ""
    return ", ".join(filter(None, (source(event), host)))


def _about(field: str) -> tuple[str, Callable[[ROObj], str]]:
    return f"involvedObject.{field}", lambda event: (event.get("involvedObject") or {}).get(field) or ""


_ABOUT = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")

KIND = Kind(
    group="",
    version="v1",
    kind="Event",
    plural="events",
    singular="event",
    namespaced=True,
    schema="io.k8s.api.core.v1.Event",
    short_names=("ev",),
    columns=(
        Column(name="Last Seen", value=_last_seen),
        column("Type", lambda event: event.get("type") or ""),
        column("Reason", lambda event: event.get("reason") or ""),
        column("Object", _object),
        column("Subobject", lambda event: (event.get("involvedObject") or {}).get("fieldPath") or "", wide=True),
        column("Source", _source_and_host, wide=True),
        column("Message", lambda event: (event.get("message") or "").strip()),
        Column(name="First Seen", value=_first_seen, priority=1),
        column("Count", _count, wide=True),
        column("Name", meta.name, format="name", wide=True),
    ),
    fields={
        **dict(_about(field) for field in _ABOUT),
        "reason": lambda event: event.get("reason") or "",
        "reportingComponent": lambda event: event.get("reportingComponent") or "",
        "source": source,
        "type": lambda event: event.get("type") or "",
    },
    is_durable=lambda _namespace: False,
    generation=False,
)
