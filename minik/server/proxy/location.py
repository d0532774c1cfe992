"""Which target a `proxy` URL's name means: `NAME`, `NAME:PORT` or `SCHEME:NAME:PORT`, of a pod or of a service.

Source: core registry `pod/strategy.go` and `service/storage/storage.go`, `ResourceLocation`.
"""

from __future__ import annotations

import ipaddress
import random
from dataclasses import dataclass
from typing import Any

from minik.api import meta
from minik.api.errors import BadRequest, ServiceUnavailable
from minik.api.kind import Kind
from minik.api.meta import ROObj
from minik.server import resources
from minik.server.core import Core
from minik.server.proxy.target import Target


@dataclass(frozen=True, slots=True)
class Name:
    """A name in a `proxy` URL, taken apart. `port` is a number, a port's name, or ""."""

    name: str
    scheme: str = "http"
    port: str = ""


def parse_name(text: str, *, what: str) -> Name:
    """Raises BadRequest. `what` is "pod" or "service", for the message."""
    parts = text.split(":")
    if len(parts) == 1 and parts[0]:
        return Name(parts[0])
    if len(parts) == 2 and all(parts):
        return Name(parts[0], port=parts[1])
    if len(parts) == 3 and parts[0] in ("", "http", "https") and parts[1]:
        return Name(parts[1], parts[0] or "http", parts[2])
    raise BadRequest(f'invalid {what} request "{text}"')


def of_pod(core: Core, kind: Kind, namespace: str, text: str) -> tuple[str, Target]:
    """(scheme, target). Without a port it is the first that a container names, else the scheme's.

    Raises BadRequest, also for a pod without an address of its own, and NotFound.
    """
    name = parse_name(text, what="pod")
    pod = resources.get(core, kind, namespace, name.name).obj
    port = name.port
    if not port:
        ports = [p for c in pod["spec"]["containers"] for p in (c.get("ports") or ())[:1]]
        port = str(ports[0]["containerPort"]) if ports else ("443" if name.scheme == "https" else "80")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise BadRequest(f'invalid pod request "{text}"')
    return name.scheme, Target(_address(pod), int(port), pod)


def _address(pod: ROObj) -> str:
    """The pod's own address. Raises BadRequest."""
    status = pod.get("status") or {}
    found: str = ((status.get("podIPs") or [{"ip": status.get("podIP") or ""}])[0]).get("ip") or ""
    try:
        address = ipaddress.ip_address(found)
    except ValueError:
        raise BadRequest("address not allowed") from None
    if address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
        raise BadRequest("address not allowed")
    return found


def of_service(core: Core, kind: Kind, namespace: str, text: str, rng: random.Random) -> tuple[str, Target]:
    """(scheme, target): one of the service's ready pods, by chance. Raises BadRequest, NotFound, ServiceUnavailable."""
    name = parse_name(text, what="service")
    service = resources.get(core, kind, namespace, name.name).obj
    port = name.port
    if port.isdecimal():
        named = [p for p in (service.get("spec") or {}).get("ports") or () if p["port"] == int(port)]
        if not named:
            raise ServiceUnavailable(f'no service port {port} found for service "{name.name}"')
        port = named[0].get("name") or ""
    found = endpoints(core, namespace, name.name, port)
    rng.shuffle(found)
    for target in found:
        if target.pod is not None:
            return name.scheme, target
    raise ServiceUnavailable(f'no endpoints available for service "{text}"')


def endpoints(core: Core, namespace: str, service: str, port: str) -> list[Target]:
    """The ready endpoints of a service's port of that name (Endpoints, core/v1); those of pods that are there no more are left out."""
    entry = core.cache.get(f"endpoints/{namespace}/{service}")
    found: list[Target] = []
    for subset in (entry.obj.get("subsets") if entry is not None else None) or ():
        for number in (p["port"] for p in subset.get("ports") or () if (p.get("name") or "") == port):
            for address in subset.get("addresses") or ():
                target = _endpoint(core, namespace, address, number)
                if target is not None:
                    found.append(target)
    return found


def _endpoint(core: Core, namespace: str, address: Any, port: int) -> Target | None:
    reference = address.get("targetRef") or {}
    if reference.get("kind") != "Pod":
        return Target(address["ip"], port)
    entry = core.cache.get(f"pods/{reference.get('namespace') or namespace}/{reference.get('name')}")
    if entry is None or meta.uid(entry.obj) != reference.get("uid", meta.uid(entry.obj)):
        return None
    addresses = {ip.get("ip") for ip in (entry.obj.get("status") or {}).get("podIPs") or ()}
    return Target(address["ip"], port, entry.obj) if address["ip"] in addresses else None
