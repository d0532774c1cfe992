"""What a node does with the traffic of a Service: from Services and EndpointSlices to frontends, and from those to nftables text.

Pure. `proxy.py` keeps the frontends up to date, `apply.py` and `userspace.py` act on them. The rules are kube-proxy's
(`pkg/proxy/topology.go`, `serviceport.go`); the shape is minik's: no chain per service but global maps,

    svc       address . protocol . port    → goto the chain for N endpoints
    ep-tcp    address . port . i           → endpoint i (and ep-udp, ep-sctp)
    nport, nep-…                           the same for node ports and host ports, without an address
    svcx, epx-…, nportx, nepx-…            the same for clients outside of the cluster, where they are treated differently
    noep      address . protocol . port    refused: an address outside of the service CIDR whose service has no endpoints

so that one service more is two map entries more, and a change is a transaction of a few elements. A service address without
endpoints needs no rule: whatever is still addressed to the service CIDR when it would be forwarded is refused.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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
    the client's address even if it lies outside of the cluster."""

    point: Point
    targets: tuple[Target, ...] = ()
    verdict: Verdict = "dnat"
    sticky: bool = False
    keep_source: bool = False


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
                protocol: str = protocol) -> None:  # fmt: skip
            verdict: Verdict = "dnat" if targets else "drop" if known else "reject"
            found.append(Frontend(Point(table, address, protocol, number), targets, verdict, sticky, keep))

        for address in cluster_ips:
            add("svc", address, port["port"], inside, known=bool(everywhere))
        for address in outside:
            add("svc", address, port["port"], everywhere, known=False)
            if external_local and everywhere:
                add("svcx", address, port["port"], here, known=True, keep=True)
        if port.get("nodePort"):
            add("nport", "", port["nodePort"], everywhere, known=False)
            if external_local and everywhere:
                add("nportx", "", port["nodePort"], here, known=True, keep=True)
    return [f for f in found if not _needs_no_rule(f, node)]


def _is_foreign(service: ROObj) -> bool:
    """Another proxy looks after it (the label kube-proxy respects)."""
    return "service.kubernetes.io/service-proxy-name" in meta.labels(service)


def _outside_addresses(service: ROObj) -> list[str]:
    """External addresses, and those a load balancer gave which reach the node unchanged."""
    given = list((service["spec"]).get("externalIPs") or ())
    status = (service.get("status") or {}).get("loadBalancer") or {}
    given += [row["ip"] for row in status.get("ingress") or () if row.get("ip") and row.get("ipMode", "VIP") == "VIP"]
    return [ip for ip in dict.fromkeys(given) if _is_ipv4(ip)]


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


# --- frontends → nftables --------------------------------------------------------------------------------------------------

TABLE = "ip minik"
MARK = "0x4000"
_HAIRPIN_LIMIT = 1024
_ENDPOINTS_OF: Mapping[Table, str] = {"svc": "ep", "svcx": "epx", "nport": "nep", "nportx": "nepx"}
_CHUNK = 2000


@dataclass(frozen=True, slots=True)
class Chain:
    """The chain for the ports of one table and protocol with `count` endpoints."""

    table: Table
    protocol: str
    count: int
    sticky: bool
    keep_source: bool

    @property
    def name(self) -> str:
        kind = f"{'sticky' if self.sticky else 'any'}{'-keep' if self.keep_source else ''}"
        return f"{self.table}-{self.protocol}-{kind}-{self.count}"

    def body(self, node: NodeView) -> str:
        """Its rules: mark what must be masqueraded, choose an endpoint by the key."""
        choose = f"jhash ip saddr mod {self.count} seed 1" if self.sticky else f"numgen random mod {self.count}"
        mark = "" if self.keep_source else f"ip saddr != {node.cluster_cidr} meta mark set meta mark or {MARK}; "
        key = f"{_key_of(self.table, self.protocol)} . {choose}"
        return f"{mark}dnat ip addr . port to {key} map @{_endpoints_of(self.table, self.protocol)};"


def _endpoints_of(table: Table, protocol: str) -> str:
    return f"{_ENDPOINTS_OF[table]}-{protocol}"


def _key_of(table: Table, protocol: str) -> str:
    return f"{protocol} dport" if table in ("nport", "nportx") else f"ip daddr . {protocol} dport"


@dataclass(frozen=True, slots=True)
class Ruleset:
    """Map or set name → its elements (key → value, "" in sets), and the chains they go to."""

    elements: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    chains: frozenset[Chain] = frozenset()


def render(frontends: Iterable[Frontend]) -> Ruleset:
    """The elements and chains of `frontends`, whose points are all different."""
    elements: dict[str, dict[str, str]] = {}
    chains: set[Chain] = set()
    for frontend in frontends:
        table, address, protocol, port = frontend.point
        key = f"{address} . {protocol} . {port}" if address else f"{protocol} . {port}"
        if frontend.verdict == "reject":
            elements.setdefault("noep", {})[key] = ""
            continue
        if frontend.verdict == "drop":
            elements.setdefault(table, {})[key] = "drop"
            continue
        chain = Chain(table, protocol, len(frontend.targets), frontend.sticky, frontend.keep_source)
        chains.add(chain)
        elements.setdefault(table, {})[key] = f"goto {chain.name}"
        of = elements.setdefault(_endpoints_of(table, protocol), {})
        prefix = f"{address} . {port}" if address else str(port)
        for index, target in enumerate(frontend.targets):
            of[f"{prefix} . {index}"] = f"{target.address} . {target.port}"
    return Ruleset(elements, frozenset(chains))


def desired(all_services: Iterable[tuple[ROObj, Iterable[ROObj]]], node: NodeView) -> Ruleset:
    """The rules of all services, each with its EndpointSlices. Of two that claim one point the first has it."""
    points: dict[Point, Frontend] = {}
    for service, slices in all_services:
        for frontend in service_frontends(service, slices, node):
            points.setdefault(frontend.point, frontend)
    return render(points.values())


def diff(old: Ruleset, new: Ruleset, node: NodeView) -> str:
    """The commands that turn `old` into `new`; "" for none. Chains are only added: an unused one costs nothing."""
    lines = [f"add chain {TABLE} {chain.name} {{ {chain.body(node)} }}" for chain in _sorted(new.chains - old.chains)]
    names = sorted({*old.elements, *new.elements})
    nothing: Mapping[str, str] = {}
    for name in names:
        before, after = old.elements.get(name, nothing), new.elements.get(name, nothing)
        gone = [key for key, value in before.items() if after.get(key) != value]
        lines += _in_chunks(f"delete element {TABLE} {name}", gone)
    for name in names:
        before, after = old.elements.get(name, nothing), new.elements.get(name, nothing)
        come = [f"{key} : {value}" if value else key for key, value in after.items() if before.get(key) != value]
        lines += _in_chunks(f"add element {TABLE} {name}", come)
    return "".join(f"{line}\n" for line in lines)


def _in_chunks(command: str, items: Sequence[str]) -> list[str]:
    return [f"{command} {{ {', '.join(items[at : at + _CHUNK])} }}" for at in range(0, len(items), _CHUNK)]


def _sorted(chains: Iterable[Chain]) -> list[Chain]:
    return sorted(chains, key=lambda chain: chain.name)


def full(new: Ruleset, node: NodeView) -> str:
    """The commands that make the whole table anew, in the place of whatever there is, in one transaction."""
    return f"table {TABLE} {{}}\ndelete table {TABLE}\n{_skeleton(node)}{diff(Ruleset(), new, node)}"


def _skeleton(node: NodeView) -> str:
    key = "ip daddr . meta l4proto . th dport"
    own = ipaddress.IPv4Network(node.pod_cidr)
    # A pod that reaches itself through a service must see another address than its own, or it answers itself directly.
    pods = own.hosts() if own.num_addresses <= _HAIRPIN_LIMIT else ()
    hairpin = ", ".join(f"{ip} . {ip}" for ip in pods)
    # A map for each protocol: nft 1.0 cannot read back a map whose type says `th dport`.
    maps = "\n".join(
        f"  map {_endpoints_of(table, protocol)} "
        f"{{ typeof {_key_of(table, protocol)} . numgen random mod 65536 : ip daddr . {protocol} dport; }}"
        for table in _ENDPOINTS_OF
        for protocol in PROTOCOLS
    )
    return f"""table {TABLE} {{
  map svc {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
  map svcx {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
  map nport {{ type inet_proto . inet_service : verdict; }}
  map nportx {{ type inet_proto . inet_service : verdict; }}
{maps}
  set noep {{ type ipv4_addr . inet_proto . inet_service; }}
  set hairpin {{ type ipv4_addr . ipv4_addr; {f"elements = {{ {hairpin} }};" if hairpin else ""} }}

  chain services {{
    {key} vmap @svc
    ip daddr != 127.0.0.0/8 fib daddr type local meta l4proto . th dport vmap @nport
  }}
  chain outside {{
    {key} vmap @svcx
    ip daddr != 127.0.0.0/8 fib daddr type local meta l4proto . th dport vmap @nportx
  }}
  chain arriving {{
    type nat hook prerouting priority dstnat; policy accept;
    ip saddr != {node.cluster_cidr} jump outside
    jump services
  }}
  chain sending {{
    type nat hook output priority -100; policy accept;
    jump services
  }}
  chain leaving {{
    type nat hook postrouting priority srcnat; policy accept;
    meta mark and {MARK} == {MARK} meta mark set meta mark xor {MARK} masquerade
    ct status dnat ip saddr . ip daddr @hairpin masquerade
  }}

  chain refuse-forwarded {{
    type filter hook forward priority filter - 10; policy accept;
    ct state new jump refuse
  }}
  chain refuse-sent {{
    type filter hook output priority filter - 10; policy accept;
    ct state new jump refuse
  }}
  chain refuse-received {{
    type filter hook input priority filter - 10; policy accept;
    ct state new {key} @noep jump reject-it
  }}
  chain refuse {{
    {key} @noep jump reject-it
    ip daddr {node.service_cidr} fib daddr type != local jump reject-it
  }}
  chain reject-it {{
    meta l4proto tcp reject with tcp reset
    reject
  }}
}}
"""
