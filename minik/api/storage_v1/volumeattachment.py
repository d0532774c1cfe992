"""VolumeAttachment, storage.k8s.io/v1: that a volume is to be attached to a node by a CSI driver, and how far that has come."""

from __future__ import annotations

from collections.abc import Sequence

from minik.api import columns
from minik.api.columns import column
from minik.api.errors import FieldError, Path, invalid, required
from minik.api.kind import Kind, status_of
from minik.api.meta import Obj, ROObj
from minik.api.validation import Errors, check_name, immutable_field
from minik.api.validation_names import dns_subdomain
from minik.api.validation_storage import volume_spec

RESOURCE = "volumeattachments.storage.k8s.io"
SPEC = Path("spec")


def prepare_create(attachment: Obj) -> None:
    attachment["status"] = {"attached": False}


def validate(attachment: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    spec = attachment.get("spec") or {}
    for field in ("attacher", "nodeName"):
        if not spec.get(field):
            errors.append(required(SPEC.child(field)))
        else:
            check_name(errors, SPEC.child(field), spec[field].lower(), dns_subdomain)
    source = spec.get("source") or {}
    name, inline = source.get("persistentVolumeName"), source.get("inlineVolumeSpec")
    at = SPEC.child("source")
    if not name and inline is None:
        errors.append(required(at, "must specify exactly one of inlineVolumeSpec and persistentVolumeName"))
    elif name and inline is not None:
        errors.append(invalid(at, "", "must specify exactly one of inlineVolumeSpec and persistentVolumeName"))
    elif inline is not None:
        volume_spec(errors, at.child("inlineVolumeSpec"), inline, inline=True)
    return errors


def validate_update(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    immutable_field(errors, SPEC, new.get("spec"), old.get("spec"))
    return errors


KIND = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="VolumeAttachment",
    plural="volumeattachments",
    singular="volumeattachment",
    namespaced=False,
    schema="io.k8s.api.storage.v1.VolumeAttachment",
    subresources=(status_of("VolumeAttachment"),),
    prepare_create=prepare_create,
    validate=validate,
    validate_update=validate_update,
    columns=(
        column("Attacher", lambda obj: (obj.get("spec") or {}).get("attacher") or ""),
        column("PV", lambda obj: ((obj.get("spec") or {}).get("source") or {}).get("persistentVolumeName") or ""),
        column("Node", lambda obj: (obj.get("spec") or {}).get("nodeName") or ""),
        column("Attached", lambda obj: "true" if (obj.get("status") or {}).get("attached") else "false"),
        columns.AGE,
    ),
    generation=False,
)
