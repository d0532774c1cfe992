"""EndpointSlice, discovery.k8s.io/v1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.api import columns
from minik.api.columns import NONE, UNSET, column
from minik.api.errors import FieldError, Path, duplicate, invalid, required, too_many
from minik.api.kind import Kind
from minik.api.meta import ROObj
from minik.api.validation import Errors, check_name, enum, immutable_field
from minik.api.validation_names import dns_label, dns_subdomain, ip, port_number, qualified_name
from minik.api.validation_service import non_special_ip

ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
MAX_ENDPOINTS = 1000
MAX_ADDRESSES = 100
MAX_PORTS = 20000


def _some(values: list[str]) -> str:
    return columns.join_some(values, 3).replace(NONE, UNSET)


def _ports(slice_: ROObj) -> str:
    return _some([str(port.get("port", "*")) for port in slice_.get("ports") or ()])


def _endpoints(slice_: ROObj) -> str:
    return _some([address for endpoint in slice_.get("endpoints") or () for address in endpoint.get("addresses") or ()])


def validate(slice_: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    kind = slice_.get("addressType") or ""
    enum(errors, Path("addressType"), kind, ADDRESS_TYPES, optional=False)
    endpoints = slice_.get("endpoints") or ()
    if len(endpoints) > MAX_ENDPOINTS:
        errors.append(too_many("endpoints", len(endpoints), MAX_ENDPOINTS))
        return errors
    for number, endpoint in enumerate(endpoints):
        _endpoint(errors, Path("endpoints").index(number), endpoint, kind)
    ports = slice_.get("ports") or ()
    if len(ports) > MAX_PORTS:
        errors.append(too_many("ports", len(ports), MAX_PORTS))
        return errors
    names: set[str] = set()
    for number, port in enumerate(ports):
        path, name = Path("ports").index(number), port.get("name") or ""
        if name in names:
            errors.append(duplicate(path.child("name"), name))
        names.add(name)
        if name:
            check_name(errors, path.child("name"), name, dns_label)
        if port.get("port") is not None:
            errors += (invalid(path.child("port"), port["port"], problem) for problem in port_number(port["port"]))
        enum(errors, path.child("protocol"), port.get("protocol"), ("SCTP", "TCP", "UDP"))
        if port.get("appProtocol"):
            check_name(errors, path.child("appProtocol"), port["appProtocol"], qualified_name)
    return errors


def _endpoint(errors: Errors, path: Path, endpoint: Mapping[str, Any], kind: str) -> None:
    addresses = endpoint.get("addresses") or ()
    if not addresses:
        errors.append(required(path.child("addresses"), "must contain at least 1 address"))
    elif len(addresses) > MAX_ADDRESSES:
        errors.append(too_many(path.child("addresses"), len(addresses), MAX_ADDRESSES))
    for number, address in enumerate(addresses):
        at = path.child("addresses").index(number)
        if kind == "FQDN":
            check_name(errors, at, address, dns_subdomain)
        elif kind in ("IPv4", "IPv6"):
            before = len(errors)
            check_name(errors, at, address, ip)
            if len(errors) > before:
                continue
            if (":" in address) != (kind == "IPv6"):
                errors.append(invalid(at, address, f"must be an {kind} address"))
            non_special_ip(errors, at, address)
    if endpoint.get("hostname"):
        check_name(errors, path.child("hostname"), endpoint["hostname"], dns_label)
    if endpoint.get("nodeName"):
        check_name(errors, path.child("nodeName"), endpoint["nodeName"], dns_subdomain)


def validate_update(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    immutable_field(errors, Path("addressType"), new.get("addressType"), old.get("addressType"))
    return errors


KIND = Kind(
    group="discovery.k8s.io",
    version="v1",
    kind="EndpointSlice",
    plural="endpointslices",
    singular="endpointslice",
    namespaced=True,
    schema="io.k8s.api.discovery.v1.EndpointSlice",
    validate=validate,
    validate_update=validate_update,
    columns=(
        column("AddressType", lambda slice_: slice_.get("addressType") or ""),
        column("Ports", _ports),
        column("Endpoints", _endpoints),
        columns.AGE,
    ),
)
