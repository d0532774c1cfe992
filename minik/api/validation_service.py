"""Validation of Services (core validation, ValidateService and ValidateServiceUpdate)."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from minik.api.core_v1 import services
from minik.api.errors import Path, duplicate, field_forbidden, invalid, not_supported, required
from minik.api.meta import ROObj
from minik.api.validation import Errors, check_name, enum, labels
from minik.api.validation_names import dns_label, dns_subdomain, ip, is_cidr, port_number, qualified_name
from minik.api.validation_probes import port_number_or_name

SPEC = Path("spec")
TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_DISTRIBUTIONS = ("PreferClose", "PreferSameNode", "PreferSameZone")
_DAY = 86400
_LOAD_BALANCER_ONLY = "may only be used when `type` is 'LoadBalancer'"


def validate_service(service: ROObj) -> Errors:
    """Everything wrong with a Service. Addresses and node ports may still have to be allocated."""
    errors: Errors = []
    spec = service.get("spec") or {}
    kind = services.type_of(service)
    headless = (spec.get("clusterIPs") or [spec.get("clusterIP")]) == [services.HEADLESS]
    if not spec.get("ports") and not headless and kind != "ExternalName":
        errors.append(required(SPEC.child("ports")))
    _of_type(errors, spec, kind, headless=headless)
    _ports(errors, spec, kind)
    if spec.get("selector"):
        labels(errors, SPEC.child("selector"), spec["selector"])
    _session_affinity(errors, spec)
    if kind != "ExternalName":
        _cluster_ips(errors, spec, headless=headless)
    for number, address in enumerate(spec.get("externalIPs") or ()):
        at = SPEC.child("externalIPs").index(number)
        before = len(errors)
        check_name(errors, at, address, ip)
        if len(errors) == before:
            non_special_ip(errors, at, address)
    enum(errors, SPEC.child("type"), kind, TYPES)
    _load_balancer(errors, spec, kind)
    _traffic(errors, spec, kind)
    return errors


def _of_type(errors: Errors, spec: Mapping[str, Any], kind: str, *, headless: bool) -> None:
    if kind in ("LoadBalancer", "NodePort") and headless:
        why = f"may not be set to 'None' for {kind} services"
        errors.append(invalid(SPEC.child("clusterIPs").index(0), services.HEADLESS, why))
    if kind != "ExternalName":
        return
    for field in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if spec.get(field):
            errors.append(field_forbidden(SPEC.child(field), "may not be set for ExternalName services"))
    cname = (spec.get("externalName") or "").removesuffix(".")
    if cname:
        check_name(errors, SPEC.child("externalName"), cname, dns_subdomain)
    else:
        errors.append(required(SPEC.child("externalName")))


def _ports(errors: Errors, spec: Mapping[str, Any], kind: str) -> None:
    path, values = SPEC.child("ports"), spec.get("ports") or ()
    names: set[str] = set()
    for number, port in enumerate(values):
        at, name = path.index(number), port.get("name") or ""
        if name:
            check_name(errors, at.child("name"), name, dns_label)
            if name in names:
                errors.append(duplicate(at.child("name"), name))
            names.add(name)
        elif len(values) > 1:
            errors.append(required(at.child("name")))
        errors += (invalid(at.child("port"), port.get("port") or 0, p) for p in port_number(port.get("port") or 0))
        enum(errors, at.child("protocol"), port.get("protocol"), _PROTOCOLS)
        if port.get("targetPort"):
            port_number_or_name(errors, at.child("targetPort"), port["targetPort"])
        if port.get("appProtocol"):
            check_name(errors, at.child("appProtocol"), port["appProtocol"], qualified_name)
    if kind == "ClusterIP":
        for number, port in enumerate(values):
            if port.get("nodePort"):
                at = path.index(number).child("nodePort")
                errors.append(field_forbidden(at, "may not be used when `type` is 'ClusterIP'"))
    node_ports: set[tuple[str, int]] = set()
    ports: set[tuple[str, int]] = set()
    for number, port in enumerate(values):
        protocol = port.get("protocol") or "TCP"
        if port.get("nodePort"):
            if (protocol, port["nodePort"]) in node_ports:
                errors.append(duplicate(path.index(number).child("nodePort"), port["nodePort"]))
            node_ports.add((protocol, port["nodePort"]))
    for number, port in enumerate(values):
        protocol, own = port.get("protocol") or "TCP", port.get("port") or 0
        if (protocol, own) in ports:
            errors.append(duplicate(path.index(number), {"protocol": protocol, "port": own}))
        ports.add((protocol, own))


def _session_affinity(errors: Errors, spec: Mapping[str, Any]) -> None:
    affinity = spec.get("sessionAffinity", "None")
    enum(errors, SPEC.child("sessionAffinity"), affinity, ("ClientIP", "None"))
    path, config = SPEC.child("sessionAffinityConfig"), spec.get("sessionAffinityConfig")
    if affinity == "None":
        if config:
            errors.append(field_forbidden(path, "must not be set when session affinity is None"))
        return
    if affinity != "ClientIP" or not config:
        return
    seconds = (config.get("clientIP") or {}).get("timeoutSeconds")
    if seconds is not None and not 0 < seconds <= _DAY:
        why = f"must be greater than 0 and less than {_DAY}"
        errors.append(invalid(path.child("clientIP", "timeoutSeconds"), seconds, why))


def _cluster_ips(errors: Errors, spec: Mapping[str, Any], *, headless: bool) -> None:
    path, addresses = SPEC.child("clusterIPs"), spec.get("clusterIPs") or []
    first = spec.get("clusterIP") or ""
    if first and not addresses:
        errors.append(required(path))
    elif first and addresses[0] != first:
        errors.append(invalid(path, addresses, "first value must match `clusterIP`"))
    elif addresses and not first:
        errors.append(invalid(path, addresses, "must be empty when `clusterIP` is not specified"))
    families = spec.get("ipFamilies") or []
    for number, family in enumerate(families):
        at = SPEC.child("ipFamilies").index(number)
        if family not in ("IPv4", "IPv6"):
            errors.append(not_supported(at, family, ("IPv4", "IPv6")))
        if family in families[:number]:
            errors.append(duplicate(at, family))
    policies = ("PreferDualStack", "RequireDualStack", "SingleStack")
    enum(errors, SPEC.child("ipFamilyPolicy"), spec.get("ipFamilyPolicy"), policies)
    before = len(errors)
    for number, address in enumerate(addresses):
        if number == 0 and address == services.HEADLESS:
            if len(addresses) > 1:
                errors.append(invalid(path, addresses, "'None' must be the first and only value"))
            continue
        check_name(errors, path.index(number), address, ip)
    if len(addresses) > 2:
        errors.append(invalid(path, addresses, "may only hold up to 2 values"))
    if headless or len(errors) > before:
        return
    versions = [ipaddress.ip_address(address).version for address in addresses]
    if len(versions) == 2 and versions[0] == versions[1]:
        errors.append(invalid(path, addresses, "may specify no more than one IP for each IP family"))
    for number, (address, family) in enumerate(zip(addresses, families, strict=False)):
        if family != f"IPv{versions[number]}":
            why = f"expected an {family} value as indicated by `ipFamilies[{number}]`"
            errors.append(invalid(path.index(number), address, why))


def _load_balancer(errors: Errors, spec: Mapping[str, Any], kind: str) -> None:
    path = SPEC.child("LoadBalancerSourceRanges")
    ranges = spec.get("loadBalancerSourceRanges") or ()
    if ranges and kind != "LoadBalancer":
        errors.append(field_forbidden(path, _LOAD_BALANCER_ONLY))
    for number, text in enumerate(ranges):
        if not is_cidr(text.strip()):
            why = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
            errors.append(invalid(path.index(number), text.strip(), why))
    if kind != "LoadBalancer":
        for field in ("allocateLoadBalancerNodePorts", "loadBalancerClass"):
            if spec.get(field) is not None:
                errors.append(field_forbidden(SPEC.child(field), _LOAD_BALANCER_ONLY))
    elif spec.get("loadBalancerClass"):
        check_name(errors, SPEC.child("loadBalancerClass"), spec["loadBalancerClass"], qualified_name)


def is_externally_accessible(spec: Mapping[str, Any], kind: str) -> bool:
    return kind in ("LoadBalancer", "NodePort") or (kind == "ClusterIP" and bool(spec.get("externalIPs")))


def _traffic(errors: Errors, spec: Mapping[str, Any], kind: str) -> None:
    path, policy = SPEC.child("externalTrafficPolicy"), spec.get("externalTrafficPolicy") or ""
    if is_externally_accessible(spec, kind):
        enum(errors, path, policy, ("Cluster", "Local"))
    elif policy:
        errors.append(invalid(path, policy, "may only be set for externally-accessible services"))
    path, port = SPEC.child("healthCheckNodePort"), spec.get("healthCheckNodePort") or 0
    if port:
        if kind == "LoadBalancer" and policy == "Local":
            errors += (invalid(path, port, problem) for problem in port_number(port))
        else:
            why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
            errors.append(invalid(path, port, why))
    enum(errors, SPEC.child("internalTrafficPolicy"), spec.get("internalTrafficPolicy"), ("Cluster", "Local"))
    enum(errors, SPEC.child("trafficDistribution"), spec.get("trafficDistribution"), _DISTRIBUTIONS)


def validate_service_update(new: ROObj, old: ROObj) -> Errors:
    """What an update of a Service may not change: its addresses and families, once they are set."""
    errors: Errors = []
    after, before = new.get("spec") or {}, old.get("spec") or {}
    kinds = services.type_of(new), services.type_of(old)
    load_balancer_class = after.get("loadBalancerClass")
    if kinds == ("LoadBalancer", "LoadBalancer") and load_balancer_class != before.get("loadBalancerClass"):
        errors.append(invalid(SPEC.child("loadBalancerClass"), load_balancer_class, "may not change once set"))
    if "ExternalName" in kinds:
        return errors
    if services.is_headless(new) and services.is_headless(old):
        return errors
    _kept(errors, "clusterIPs", "clusterIP", after, before)
    if services.is_headless(new) == services.is_headless(old):
        _kept(errors, "ipFamilies", "ipFamily", after, before)
    return errors


def _kept(errors: Errors, field: str, shown: str, after: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    path, new, old = SPEC.child(field), after.get(field) or [], before.get(field) or []
    if not old:
        return
    if not new:
        errors.append(invalid(path.index(0), new, f"primary {shown} can not be unset"))
    elif new[0] != old[0]:
        errors.append(invalid(path.index(0), new, "may not change once set"))
    elif len(new) == len(old) == 2 and new[1] != old[1]:
        errors.append(invalid(path.index(1), new, "may not change once set"))
    if len(old) == 2 and len(new) == 1 and after.get("ipFamilyPolicy") != "SingleStack":
        why = f"must be set to 'SingleStack' when releasing the secondary {shown}"
        errors.append(invalid(SPEC.child("ipFamilyPolicy"), after.get("ipFamilyPolicy"), why))


def non_special_ip(errors: Errors, path: Path, text: str) -> None:
    """Not an address that only means something on one machine or link (ValidateNonSpecialIP)."""
    address = ipaddress.ip_address(text)
    if address.is_unspecified:
        errors.append(invalid(path, text, "may not be unspecified (0.0.0.0 or ::)"))
    if address.is_loopback:
        errors.append(invalid(path, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)"))
    if address.is_link_local:
        errors.append(invalid(path, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"))
    if address.is_multicast and (
        address in ipaddress.ip_network("224.0.0.0/24") if address.version == 4 else text.lower().startswith("ff02")
    ):
        errors.append(invalid(path, text, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"))
