"""DeviceClass, resource.k8s.io/v1: devices of a sort, by conditions on them, with configuration for their drivers."""

from __future__ import annotations

from collections.abc import Sequence

from minik.api.errors import FieldError, Path
from minik.api.kind import Kind
from minik.api.meta import ROObj
from minik.api.resource_v1.validation import MAX_CONFIGS, configuration, limited, selectors
from minik.api.validation import Errors

SPEC = Path("spec")


def validate(device_class: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    spec = device_class.get("spec") or {}
    selectors(errors, SPEC.child("selectors"), spec.get("selectors") or ())
    configs = spec.get("config") or ()
    if limited(errors, SPEC.child("config"), configs, MAX_CONFIGS):
        for number, config in enumerate(configs):
            configuration(errors, SPEC.child("config").index(number), config)
    return errors


KIND = Kind(
    group="resource.k8s.io",
    version="v1",
    kind="DeviceClass",
    plural="deviceclasses",
    singular="deviceclass",
    namespaced=False,
    schema="io.k8s.api.resource.v1.DeviceClass",
    validate=validate,
)
