"""IPAddress, networking.k8s.io/v1: one address of the Services' ranges that is taken, and by whom. Its name is the address."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from minik.api import columns, meta
from minik.api.columns import NONE, column
from minik.api.errors import FieldError, Path, required
from minik.api.kind import Kind
from minik.api.meta import Obj, ROObj
from minik.api.validation import Errors, check_name, immutable_field
from minik.api.validation_names import dns_subdomain, is_ip, path_segment

RESOURCE = "ipaddresses.networking.k8s.io"
FAMILY_LABEL = "ipaddress.kubernetes.io/ip-family"
MANAGED_BY_LABEL = "ipaddress.kubernetes.io/managed-by"
ALLOCATOR = "ipallocator.k8s.io"
"""The managed-by of addresses that come and go with their Service."""
_PARENT = Path("spec").child("parentRef")


def of_service(ip: str, service: ROObj) -> Obj:
    """The object that says that a Service has the address; without what the server adds."""
    return {
        "apiVersion": KIND.api_version,
        "kind": KIND.kind,
        "metadata": {
            "name": ip,
            "labels": {
                FAMILY_LABEL: f"IPv{ipaddress.ip_address(ip).version}",
                MANAGED_BY_LABEL: ALLOCATOR,
            },
        },
        "spec": {
            "parentRef": {
                "resource": "services",
                "namespace": meta.namespace(service),
                "name": meta.name(service),
            }
        },
    }


def is_of(address: ROObj, service: ROObj) -> bool:
    """Whether the address says that it is the Service's."""
    parent = (address.get("spec") or {}).get("parentRef") or {}
    return (parent.get("group") or "", parent.get("resource"), parent.get("namespace"), parent.get("name")) == (
        "",
        "services",
        meta.namespace(service),
        meta.name(service),
    )


def canonical_ip(text: str) -> Sequence[str]:
    """An address in the form in which it is written back (IsValidIP)."""
    if not is_ip(text):
        return ("must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",)
    canonical = str(ipaddress.ip_address(text))
    return () if canonical == text else (f'must be in canonical form ("{canonical}")',)


def validate(address: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    parent = (address.get("spec") or {}).get("parentRef")
    if parent is None:
        errors.append(required(_PARENT))
        return errors
    if parent.get("group"):
        check_name(errors, _PARENT.child("group"), parent["group"], dns_subdomain)
    for field, needed in (("resource", True), ("name", True), ("namespace", False)):
        if parent.get(field):
            check_name(errors, _PARENT.child(field), parent[field], path_segment)
        elif needed:
            errors.append(required(_PARENT.child(field)))
    return errors


def validate_update(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    after, before = ((obj.get("spec") or {}).get("parentRef") for obj in (new, old))
    immutable_field(errors, _PARENT, after, before)
    return errors


def _parent(address: ROObj) -> str:
    parent = (address.get("spec") or {}).get("parentRef") or {}
    parts = (parent.get("group"), parent.get("resource"), parent.get("namespace"), parent.get("name"))
    text = ".".join(filter(None, (parts[1], parts[0])))
    return "/".join(filter(None, (text, parts[2], parts[3]))) or NONE


KIND = Kind(
    group="networking.k8s.io",
    version="v1",
    kind="IPAddress",
    plural="ipaddresses",
    singular="ipaddress",
    namespaced=False,
    schema="io.k8s.api.networking.v1.IPAddress",
    short_names=("ip",),
    validate=validate,
    validate_update=validate_update,
    validate_name=canonical_ip,
    columns=(column("ParentRef", _parent), columns.AGE),
    fields={"spec.parentRef": _parent},
)
