"""Event, core/v1. Its table has the Name last and wide, so `columns` holds it and the leading one is left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from minik.api import meta, times
from minik.api.columns import column
from minik.api.errors import FieldError, invalid, required
from minik.api.kind import Column, Kind
from minik.api.meta import ROObj
from minik.api.validation import Errors
from minik.api.validation_names import qualified_name


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


def validate(event: ROObj) -> Sequence[FieldError]:
    """legacyValidateEvent: an event lies in the namespace of what it is about; those with `eventTime` say who reports what."""
    errors: Errors = []
    namespace = event["metadata"].get("namespace") or ""
    about = (event.get("involvedObject") or {}).get("namespace") or ""
    if not event.get("eventTime"):
        if namespace != about and not (not about and namespace == "default"):
            errors.append(invalid("involvedObject.namespace", about, "does not match event.namespace"))
        return errors
    if not about and namespace not in ("default", "kube-system"):
        errors.append(invalid("involvedObject.namespace", about, "does not match event.namespace"))
    controller = event.get("reportingComponent") or ""
    if not controller:
        errors.append(required("reportingController"))
    errors += (invalid("reportingController", controller, problem) for problem in qualified_name(controller))
    instance = event.get("reportingInstance") or ""
    if not instance:
        errors.append(required("reportingInstance"))
    for field, limit in (("reportingInstance", 128), ("action", 128), ("reason", 128), ("message", 1024)):
        text = event.get(field) or ""
        if field in ("action", "reason") and not text:
            errors.append(required(field))
        if len(text) > limit:
            errors.append(invalid(field, "", f"can have at most {limit} characters"))
    return errors


KIND = Kind(
    group="",
    version="v1",
    kind="Event",
    plural="events",
    singular="event",
    namespaced=True,
    schema="io.k8s.api.core.v1.Event",
    short_names=("ev",),
    validate=validate,
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
