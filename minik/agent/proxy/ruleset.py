"""Frontends as nftables text. Pure; `apply.py` hands it to the kernel.

No chain per service but global maps,

    svc       address . protocol . port    → goto the chain for N endpoints
    ep-tcp    address . port . i           → endpoint i (and ep-udp, ep-sctp)
    nport, nep-…                           the same for node ports and host ports, without an address
    svcx, epx-…, nportx, nepx-…            the same for clients outside of the cluster, where they are treated differently
    noep      address . protocol . port    refused: an address outside of the service CIDR whose service has no endpoints
    guarded   address . protocol . port    for some clients only, those in
    allowed   address . protocol . port . client's network

so that one service more is two map entries more, and a change is a transaction of a few elements. A service address without
endpoints needs no rule: whatever is still addressed to the service CIDR when it would be forwarded is refused.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from minik.agent.proxy.rules import PROTOCOLS, Frontend, NodeView, Point, Table, service_frontends
from minik.api.meta import ROObj

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
        if frontend.sources is not None:
            elements.setdefault("guarded", {})[key] = ""
            elements.setdefault("allowed", {}).update({f"{key} . {network}": "" for network in frontend.sources})
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
  set guarded {{ type ipv4_addr . inet_proto . inet_service; }}
  set allowed {{ type ipv4_addr . inet_proto . inet_service . ipv4_addr; flags interval; }}
  set noep {{ type ipv4_addr . inet_proto . inet_service; }}
  set hairpin {{ type ipv4_addr . ipv4_addr; {f"elements = {{ {hairpin} }};" if hairpin else ""} }}

  chain guard {{
    {key} @guarded {key} . ip saddr != @allowed drop
  }}
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
    jump guard
    ip saddr != {node.cluster_cidr} jump outside
    jump services
  }}
  chain sending {{
    type nat hook output priority -100; policy accept;
    jump guard
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
