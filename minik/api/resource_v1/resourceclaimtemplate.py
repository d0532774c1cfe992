"""ResourceClaimTemplate, resource.k8s.io/v1: pods that name it get a ResourceClaim each."""

from __future__ import annotations

from collections.abc import Sequence

from minik.api.errors import FieldError, Path
from minik.api.kind import Kind
from minik.api.meta import Obj, ROObj
from minik.api.resource_v1.resourceclaim import default_requests
from minik.api.resource_v1.validation import device_claim
from minik.api.validation import Errors, annotation_map, immutable_field, labels

RESOURCE = "resourceclaimtemplates.resource.k8s.io"
SPEC = Path("spec")


def default(template: Obj) -> None:
    default_requests(((template.get("spec") or {}).get("spec") or {}).get("devices") or {})


def validate(template: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    spec = template.get("spec") or {}
    metadata = spec.get("metadata") or {}
    if metadata.get("labels"):
        labels(errors, SPEC.child("metadata").child("labels"), metadata["labels"])
    if metadata.get("annotations"):
        annotation_map(errors, SPEC.child("metadata").child("annotations"), metadata["annotations"])
    device_claim(errors, SPEC.child("spec").child("devices"), (spec.get("spec") or {}).get("devices") or {})
    return errors


def validate_update(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    immutable_field(errors, SPEC, new.get("spec"), old.get("spec"))
    return errors


KIND = Kind(
    group="resource.k8s.io",
    version="v1",
    kind="ResourceClaimTemplate",
    plural="resourceclaimtemplates",
    singular="resourceclaimtemplate",
    namespaced=True,
    schema="io.k8s.api.resource.v1.ResourceClaimTemplate",
    default=default,
    validate=validate,
    validate_update=validate_update,
    generation=False,
)
