"""Services' addresses, ranges, balancers and slices by the controllers, against the real API server in simulated time."""

from __future__ import annotations

from typing import Any

import pytest

from minik.api import meta
from minik.api.errors import Invalid
from minik.api.meta import Obj, ROObj
from minik.controllers import (
    endpointslice,
    endpointslicemirroring,
    garbagecollector,
    ipaddresses,
    loadbalancer,
    servicecidr,
)
from minik.controllers.common.slices import SLICES
from minik.server.admission import service_addresses
from tests.support.cluster import ControlPlane, control_plane, named, pod

pytestmark = pytest.mark.looptime

IPS = "ipaddresses.networking.k8s.io"
CIDRS = "servicecidrs.networking.k8s.io"
BALANCER = loadbalancer.controller(api_port=6443)


def service(name: str, **spec: Any) -> Obj:
    return named(name, "default", spec={"ports": [{"port": 80}], **spec})


def node(name: str, ip: str, *, ready: bool = True, **more: Any) -> Obj:
    return named(name, **more, status={
        "addresses": [{"type": "InternalIP", "address": ip}],
        "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
    })  # fmt: skip


async def running_pod(c: ControlPlane, name: str, ips: list[str], *, on: str = "n1", ready: bool = True) -> ROObj:
    await c.create("pods", pod(name, node=on, labels={"app": "a"}))
    status = {
        "phase": "Running", "podIP": ips[0], "podIPs": [{"ip": ip} for ip in ips],
        "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
    }  # fmt: skip
    return await c.client.patch("pods", name, "default", {"status": status}, subresource="status")


async def slices(c: ControlPlane) -> list[ROObj]:
    found = (await c.client.list(SLICES, "default")).items
    return sorted(found, key=lambda s: (s["addressType"], meta.name(s)))


# --- addresses ---------------------------------------------------------------------------------------------------------------


async def test_an_address_comes_and_goes_with_its_service_in_one_transaction() -> None:
    async with control_plane() as c:  # no controller: the server does it
        made = await c.create("services", service("web"))
        ip = made["spec"]["clusterIP"]
        address = await c.get(IPS, ip)
        assert address is not None
        assert address["spec"]["parentRef"] == {"resource": "services", "namespace": "default", "name": "web"}
        assert address["metadata"]["labels"]["ipaddress.kubernetes.io/ip-family"] == "IPv4"
        assert meta.revision(address) == meta.revision(made) + 1
        await c.client.patch("services", "web", "default", {"spec": {"type": "ExternalName", "externalName": "a.b"}})
        assert await c.names(IPS) == []
        await c.client.patch("services", "web", "default", {"spec": {"type": "ClusterIP"}})
        assert len(await c.names(IPS)) == 1
        await c.client.delete("services", "web", "default")
        assert await c.names(IPS) == []


async def test_an_address_that_somebody_else_has_is_taken() -> None:
    async with control_plane() as c:
        mine = {"parentRef": {"group": "gateway.example.com", "resource": "gateways", "name": "g"}}
        await c.create(IPS, named("10.96.0.77", spec=mine))
        with pytest.raises(Invalid, match="provided IP is already allocated"):
            await c.create("services", service("web", clusterIP="10.96.0.77"))


async def test_addresses_are_repaired() -> None:
    async with control_plane(ipaddresses.CONTROLLER) as c:
        ip = (await c.create("services", service("web")))["spec"]["clusterIP"]
        await c.client.delete(IPS, ip)
        await c.settle()
        assert await c.get(IPS, ip) is not None
        orphan = {"parentRef": {"resource": "services", "namespace": "default", "name": "gone"}}
        ours = {"ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"}
        await c.create(IPS, named("10.96.3.3", spec=orphan, labels=ours))
        await c.create(IPS, named("10.96.3.4", spec=orphan))
        await c.settle()
        assert sorted(await c.names(IPS)) == sorted([ip, "10.96.3.4"]), "what people made stays"


async def test_a_further_range_gives_addresses_and_stays_while_they_are_used() -> None:
    async with control_plane(servicecidr.CONTROLLER, ipaddresses.CONTROLLER) as c:
        await c.create(CIDRS, named("first", spec={"cidrs": ["10.96.0.0/30"]}))
        await c.create("services", service("a"))
        await c.create(CIDRS, named("second", spec={"cidrs": ["10.97.0.0/24"]}))
        await c.settle()
        third = await c.create("services", service("c"))
        assert third["spec"]["clusterIP"].startswith("10.97.0."), (
            "the first range has .1 for the API server and .2, no more"
        )
        second = await c.get(CIDRS, "second")
        assert second is not None and (meta.condition(second, "Ready") or {})["status"] == "True"
        await c.client.delete(CIDRS, "second")
        await c.settle(30)
        second = await c.get(CIDRS, "second")
        assert second is not None
        assert (meta.condition(second, "Ready") or {})["reason"] == "Terminating"
        with pytest.raises(Invalid, match="not in the valid range"):
            await c.create("services", service("d", clusterIP="10.97.0.200"))
        await c.client.delete("services", "c", "default")
        await c.settle(30)
        assert await c.names(CIDRS) == ["first"]


# --- balancers ---------------------------------------------------------------------------------------------------------------


async def addresses(c: ControlPlane, name: str) -> list[str]:
    found = await c.get("services", name, "default")
    assert found is not None
    return [row["ip"] for row in found["status"]["loadBalancer"].get("ingress") or ()]


async def test_a_load_balancer_is_the_ready_nodes() -> None:
    async with control_plane(BALANCER) as c:
        await c.create("nodes", node("n1", "192.0.2.1"))
        await c.create("nodes", node("n2", "192.0.2.2", ready=False))
        await c.create("nodes", node("n3", "192.0.2.3", labels={loadbalancer.EXCLUDED: ""}))
        await c.create("services", service("web", type="LoadBalancer"))
        await c.create("services", service("theirs", type="LoadBalancer", loadBalancerClass="example.com/x"))
        await c.settle()
        assert await addresses(c, "web") == ["192.0.2.1"]
        assert await addresses(c, "theirs") == []
        up = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
        await c.client.patch("nodes", "n2", "", up, subresource="status")
        await c.settle()
        assert await addresses(c, "web") == ["192.0.2.1", "192.0.2.2"]
        await c.client.patch("services", "web", "default", {"spec": {"type": "ClusterIP"}})
        await c.settle()
        assert await addresses(c, "web") == []


async def test_a_port_is_the_older_services_until_it_goes() -> None:
    async with control_plane(BALANCER) as c:
        await c.create("nodes", node("n1", "192.0.2.1"))
        await c.create("services", service("old", type="LoadBalancer"))
        await c.settle(5)
        await c.create("services", service("new", type="LoadBalancer"))
        await c.create("services", service("ours", type="LoadBalancer", ports=[{"port": 6443}]))
        await c.settle()
        assert (await addresses(c, "old"), await addresses(c, "new"), await addresses(c, "ours")) == (
            ["192.0.2.1"],
            [],
            [],
        )
        await c.client.delete("services", "old", "default")
        await c.settle()
        assert await addresses(c, "new") == ["192.0.2.1"]


async def test_local_traffic_has_only_the_nodes_with_an_endpoint() -> None:
    async with control_plane(BALANCER, endpointslice.CONTROLLER) as c:
        await c.create("nodes", node("n1", "192.0.2.1"))
        await c.create("nodes", node("n2", "192.0.2.2"))
        local = service("web", type="LoadBalancer", externalTrafficPolicy="Local", selector={"app": "a"})
        await c.create("services", local)
        await c.settle()
        assert await addresses(c, "web") == []
        await running_pod(c, "p", ["10.244.0.5"], on="n2")
        await c.settle()
        assert await addresses(c, "web") == ["192.0.2.2"]


# --- slices ------------------------------------------------------------------------------------------------------------------


async def test_slices_of_both_families_with_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_addresses, "_unserved", lambda _spec: [])  # a cluster that has both
    async with control_plane(endpointslice.CONTROLLER) as c:
        await c.create("nodes", node("n1", "192.0.2.1", labels={"topology.kubernetes.io/zone": "z1"}))
        spec = {"selector": {"app": "a"}, "clusterIP": "None", "trafficDistribution": "PreferSameNode",
                "ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv4", "IPv6"]}  # fmt: skip
        await c.create("services", service("web", **spec))
        await running_pod(c, "p", ["10.244.0.5", "fd00::5"])
        await c.settle()
        four, six = await slices(c)
        assert (four["addressType"], six["addressType"]) == ("IPv4", "IPv6")
        assert (four["endpoints"][0]["addresses"], six["endpoints"][0]["addresses"]) == (["10.244.0.5"], ["fd00::5"])
        assert four["endpoints"][0]["hints"] == {"forZones": [{"name": "z1"}], "forNodes": [{"name": "n1"}]}


async def test_a_label_that_leaves_the_service_leaves_its_slices() -> None:
    async with control_plane(endpointslice.CONTROLLER) as c:
        await c.create("services", service("web", selector={"app": "a"}))
        await c.client.patch("services", "web", "default", {"metadata": {"labels": {"team": "x"}}})
        await c.settle()
        assert meta.labels((await slices(c))[0])["team"] == "x"
        await c.client.patch("services", "web", "default", {"metadata": {"labels": {"team": None}}})
        await c.settle()
        assert "team" not in meta.labels((await slices(c))[0])


async def test_hand_written_endpoints_are_mirrored() -> None:
    async with control_plane(
        endpointslicemirroring.CONTROLLER, endpointslice.CONTROLLER, garbagecollector.CONTROLLER
    ) as c:
        await c.create("services", service("db"))
        subsets = [{
            "addresses": [{"ip": "192.0.2.9"}, {"ip": "2001:db8::9"}], "notReadyAddresses": [{"ip": "192.0.2.10"}],
            "ports": [{"name": "pg", "port": 5432}],
        }]  # fmt: skip
        await c.create("endpoints", named("db", "default", subsets=subsets, annotations={"a": "b"}))
        await c.settle()
        four, six = await slices(c)
        assert [(e["addresses"], e["conditions"]) for e in four["endpoints"]] == [
            (["192.0.2.9"], {"ready": True}), (["192.0.2.10"], {"ready": False}),
        ]  # fmt: skip
        assert four["ports"] == [{"name": "pg", "port": 5432, "protocol": "TCP"}] and six["addressType"] == "IPv6"
        labels = meta.labels(four)
        assert labels["endpointslice.kubernetes.io/managed-by"] == "endpointslicemirroring-controller.k8s.io"
        assert labels["kubernetes.io/service-name"] == "db" and meta.annotations(four) == {"a": "b"}
        await c.client.patch("endpoints", "db", "default", {"subsets": [{"addresses": [{"ip": "192.0.2.11"}]}]})
        await c.settle()
        (only,) = await slices(c)
        assert [e["addresses"] for e in only["endpoints"]] == [["192.0.2.11"]]
        await c.client.patch(
            "endpoints", "db", "default", {"metadata": {"labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}}}
        )
        await c.settle()
        assert await slices(c) == []
        await c.client.patch("endpoints", "db", "default", {"metadata": {"labels": None}})
        await c.settle()
        assert len(await slices(c)) == 1
        await c.client.delete("endpoints", "db", "default")
        await c.settle()
        assert await slices(c) == []
