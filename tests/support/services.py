"""Services and EndpointSlices for tests of proxy and DNS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.agent.proxy.rules import NodeView
from minik.api.meta import Key

NODE = NodeView("n1", "10.244.1.0/24", "10.244.0.0/16", "10.96.0.0/16", "10.96.0.10")


def service(
    name: str, ip: str, *, port: int = 80, protocol: str = "TCP", namespace: str = "default", **spec: Any
) -> dict[str, Any]:
    ports = spec.pop("ports", [{"port": port, "protocol": protocol, **_some(spec, "nodePort")}])
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"type": "ClusterIP", "clusterIP": ip, "clusterIPs": [ip], "ports": ports, **spec},
    }


def _some(spec: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: spec.pop(name) for name in names if name in spec}


def endpoint(address: str, *, node: str = "n1", hostname: str = "", **conditions: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"addresses": [address], "nodeName": node, "conditions": conditions}
    if hostname:
        found["hostname"] = hostname
    return found


def slice_of(
    name: str, endpoints: Sequence[Mapping[str, Any] | str], *, port: int = 8080, protocol: str = "TCP",
    namespace: str = "default", suffix: str = "x", **more: Any,
) -> dict[str, Any]:  # fmt: skip
    rows = [endpoint(e) if isinstance(e, str) else e for e in endpoints]
    return {
        "metadata": {
            "name": f"{name}-{suffix}",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "ports": [{"name": "", "port": port, "protocol": protocol}],
        "endpoints": rows,
        **more,
    }


def key(obj: Mapping[str, Any]) -> Key:
    return Key(obj["metadata"]["namespace"], obj["metadata"]["name"])
