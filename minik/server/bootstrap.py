"""What a cluster has before anybody creates anything: namespaces, priority classes, roles, and the Service that is the API server itself.

Run by the composition root at every start, as an ordinary client; it only adds what is missing and corrects its own address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from minik.api import meta
from minik.api.core_v1.volumes import NODE_DIRECTORY
from minik.api.errors import AlreadyExists, NotFound
from minik.api.meta import Obj
from minik.api.networking_v1 import servicecidr
from minik.api.rbac_v1.rules import ROLES
from minik.api.scheduling_v1 import priorityclass
from minik.api.storage_v1 import storageclass
from minik.client.client import Client
from minik.config import DNS_SERVICE_IP, KUBERNETES_SERVICE_IP, SERVICE_CIDR
from minik.server.aggregation import AUTHENTICATION
from minik.server.authz import bootstrap_roles

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
NODE_LOCAL = "minik.dev/served-by"
"""Annotation of a Service that every node answers itself: no proxy rules are made for it."""


async def ensure(client: Client, *, address: str, port: int, authentication: Mapping[str, str] | None = None) -> None:
    """Make sure of the initial objects. `address`, `port`: where pods and nodes reach the API server; on a loopback address
    nobody else does, so then the Service `kubernetes` has no endpoints. `authentication`: what aggregated API servers read to know
    whom to believe."""
    for name in NAMESPACES:
        await _create(client, "namespaces", {"metadata": {"name": name}})
    for priority_class in priorityclass.system_classes():
        await _create(client, priorityclass.RESOURCE, priority_class)
    await bootstrap_roles.ensure(client)
    await _create(client, storageclass.RESOURCE, _storage_class())
    await _create(client, servicecidr.RESOURCE, _service_cidr())
    await _create(client, "services", _kubernetes_service())
    await _create(client, "services", _dns_service())
    if authentication is not None:
        await _point(client, "configmaps", _authentication(authentication))
        await _create(client, ROLES, _authentication_reader())
    if not ipaddress.ip_address(address).is_loopback:
        await _point(client, "endpoints", _endpoints(address, port))
        await _point(client, "endpointslices.discovery.k8s.io", _slice(address, port))


async def _create(client: Client, resource: str, obj: Obj) -> None:
    try:
        await client.get(resource, meta.name(obj), meta.namespace(obj))
        return  # asked first: a Service's fixed address would be refused before its name is
    except NotFound:
        pass
    try:
        await client.create(resource, obj)
    except AlreadyExists:
        return


async def _point(client: Client, resource: str, wanted: Obj) -> None:
    """Create, or correct what differs."""
    name, namespace = meta.name(wanted), meta.namespace(wanted)
    try:
        current = await client.get(resource, name, namespace)
    except NotFound:
        await _create(client, resource, wanted)
        return
    changed = {key: value for key, value in wanted.items() if key != "metadata" and current.get(key) != value}
    if changed:
        await client.patch(resource, name, namespace, changed)


def _authentication(data: Mapping[str, str]) -> Obj:
    return {"metadata": {"name": AUTHENTICATION, "namespace": "kube-system"}, "data": dict(data)}


def _authentication_reader() -> Obj:
    """For aggregated API servers: whoever they run as is bound to it by their own manifests."""
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [AUTHENTICATION]}
    return {
        "metadata": {"name": f"{AUTHENTICATION}-reader", "namespace": "kube-system"},
        "rules": [{**rule, "verbs": ["get", "list", "watch"]}],
    }


def _storage_class() -> Obj:
    """Directories on the node of the pod that uses them first."""
    return {
        "metadata": {"name": "standard", "annotations": {storageclass.DEFAULT_ANNOTATION: "true"}},
        "provisioner": NODE_DIRECTORY,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": storageclass.WAITS,
        "allowVolumeExpansion": True,
    }


def _service_cidr() -> Obj:
    return {"metadata": {"name": servicecidr.DEFAULT_NAME}, "spec": {"cidrs": [SERVICE_CIDR]}}


def _kubernetes_service() -> Obj:
    return {
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": KUBERNETES_SERVICE_IP,
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
        },
    }


def _dns_service() -> Obj:
    return {
        "metadata": {
            "name": "kube-dns",
            "namespace": "kube-system",
            "labels": {"k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS"},
            "annotations": {NODE_LOCAL: "node"},
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": DNS_SERVICE_IP,
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
            ],
        },
    }


def _endpoints(address: str, port: int) -> Obj:
    return {
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
        },
        "subsets": [{"addresses": [{"ip": address}], "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}],
    }


def _slice(address: str, port: int) -> Obj:
    return {
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "kubernetes"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }
