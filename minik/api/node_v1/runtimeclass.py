"""RuntimeClass, node.k8s.io/v1: by which handler of the container engine a pod runs, what that costs, and where it can.

`server/admission/runtime_class.py` gives a new pod what its class says; the node's agent asks its engine for the handler. Validation:
kubernetes `pkg/apis/node/validation` (ValidateRuntimeClass).
"""

from __future__ import annotations

from collections.abc import Sequence

from minik.api import columns
from minik.api.columns import column
from minik.api.core_v1.pod_defaults import canonical_list
from minik.api.errors import FieldError, Path
from minik.api.kind import Kind
from minik.api.meta import Obj, ROObj
from minik.api.validation import Errors, check_name, immutable_field, labels
from minik.api.validation_names import dns_label
from minik.api.validation_resources import resource_requirements
from minik.api.validation_scheduling import tolerations

RESOURCE = "runtimeclasses.node.k8s.io"
_HANDLER, _SCHEDULING = Path("handler"), Path("scheduling")


def default(runtime_class: Obj) -> None:
    fixed = (runtime_class.get("overhead") or {}).get("podFixed")
    if fixed:
        canonical_list(fixed)


def validate(runtime_class: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    check_name(errors, _HANDLER, runtime_class.get("handler") or "", dns_label)
    overhead = runtime_class.get("overhead")
    if overhead is not None:
        resource_requirements(errors, Path("overhead"), {"limits": overhead.get("podFixed")})
    scheduling = runtime_class.get("scheduling") or {}
    labels(errors, _SCHEDULING.child("nodeSelector"), scheduling.get("nodeSelector") or {})
    tolerations(errors, _SCHEDULING.child("tolerations"), scheduling.get("tolerations") or ())
    return errors


def validate_update(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    immutable_field(errors, _HANDLER, new.get("handler"), old.get("handler"))
    return errors


KIND = Kind(
    group="node.k8s.io",
    version="v1",
    kind="RuntimeClass",
    plural="runtimeclasses",
    singular="runtimeclass",
    namespaced=False,
    schema="io.k8s.api.node.v1.RuntimeClass",
    default=default,
    validate=validate,
    validate_update=validate_update,
    columns=(column("Handler", lambda obj: obj.get("handler") or ""), columns.AGE),
    generation=False,
)
