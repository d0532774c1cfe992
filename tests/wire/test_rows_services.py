"""Rows of sig-network about Services as objects: addresses, types, status, endpoints. The calls of upstream's tests, in protobuf.

Whether packets arrive is in tests/docker/test_services.py.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.e2e import MERGE, Client, Obj, row
from tests.support.process import Server, until
from tests.wire.test_rows_objects import IMAGE, SLICES_OF, notes

STATIC = "test-service-static=true"
WRITTEN = {"type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "Set from e2e test"}


@pytest.fixture
def api(server: Server, namespace: str) -> Client:
    return Client(server, namespace)


def port(number: int = 80, **more: Any) -> Obj:
    return {"name": f"p{number}", "port": number, "protocol": "TCP", **more}


def service(name: str, labels: Obj | None = None, **spec: Any) -> Obj:
    return {"metadata": {"name": name, "labels": dict(labels or {})}, "spec": {"ports": [port()], **spec}}


@row("Kubernetes Service", "Find Kubernetes Service in default Namespace")
def test_the_service_of_the_server(api: Client) -> None:
    found = api.do("GET", api.path("services", "kubernetes", namespace="default"))
    assert [each["port"] for each in found["spec"]["ports"]] == [443]
    everywhere = api.items("services", everywhere=True)
    assert ("default", "kubernetes") in {(o["metadata"]["namespace"], o["metadata"]["name"]) for o in everywhere}


@row("Service, complete ServiceStatus lifecycle")
def test_the_status_of_a_service(api: Client) -> None:
    name = "test-service"
    revision = api.page("services", STATIC, everywhere=True)["metadata"]["resourceVersion"]
    static = {"test-service-static": "true"}
    ports = [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 80}]
    api.create("services", service(name, static, type="LoadBalancer", ports=ports))
    api.until_event("services", revision, STATIC, lambda _, obj: obj["metadata"]["name"] == name, "the service")
    assert api.get("services", f"{name}/status")["kind"] == "Service"
    balancer = {"ingress": [{"ip": "203.0.113.1"}]}
    body = {"metadata": {"annotations": {"patchedstatus": "true"}}, "status": {"loadBalancer": balancer}}
    patched = api.patch("services", f"{name}/status", body, MERGE)
    assert patched["status"]["loadBalancer"] == {"ingress": [{"ip": "203.0.113.1", "ipMode": "VIP"}]}

    def is_patched(_type: str, obj: Obj) -> bool:
        return notes(obj).get("patchedstatus") == "true"

    def is_written(type_: str, obj: Obj) -> bool:
        conditions = obj["status"].get("conditions") or ()
        return is_patched(type_, obj) and any(WRITTEN.items() <= each.items() for each in conditions)

    api.until_event("services", revision, STATIC, is_patched, "the patch of the status")

    def write(obj: Obj) -> None:
        obj["status"]["conditions"] = [*(obj["status"].get("conditions") or ()), WRITTEN]

    api.change("services", name, write, "status")
    api.until_event("services", revision, STATIC, is_written, "the update of the status")
    api.patch("services", name, {
        "metadata": {"creationTimestamp": None, "labels": {"test-service": "patched"}},
        "spec": {}, "status": {"loadBalancer": {}},
    })  # fmt: skip  # a whole marshalled object
    seen = api.until_event(
        "services", revision, STATIC, lambda _, o: o["metadata"]["labels"].get("test-service") == "patched", "the patch"
    )
    assert seen["metadata"]["creationTimestamp"]
    api.delete("services", name)
    api.until_event("services", revision, STATIC, lambda type_, _: type_ == "DELETED", "the deletion")


@row("Service, deletes a collection of services")
def test_a_collection_of_services(api: Client) -> None:
    label = {"e2e-test-service": "delete"}
    for number in range(3):
        api.create("services", service(f"e2e-svc-{number}", label if number else None))
    assert len(api.items("services")) == 3
    api.delete_collection("services", "e2e-test-service=delete")
    assert [each["metadata"]["name"] for each in api.items("services")] == ["e2e-svc-0"]


def addressed(obj: Obj) -> list[str]:
    """Its cluster addresses, each of which has its IPAddress."""
    found: list[str] = obj["spec"].get("clusterIPs") or []
    assert (obj["spec"].get("clusterIP") or "") == (found[0] if found else "")
    return found


def to_external_name(obj: Obj) -> None:
    obj["spec"] |= {"type": "ExternalName", "externalName": "externalsvc.test.svc.cluster.local"}


@row("Service, change type, ClusterIP to ExternalName", "Service, change type, NodePort to ExternalName")
@pytest.mark.parametrize("type_", ["ClusterIP", "NodePort"])
def test_a_service_becomes_an_external_name(api: Client, type_: str) -> None:
    """`jig.UpdateService`: get, change, put; nothing else is taken away by the client, as the tests of upstream do it."""
    made = api.create("services", service("svc", type=type_, ports=[port(targetPort=9376)]))
    [ip] = addressed(made)
    assert api.exists("ipaddresses", ip)
    node_port = made["spec"]["ports"][0].get("nodePort", 0)
    assert bool(node_port) == (type_ == "NodePort")
    changed = api.change("services", "svc", to_external_name)
    assert (changed["spec"]["type"], addressed(changed)) == ("ExternalName", [])
    assert not any(each.get("nodePort") for each in changed["spec"].get("ports") or ())
    assert not api.exists("ipaddresses", ip)
    if node_port:  # it is free again
        ports = [port(targetPort=9376, nodePort=node_port)]
        assert api.create("services", service("heir", type="NodePort", ports=ports))


@row("Service, change type, ExternalName to ClusterIP", "Service, change type, ExternalName to NodePort")
@pytest.mark.parametrize("type_", ["ClusterIP", "NodePort"])
def test_an_external_name_becomes_a_service(api: Client, type_: str) -> None:
    spec = {"type": "ExternalName", "externalName": "foo.example.com", "selector": {"app": "x"}}
    made = api.create("services", {"metadata": {"name": "svc"}, "spec": spec})
    assert addressed(made) == []

    def edit(obj: Obj) -> None:
        obj["spec"] |= {"type": type_, "externalName": "", "ports": [port(targetPort=9376)]}

    changed = api.change("services", "svc", edit)
    [ip] = addressed(changed)
    assert api.exists("ipaddresses", ip)
    assert "externalName" not in changed["spec"]
    assert bool(changed["spec"]["ports"][0].get("nodePort")) == (type_ == "NodePort")


@row(
    "Service, ClusterIP type, session affinity to ClientIP", "Service, ClusterIP type, session affinity to None",
    "Service, NodePort type, session affinity to ClientIP", "Service, NodePort type, session affinity to None",
)  # fmt: skip
@pytest.mark.parametrize("type_", ["ClusterIP", "NodePort"])
def test_session_affinity(api: Client, type_: str) -> None:
    made = api.create("services", service("svc", type=type_, sessionAffinity="ClientIP"))
    assert made["spec"]["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}
    for affinity in ("None", "ClientIP"):
        changed = api.change("services", "svc", lambda obj: obj["spec"].update(sessionAffinity=affinity))  # noqa: B023
        assert changed["spec"]["sessionAffinity"] == affinity
        assert ("sessionAffinityConfig" in changed["spec"]) == (affinity == "ClientIP")
        assert addressed(changed) == addressed(made)


@row("Service, endpoints", "Service, endpoints with multiple ports")
def test_endpoints_follow_pods(api: Client) -> None:
    def pod(name: str, **ports: int) -> None:
        listed = [{"name": key, "containerPort": number} for key, number in ports.items()]
        container = {"name": "agnhost", "image": IMAGE, "ports": listed}
        labels = {"foo": "multiport"}
        spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
        api.create("pods", {"metadata": {"name": name, "labels": labels}, "spec": spec})
        api.phase(name)

    ports = [
        {"name": key, "port": number, "targetPort": key}
        for key, number in {"portname1": 80, "portname2": 81}.items()
    ]  # fmt: skip
    api.create("services", service("multi-endpoint-test", selector={"foo": "multiport"}, ports=ports))

    def expect(**wanted: list[int]) -> None:
        """`validateEndpointsPortsOrFail`, in Endpoints and in EndpointSlices."""

        def in_endpoints() -> dict[str, list[int]]:
            subsets = api.get("endpoints", "multi-endpoint-test").get("subsets") or ()
            return _by_pod((s.get("addresses") or (), s["ports"]) for s in subsets)

        def in_slices() -> dict[str, list[int]]:
            found = api.items("endpointslices", f"{SLICES_OF}=multi-endpoint-test")
            return _by_pod((each.get("endpoints") or (), each.get("ports") or ()) for each in found)

        until(lambda: in_endpoints() == wanted and in_slices() == wanted, f"endpoints {wanted}")

    until(lambda: api.exists("endpoints", "multi-endpoint-test"), "the endpoints")
    expect()
    pod("pod1", portname1=100)
    expect(pod1=[100])
    pod("pod2", portname2=101)
    expect(pod1=[100], pod2=[101])
    api.delete("pods", "pod1")
    expect(pod2=[101])
    api.delete("pods", "pod2")
    expect()


def _by_pod(groups: Any) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for endpoints, ports in groups:
        for endpoint in endpoints:
            found.setdefault(endpoint["targetRef"]["name"], []).extend(each["port"] for each in ports)
    return {name: sorted(numbers) for name, numbers in found.items()}


@row("Service, should serve endpoints on same port and different protocols.")
def test_one_port_two_protocols(api: Client) -> None:
    def of(*protocols: str) -> list[Obj]:
        return [{"name": f"{p.lower()}-port", "port": 80, "targetPort": 8080, "protocol": p} for p in protocols]

    container = {"name": "c", "image": IMAGE, "ports": [{"containerPort": 8080, "protocol": p} for p in ("TCP", "UDP")]}
    api.create("pods", {"metadata": {"name": "p", "labels": {"app": "multi"}}, "spec": {"containers": [container]}})
    made = api.create("services", service("multiprotocol-test", selector={"app": "multi"}, ports=of("TCP", "UDP")))
    api.phase("p")

    def served(*protocols: str) -> bool:
        found = api.items("endpointslices", f"{SLICES_OF}=multiprotocol-test")
        return sorted(p["protocol"] for each in found for p in each.get("ports") or ()) == sorted(protocols)

    until(lambda: served("TCP", "UDP"), "both protocols")
    for protocol in ("TCP", "UDP"):
        changed = api.change("services", "multiprotocol-test", lambda obj: obj["spec"].update(ports=of(protocol)))  # noqa: B023
        assert addressed(changed) == addressed(made)
        until(lambda: served(protocol), protocol)  # noqa: B023  # waits here


@row("Service endpoint latency, thresholds")
def test_endpoints_come_soon(api: Client) -> None:
    """Some thirty of upstream's services. Each is seen in one watch of Endpoints, with the address of the pod."""
    container = {"name": "c", "image": IMAGE}
    labels = {"name": "svc-latency-rc"}
    api.create("pods", {"metadata": {"name": "p", "labels": labels}, "spec": {"containers": [container]}})
    api.phase("p")
    ip = api.get("pods", "p")["status"]["podIP"]
    revision = api.page("endpoints")["metadata"]["resourceVersion"]
    waiting = set()
    with api.watch("endpoints", revision) as watch:
        for _ in range(30):
            obj = {"metadata": {"generateName": "latency-svc-"}, "spec": {"ports": [port()], "selector": labels}}
            waiting.add(api.create("services", obj)["metadata"]["name"])
        while waiting:
            _, seen = watch.next(f"the endpoints of {waiting}")
            if any(a["ip"] == ip for s in seen.get("subsets") or () for a in s.get("addresses") or ()):
                waiting.discard(seen["metadata"]["name"])
