"""Cluster addresses and node ports of Services: given on create and on a change of type, carried over by other updates.

`admit_service_fields` runs before validation and fills in what an update may leave out; `admit_service_addresses` runs after it and
reserves. Source: kubernetes `pkg/registry/core/service/{strategy.go,storage/alloc.go}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik.api import errors
from minik.api.core_v1 import services
from minik.api.errors import FieldError, Path
from minik.api.meta import Obj
from minik.server.core import Attributes, Core

_SPEC = Path("spec")


def _applies(attributes: Attributes) -> bool:
    return attributes.kind.resource == "services" and not attributes.subresource and attributes.verb != "delete"


def admit_service_fields(_core: Core, draft: Obj, attributes: Attributes) -> None:
    """Carry allocated values over an update, drop those that the new type has no use for, mirror clusterIP and clusterIPs."""
    if not _applies(attributes):
        return
    spec = draft.get("spec")
    if not isinstance(spec, dict):
        return
    old = (attributes.old or {}).get("spec")
    if old is not None:
        _carry(spec, old)
        _drop(spec, old)
    if spec.get("type") == "ExternalName":
        return
    if spec.get("clusterIP") and not spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]
    elif spec.get("clusterIPs") and not spec.get("clusterIP") and old is None:
        spec["clusterIP"] = spec["clusterIPs"][0]
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    if not spec.get("ipFamilies"):
        spec["ipFamilies"] = ["IPv4"]


def _carry(spec: Obj, old: Mapping[str, Any]) -> None:
    """patchAllocatedValues."""
    kind, before = spec.get("type"), old.get("type")
    if kind != "ExternalName" and before != "ExternalName":
        if not spec.get("clusterIP") and not spec.get("clusterIPs"):
            for name in ("clusterIP", "clusterIPs"):
                if name in old:
                    spec[name] = list(old[name]) if isinstance(old[name], list) else old[name]
        for name in ("ipFamilies", "ipFamilyPolicy"):
            if not spec.get(name) and old.get(name):
                spec[name] = old[name]
    if kind in ("NodePort", "LoadBalancer") and before in ("NodePort", "LoadBalancer"):
        known = {(p.get("protocol", "TCP"), p.get("port")): p.get("nodePort") for p in old.get("ports") or ()}
        taken = {p.get("nodePort") for p in spec.get("ports") or ()}
        for port in spec.get("ports") or ():
            number = known.get((port.get("protocol", "TCP"), port.get("port")))
            if not port.get("nodePort") and number and number not in taken:
                port["nodePort"] = number
    if _needs_health_port(spec) and not spec.get("healthCheckNodePort") and old.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = old["healthCheckNodePort"]


def _drop(spec: Obj, old: Mapping[str, Any]) -> None:
    """dropTypeDependentFields: what the old type needed and the client merely sent back."""
    kind, before = spec.get("type"), old.get("type")
    if kind == "ExternalName" and before != "ExternalName":
        for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if spec.get(name) == old.get(name):
                spec.pop(name, None)
    if before in ("NodePort", "LoadBalancer") and kind not in ("NodePort", "LoadBalancer"):
        sent = [p.get("nodePort") for p in spec.get("ports") or ()]
        if sent == [p.get("nodePort") for p in old.get("ports") or ()] or not any(sent):
            for port in spec.get("ports") or ():
                port.pop("nodePort", None)
        spec.pop("externalTrafficPolicy", None)
    if not _needs_health_port(spec) and spec.get("healthCheckNodePort") == old.get("healthCheckNodePort"):
        spec.pop("healthCheckNodePort", None)
    if kind != "LoadBalancer" and before == "LoadBalancer":
        spec.pop("allocateLoadBalancerNodePorts", None)


def _needs_health_port(spec: Mapping[str, Any]) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def admit_service_addresses(core: Core, draft: Obj, attributes: Attributes) -> None:
    """Reserve what the Service needs and does not have. Raises Invalid if it asks for what is taken."""
    if not _applies(attributes):
        return
    spec = draft.get("spec")
    if not isinstance(spec, dict):
        return
    old = (attributes.old or {}).get("spec") or {}
    found: list[FieldError] = []
    if spec.get("type") != "ExternalName":
        found += _address(core, spec, old, attributes)
    if services.wants_node_ports(draft):
        found += _node_ports(core, spec, old, attributes)
    if _needs_health_port(spec) and not spec.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = core.addresses.any_port("TCP", attributes.done)
    elif spec.get("healthCheckNodePort") and spec["healthCheckNodePort"] != old.get("healthCheckNodePort"):
        why = core.addresses.take_port("TCP", spec["healthCheckNodePort"], attributes.done)
        if why:
            found.append(errors.invalid(_SPEC.child("healthCheckNodePort"), spec["healthCheckNodePort"], why))
    if found:
        raise errors.invalid_object(group="", kind="Service", name=attributes.name, errors=found)


def _address(core: Core, spec: Obj, old: Mapping[str, Any], attributes: Attributes) -> list[FieldError]:
    ip = spec.get("clusterIP")
    if ip == services.HEADLESS or (ip and ip == old.get("clusterIP")):
        return []
    if ip:
        why = core.addresses.take_ip(ip, attributes.done)
        if why:
            text = f"failed to allocate IP {ip}: {why}"
            return [errors.invalid(_SPEC.child("clusterIPs"), spec.get("clusterIPs"), text)]
        return []
    ip = core.addresses.any_ip(attributes.done)
    if not ip:
        raise errors.InternalError("failed to allocate a serviceIP: range is full")
    spec["clusterIP"] = ip
    spec["clusterIPs"] = [ip]
    return []


def _node_ports(core: Core, spec: Obj, old: Mapping[str, Any], attributes: Attributes) -> list[FieldError]:
    found: list[FieldError] = []
    had = {(p.get("protocol", "TCP"), p.get("nodePort")) for p in old.get("ports") or ()}
    mine: dict[int, set[str]] = {}
    wanting = []
    for number, port in enumerate(spec.get("ports") or ()):
        protocol, asked = port.get("protocol", "TCP"), port.get("nodePort")
        if not asked:
            wanting.append(port)
            continue
        if (protocol, asked) not in had and protocol not in mine.get(asked, ()):
            why = core.addresses.take_port(protocol, asked, attributes.done)
            if why:
                found.append(errors.invalid(_SPEC.child("ports").index(number).child("nodePort"), asked, why))
        mine.setdefault(asked, set()).add(protocol)
    for port in [] if found else wanting:
        protocol = port.get("protocol", "TCP")
        shared = next(
            (p["nodePort"] for p in spec["ports"] if p.get("port") == port.get("port") and p.get("nodePort")), 0
        )
        if shared and not core.addresses.take_port(protocol, shared, attributes.done):
            port["nodePort"] = shared  # the same number for TCP and UDP of one port, as upstream
            continue
        port["nodePort"] = core.addresses.any_port(protocol, attributes.done)
        if not port["nodePort"]:
            raise errors.InternalError("failed to allocate a nodePort: range is full")
    return found
