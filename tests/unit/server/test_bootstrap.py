"""What a cluster begins with: the Service of the API server and where it leads (row "kubernetes.default Endpoints and EndpointSlices")."""

from __future__ import annotations

import pytest

from minik.api.errors import NotFound
from minik.client.client import Client
from minik.server import bootstrap
from minik.server.local import LocalTransport
from tests.support.apiserver import Running


async def test_endpoints_and_slices_lead_to_the_server(run: Running, api: LocalTransport) -> None:
    client = Client(api, run.server.registry)
    for address in ("192.0.2.9", "192.0.2.10"):  # it has another one after a restart
        await bootstrap.ensure(client, address=address, port=6443)
        endpoints = await client.get("endpoints", "kubernetes", "default")
        found = await client.list("endpointslices.discovery.k8s.io", "default")
        [each] = [s for s in found.items if s["metadata"]["labels"]["kubernetes.io/service-name"] == "kubernetes"]
        assert endpoints["subsets"] == [
            {"addresses": [{"ip": address}], "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}]}
        ]
        assert [endpoint["addresses"] for endpoint in each["endpoints"]] == [[address]]
        assert [port["port"] for port in each["ports"]] == [6443]
    service = await client.get("services", "kubernetes", "default")
    assert [port["port"] for port in service["spec"]["ports"]] == [443]


async def test_a_loopback_address_is_nobodys(run: Running, api: LocalTransport) -> None:
    client = Client(api, run.server.registry)
    await bootstrap.ensure(client, address="127.0.0.1", port=6443)
    with pytest.raises(NotFound):
        await client.get("endpoints", "kubernetes", "default")
