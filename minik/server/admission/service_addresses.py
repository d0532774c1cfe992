"""Cluster addresses and node ports of Services: given on create and on a change of type.

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
_SINGLE, _DUAL = "SingleStack", "RequireDualStack"


def _applies(attributes: Attributes) -> bool:
    return attributes.kind.resource == "services" and not attributes.subresource and attributes.verb != "delete"


def admit_service_fields(_core: Core, draft: Obj, attributes: Attributes) -> None:
    """The address family, and clusterIP and clusterIPs as one. What an update keeps and drops is the kind's (`prepare_update`)."""
    if not _applies(attributes):
        return
    spec = draft.get("spec")
    if not isinstance(spec, dict):
        return
    if spec.get("type") == "ExternalName":
        return
    if spec.get("clusterIP") and not spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]
    elif spec.get("clusterIPs") and not spec.get("clusterIP") and attributes.old is None:
        spec["clusterIP"] = spec["clusterIPs"][0]
    _families(spec, (attributes.old or {}).get("spec") or {})


def _families(spec: Obj, old: Mapping[str, Any]) -> None:
    """Upstream's initIPFamilyFields on a cluster of IPv4. A headless Service without a selector has whatever its endpoints have."""
    if spec.get("ipFamilyPolicy") is None:
        spec["ipFamilyPolicy"] = old.get("ipFamilyPolicy") or (_DUAL if _is_free(spec) else _SINGLE)
    families = spec.get("ipFamilies") or ["IPv4"]
    if spec["ipFamilyPolicy"] == _SINGLE:
        if families == old.get("ipFamilies"):  # so the policy is what was changed
            families = families[:1]
    elif _is_free(spec) and len(families) == 1:
        families = [*families, "IPv6" if families == ["IPv4"] else "IPv4"]
    spec["ipFamilies"] = families


def _is_free(spec: Mapping[str, Any]) -> bool:
    """Headless and without a selector."""
    return spec.get("clusterIP") == services.HEADLESS and not spec.get("selector")


def _unserved(spec: Mapping[str, Any]) -> list[FieldError]:
    """What is asked for and not to be had in this cluster."""
    if _is_free(spec):
        return []
    found = []
    if spec.get("ipFamilyPolicy") == _DUAL:
        why = "this cluster is not configured for dual-stack services"
        found.append(errors.invalid(_SPEC.child("ipFamilyPolicy"), _DUAL, why))
    found += (
        errors.invalid(_SPEC.child("ipFamilies").index(number), family, "not configured on this cluster")
        for number, family in enumerate(spec.get("ipFamilies") or ())
        if family != "IPv4"
    )
    return found


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
        found += _unserved(spec) or _address(core, spec, old, attributes)
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
