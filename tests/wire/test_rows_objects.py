"""Rows of sig-network, sig-node and sig-storage about objects: the calls of upstream's tests, in protobuf, against simulated containers.

Pods are in `test_rows_pods.py`; the objects of sig-storage also in `test_rows_storage.py`. What needs packets or files is in tests/docker.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from minik.api.builtin import BUILTIN
from tests.support.e2e import JSON_PATCH, MERGE, STRATEGIC, Client, Obj, row
from tests.support.process import Server, until

IMAGE = "registry.test/agnhost:2"
SLICES_OF = "kubernetes.io/service-name"
KINDS = {kind.plural: kind for kind in BUILTIN if "create" in kind.verbs}


@pytest.fixture
def api(server: Server, namespace: str) -> Client:
    return Client(server, namespace)


def notes(obj: Obj) -> dict[str, str]:
    found: dict[str, str] = obj["metadata"].get("annotations") or {}
    return found


# --- what the tests of many APIs have in common -----------------------------------------------------------------------


def check_discovery(api: Client, plural: str) -> None:
    kind = KINDS[plural]
    groups = {group["name"]: group for group in api.do("GET", "/apis")["groups"]}
    assert kind.version in [each["version"] for each in groups[kind.group]["versions"]]
    group = api.do("GET", f"/apis/{kind.group}")
    assert kind.version in [each["version"] for each in group["versions"]]
    resources = {each["name"]: each for each in api.do("GET", f"/apis/{kind.api_version}")["resources"]}
    assert set(resources[plural]["verbs"]) == {
        "create", "delete", "deletecollection", "get", "list", "patch", "update", "watch",
    }  # fmt: skip


def check_operations(api: Client, plural: str, new: Callable[[str], Obj]) -> Obj:
    """What the "API operations" tests do, up to a deletion. `new(name)`: an object; the name may be a prefix. The last object."""
    check_discovery(api, plural)
    label = {"special-label": api.namespace}
    selector = f"special-label={api.namespace}"

    def make(name: str) -> Obj:
        obj = new(f"{name}-{api.namespace}")
        return {**obj, "metadata": {**obj["metadata"], "labels": dict(label)}}

    for name in ("first", "second"):
        api.create(plural, make(name))
    created = api.create(plural, make("third"))
    name = created["metadata"]["name"]
    assert api.get(plural, name)["metadata"]["uid"] == created["metadata"]["uid"]
    listed = api.page(plural, selector)
    assert len(listed["items"]) == 3
    assert len(api.items(plural, selector, everywhere=True)) == 3
    with (
        api.watch(plural, listed["metadata"]["resourceVersion"], selector) as watch,
        api.watch(plural, listed["metadata"]["resourceVersion"], selector, everywhere=True) as wide,
    ):
        patched = api.patch(plural, name, {"metadata": {"annotations": {"patched": "true"}}}, MERGE)
        assert notes(patched) == {"patched": "true"} | notes(created)
        updated = api.change(plural, name, lambda obj: notes(obj).update(updated="true"))
        assert notes(updated)["updated"] == "true"
        for each in (watch, wide):
            for expected in (patched, updated):
                type_, obj = each.next("the annotations")
                assert (type_, obj["metadata"]) == ("MODIFIED", expected["metadata"])
        api.delete(plural, name)
        assert watch.next("the deletion")[0] == "DELETED"
    assert not api.exists(plural, name)
    assert len(api.items(plural, selector)) == 2
    api.delete_collection(plural, selector)
    assert api.items(plural, selector) == []
    return dict(updated)


def check_resource(api: Client, plural: str, initial: Obj, change: Obj, patch: Obj, status: Obj | None = None) -> None:
    """`conformance.TestResource`: create, update and patch through the dynamic client (JSON), with what watches show of it.

    `change`: merged into the object for the update; `patch`: a strategic merge patch."""
    kind = KINDS[plural]
    check_discovery(api, plural)
    name = initial["metadata"].setdefault("name", "test")
    if not kind.namespaced:
        name = initial["metadata"]["name"] = f"{name}-{api.namespace}"
    initial["metadata"]["labels"] = {"e2e-test.kubernetes.io": api.namespace}
    initial |= {"apiVersion": kind.api_version, "kind": kind.kind}
    selector = f"e2e-test.kubernetes.io={api.namespace}"
    path = api.path(plural)
    revision = api.page(plural, selector)["metadata"]["resourceVersion"]
    with api.watch(plural, revision, selector) as watch:
        created = api.do("POST", f"{path}?fieldValidation=Strict", initial)
        assert watch.next() == ("ADDED", created)
        updated = api.do("PUT", f"{path}/{name}", _merged(api.do("GET", f"{path}/{name}"), change))
        assert int(updated["metadata"]["resourceVersion"]) > int(created["metadata"]["resourceVersion"])
        assert watch.next() == ("MODIFIED", updated)
        if status is not None:
            written = api.do("PUT", f"{path}/{name}/status", _merged(updated, {"status": status}))
            assert written["status"] == status
            assert watch.next() == ("MODIFIED", written)
            assert api.do("GET", f"{path}/{name}/status") == written
        api.do("DELETE", f"{path}/{name}")
        while (event := watch.next())[0] == "MODIFIED":  # finalizers
            pass
        assert event[0] == "DELETED"
        made = api.do("POST", path, initial)
        identity = {key: made["metadata"][key] for key in ("namespace", "name", "uid") if key in made["metadata"]}
        whole = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": identity}
        for type_ in (STRATEGIC, MERGE):
            done = api.do("PATCH", f"{path}/{name}?fieldValidation=Strict", _merged(whole, patch), type_)
            assert _merged(done, patch) == done
            if status is not None:
                said = {**whole, "status": status}
                done = api.do("PATCH", f"{path}/{name}/status?fieldValidation=Strict", said, type_)
                assert done["status"] == status
        added = [{"op": "add", "path": "/metadata/annotations", "value": {"a": "b"}}]
        api.do("PATCH", f"{path}/{name}?fieldValidation=Strict", added, JSON_PATCH)
        assert [each["metadata"]["name"] for each in api.items(plural, selector, everywhere=True)] == [name]
        api.delete_collection(plural, selector)
    until(lambda: not api.exists(plural, name), f"{name} gone")


def _merged(obj: Any, change: Any) -> Any:
    if not isinstance(obj, dict) or not isinstance(change, dict):
        return change
    return {**obj, **{key: _merged(obj.get(key), value) for key, value in change.items()}}


# --- sig-network ------------------------------------------------------------------------------------------------------


def backend(name: str, port: int = 8080) -> Obj:
    return {"service": {"name": name, "port": {"number": port}}}


@row("Ingress API")
def test_ingresses(api: Client) -> None:
    def new(name: str) -> Obj:
        path = {"path": "/", "pathType": "ImplementationSpecific", "backend": backend("test-backend")}
        rules = [{"host": f"{name}.bar.com", "http": {"paths": [path]}}]
        spec = {"defaultBackend": backend("default-backend"), "rules": rules}
        return {"metadata": {"generateName": "e2e-example-ing"}, "spec": spec, "status": {"loadBalancer": {}}}

    check_operations(api, "ingresses", new)
    name = api.create("ingresses", new("again"))["metadata"]["name"]
    balancer = {"ingress": [{"ip": "169.1.1.1"}]}
    body = {"metadata": {"annotations": {"patchedstatus": "true"}}, "status": {"loadBalancer": balancer}}
    patched = api.patch("ingresses", f"{name}/status", body, MERGE)
    assert (patched["status"]["loadBalancer"], notes(patched)["patchedstatus"]) == (balancer, "true")
    balancer = {"ingress": [{"ip": "169.1.1.2"}]}
    updated = api.change("ingresses", name, lambda obj: obj["status"].update(loadBalancer=balancer), "status")
    assert updated["status"]["loadBalancer"] == balancer
    assert api.get("ingresses", f"{name}/status")["metadata"]["uid"] == patched["metadata"]["uid"]


@row("IngressClass API")
def test_ingress_classes(api: Client) -> None:
    def new(name: str) -> Obj:
        return {"metadata": {"name": name}, "spec": {"controller": "example.com/controller"}}

    check_operations(api, "ingressclasses", new)


@row("EndpointSlice API")
def test_endpoint_slices(api: Client) -> None:
    def new(_name: str) -> Obj:
        endpoints = [{"addresses": ["1.2.3.4", "5.6.7.8"]}, {"addresses": ["2.2.3.4", "6.6.7.8"]}]
        return {"metadata": {"generateName": "e2e-example-ing"}, "addressType": "IPv4", "endpoints": endpoints}

    check_operations(api, "endpointslices", new)


def test_network_policies(api: Client) -> None:
    """Not a conformance row, as policies are optional: netpol/network_policy_api.go."""

    def new(_name: str, **rules: Any) -> Obj:
        selector = {"matchLabels": {"pod-name": "test-pod"}}
        return {"metadata": {"generateName": "e2e-example-netpol"}, "spec": {"podSelector": selector, **rules}}

    peer = {
        "podSelector": {"matchLabels": {"pod-name": "client-a"}},
        "namespaceSelector": {"matchLabels": {"ns-name": "pod-b"}},
    }
    seen = check_operations(api, "networkpolicies", lambda name: new(name, ingress=[{"from": [peer]}]))
    assert seen["spec"]["policyTypes"] == ["Ingress"]
    for port, why in (
        ({"endPort": 20000}, "may not be specified when `port` is not specified"),
        ({"port": "serve-80", "endPort": 20000}, "may not be specified when `port` is non-numeric"),
        ({"port": 30000, "endPort": 20000}, "must be greater than or equal to `port`"),
    ):
        refused = api.try_create("networkpolicies", new("", egress=[{"ports": [port]}]))
        assert refused.status == 422
        assert f"spec.egress[0].ports[0].endPort: Invalid value: 20000: {why}" in refused.obj["message"]
    for start in (20000, 10000):
        answer = api.try_create("networkpolicies", new("", egress=[{"ports": [{"port": start, "endPort": 20000}]}]))
        assert "does not enforce NetworkPolicies" in answer.headers["Warning"]
        made = answer.obj
        assert made["spec"]["egress"] == [{"ports": [{"protocol": "TCP", "port": start, "endPort": 20000}]}]
        assert made["spec"]["policyTypes"] == ["Ingress", "Egress"]


@row("ServiceCIDR API")
def test_service_ranges(api: Client) -> None:
    default = api.get("servicecidrs", "kubernetes")
    status = api.do("GET", api.path("servicecidrs", "kubernetes/status"))
    assert (status["apiVersion"], status["kind"]) == ("networking.k8s.io/v1", "ServiceCIDR")
    assert status["metadata"]["uid"] == default["metadata"]["uid"]
    listed = api.page("servicecidrs")
    assert default in listed["items"]
    with api.watch("servicecidrs", "") as watch:
        assert watch.next("the default range")[0] == "ADDED"


@row("IPAddress API")
def test_addresses(api: Client) -> None:
    def new(name: str, type_: str) -> Obj:
        parent = {"group": "mygroup", "resource": "myresources", "namespace": "foo", "name": "bar"}
        return {"metadata": {"name": name, "labels": {"type": type_}}, "spec": {"parentRef": parent}}

    ip = "255.255.255.255"
    made = api.create("ipaddresses", new(ip, "broadcast"))
    api.create("ipaddresses", new("fe80::42:1dff:fe84:f9e2", "link-local"))
    patched = api.patch("ipaddresses", ip, {"metadata": {"annotations": {"patched": "true"}}}, MERGE)
    assert notes(patched)["patched"] == "true"
    assert int(patched["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
    updated = api.change("ipaddresses", ip, lambda obj: notes(obj).update(updated="true"))
    assert notes(updated)["updated"] == "true"
    assert len(api.items("ipaddresses", "type=broadcast")) == 1
    with api.watch("ipaddresses", "", "type=broadcast") as watch:
        assert watch.next()[1]["metadata"]["name"] == ip
    api.delete("ipaddresses", ip)
    api.delete_collection("ipaddresses", "type=link-local")
    assert api.items("ipaddresses", "type=link-local") == []


@row("Endpoint resource lifecycle")
def test_the_life_of_endpoints(api: Client) -> None:
    selector = "test-endpoint-static=true"
    port = {"name": "http", "port": 80, "protocol": "TCP"}
    obj = {
        "metadata": {"name": "testservice", "labels": {"test-endpoint-static": "true"}},
        "subsets": [{"addresses": [{"ip": "10.0.0.24"}], "ports": [port]}],
    }
    revision = api.page("endpoints", selector, everywhere=True)["metadata"]["resourceVersion"]
    created = api.create("endpoints", obj)
    assert "v1 Endpoints is deprecated in v1.33+" in api.ask("GET", api.path("endpoints")).headers["Warning"]
    api.until_event("endpoints", revision, selector, lambda type_, _: type_ == "ADDED", "the endpoints")
    page = api.page("endpoints", selector, everywhere=True)
    revision = page["metadata"]["resourceVersion"]
    found = next(each for each in page["items"] if each["metadata"]["namespace"] == api.namespace)
    found["metadata"]["labels"]["test-service"] = "updated"
    api.put("endpoints", found)
    api.until_event("endpoints", revision, selector, lambda type_, _: type_ == "MODIFIED", "the update")
    updated = api.get("endpoints", "testservice")
    patched = api.patch("endpoints", "testservice", {
        "metadata": {"labels": {"test-service": "patched"}},
        "subsets": [{"addresses": [{"ip": "10.0.0.25"}], "ports": [{"name": "http-test", "port": 8080}]}],
    })  # fmt: skip
    assert int(patched["metadata"]["resourceVersion"]) > int(created["metadata"]["resourceVersion"])
    revision = updated["metadata"]["resourceVersion"]
    api.until_event("endpoints", revision, selector, lambda type_, _: type_ == "MODIFIED", "the patch")
    now = api.get("endpoints", "testservice")
    assert now["metadata"]["labels"]["test-service"] == "patched"
    assert now["subsets"] == [
        {"addresses": [{"ip": "10.0.0.25"}], "ports": [{"name": "http-test", "port": 8080, "protocol": "TCP"}]}
    ]
    api.delete_collection("endpoints", selector)
    revision = now["metadata"]["resourceVersion"]
    api.until_event("endpoints", revision, selector, lambda type_, _: type_ == "DELETED", "the deletion")
    assert not api.exists("endpoints", "testservice")


def slices(api: Client, service: str) -> list[Any]:
    return api.items("endpointslices", f"{SLICES_OF}={service}")


@row("EndpointSlice Mirroring")
def test_mirroring(api: Client) -> None:
    name = "example-custom-endpoints"
    api.create("services", {
        "metadata": {"name": name}, "spec": {"ports": [{"name": "example", "port": 80, "protocol": "TCP"}]},
    })  # fmt: skip

    def endpoints(ip: str) -> Obj:
        return {"metadata": {"name": name}, "subsets": [{"ports": [{"port": 80}], "addresses": [{"ip": ip}]}]}

    def mirrored(ip: str) -> bool:
        return [
            ([port["port"] for port in each["ports"]], [endpoint["addresses"] for endpoint in each["endpoints"]])
            for each in slices(api, name)
        ] == [([80], [[ip]])]

    api.create("endpoints", endpoints("10.1.2.3"))
    until(lambda: mirrored("10.1.2.3"), "the endpoints mirrored")
    api.put("endpoints", endpoints("10.2.3.4"))  # without a revision
    until(lambda: mirrored("10.2.3.4"), "the update mirrored")
    api.delete("endpoints", name)
    until(lambda: not slices(api, name), "the mirror gone")


@row('EndpointSlice, "empty" Service', 'Endpoints, "empty" Service')
def test_a_service_that_matches_no_pods(api: Client) -> None:
    name = "example-empty-selector"
    api.create("services", {
        "metadata": {"name": name},
        "spec": {
            "selector": {"does-not-match-anything": "endpoints-and-endpoint-slices-should-still-be-created"},
            "ports": [{"name": "example", "port": 80, "protocol": "TCP"}],
        },
    })  # fmt: skip
    until(lambda: api.exists("endpoints", name), "the endpoints")
    [found] = until(lambda: slices(api, name), "the slice")
    assert found["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] == "endpointslice-controller.k8s.io"
    assert not found.get("endpoints")
    api.delete("services", name)
    until(lambda: not api.exists("endpoints", name), "the endpoints gone")
    until(lambda: not slices(api, name), "the slice gone")


@row("EndpointSlice, creation/deletion", "Endpoints, creation/deletion")
def test_services_and_their_pods(api: Client) -> None:
    def pod(name: str, *ports: tuple[str, int]) -> Obj:
        listed = [{"name": port, "containerPort": number} for port, number in ports]
        labels = {name: "on", "shared12": "on"}
        container = {"name": "container1", "image": IMAGE, "ports": listed}
        return {"metadata": {"name": name, "labels": labels}, "spec": {"containers": [container]}}

    def service(name: str, selected: str, target: Any) -> None:
        port = {"name": "http", "port": 80, "targetPort": target, "protocol": "TCP"}
        spec = {"selector": {selected: "on"}, "publishNotReadyAddresses": True, "ports": [port]}
        api.create("services", {"metadata": {"name": name}, "spec": spec})

    pods = {
        each["metadata"]["name"]: each
        for each in (
            api.create("pods", pod("pod1", ("example-name", 3000))),
            api.create("pods", pod("pod2", ("example-name", 3001), ("other-port", 3002))),
        )
    }
    service("example-int-port", "pod1", 3000)
    service("example-named-port", "shared12", "example-name")
    service("example-no-match", "pod3", 8080)
    for name in pods:
        until(lambda: api.get("pods", name)["status"].get("podIPs"), f"addresses of {name}")  # noqa: B023  # waits here
        pods[name] = api.get("pods", name)

    def reached(targets: dict[str, int], subsets: list[Any]) -> bool:
        expected = {
            (pod["status"]["podIP"], port, "http", pod["metadata"]["uid"])
            for name, port in targets.items()
            for pod in [pods[name]]
        }
        found = {
            (address["ip"], port["port"], port["name"], address["targetRef"]["uid"])
            for subset in subsets
            for address in [*(subset.get("addresses") or ()), *(subset.get("notReadyAddresses") or ())]
            for port in subset["ports"]
        }
        return found == expected and len(subsets) == len(targets)

    def expect(name: str, targets: dict[str, int]) -> None:
        until(lambda: reached(targets, api.get("endpoints", name).get("subsets") or []), f"endpoints of {name}")

        def as_subsets() -> list[Any]:
            return [
                {
                    "addresses": [{"ip": e["addresses"][0], "targetRef": e["targetRef"]} for e in each["endpoints"]],
                    "ports": each["ports"],
                }
                for each in slices(api, name)
                if each.get("endpoints")
            ]

        until(lambda: slices(api, name) and reached(targets, as_subsets()), f"slices of {name}")

    expect("example-int-port", {"pod1": 3000})
    expect("example-named-port", {"pod1": 3000, "pod2": 3001})
    expect("example-no-match", {})
    assert not slices(api, "example-no-match")[0].get("ports")
    for each in slices(api, "example-named-port"):
        api.delete("endpointslices", each["metadata"]["name"])
    expect("example-named-port", {"pod1": 3000, "pod2": 3001})
