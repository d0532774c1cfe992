"""What the printers of all kinds share (kubernetes `pkg/printers/internalversion`): ages, joined lists, the Age column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from minik.api import times
from minik.api.kind import Column
from minik.api.meta import ROObj

NONE = "<none>"
UNKNOWN = "<unknown>"
UNSET = "<unset>"


def age(obj: ROObj, now: datetime) -> str:
    """Since the object's creation: `5d3h`."""
    return times.since(obj["metadata"].get("creationTimestamp"), now)


def column(
    name: str,
    value: Callable[[ROObj], Any],
    *,
    type: str = "string",  # noqa: A002  # the wire's own name
    wide: bool = False,
    format: str = "",  # noqa: A002  # the wire's own name
) -> Column:
    """A column that does not depend on the time. `wide`: shown with `-o wide` only."""
    return Column(name=name, value=lambda obj, _now: value(obj), type=type, format=format, priority=1 if wide else 0)


def number(name: str, path: str, *, wide: bool = False) -> Column:
    """A column with the whole number at a dotted `path`, 0 if there is none."""
    first, last = path.split(".")
    return column(name, lambda obj: int((obj.get(first) or {}).get(last) or 0), type="integer", wide=wide)


AGE = Column(name="Age", value=age, description="CreationTimestamp is a timestamp of the object's creation.")


def format_labels(labels: Mapping[str, str] | None) -> str:
    """`a=1,b=2` in order of the keys, or `<none>` (labels.FormatLabels)."""
    if not labels:
        return NONE
    return ",".join(f"{key}={labels[key]}" for key in sorted(labels))


def join_some(values: Iterable[str], limit: int) -> str:
    """`a,b,c + 2 more...`, or `<none>`."""
    items = list(values)
    if not items:
        return NONE
    text = ",".join(items[:limit])
    return f"{text} + {len(items) - limit} more..." if len(items) > limit else text


def containers_columns(template: Callable[[ROObj], Mapping[str, Any]]) -> tuple[Column, Column]:
    """The wide columns Containers and Images of a kind with a pod template (layoutContainerCells)."""

    def joined(field: str) -> Callable[[ROObj], str]:
        def cell(obj: ROObj) -> str:
            spec = template(obj).get("spec") or {}
            return ",".join(c.get(field, "") for c in spec.get("containers") or ())

        return cell

    return column("Containers", joined("name"), wide=True), column("Images", joined("image"), wide=True)


def spec_template(obj: ROObj) -> Mapping[str, Any]:
    """`spec.template`, or an empty one."""
    return (obj.get("spec") or {}).get("template") or {}
