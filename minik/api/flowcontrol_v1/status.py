"""What FlowSchema and PriorityLevelConfiguration share."""

from __future__ import annotations

from collections.abc import Sequence

from minik.api.errors import FieldError, Path, duplicate, required
from minik.api.meta import ROObj

GROUP = "flowcontrol.apiserver.k8s.io"
NOT_ENFORCED = ("requests are not queued by priority here: this object is kept, but nothing goes by it",)


def validate_status(new: ROObj, _old: ROObj) -> Sequence[FieldError]:
    errors: list[FieldError] = []
    types: set[str] = set()
    for number, condition in enumerate((new.get("status") or {}).get("conditions") or ()):
        path, type_ = Path("status").child("conditions").index(number).child("type"), condition.get("type") or ""
        if type_ in types:
            errors.append(duplicate(path, type_))
        if not type_:
            errors.append(required(path, "must not be empty"))
        types.add(type_)
    return errors
