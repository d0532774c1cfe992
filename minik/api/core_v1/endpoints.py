"""Endpoints, core/v1."""

from __future__ import annotations

from collections.abc import Iterator

from minik.api import columns
from minik.api.columns import column
from minik.api.kind import Kind
from minik.api.meta import ROObj


def join_host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _addresses(endpoints: ROObj) -> Iterator[str]:
    for subset in endpoints.get("subsets") or ():
        addresses = subset.get("addresses") or ()
        if not subset.get("ports"):
            yield from (address["ip"] for address in addresses)
        for port in subset.get("ports") or ():
            yield from (join_host_port(address["ip"], port["port"]) for address in addresses)


KIND = Kind(
    group="",
    version="v1",
    kind="Endpoints",
    plural="endpoints",
    singular="endpoints",
    namespaced=True,
    schema="io.k8s.api.core.v1.Endpoints",
    short_names=("ep",),
    columns=(column("Endpoints", lambda endpoints: columns.join_some(_addresses(endpoints), 3)), columns.AGE),
    generation=False,
)
