"""EndpointSlice, discovery.k8s.io/v1."""

from __future__ import annotations

from minik.api import columns
from minik.api.columns import NONE, UNSET, column
from minik.api.kind import Kind
from minik.api.meta import ROObj


def _some(values: list[str]) -> str:
    return columns.join_some(values, 3).replace(NONE, UNSET)


def _ports(slice_: ROObj) -> str:
    return _some([str(port.get("port", "*")) for port in slice_.get("ports") or ()])


def _endpoints(slice_: ROObj) -> str:
    return _some([address for endpoint in slice_.get("endpoints") or () for address in endpoint.get("addresses") or ()])


KIND = Kind(
    group="discovery.k8s.io",
    version="v1",
    kind="EndpointSlice",
    plural="endpointslices",
    singular="endpointslice",
    namespaced=True,
    schema="io.k8s.api.discovery.v1.EndpointSlice",
    columns=(
        column("AddressType", lambda slice_: slice_.get("addressType") or ""),
        column("Ports", _ports),
        column("Endpoints", _endpoints),
        columns.AGE,
    ),
)
