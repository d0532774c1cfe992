"""Admission: service accounts, tolerations, priorities, addresses of Services."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from minik.api.errors import AlreadyExists, Forbidden, Invalid
from minik.server.local import LocalTransport
from tests.support.apiserver import Running
from tests.unit.server.objects import MERGE, PODS, SERVICES, pod, service


async def test_pod_gets_account_token_tolerations_and_priority(api: LocalTransport) -> None:
    got = (await api.request("POST", PODS, body=pod()))["spec"]
    assert (got["serviceAccountName"], got["priority"], got["preemptionPolicy"]) == (
        "default",
        0,
        "PreemptLowerPriority",
    )
    assert [t["key"] for t in got["tolerations"]] == ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]
    (volume,) = got["volumes"]
    assert volume["name"].startswith("kube-api-access-")
    assert [next(iter(s)) for s in volume["projected"]["sources"]] == [
        "serviceAccountToken",
        "configMap",
        "downwardAPI",
    ]
    (mount,) = got["containers"][0]["volumeMounts"]
    assert mount["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"


async def test_pods_of_one_template_have_equal_specs(api: LocalTransport) -> None:
    one, two = [(await api.request("POST", PODS, body=pod(name)))["spec"] for name in ("one", "two")]
    assert one == two
    taken = one["volumes"][0]["name"]
    got = (await api.request("POST", PODS, body=pod("three", volumes=[{"name": taken, "emptyDir": {}}])))["spec"]
    names = [volume["name"] for volume in got["volumes"]]
    assert len(set(names)) == 2 and taken in names
    assert got["containers"][0]["volumeMounts"][0]["name"] == names[1]


async def test_no_token_if_not_wanted(api: LocalTransport) -> None:
    got = await api.request("POST", PODS, body=pod(automountServiceAccountToken=False))
    assert "volumes" not in got["spec"]


async def test_missing_account(api: LocalTransport) -> None:
    with pytest.raises(Forbidden) as refused:
        await api.request("POST", PODS, body=pod(serviceAccountName="nope"))
    assert refused.value.message == (
        'pods "web" is forbidden: error looking up service account default/nope: serviceaccount "nope" not found'
    )


async def test_unknown_priority_class(api: LocalTransport) -> None:
    with pytest.raises(Forbidden, match="no PriorityClass with name high was found"):
        await api.request("POST", PODS, body=pod(priorityClassName="high"))


async def create(api: LocalTransport, name: str, **spec: Any) -> Any:
    return (await api.request("POST", SERVICES, body=service(name, **spec)))["spec"]


async def test_cluster_ip(api: LocalTransport) -> None:
    got = await create(api, "a")
    assert got["clusterIPs"] == [got["clusterIP"]]
    assert got["clusterIP"].startswith("10.96.")
    assert (got["ipFamilies"], got["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")
    assert (await create(api, "b", clusterIP="10.96.0.10"))["clusterIPs"] == ["10.96.0.10"]
    with pytest.raises(Invalid) as refused:
        await create(api, "c", clusterIP="10.96.0.10")
    assert refused.value.message == (
        'Service "c" is invalid: spec.clusterIPs: Invalid value: ["10.96.0.10"]: failed to allocate IP 10.96.0.10: '
        "provided IP is already allocated"
    )
    with pytest.raises(Invalid, match=r"is not in the valid range\. The range of valid IPs is 10\.96\.0\.0/16"):
        await create(api, "c", clusterIP="192.168.0.1")
    assert (await create(api, "d", clusterIP="None"))["clusterIPs"] == ["None"]


async def test_families(api: LocalTransport) -> None:
    """Those of the cluster, but a headless Service without a selector has any (initIPFamilyFields)."""
    for spec, why in (
        ({"ipFamilyPolicy": "RequireDualStack"}, "this cluster is not configured for dual-stack services"),
        ({"ipFamilies": ["IPv6"]}, "not configured on this cluster"),
        ({"ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv4", "IPv6"]}, "not configured on this cluster"),
    ):
        with pytest.raises(Invalid, match=why):
            await api.request("POST", SERVICES, body=service(**spec))
    got = (await api.request("POST", SERVICES, body=service("a", ipFamilyPolicy="PreferDualStack")))["spec"]
    assert (got["ipFamilies"], got["ipFamilyPolicy"]) == (["IPv4"], "PreferDualStack")
    free = await api.request("POST", SERVICES, body=service("b", clusterIP="None", selector={}))
    assert (free["spec"]["ipFamilies"], free["spec"]["ipFamilyPolicy"]) == (["IPv4", "IPv6"], "RequireDualStack")
    free = {**free, "spec": {**free["spec"], "ipFamilyPolicy": "SingleStack"}}
    assert (await api.request("PUT", f"{SERVICES}/b", body=free))["spec"]["ipFamilies"] == ["IPv4"]
    body = {"spec": {"selector": {"a": "b"}, "ipFamilyPolicy": "RequireDualStack"}}
    with pytest.raises(Invalid, match="RequireDualStack"):
        await api.request("PATCH", f"{SERVICES}/b", body=body, content_type=MERGE)


async def test_addresses_differ_in_a_burst(run: Running) -> None:
    api = run.local()
    made = await asyncio.gather(*(create(api, f"s{i}", type="NodePort") for i in range(100)))
    assert len({spec["clusterIP"] for spec in made}) == 100
    assert len({spec["ports"][0]["nodePort"] for spec in made}) == 100
    assert all(30000 <= spec["ports"][0]["nodePort"] <= 32767 for spec in made)


async def test_address_is_free_again_after_a_refusal_and_a_delete(api: LocalTransport) -> None:
    with pytest.raises(Invalid):
        await create(api, "a", type="NodePort", clusterIP="10.96.0.20", ports=[{"port": 80, "nodePort": 1}])
    await create(api, "a", clusterIP="10.96.0.20")
    await api.request("DELETE", SERVICES + "/a")
    await create(api, "b", clusterIP="10.96.0.20")


async def test_node_port_conflict(api: LocalTransport) -> None:
    ports = [{"port": 80, "nodePort": 30080}]
    await create(api, "a", type="NodePort", ports=ports)
    with pytest.raises(Invalid) as refused:
        await create(api, "b", type="NodePort", ports=ports)
    assert refused.value.message == (
        'Service "b" is invalid: spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated'
    )
    udp = [{"port": 80, "nodePort": 30080, "protocol": "UDP"}]
    await create(api, "c", type="NodePort", ports=udp)


async def test_type_changes(api: LocalTransport) -> None:
    first = await create(api, "a")

    async def become(**spec: Any) -> Any:
        return (await api.request("PATCH", SERVICES + "/a", body={"spec": spec}, content_type=MERGE))["spec"]

    got = await become(type="NodePort")
    assert got["clusterIP"] == first["clusterIP"]
    assert got["ports"][0]["nodePort"]
    got = await become(type="ClusterIP")
    assert "nodePort" not in got["ports"][0]
    got = await become(type="ExternalName", externalName="example.com")
    assert "clusterIP" not in got
    got = await become(type="ClusterIP", externalName=None)
    assert got["clusterIP"]


async def test_put_without_allocated_values_keeps_them(api: LocalTransport) -> None:
    first = await create(api, "a", type="NodePort")
    body = service("a", type="NodePort", selector={"app": "new"})
    got = (await api.request("PUT", SERVICES + "/a", body=body))["spec"]
    assert got["clusterIP"] == first["clusterIP"]
    assert got["ports"] == first["ports"]


async def test_cluster_ip_may_not_change(api: LocalTransport) -> None:
    await create(api, "a")
    with pytest.raises(Invalid):
        body = {"spec": {"clusterIP": "10.96.7.7", "clusterIPs": ["10.96.7.7"]}}
        await api.request("PATCH", SERVICES + "/a", body=body, content_type=MERGE)


async def test_creating_it_again_is_no_address_conflict(api: LocalTransport) -> None:
    await create(api, "a", clusterIP="10.96.0.1")
    with pytest.raises(AlreadyExists):
        await create(api, "a", clusterIP="10.96.0.1")
