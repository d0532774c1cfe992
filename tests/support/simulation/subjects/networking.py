"""Services of all types, their addresses and ports, Endpoints that people write, Ingresses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from minik.api import meta
from minik.api.core_v1 import services
from minik.api.meta import Obj, ROObj
from minik.api.networking_v1 import ipaddress
from tests.support.simulation.subjects.subject import Problem, Subject
from tests.support.simulation.view import View, name_of

if TYPE_CHECKING:
    from tests.support.simulation.users import User

SERVICES, ADDRESSES, RANGES = "services", ipaddress.RESOURCE, "servicecidrs.networking.k8s.io"
SLICES, INGRESSES, CLASSES = (
    "endpointslices.discovery.k8s.io",
    "ingresses.networking.k8s.io",
    "ingressclasses.networking.k8s.io",
)
_MIRRORING = "endpointslicemirroring-controller.k8s.io"
_TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")


def _ports(user: User) -> list[Obj]:
    ports: list[Obj] = []
    for number in range(user.rng.randint(1, 2)):
        port: Obj = {"name": f"p{number}", "port": user.rng.choice((80, 443, 8080)) + number}
        if user.rng.random() < 0.15:
            port["protocol"] = "UDP"
        ports.append(port)
    return ports


async def create_service(user: User) -> None:
    rng = user.rng
    kind = rng.choice(_TYPES)
    spec: Obj = {"type": kind, "ports": _ports(user)}
    if kind == "ExternalName":
        spec = {"type": kind, "externalName": "elsewhere.simulation.test"}
    elif kind == "ClusterIP" and rng.random() < 0.3:
        spec["clusterIP"] = "None"
    elif rng.random() < 0.15:
        spec["clusterIP"] = f"10.43.7.{rng.randint(1, 4)}"
    if kind == "NodePort" and rng.random() < 0.6:
        spec["ports"][0]["nodePort"] = rng.choice((30100, 30101))
    if kind == "LoadBalancer" and rng.random() < 0.3:
        spec["externalTrafficPolicy"] = "Local"
    deployment = await user.some("deployments.apps")
    namespace = user.namespace()
    if deployment is not None and rng.random() < 0.6:
        spec["selector"], namespace = {"app": meta.name(deployment)}, meta.namespace(deployment)
    await user.create(SERVICES, {"metadata": {"name": user.new_name("net"), "namespace": namespace}, "spec": spec})


async def change_service(user: User) -> None:
    """Another type, other ports."""
    kind, ports = user.rng.choice(_TYPES), _ports(user)

    def edit(draft: Obj) -> None:
        draft["spec"]["type"] = kind
        if kind == "ExternalName":
            draft["spec"]["externalName"] = "elsewhere.simulation.test"
            draft["spec"].pop("externalTrafficPolicy", None)
        else:
            draft["spec"].pop("externalName", None)
            draft["spec"]["ports"] = ports

    await user.change(SERVICES, edit)


async def delete_service(user: User) -> None:
    await user.delete(SERVICES)


async def write_endpoints(user: User) -> None:
    """Of a Service that selects nothing."""
    found = [s for s in (await user.client.list(SERVICES)).items if meta.namespace(s).startswith("ns-")]
    found = [s for s in found if not services.selector(s)]
    if not found:
        return
    service = user.rng.choice(found)
    rows = [{"ip": f"192.0.2.{number}"} for number in user.rng.sample(range(1, 20), user.rng.randint(0, 4))]
    subsets = [{"addresses": rows, "ports": [{"name": "p0", "port": 9000}]}] if rows else []
    metadata = {"name": meta.name(service), "namespace": meta.namespace(service)}
    there = (await user.client.list("endpoints", meta.namespace(service))).items
    old = next((each for each in there if meta.name(each) == meta.name(service)), None)
    if old is None:
        await user.create("endpoints", {"metadata": metadata, "subsets": subsets})
    else:
        await user.client.update("endpoints", {**old, "subsets": subsets})


async def delete_endpoints(user: User) -> None:
    await user.delete("endpoints")


async def spoil_address(user: User) -> None:
    """Takes an IPAddress away, or makes one that is nobody's: both are put right."""
    found = (await user.client.list(ADDRESSES)).items
    if user.rng.random() < 0.5 and found:
        await user.client.delete(ADDRESSES, meta.name(user.rng.choice(found)))
        return
    parent = {"metadata": {"name": "nobody", "namespace": "default"}}
    await user.create(ADDRESSES, ipaddress.of_service(f"10.43.9.{user.rng.randint(1, 9)}", parent))


async def delete_slice(user: User) -> None:
    await user.delete(SLICES)


async def create_range(user: User) -> None:
    metadata = {"name": f"more-{user.rng.randint(0, 2)}"}
    await user.create(RANGES, {"metadata": metadata, "spec": {"cidrs": [f"10.44.{user.rng.randint(0, 3)}.0/24"]}})


async def delete_range(user: User) -> None:
    found = [each for each in (await user.client.list(RANGES)).items if meta.name(each).startswith("more-")]
    if found:
        await user.client.delete(RANGES, meta.name(user.rng.choice(found)))


async def create_ingress(user: User) -> None:
    if not (await user.client.list(CLASSES)).items:
        annotations = {"ingressclass.kubernetes.io/is-default-class": "true"}
        await user.create(
            CLASSES, {"metadata": {"name": "usual", "annotations": annotations}, "spec": {"controller": "a/b"}}
        )
    backend = {"service": {"name": "net", "port": {"number": 80}}}
    metadata = {"name": user.new_name("ingress"), "namespace": user.namespace()}
    await user.create(INGRESSES, {"metadata": metadata, "spec": {"defaultBackend": backend}})


async def tidy(user: User) -> None:
    """Ranges that are going may wait for Services as long as those are there."""
    for each in (await user.client.list(SERVICES)).items:
        ips = services.cluster_ips(each)
        if meta.namespace(each).startswith("ns-") and any(ip.startswith("10.44.") for ip in ips):
            await user.client.delete(SERVICES, meta.name(each), meta.namespace(each))


class _Unique:
    """No two Services share an address or a node port, at no revision."""

    resources = (SERVICES,)

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._held: dict[tuple[object, ...], str] = {}
        self._of: dict[str, list[tuple[object, ...]]] = {}

    def changed(self, key: str, old: ROObj | None, new: ROObj | None) -> None:
        del old
        for what in self._of.pop(key, ()):
            if self._held.get(what) == key:
                del self._held[what]
        if new is None:
            return
        mine = self._of[key] = list(_takes(new))
        for what in mine:
            other = self._held.setdefault(what, key)
            if other != key:
                self._problem(f"{key} and {other} both have {what}")

    def look(self) -> None:
        """Each event was judged by itself."""


def _takes(service: ROObj) -> Iterator[tuple[object, ...]]:
    for ip in services.cluster_ips(service):
        yield "address", ip
    for port in services.ports(service):
        if port.get("nodePort"):
            yield "node port", port.get("protocol") or "TCP", port["nodePort"]
    if service["spec"].get("healthCheckNodePort"):
        yield "node port", "TCP", service["spec"]["healthCheckNodePort"]


def unsettled(view: View) -> Iterator[str]:
    yield from _addresses(view)
    yield from _mirrors(view)
    yield from _balancers(view)
    for obj in view.all(RANGES):
        if not meta.is_deleting(obj) and (meta.condition(obj, "Ready") or {}).get("status") != "True":
            yield f"range {name_of(obj)}: is not ready"
    if any(meta.name(each) == "usual" for each in view.all(CLASSES)):
        for obj in view.all(INGRESSES):
            if obj["spec"].get("ingressClassName") != "usual":
                yield f"ingress {name_of(obj)}: has class {obj['spec'].get('ingressClassName')}"


def _addresses(view: View) -> Iterator[str]:
    holders = {ip: service for service in view.all(SERVICES) for ip in services.cluster_ips(service)}
    there = {meta.name(address): address for address in view.all(ADDRESSES)}
    for ip in sorted(holders.keys() | there.keys()):
        if ip not in there:
            yield f"service {name_of(holders[ip])}: {ip} has no IPAddress"
        elif ip not in holders:
            yield f"address {ip}: is nobody's"
        elif not ipaddress.is_of(there[ip], holders[ip]):
            yield f"address {ip}: is not said to be of {name_of(holders[ip])}"


def _mirrors(view: View) -> Iterator[str]:
    known = {name_of(service): service for service in view.all(SERVICES)}
    written = {name_of(each): each for each in view.all("endpoints")}
    for name, service in known.items():
        if services.selector(service) or not name.startswith("ns-"):
            continue
        subsets = (written[name].get("subsets") or ()) if name in written else ()
        wanted = sorted({row["ip"] for subset in subsets for row in subset.get("addresses") or ()})
        mine = [
            each
            for each in view.all(SLICES)
            if meta.labels(each).get("endpointslice.kubernetes.io/managed-by") == _MIRRORING
            and f"{meta.namespace(each)}/{meta.labels(each).get('kubernetes.io/service-name')}" == name
        ]
        shown = sorted(a for each in mine for row in each.get("endpoints") or () for a in row["addresses"])
        if shown != wanted:
            yield f"service {name}: its mirrored slices show {shown}, its Endpoints {wanted}"


def _balancers(view: View) -> Iterator[str]:
    """Of those that want one port exactly the one that has it has addresses; nobody else has."""
    by_port: dict[tuple[str, int], list[ROObj]] = {}
    for service in view.all(SERVICES):
        if services.type_of(service) != "LoadBalancer":
            if (service.get("status") or {}).get("loadBalancer", {}).get("ingress"):
                yield f"service {name_of(service)}: is none any more, and has balanced addresses"
            continue
        for port in services.ports(service):
            by_port.setdefault((port.get("protocol") or "TCP", port["port"]), []).append(service)
    for wanted, rivals in by_port.items():
        having = [each for each in rivals if (each.get("status") or {}).get("loadBalancer", {}).get("ingress")]
        if len(having) > 1:
            yield f"port {wanted}: is balanced for {[name_of(each) for each in having]}"
        only = len(rivals) == 1 and len(services.ports(rivals[0])) == 1
        if only and not having and rivals[0]["spec"].get("externalTrafficPolicy") != "Local":
            yield f"service {name_of(rivals[0])}: has no balanced address, and no rival"


SUBJECT = Subject(
    "networking",
    actions=(
        (create_service, 5.0), (change_service, 3.0), (delete_service, 1.0), (write_endpoints, 3.0), (delete_endpoints, 0.7),
        (spoil_address, 0.7), (delete_slice, 0.7), (create_range, 0.5), (delete_range, 0.5), (create_ingress, 0.7),
    ),
    starts=(create_service, write_endpoints),
    tidy=tidy,
    unsettled=unsettled,
    watchers=(_Unique,),
)  # fmt: skip
