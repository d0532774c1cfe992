"""Service, core/v1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik.api import columns
from minik.api.columns import NONE, column
from minik.api.core_v1 import service_strategy, services
from minik.api.kind import Kind, Subresource, status_of
from minik.api.meta import ROObj
from minik.api.validation_names import dns_1035_label
from minik.api.validation_service import validate_service, validate_service_update


def _external_ip(service: ROObj) -> str:
    spec = service.get("spec") or {}
    given = list(spec.get("externalIPs") or ())
    match spec.get("type", "ClusterIP"):
        case "ClusterIP" | "NodePort":
            return ",".join(given) or NONE
        case "LoadBalancer":
            ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
            balanced = list(dict.fromkeys(i.get("ip") or i.get("hostname") or "" for i in ingress))
            return ",".join(filter(None, balanced + given)) or "<pending>"
        case "ExternalName":
            return spec.get("externalName") or ""
    return columns.UNKNOWN


def _port(port: Mapping[str, Any]) -> str:
    number = f"{port.get('port')}:{port['nodePort']}" if port.get("nodePort") else str(port.get("port"))
    return f"{number}/{port.get('protocol', 'TCP')}"


KIND = Kind(
    group="",
    version="v1",
    kind="Service",
    plural="services",
    singular="service",
    namespaced=True,
    schema="io.k8s.api.core.v1.Service",
    short_names=("svc",),
    categories=("all",),
    subresources=(
        Subresource(name="proxy", kind="ServiceProxyOptions", verbs=("create", "delete", "get", "patch", "update")),
        status_of("Service"),
    ),
    default=service_strategy.default_service,
    default_status=service_strategy.default_status,
    prepare_create=service_strategy.prepare_create,
    prepare_update=service_strategy.prepare_update,
    validate=validate_service,
    validate_update=validate_service_update,
    validate_name=dns_1035_label,
    columns=(
        column("Type", services.type_of),
        column("Cluster-IP", lambda service: services.cluster_ip(service) or NONE),
        column("External-IP", _external_ip),
        column("Port(s)", lambda service: ",".join(_port(p) for p in services.ports(service)) or NONE),
        columns.AGE,
        column("Selector", lambda service: columns.format_labels(services.selector(service)), wide=True),
    ),
    fields={"spec.clusterIP": services.cluster_ip, "spec.type": services.type_of},
    generation=False,
)
