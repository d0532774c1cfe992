"""ServiceCIDR, networking.k8s.io/v1: a range from which Services get their addresses. The first is `kubernetes`, made at the start."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from minik.api import columns
from minik.api.columns import column
from minik.api.errors import FieldError, Path, invalid, required
from minik.api.kind import Kind, status_of
from minik.api.meta import Obj, ROObj
from minik.api.validation import IMMUTABLE, Errors
from minik.api.validation_names import is_cidr

RESOURCE = "servicecidrs.networking.k8s.io"
DEFAULT_NAME = "kubernetes"
_CIDRS = Path("spec").child("cidrs")


def cidrs_of(service_cidr: ROObj) -> list[str]:
    return list((service_cidr.get("spec") or {}).get("cidrs") or ())


def validate(service_cidr: ROObj) -> Sequence[FieldError]:
    errors: Errors = []
    cidrs = cidrs_of(service_cidr)
    if not cidrs:
        errors.append(required(_CIDRS, "at least one CIDR required"))
        return errors
    if len(cidrs) > 2:
        errors.append(invalid(_CIDRS, cidrs, "may only hold up to 2 values"))
        return errors
    versions = []
    for number, text in enumerate(cidrs):
        why = _what_is_wrong(text)
        if why:
            errors.append(invalid(_CIDRS.index(number), text, why))
        else:
            versions.append(ipaddress.ip_network(text).version)
    if len(versions) == 2 and versions[0] == versions[1]:
        why = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
        errors.append(invalid(_CIDRS, cidrs, why))
    return errors


def _what_is_wrong(text: str) -> str:
    if not is_cidr(text):
        return "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
    network = ipaddress.ip_network(text, strict=False)
    if ipaddress.ip_interface(text).ip != network.network_address:
        return "must not have bits set beyond the prefix length"
    return "" if str(network) == text else f'must be in canonical form ("{network}")'


def validate_update(new: ROObj, old: ROObj) -> Sequence[FieldError]:
    """What is there stays; a range of the other family may be added."""
    after, before = cidrs_of(new), cidrs_of(old)
    if len(after) == len(before):
        return [
            invalid(_CIDRS.index(number), text, IMMUTABLE)
            for number, text in enumerate(after)
            if text != before[number]
        ]
    if (len(before), len(after)) == (1, 2):
        return [] if after[0] == before[0] else [invalid(_CIDRS.index(0), after[0], IMMUTABLE)]
    return [invalid(_CIDRS, after, IMMUTABLE)]


def prepare_create(service_cidr: Obj) -> None:
    service_cidr["status"] = {}


KIND = Kind(
    group="networking.k8s.io",
    version="v1",
    kind="ServiceCIDR",
    plural="servicecidrs",
    singular="servicecidr",
    namespaced=False,
    schema="io.k8s.api.networking.v1.ServiceCIDR",
    subresources=(status_of("ServiceCIDR"),),
    prepare_create=prepare_create,
    validate=validate,
    validate_update=validate_update,
    columns=(column("CIDRs", lambda obj: ",".join(cidrs_of(obj))), columns.AGE),
)
