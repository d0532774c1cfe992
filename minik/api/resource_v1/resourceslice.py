"""ResourceSlice, resource.k8s.io/v1: devices that a driver offers, on one node or more, as part of a pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.api import columns
from minik.api.cel import SEMVER
from minik.api.columns import column
from minik.api.errors import FieldError, Path, invalid, not_supported, required, too_long
from minik.api.kind import Kind
from minik.api.meta import ROObj
from minik.api.resource_v1.validation import TAINT_EFFECTS, driver_name, each_named, label_name, limited, pool_name
from minik.api.validation import Errors, check_name, immutable_field
from minik.api.validation_names import dns_subdomain, label_value, qualified_name
from minik.api.validation_resources import quantity_value
from minik.api.validation_scheduling import node_selector

RESOURCE = "resourceslices.resource.k8s.io"
SPEC = Path("spec")
MAX_DEVICES = 128
MAX_FACTS = 32
MAX_TAINTS = 16
MAX_COUNTER_SETS = 8
MAX_TEXT = 64
_PLACES = ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection")


def validate(slice_: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    spec = slice_.get("spec") or {}
    driver_name(errors, SPEC.child("driver"), spec.get("driver") or "")
    _pool(errors, spec.get("pool") or {})
    _place(errors, SPEC, spec, _PLACES)
    devices, counters = spec.get("devices") or (), spec.get("sharedCounters") or ()
    if devices and counters:
        why = "only one of `sharedCounters` or `devices` is allowed"
        errors.append(invalid(SPEC, None, f"{why}, but multiple fields are set"))
    if limited(errors, SPEC.child("devices"), devices, MAX_DEVICES):
        each_named(errors, SPEC.child("devices"), devices, lambda at, device: _device(errors, at, device, spec))
    if limited(errors, SPEC.child("sharedCounters"), counters, MAX_COUNTER_SETS):
        each_named(errors, SPEC.child("sharedCounters"), counters, lambda at, each: _counters(errors, at, each))
    return errors


def _pool(errors: Errors, pool: Mapping[str, Any]) -> None:
    at = SPEC.child("pool")
    pool_name(errors, at.child("name"), pool.get("name") or "")
    if (pool.get("resourceSliceCount") or 0) <= 0:
        count = pool.get("resourceSliceCount") or 0
        errors.append(invalid(at.child("resourceSliceCount"), count, "must be greater than zero"))
    if (pool.get("generation") or 0) < 0:
        errors.append(invalid(at.child("generation"), pool["generation"], "must be greater than or equal to zero"))


def _place(errors: Errors, path: Path, value: Mapping[str, Any], fields: Sequence[str]) -> None:
    """Exactly one of the fields that say on which nodes."""
    given = [field for field in fields if value.get(field) not in (None, "")]
    names = ", ".join(f"`{field}`" for field in fields[:-1]) + f", or `{fields[-1]}`"
    if not given:
        errors.append(required(path, f"exactly one of {names} is required"))
    elif len(given) > 1:
        shown = "{" + ", ".join(f"`{field}`" for field in given) + "}"
        errors.append(invalid(path, shown, f"exactly one of {names} is required, but multiple fields are set"))
    if value.get("nodeName"):
        check_name(errors, path.child("nodeName"), value["nodeName"], dns_subdomain)
    if value.get("nodeSelector") is not None:
        at = path.child("nodeSelector")
        if len(value["nodeSelector"].get("nodeSelectorTerms") or ()) != 1:
            errors.append(invalid(at.child("nodeSelectorTerms"), "", "must have exactly one node selector term"))
        node_selector(errors, at, value["nodeSelector"])
    for field in ("allNodes", "perDeviceNodeSelection"):
        if field in fields and value.get(field) is False:
            errors.append(invalid(path.child(field), False, "must be either unset or set to true"))


def _device(errors: Errors, at: Path, device: Mapping[str, Any], spec: Mapping[str, Any]) -> None:
    label_name(errors, at.child("name"), device.get("name") or "")
    attributes, capacity = device.get("attributes") or {}, device.get("capacity") or {}
    if len(attributes) + len(capacity) > MAX_FACTS:
        why = f"the total number of attributes and capacities must not exceed {MAX_FACTS}"
        errors.append(invalid(at, len(attributes) + len(capacity), why))
    for name, value in attributes.items():
        where = at.child("attributes", name)
        check_name(errors, where, name, qualified_name)
        _attribute(errors, where, value)
    for name, value in capacity.items():
        where = at.child("capacity", name)
        check_name(errors, where, name, qualified_name)
        quantity_value(errors, where.child("value"), name, value.get("value"))
    if spec.get("perDeviceNodeSelection"):
        _place(errors, at, device, ("nodeName", "nodeSelector", "allNodes"))
    taints = device.get("taints") or ()
    if limited(errors, at.child("taints"), taints, MAX_TAINTS):
        for number, taint in enumerate(taints):
            _taint(errors, at.child("taints").index(number), taint)
    for number, used in enumerate(device.get("consumesCounters") or ()):
        where = at.child("consumesCounters").index(number)
        if not used.get("counterSet"):
            errors.append(required(where.child("counterSet")))
        if not used.get("counters"):
            errors.append(required(where.child("counters")))


def _attribute(errors: Errors, at: Path, value: Mapping[str, Any]) -> None:
    if len(value) != 1:
        errors.append(invalid(at, dict(value), "exactly one value must be specified"))
        return
    if "string" in value and len(value["string"]) > MAX_TEXT:
        errors.append(too_long(at.child("string"), value["string"], MAX_TEXT))
    if "version" in value:
        if len(value["version"]) > MAX_TEXT:
            errors.append(too_long(at.child("version"), value["version"], MAX_TEXT))
        if not SEMVER.fullmatch(value["version"]):
            why = "must be a string compatible with semver.org spec 2.0.0"
            errors.append(invalid(at.child("version"), value["version"], why))


def _taint(errors: Errors, at: Path, taint: Mapping[str, Any]) -> None:
    check_name(errors, at.child("key"), taint.get("key") or "", qualified_name)
    if taint.get("value"):
        check_name(errors, at.child("value"), taint["value"], label_value)
    effect = taint.get("effect") or ""
    if not effect:
        errors.append(required(at.child("effect")))
    elif effect not in TAINT_EFFECTS:
        errors.append(not_supported(at.child("effect"), effect, TAINT_EFFECTS))


def _counters(errors: Errors, at: Path, counter_set: Mapping[str, Any]) -> None:
    label_name(errors, at.child("name"), counter_set.get("name") or "")
    counters = counter_set.get("counters") or {}
    if not counters:
        errors.append(required(at.child("counters")))
    for name, counter in counters.items():
        label_name(errors, at.child("counters"), name)
        quantity_value(errors, at.child("counters", name), name, counter.get("value"))


def validate_update(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    after, before = new.get("spec") or {}, old.get("spec") or {}
    for field in ("driver", "nodeName"):
        immutable_field(errors, SPEC.child(field), after.get(field), before.get(field))
    names = ((spec.get("pool") or {}).get("name") for spec in (after, before))
    immutable_field(errors, SPEC.child("pool").child("name"), *names)
    return errors


def _spec(slice_: ROObj, *path: str) -> str:
    value: Any = slice_.get("spec") or {}
    for part in path:
        value = (value or {}).get(part)
    return value or ""


KIND = Kind(
    group="resource.k8s.io",
    version="v1",
    kind="ResourceSlice",
    plural="resourceslices",
    singular="resourceslice",
    namespaced=False,
    schema="io.k8s.api.resource.v1.ResourceSlice",
    validate=validate,
    validate_update=validate_update,
    columns=(
        column("Node", lambda obj: _spec(obj, "nodeName") or "<unset>"),
        column("Driver", lambda obj: _spec(obj, "driver")),
        column("Pool", lambda obj: _spec(obj, "pool", "name")),
        columns.AGE,
    ),
    fields={
        "spec.nodeName": lambda obj: _spec(obj, "nodeName"),
        "spec.driver": lambda obj: _spec(obj, "driver"),
    },
)
