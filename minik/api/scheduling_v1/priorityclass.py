"""PriorityClass, scheduling.k8s.io/v1: a name for how important a pod is.

The two built-in classes are made by `server/bootstrap.py`; pods get their numbers from `server/admission/pod_priority.py`.
Source of the rules: kubernetes `pkg/apis/scheduling/validation` and `pkg/apis/scheduling/v1/helpers.go`.
"""

from __future__ import annotations

from collections.abc import Sequence

from minik.api import columns
from minik.api.columns import column
from minik.api.errors import FieldError, Path, field_forbidden
from minik.api.kind import Kind
from minik.api.meta import Obj, ROObj
from minik.api.validation import Errors, enum, immutable_field

RESOURCE = "priorityclasses.scheduling.k8s.io"
SYSTEM_PREFIX = "system-"
HIGHEST_USER_VALUE = 1_000_000_000
CLUSTER_CRITICAL = "system-cluster-critical"
NODE_CRITICAL = "system-node-critical"
SYSTEM_VALUES = {NODE_CRITICAL: 2_000_001_000, CLUSTER_CRITICAL: 2_000_000_000}
_DESCRIPTIONS = {
    NODE_CRITICAL: "Used for system critical pods that must not be moved from their current node.",
    CLUSTER_CRITICAL: "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
}
POLICIES = ("Never", "PreemptLowerPriority")


def system_classes() -> list[Obj]:
    """The built-in classes, to be created."""
    return [
        {"metadata": {"name": name}, "value": value, "description": _DESCRIPTIONS[name]}
        for name, value in SYSTEM_VALUES.items()
    ]


def validate(priority_class: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    name, value = priority_class["metadata"].get("name") or "", priority_class.get("value") or 0
    if name.startswith(SYSTEM_PREFIX):
        why = _not_system(name, value, priority_class.get("globalDefault") or False)
        if why:
            reserved = (
                f"priority class names with '{SYSTEM_PREFIX}' prefix are reserved for system use only. error: {why}"
            )
            errors.append(field_forbidden(Path("metadata").child("name"), reserved))
    elif value > HIGHEST_USER_VALUE:
        why = f"maximum allowed value of a user defined priority is {HIGHEST_USER_VALUE}"
        errors.append(field_forbidden(Path("value"), why))
    enum(errors, Path("preemptionPolicy"), priority_class.get("preemptionPolicy"), POLICIES)
    return errors


def _not_system(name: str, value: int, is_default: bool) -> str:
    """Why this is not one of the built-in classes, or ""."""
    if name not in SYSTEM_VALUES:
        return f"{name} is not a known system priority class"
    if value != SYSTEM_VALUES[name]:
        return f"value of {name} PriorityClass must be {SYSTEM_VALUES[name]}"
    return f"globalDefault of {name} PriorityClass must be false" if is_default else ""


def validate_update(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    if (new.get("value") or 0) != (old.get("value") or 0):
        errors.append(field_forbidden(Path("value"), "may not be changed in an update."))
    immutable_field(errors, Path("preemptionPolicy"), new.get("preemptionPolicy"), old.get("preemptionPolicy"))
    return errors


KIND = Kind(
    group="scheduling.k8s.io",
    version="v1",
    kind="PriorityClass",
    plural="priorityclasses",
    singular="priorityclass",
    namespaced=False,
    schema="io.k8s.api.scheduling.v1.PriorityClass",
    short_names=("pc",),
    validate=validate,
    validate_update=validate_update,
    columns=(
        column("Value", lambda obj: obj.get("value") or 0, type="integer"),
        column("Global-Default", lambda obj: bool(obj.get("globalDefault")), type="boolean"),
        columns.AGE,
        column("PreemptionPolicy", lambda obj: obj.get("preemptionPolicy") or ""),
    ),
)
