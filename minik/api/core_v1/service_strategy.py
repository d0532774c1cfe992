"""What the API server does to a Service before it is checked: defaults, addresses that belong together, values that stay allocated.

Addresses and node ports themselves are allocated by the server's admission, which runs after these. Rules: kubernetes
`pkg/apis/core/v1/defaults.go` and `pkg/registry/core/service/{strategy,storage/storage}.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik.api.core_v1 import services
from minik.api.meta import Obj, ROObj

_CLIENT_IP_SECONDS = 10800


def default_service(service: Obj) -> None:
    """Defaults that depend on type, affinity and ports."""
    spec = service.get("spec")
    if spec is None:
        return
    affinity = spec.setdefault("sessionAffinity", "None")
    if affinity == "None":
        spec.pop("sessionAffinityConfig", None)
    elif affinity == "ClientIP":
        config = spec.get("sessionAffinityConfig") or {}
        if (config.get("clientIP") or {}).get("timeoutSeconds") is None:
            spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": _CLIENT_IP_SECONDS}}
    kind = spec.setdefault("type", "ClusterIP")
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        if not port.get("targetPort") and port.get("port"):
            port["targetPort"] = port["port"]
    if _externally_accessible(spec, kind) and not spec.get("externalTrafficPolicy"):
        spec["externalTrafficPolicy"] = "Cluster"
    if spec.get("internalTrafficPolicy") is None and kind in ("ClusterIP", "NodePort", "LoadBalancer"):
        spec["internalTrafficPolicy"] = "Cluster"
    if kind == "LoadBalancer":
        if spec.get("allocateLoadBalancerNodePorts") is None:
            spec["allocateLoadBalancerNodePorts"] = True
        default_status(service)


def default_status(service: Obj) -> None:
    """Where packets for the addresses of a load balancer are meant to arrive."""
    if (service.get("spec") or {}).get("type") != "LoadBalancer":
        return
    balancer = (service.get("status") or {}).get("loadBalancer") or {}
    for ingress in balancer.get("ingress") or ():
        if ingress.get("ip") and ingress.get("ipMode") is None:
            ingress["ipMode"] = "VIP"


def _externally_accessible(spec: Mapping[str, Any], kind: str) -> bool:
    return kind in ("LoadBalancer", "NodePort") or (kind == "ClusterIP" and bool(spec.get("externalIPs")))


def prepare_create(service: Obj) -> None:
    service["status"] = {"loadBalancer": {}}
    spec = service.get("spec") or {}
    if spec.get("clusterIP") and not spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]


def prepare_update(service: Obj, old: ROObj) -> None:
    """Keep what the client left out but has (so that a plain PUT of a manifest works), drop what the new type has no use for."""
    spec, before = service.get("spec") or {}, old.get("spec") or {}
    _keep_allocated(spec, before, services.type_of(service), services.type_of(old))
    _match_cluster_ips(spec, before)
    _drop_of_type(spec, before, services.type_of(service), services.type_of(old))


def _needs_cluster_ip(kind: str) -> bool:
    return kind in ("ClusterIP", "NodePort", "LoadBalancer")


def _needs_node_port(spec: Mapping[str, Any], kind: str) -> bool:
    return kind == "NodePort" or (kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is not False)


def _needs_health_check(spec: Mapping[str, Any], kind: str) -> bool:
    return kind == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def _keep_allocated(spec: Obj, before: Mapping[str, Any], kind: str, old_kind: str) -> None:
    if _needs_cluster_ip(kind) and _needs_cluster_ip(old_kind):
        if not spec.get("clusterIP") and before.get("clusterIP"):
            spec["clusterIP"] = before["clusterIP"]
        if not spec.get("clusterIPs") and spec.get("clusterIP") == before.get("clusterIP") and before.get("clusterIPs"):
            spec["clusterIPs"] = list(before["clusterIPs"])
        for field in ("ipFamilies", "ipFamilyPolicy"):
            if not spec.get(field) and before.get(field) and spec.get("clusterIP") == before.get("clusterIP"):
                spec[field] = list(before[field]) if isinstance(before[field], (list, tuple)) else before[field]
    if _needs_node_port(spec, kind) and _needs_node_port(before, old_kind):
        taken = {
            (port.get("protocol", "TCP"), port.get("port")): port["nodePort"]
            for port in before.get("ports") or ()
            if port.get("nodePort")
        }
        asked = {port.get("nodePort") for port in spec.get("ports") or ()}
        for port in spec.get("ports") or ():
            known = taken.get((port.get("protocol", "TCP"), port.get("port")))
            if not port.get("nodePort") and known and known not in asked:
                port["nodePort"] = known
    checked = _needs_health_check(spec, kind) and _needs_health_check(before, old_kind)
    if checked and not spec.get("healthCheckNodePort") and before.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = before["healthCheckNodePort"]


def _match_cluster_ips(spec: Obj, before: Mapping[str, Any]) -> None:
    """`clusterIP` and `clusterIPs[0]` are one field in two places: the one that was changed wins (NormalizeClusterIPs)."""
    one, many = spec.get("clusterIP") or "", list(spec.get("clusterIPs") or ())
    old_one, old_many = before.get("clusterIP") or "", list(before.get("clusterIPs") or ())
    if one and not many:
        spec["clusterIPs"] = [one]
    elif one != old_one and many == old_many:
        if one:
            spec["clusterIPs"] = [one, *many[1:]]
        else:
            spec.pop("clusterIPs", None)
    elif one == old_one and many != old_many and one and many:
        spec["clusterIP"] = many[0]


def _drop_of_type(spec: Obj, before: Mapping[str, Any], kind: str, old_kind: str) -> None:
    """Values that the old type needed, the new one does not, and the client did not touch (dropTypeDependentFields)."""
    unclustered = _needs_cluster_ip(old_kind) and not _needs_cluster_ip(kind)
    if unclustered and spec.get("clusterIP") == before.get("clusterIP"):
        for field in ("clusterIP", "clusterIPs"):
            spec.pop(field, None)
    if _needs_node_port(before, old_kind) and not _needs_node_port(spec, kind):
        old_ports = {port["nodePort"] for port in before.get("ports") or () if port.get("nodePort")}
        new_ports = {port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")}
        if new_ports <= old_ports:
            for port in spec.get("ports") or ():
                port.pop("nodePort", None)
    useless: list[str] = []
    if _needs_health_check(before, old_kind) and not _needs_health_check(spec, kind):
        useless.append("healthCheckNodePort")
    if old_kind == "LoadBalancer" != kind:
        useless += ("allocateLoadBalancerNodePorts", "loadBalancerClass")
    if _externally_accessible(before, old_kind) and not _externally_accessible(spec, kind):
        useless.append("externalTrafficPolicy")
    if unclustered:
        useless += ("internalTrafficPolicy", "ipFamilies", "ipFamilyPolicy")
    for field in useless:
        if spec.get(field) == before.get(field):
            spec.pop(field, None)
