"""Event, events.k8s.io/v1: the Events of core/v1 in newer words, `note` for the message and `regarding` for what it is about.

There is one set of Events: they are stored as core/v1, and `stored` and `shown` are the two ways (kubernetes
`pkg/apis/events/v1/conversion.go`). Who writes in this version is held to stricter rules (`ValidateEventCreate`, `ValidateEventUpdate`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from minik.api.core_v1 import event as core
from minik.api.errors import FieldError, Path, invalid, required
from minik.api.kind import Column, Kind, OtherVersion
from minik.api.meta import Obj, ROObj
from minik.api.validation import Errors, immutable_field

_NAMES = {
    "involvedObject": "regarding", "message": "note", "source": "deprecatedSource", "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp", "count": "deprecatedCount", "reportingComponent": "reportingController",
}  # fmt: skip
"""core/v1 → here, where the names differ."""
_HERE = {here: there for there, here in _NAMES.items()}
_SAME = ("eventTime", "series", "action", "related", "reason", "reportingInstance", "type")
_ABSENT: Obj = {
    "eventTime": None,
    "deprecatedSource": {},
    "deprecatedFirstTimestamp": None,
    "deprecatedLastTimestamp": None,
}
_UNSET = ("firstTimestamp", "lastTimestamp", "count")
_FIXED = (
    "involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp", "count", "type", "eventTime", "action",
    "related",
)  # fmt: skip


def shown(event: ROObj) -> Obj:
    """core/v1 → events.k8s.io/v1."""
    found: Obj = {"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": event["metadata"], **_ABSENT}
    found |= {name: event[name] for name in _SAME if name in event}
    return found | {here: event[there] for there, here in _NAMES.items() if there in event}


def stored(event: ROObj) -> Obj:
    """events.k8s.io/v1 → core/v1."""
    found: Obj = {
        "apiVersion": "v1", "kind": "Event", "metadata": event["metadata"], "involvedObject": {}, "source": {}, "firstTimestamp": None,
        "lastTimestamp": None, "eventTime": None, "reportingComponent": "", "reportingInstance": "",
    }  # fmt: skip
    found |= {name: event[name] for name in _SAME if name in event}
    return found | {there: event[here] for here, there in _HERE.items() if here in event}


def validate(event: ROObj) -> Sequence[FieldError]:
    old_words = stored(event)
    errors: Errors = list(core.validate(old_words))
    if event["metadata"].get("resourceVersion"):
        return errors  # an update: what is there already is not judged anew
    errors += _series(old_words)
    if not old_words.get("eventTime"):
        errors.append(required("eventTime"))
    if old_words.get("type") not in ("Normal", "Warning"):
        errors.append(invalid("type", "", f"has invalid value: {old_words.get('type') or ''}"))
    errors += (invalid(field, "", "needs to be unset") for field in _UNSET if old_words.get(field))
    if any((old_words.get("source") or {}).values()):
        errors.append(invalid("source", "", "needs to be unset"))
    return errors


def _series(event: ROObj) -> Sequence[FieldError]:
    series = event.get("series")
    if series is None:
        return ()
    errors: Errors = []
    if (series.get("count") or 0) < 2:
        errors.append(invalid("series.count", "", "should be at least 2"))
    if not series.get("lastObservedTime"):
        errors.append(required("series.lastObservedTime"))
    return errors


def validate_update(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    """What has happened does not change; only how often."""
    after, before = stored(new), stored(old)
    errors: Errors = []
    if after.get("series") != before.get("series"):
        errors += _series(after)
    for field in _FIXED:
        immutable_field(errors, Path(field), after.get(field) or None, before.get(field) or None)
    for field, name in (("reportingComponent", "reportingController"), ("reportingInstance", "reportingInstance")):
        immutable_field(errors, Path(name), after.get(field), before.get(field))
    return errors


def _column(column: Column) -> Column:
    def value(event: ROObj, now: Any) -> Any:
        return column.value(stored(event), now)

    return replace(column, value=value)


def _field(there: str) -> tuple[str, Callable[[ROObj], str]]:
    head, dot, rest = there.partition(".")
    get = core.KIND.fields[there]
    return f"{_NAMES.get(head, head)}{dot}{rest}", lambda event: get(stored(event))


KIND = Kind(
    group="events.k8s.io",
    version="v1",
    kind="Event",
    plural="events",
    singular="event",
    namespaced=True,
    schema="io.k8s.api.events.v1.Event",
    short_names=("ev",),
    validate=validate,
    validate_update=validate_update,
    columns=tuple(_column(column) for column in core.KIND.columns),
    fields=dict(_field(there) for there in core.KIND.fields if there != "source"),
    is_durable=core.KIND.is_durable,
    generation=False,
    other=OtherVersion(shown=shown, stored=stored),
    stored_in=core.KIND.resource,
)
