"""Reading Services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.api.meta import ROObj

HEADLESS = "None"


def type_of(service: ROObj) -> str:
    return (service.get("spec") or {}).get("type") or "ClusterIP"


def cluster_ip(service: ROObj) -> str:
    """Its first cluster address; "None" for a headless one, "" for none yet."""
    return (service.get("spec") or {}).get("clusterIP") or ""


def cluster_ips(service: ROObj) -> list[str]:
    """All its cluster addresses; none for a headless one."""
    spec = service.get("spec") or {}
    return [ip for ip in spec.get("clusterIPs") or [spec.get("clusterIP")] if ip and ip != HEADLESS]


def has_cluster_ip(service: ROObj) -> bool:
    return type_of(service) != "ExternalName" and cluster_ip(service) not in ("", HEADLESS)


def is_headless(service: ROObj) -> bool:
    return cluster_ip(service) == HEADLESS


def ports(service: ROObj) -> Sequence[Mapping[str, Any]]:
    return (service.get("spec") or {}).get("ports") or ()


def selector(service: ROObj) -> Mapping[str, str]:
    """An empty one selects nothing: somebody else manages its endpoints."""
    return (service.get("spec") or {}).get("selector") or {}


def wants_node_ports(service: ROObj) -> bool:
    """Whether its ports are open on the nodes."""
    kind = type_of(service)
    spec = service.get("spec") or {}
    return kind == "NodePort" or (kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is not False)
