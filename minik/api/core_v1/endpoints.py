"""Endpoints, core/v1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from minik.api import columns
from minik.api.columns import column
from minik.api.errors import FieldError, Path, invalid, required
from minik.api.kind import Kind
from minik.api.meta import ROObj
from minik.api.validation import Errors, check_name, enum
from minik.api.validation_names import dns_label, dns_subdomain, ip, port_number
from minik.api.validation_service import non_special_ip


def join_host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _addresses(endpoints: ROObj) -> Iterator[str]:
    for subset in endpoints.get("subsets") or ():
        addresses = subset.get("addresses") or ()
        if not subset.get("ports"):
            yield from (address["ip"] for address in addresses)
        for port in subset.get("ports") or ():
            yield from (join_host_port(address["ip"], port["port"]) for address in addresses)


def validate(endpoints: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    for number, subset in enumerate(endpoints.get("subsets") or ()):
        path = Path("subsets").index(number)
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            errors.append(required(path, "must specify `addresses` or `notReadyAddresses`"))
        for field in ("addresses", "notReadyAddresses"):
            for index, address in enumerate(subset.get(field) or ()):
                _address(errors, path.child(field).index(index), address)
        ports = subset.get("ports") or ()
        for index, port in enumerate(ports):
            _port(errors, path.child("ports").index(index), port, needs_name=len(ports) > 1)
    return errors


def _address(errors: Errors, path: Path, address: Mapping[str, Any]) -> None:
    before = len(errors)
    check_name(errors, path.child("ip"), address.get("ip") or "", ip)
    if len(errors) == before:
        non_special_ip(errors, path.child("ip"), address["ip"])
    if address.get("hostname"):
        check_name(errors, path.child("hostname"), address["hostname"], dns_label)
    if address.get("nodeName"):
        check_name(errors, path.child("nodeName"), address["nodeName"], dns_subdomain)


def _port(errors: Errors, path: Path, port: Mapping[str, Any], *, needs_name: bool) -> None:
    if port.get("name"):
        check_name(errors, path.child("name"), port["name"], dns_label)
    elif needs_name:
        errors.append(required(path.child("name")))
    number = port.get("port") or 0
    errors += (invalid(path.child("port"), number, problem) for problem in port_number(number))
    enum(errors, path.child("protocol"), port.get("protocol"), ("SCTP", "TCP", "UDP"))


KIND = Kind(
    group="",
    version="v1",
    kind="Endpoints",
    plural="endpoints",
    singular="endpoints",
    namespaced=True,
    schema="io.k8s.api.core.v1.Endpoints",
    short_names=("ep",),
    validate=validate,
    columns=(column("Endpoints", lambda endpoints: columns.join_some(_addresses(endpoints), 3)), columns.AGE),
    generation=False,
    deprecation="v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
)
