"""What a node does with the traffic of a Service: from Services and EndpointSlices to frontends. Pure.

`proxy.py` keeps the frontends up to date; `ruleset.py` makes nftables text of them for `apply.py`, and `userspace.py` does without. The
rules are kube-proxy's (`pkg/proxy/topology.go`, `serviceport.go`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from minik.api import meta
from minik.api.core_v1 import services
from minik.api.meta import ROObj

Table = Literal["svc", "svcx", "nport", "nportx"]
Verdict = Literal["dnat", "reject", "drop"]
PROTOCOLS = ("tcp", "udp", "sctp")


class Target(NamedTuple):
    address: str
    port: int


class Point(NamedTuple):
    """Where clients send to. `address` "" for every address of the node (tables `nport` and `nportx`)."""

    table: Table
    address: str
    protocol: str
    port: int


@dataclass(frozen=True, slots=True)
class Frontend:
    """What becomes of what is sent to `point`. `sticky`: a client's connections go to one target. `keep_source`: targets see
    the client's address even if it lies outside of the cluster. `sources`: the networks of the clients that may come; None: all."""

    point: Point
    targets: tuple[Target, ...] = ()
    verdict: Verdict = "dnat"
    sticky: bool = False
    keep_source: bool = False
    sources: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class NodeView:
    """The node whose rules these are. `local_dns`: the address that the node's own DNS server answers while no Service has
    endpoints for it."""

    name: str
    pod_cidr: str
    cluster_cidr: str
    service_cidr: str
    local_dns: str = ""
    zone: str = ""


@dataclass(frozen=True, slots=True)
class HostPort:
    """A container's `hostPort`. `host_ip` "" for every address of the node."""

    protocol: str
    port: int
    target: Target
    host_ip: str = ""


# --- services → frontends --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Endpoint:
    target: Target
    node: str
    ready: bool
    last_resort: bool
    """Terminating, but still serving."""
    for_zones: frozenset[str] = frozenset()
    for_nodes: frozenset[str] = frozenset()


def _endpoints(slices: Iterable[ROObj], port: Mapping[str, Any]) -> list[_Endpoint]:
    """The IPv4 endpoints of one port of a service, each target once, in an order that does not depend on that of the slices."""
    name, protocol = port.get("name") or "", port.get("protocol") or "TCP"
    found: dict[Target, _Endpoint] = {}
    for slice_ in slices:
        if (slice_.get("addressType") or "IPv4") != "IPv4":
            continue
        for row in slice_.get("ports") or ():
            number = row.get("port")
            if number is None or (row.get("name") or "") != name or (row.get("protocol") or "TCP") != protocol:
                continue
            for endpoint in slice_.get("endpoints") or ():
                one = _endpoint(endpoint, number)
                if one is not None and (one.target not in found or one.ready):
                    found[one.target] = one
    return [found[target] for target in sorted(found)]


def _endpoint(endpoint: Mapping[str, Any], port: int) -> _Endpoint | None:
    addresses = endpoint.get("addresses") or ()
    if not addresses:
        return None
    conditions = endpoint.get("conditions") or {}
    ready = conditions.get("ready") is not False
    serving = conditions.get("serving")
    terminating = bool(conditions.get("terminating"))
    last_resort = terminating and (serving if serving is not None else ready)
    hints = endpoint.get("hints") or {}
    for_zones, for_nodes = (
        frozenset(row.get("name") or "" for row in hints.get(field) or ()) for field in ("forZones", "forNodes")
    )
    return _Endpoint(
        Target(addresses[0], port), endpoint.get("nodeName") or "", ready, last_resort, for_zones, for_nodes
    )


def _near(endpoints: Sequence[_Endpoint], node: NodeView) -> Sequence[_Endpoint]:
    """Those meant for this node, else those meant for its zone, else all: hints count only if every ready endpoint has some
    (topologyModeFromHints)."""
    ready = [e for e in endpoints if e.ready]
    if all(e.for_nodes for e in ready) and (mine := [e for e in ready if node.name in e.for_nodes]):
        return mine
    if all(e.for_zones for e in ready) and (mine := [e for e in ready if node.zone in e.for_zones]):
        return mine
    return endpoints


def _usable(endpoints: Sequence[_Endpoint]) -> tuple[Target, ...]:
    """The ready ones; if there are none, those which terminate but still serve (KEP-1669)."""
    ready = tuple(e.target for e in endpoints if e.ready)
    return ready or tuple(e.target for e in endpoints if e.last_resort)


def service_frontends(service: ROObj, slices: Iterable[ROObj], node: NodeView) -> list[Frontend]:
    """All of one Service. Headless ones and those of type ExternalName have none."""
    if not services.has_cluster_ip(service) or _is_foreign(service):
        return []
    spec = service["spec"]
    slices = list(slices)
    sticky = spec.get("sessionAffinity") == "ClientIP"
    internal_local = spec.get("internalTrafficPolicy") == "Local"
    external_local = spec.get("externalTrafficPolicy") == "Local"
    outside = _outside_addresses(service)
    cluster_ips = [ip for ip in spec.get("clusterIPs") or [spec["clusterIP"]] if _is_ipv4(ip)]
    found: list[Frontend] = []
    for port in spec.get("ports") or ():
        protocol = (port.get("protocol") or "TCP").lower()
        if protocol not in PROTOCOLS:
            continue
        endpoints = _endpoints(slices, port)
        everywhere = _usable(_near(endpoints, node))
        here = _usable([e for e in endpoints if e.node == node.name]) if internal_local or external_local else ()
        inside = here if internal_local else everywhere

        def add(table: Table, address: str, number: int, targets: tuple[Target, ...], *, known: bool, keep: bool = False,
                sources: tuple[str, ...] | None = None, protocol: str = protocol) -> None:  # fmt: skip
            verdict: Verdict = "dnat" if targets else "drop" if known else "reject"
            found.append(Frontend(Point(table, address, protocol, number), targets, verdict, sticky, keep, sources))

        for address in cluster_ips:
            add("svc", address, port["port"], inside, known=bool(everywhere))
        for address, sources in outside.items():
            add("svc", address, port["port"], everywhere, known=False, sources=sources)
            if external_local and everywhere:
                add("svcx", address, port["port"], here, known=True, keep=True, sources=sources)
        if port.get("nodePort"):
            add("nport", "", port["nodePort"], everywhere, known=False)
            if external_local and everywhere:
                add("nportx", "", port["nodePort"], here, known=True, keep=True)
    return [f for f in found if not _needs_no_rule(f, node)]


def _is_foreign(service: ROObj) -> bool:
    """Another proxy looks after it (the label kube-proxy respects)."""
    return "service.kubernetes.io/service-proxy-name" in meta.labels(service)


def _outside_addresses(service: ROObj) -> dict[str, tuple[str, ...] | None]:
    """External addresses, and those a load balancer gave which reach the node unchanged; each with who may come (see `Frontend`)."""
    found: dict[str, tuple[str, ...] | None] = dict.fromkeys(service["spec"].get("externalIPs") or ())
    status = (service.get("status") or {}).get("loadBalancer") or {}
    sources = _source_ranges(service)
    for row in status.get("ingress") or ():
        if row.get("ip") and row.get("ipMode", "VIP") == "VIP":
            found[row["ip"]] = sources
    return {ip: sources for ip, sources in found.items() if _is_ipv4(ip)}


def _source_ranges(service: ROObj) -> tuple[str, ...] | None:
    """`loadBalancerSourceRanges`, as networks that do not overlap; None if everybody may come."""
    spec = service["spec"]
    if services.type_of(service) != "LoadBalancer" or not spec.get("loadBalancerSourceRanges"):
        return None
    networks = [ipaddress.ip_network(text.strip(), strict=False) for text in spec["loadBalancerSourceRanges"]]
    given = ipaddress.collapse_addresses(n for n in networks if isinstance(n, ipaddress.IPv4Network))
    found = tuple(str(network) for network in given)
    return None if found == ("0.0.0.0/0",) else found


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def _needs_no_rule(frontend: Frontend, node: NodeView) -> bool:
    """Nobody listens there, or all of the service CIDR is refused, or the node answers itself."""
    if frontend.verdict != "reject":
        return False
    point = frontend.point
    if point.table == "nport" or point.address == node.local_dns:
        return True
    return ipaddress.IPv4Address(point.address) in ipaddress.IPv4Network(node.service_cidr)


def host_port_frontends(ports: Iterable[HostPort]) -> list[Frontend]:
    """The host ports of one pod."""
    return [
        Frontend(
            Point("svc" if port.host_ip else "nport", port.host_ip, port.protocol.lower(), port.port),
            (port.target,),
            keep_source=True,
        )
        for port in ports
        if not port.host_ip or (_is_ipv4(port.host_ip) and not ipaddress.IPv4Address(port.host_ip).is_loopback)
    ]
