"""The names of a cluster: from Services and EndpointSlices to answers. Pure: no I/O, no clock.

Rules: the Kubernetes DNS-Based Service Discovery specification 1.1.0, and where it leaves room, what CoreDNS's kubernetes
plugin does with `pods insecure`: a name made of a pod's address is answered without looking for the pod, and a headless service
without ready endpoints is NXDOMAIN. `server.py` feeds and asks it.

    <service>.<ns>.svc.<zone>                       A/AAAA the cluster addresses, or those of the ready endpoints if headless
    <hostname or 10-244-1-5>.<service>.<ns>.svc.…   A/AAAA one endpoint of a headless service
    _<port>._<protocol>.<service>.<ns>.svc.…        SRV
    10-244-1-5.<ns>.pod.<zone>                      A/AAAA that address
    <IPv4 address reversed>.in-addr.arpa            PTR
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from minik.agent.dns.wire import AAAA, ANY, CNAME, NOERROR, NXDOMAIN, PTR, SOA, SRV, TXT, A, Record
from minik.api import meta
from minik.api.core_v1 import services
from minik.api.meta import Key, ROObj

TTL = 5
_SCHEMA_VERSION = "1.1.0"
_MAX_CHAIN = 8
_ADDRESS_TYPES = {"IPv4": A, "IPv6": AAAA}

Names = dict[str, list[Record]]


@dataclass(frozen=True, slots=True)
class Answer:
    """`chase` is the name outside of the cluster that the last CNAME leads to, for the server to look up; "" for none."""

    rcode: int
    answers: Sequence[Record] = ()
    additional: Sequence[Record] = ()
    authority: Sequence[Record] = ()
    chase: str = ""


def service_names(service: ROObj, slices: Iterable[ROObj], zone: str) -> Names:
    """Every name of one Service with its records; {} if it has none."""
    own = f"{meta.name(service)}.{meta.namespace(service)}.svc.{zone}".lower()
    spec = service.get("spec") or {}
    if services.type_of(service) == "ExternalName":
        target = (spec.get("externalName") or "").rstrip(".").lower()
        return {own: [Record(own, CNAME, TTL, target)]} if target else {}
    if services.is_headless(service):
        return _headless_names(own, slices)
    names: Names = {}
    for address in spec.get("clusterIPs") or [services.cluster_ip(service)]:
        kind = _address_type(address)
        if kind:
            names.setdefault(own, []).append(Record(own, kind, TTL, address))
    if names:
        for port in services.ports(service):
            _add_srv(names, own, port.get("name") or "", port.get("protocol") or "TCP", [(port["port"], own)])
    return names


def _headless_names(own: str, slices: Iterable[ROObj]) -> Names:
    names: Names = {}
    targets: dict[tuple[str, str], dict[tuple[int, str], None]] = {}
    for slice_ in slices:
        kind = _ADDRESS_TYPES.get(slice_.get("addressType") or "IPv4")
        if kind is None:
            continue
        for endpoint in slice_.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready") is False:
                continue
            for address in endpoint.get("addresses") or ():
                host = f"{_hostname(endpoint.get('hostname'), address)}.{own}"
                _add(names, Record(own, kind, TTL, address))
                _add(names, Record(host, kind, TTL, address))
                for port in slice_.get("ports") or ():
                    if port.get("port") is not None:
                        key = port.get("name") or "", port.get("protocol") or "TCP"
                        targets.setdefault(key, {})[port["port"], host] = None
    for (name, protocol), ends in targets.items():
        _add_srv(names, own, name, protocol, list(ends))
    return names


def _add_srv(names: Names, own: str, port: str, protocol: str, ends: Sequence[tuple[int, str]]) -> None:
    """SRV records of one port; an unnamed one is only found at the service's own name."""
    weight = max(100 // len(ends), 1)
    owners = [own, f"_{port}._{protocol}.{own}".lower()] if port else [own]
    for owner in owners:
        for number, host in ends:
            _add(names, Record(owner, SRV, TTL, f"0 {weight} {number} {host}"))


def _add(names: Names, record: Record) -> None:
    of = names.setdefault(record.name, [])
    if record not in of:
        of.append(record)


def _hostname(given: str | None, address: str) -> str:
    return given.lower() if given else address.replace(".", "-").replace(":", "-")


def _address_type(text: str) -> int:
    """A, AAAA or 0."""
    try:
        return A if ipaddress.ip_address(text).version == 4 else AAAA
    except ValueError:
        return 0


def _reversed(name: str) -> str:
    """The IPv4 address that a name below in-addr.arpa stands for; "" for none."""
    labels = name.removesuffix(".in-addr.arpa").split(".")
    try:
        return str(ipaddress.IPv4Address(".".join(reversed(labels)))) if len(labels) == 4 else ""
    except ValueError:
        return ""


class Records:
    """All names of a cluster; told of Services and EndpointSlices, asked by name and type."""

    def __init__(self, zone: str, *, networks: Sequence[str] = ()) -> None:
        """`networks`: the address ranges whose reverse names are answered here and by nobody else."""
        self.zone = zone.lower().rstrip(".")
        self._networks = [ipaddress.ip_network(network) for network in networks]
        self._services: dict[Key, ROObj] = {}
        self._slices: dict[Key, dict[Key, ROObj]] = {}
        self._slice_of: dict[Key, Key] = {}
        self._names: dict[Key, Names] = {}
        self._reverse: dict[str, dict[Key, list[str]]] = {}
        self._reversed_by: dict[Key, list[str]] = {}
        self._namespaces: dict[str, set[Key]] = {}
        self.generation = 1
        """Changes whenever an answer may."""

    # --- what is told ----------------------------------------------------------------------------------------------------

    def update_service(self, key: Key, service: ROObj | None) -> None:
        """The Service as it is now; None when it is gone."""
        if service is None:
            self._services.pop(key, None)
        else:
            self._services[key] = service
        self._rebuild(key)

    def update_slice(self, key: Key, slice_: ROObj | None) -> None:
        """The EndpointSlice as it is now; None when it is gone."""
        old = self._slice_of.pop(key, None)
        if old is not None:
            self._slices[old].pop(key)
            if not self._slices[old]:
                del self._slices[old]
        name = meta.labels(slice_).get("kubernetes.io/service-name") if slice_ is not None else None
        new = None
        if slice_ is not None and name:
            new = Key(key.namespace, name)
            self._slice_of[key] = new
            self._slices.setdefault(new, {})[key] = slice_
        for service in {old, new} - {None}:
            if service is not None and service in self._services and services.is_headless(self._services[service]):
                self._rebuild(service)

    def _rebuild(self, key: Key) -> None:
        service = self._services.get(key)
        names = service_names(service, self._slices.get(key, {}).values(), self.zone) if service is not None else {}
        if names == self._names.get(key, {}):
            return
        self.generation += 1
        for address in self._reversed_by.pop(key, ()):
            self._reverse[address].pop(key)
            if not self._reverse[address]:
                del self._reverse[address]
        of_namespace = self._namespaces.setdefault(key.namespace, set())
        if not names:
            self._names.pop(key, None)
            of_namespace.discard(key)
            if not of_namespace:
                del self._namespaces[key.namespace]
            return
        self._names[key] = names
        of_namespace.add(key)
        reverse = self._reverse_of(key, service, names)
        self._reversed_by[key] = list(reverse)
        for address, targets in reverse.items():
            self._reverse.setdefault(address, {})[key] = targets

    def _reverse_of(self, key: Key, service: ROObj | None, names: Names) -> dict[str, list[str]]:
        """Address → names, of a service and of the endpoints if it is headless."""
        own = f"{key.name}.{key.namespace}.svc.{self.zone}"
        headless = service is not None and services.is_headless(service)
        found: dict[str, list[str]] = {}
        for name, records in names.items():
            if (name == own) == headless:
                continue
            for record in records:
                if record.type in (A, AAAA):
                    found.setdefault(record.data, []).append(name)
        return found

    # --- what is asked ---------------------------------------------------------------------------------------------------

    def is_ours(self, name: str) -> bool:
        """Whether `name` (lower case, no last dot) is answered here and by nobody else."""
        if name == self.zone or name.endswith(f".{self.zone}"):
            return True
        if name.endswith(".in-addr.arpa"):
            address = _reversed(name)
            return bool(address) and any(
                network.version == 4 and ipaddress.ip_address(address) in network for network in self._networks
            )
        return False

    def answer(self, name: str, kind: int) -> Answer:
        """What a name that `is_ours` has of record type `kind`."""
        records = self._find(name)
        if records is None:
            return Answer(NXDOMAIN, authority=[self.soa()])
        answers: list[Record] = []
        for _ in range(_MAX_CHAIN):
            answers += [r for r in records if r.type in (kind, CNAME) or kind == ANY]
            alias = next((r.data for r in records if r.type == CNAME), "")
            if not alias or kind in (CNAME, ANY):
                break
            if not self.is_ours(alias):
                return Answer(NOERROR, answers, chase=alias)
            records = self._find(alias) or []
        additional = self._addresses_of(answers) if kind == SRV else ()
        return Answer(NOERROR, answers, additional, () if answers else [self.soa()])

    def _addresses_of(self, answers: Iterable[Record]) -> list[Record]:
        targets = dict.fromkeys(record.data.rpartition(" ")[2] for record in answers if record.type == SRV)
        return [r for target in targets for r in self._find(target) or () if r.type in (A, AAAA)]

    def soa(self) -> Record:
        """Of the zone; in the authority section of answers that there is nothing, which may be kept for TTL seconds."""
        text = f"ns.dns.{self.zone} hostmaster.{self.zone} {self.generation} 7200 1800 86400 {TTL}"
        return Record(self.zone, SOA, TTL, text)

    def _find(self, name: str) -> list[Record] | None:
        """Its records; [] for a name that exists without any; None for one that does not exist."""
        if name.endswith(".in-addr.arpa"):
            found = self._reverse.get(_reversed(name), {})
            targets = [target for of in found.values() for target in of]
            return [Record(name, PTR, TTL, target) for target in targets] or None
        if name == self.zone:
            return [self.soa()]
        labels = name.removesuffix(f".{self.zone}").split(".")
        if labels == ["dns-version"]:
            return [Record(name, TXT, TTL, _SCHEMA_VERSION)]
        if labels in (["svc"], ["pod"]):
            return []
        if labels[-1] == "svc":
            return self._find_service(name, labels)
        if labels[-1] == "pod":
            return self._find_pod(name, labels)
        return None

    def _find_service(self, name: str, labels: list[str]) -> list[Record] | None:
        if len(labels) == 2:
            return [] if labels[0] in self._namespaces else None
        names = self._names.get(Key(labels[-2], labels[-3]))
        if names is None:
            return None
        records = names.get(name)
        if records is None and any(other.endswith(f".{name}") for other in names):
            return []
        return records

    def _find_pod(self, name: str, labels: list[str]) -> list[Record] | None:
        if len(labels) == 2:
            return []
        if len(labels) != 3:
            return None
        for separator in (".", ":"):
            address = labels[0].replace("-", separator)
            kind = _address_type(address)
            if kind:
                return [Record(name, kind, TTL, address)]
        return None
