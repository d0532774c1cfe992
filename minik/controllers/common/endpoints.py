"""Which pods stand behind a Service, and on which ports: what Endpoints and EndpointSlice share. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.meta import Key, Obj, ROObj
from minik.api.selectors import from_labels
from minik.client.controller import Lister, Scope

HEADLESS_LABEL = "service.kubernetes.io/headless"


class EndpointPort(NamedTuple):
    """A port as a pod serves it."""

    name: str
    port: int
    protocol: str
    app_protocol: str

    def to_wire(self, *, named: bool) -> Obj:
        """`named`: whether an empty name is written out, as EndpointSlices do and Endpoints do not."""
        result: Obj = {"port": self.port, "protocol": self.protocol}
        if self.name or named:
            result["name"] = self.name
        if self.app_protocol:
            result["appProtocol"] = self.app_protocol
        return result


def services_of(scope: Scope, pod: ROObj) -> list[Key]:
    """The Services whose selector matches a pod: the trigger of both controllers."""
    namespace, labels = meta.namespace(pod), meta.labels(pod)
    if not labels:
        return []
    return [
        meta.key(service)
        for service in scope.cache("services").list(namespace)
        if (selector := service["spec"].get("selector")) and all(labels.get(k) == v for k, v in selector.items())
    ]


def pods_behind(cache: Lister, service: ROObj) -> list[ROObj]:
    """The pods a Service selects that have an address and may still serve, in name order."""
    selected = cache.list(meta.namespace(service), from_labels(service["spec"]["selector"]))
    return sorted((pod for pod in selected if pods.ip(pod) and not pods.is_finished(pod)), key=meta.name)


def ports_of(service: ROObj, pod: ROObj) -> tuple[EndpointPort, ...]:
    """The Service's ports on this pod; a named target port that the pod does not have is left out."""
    found = []
    for port in service["spec"].get("ports") or ():
        number = target_port(port, pod)
        if number is not None:
            found.append(
                EndpointPort(
                    port.get("name") or "", number, port.get("protocol") or "TCP", port.get("appProtocol") or ""
                )
            )
    return tuple(found)


def target_port(port: Mapping[str, Any], pod: ROObj) -> int | None:
    """A service port's number on a pod (podutil.FindPort)."""
    target = port.get("targetPort") or port["port"]
    if isinstance(target, int):
        return target
    sidecars = [c for c in pods.init_containers(pod) if pods.is_sidecar(c)]
    for container in (*pods.containers(pod), *sidecars):
        for candidate in container.get("ports") or ():
            if candidate.get("name") == target and (candidate.get("protocol") or "TCP") == (
                port.get("protocol") or "TCP"
            ):
                number: int = candidate["containerPort"]
                return number
    return None


def is_headless(service: ROObj) -> bool:
    return bool(service["spec"].get("clusterIP") == "None")


def publishes_unready(service: ROObj) -> bool:
    return bool(service["spec"].get("publishNotReadyAddresses"))


def hostname_of(service: ROObj, pod: ROObj) -> str:
    """The pod's own name under a headless Service, if it asks for one (spec.hostname and spec.subdomain)."""
    spec = pod["spec"]
    if spec.get("hostname") and spec.get("subdomain") == meta.name(service):
        return str(spec["hostname"])
    return ""


def target_ref(pod: ROObj) -> Obj:
    return {"kind": "Pod", "namespace": meta.namespace(pod), "name": meta.name(pod), "uid": meta.uid(pod)}
