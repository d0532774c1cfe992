"""Rows of sig-network that need real packets: pods and Services reached, names looked up, requests proxied.

After `test/e2e/network/*.go`, `test/e2e/common/network/networking.go`. What agnhost does in a pod is done in the pod's network namespace
(`tests/support/podnet.py`).
"""

from __future__ import annotations

import contextlib
import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from minik import pki
from minik.clock import SystemClock
from tests.e2e.conftest import OneNode, pod
from tests.support.e2e import MERGE, Client, Obj, row
from tests.support.podnet import PodNet
from tests.support.process import dial, until

pytestmark = [pytest.mark.docker, pytest.mark.root]

MakePod = Callable[..., PodNet]
HTTP = {"name": "http", "port": 80, "protocol": "TCP"}


@pytest.fixture
def api(one: OneNode, namespace: str) -> Client:
    return Client(one.server, namespace)


@pytest.fixture
def make(api: Client, one: OneNode) -> Iterator[MakePod]:
    """`make(name, **spec)`: a pod that does nothing but have a network. Its address is `address`."""
    with contextlib.ExitStack() as stack:

        def made(name: str, **spec: Any) -> PodNet:
            api.create("pods", pod(name, "sleep 1d", **spec))
            api.phase(name)
            uid = api.get("pods", name)["metadata"]["uid"]
            conf = one.docker("exec", one.container(uid), "cat", "/etc/resolv.conf")
            return stack.enter_context(contextlib.closing(PodNet(one.netns(uid), conf)))

        yield made


def address(api: Client, name: str) -> str:
    found: str = api.get("pods", name)["status"]["podIP"]
    return found


def service(api: Client, name: str, *ports: Obj, **spec: Any) -> Obj:
    made: Obj = api.create("services", {"metadata": {"name": name}, "spec": {"ports": list(ports), **spec}})["spec"]
    return made


# --- pods and Services reached ------------------------------------------------------------------------------------


@row(
    "Networking, intra pod http",
    "Networking, intra pod udp",
    "Networking, intra pod http, from node",
)
def test_pods_are_reached(api: Client, one: OneNode, make: MakePod) -> None:
    for name in ("netserver-0", "netserver-1"):
        there = make(name)
        there.serve(8083, name)
        there.serve_udp(8081, name)
    client, node = make("test-container-pod"), PodNet(one.host.netns)
    for name in ("netserver-0", "netserver-1"):
        ip = address(api, name)
        for where in (client, node):
            until(lambda w=where, i=ip, n=name: w.fetch(i, 8083) == n, f"{name} over HTTP")
            until(lambda w=where, i=ip, n=name: w.ask_udp(i, 8081) == n, f"{name} over UDP")


@row("Service, NodePort Service")
def test_node_port(api: Client, one: OneNode, make: MakePod) -> None:
    port = {"port": 80, "targetPort": 9376, "protocol": "TCP"}
    spec = service(api, "nodeport-test", port, type="NodePort", selector={"app": "backend"})
    backends = {"backend-1", "backend-2"}
    for name in sorted(backends):
        make(name, labels={"app": "backend"}).serve(9376, name)
    client = make("execpod")
    (cluster_ip,) = client.lookup("nodeport-test")
    assert cluster_ip == spec["clusterIP"]
    node_port = spec["ports"][0]["nodePort"]
    for host, number in ((cluster_ip, 80), (one.host.ip, node_port)):
        seen: set[str] = set()
        until(lambda h=host, n=number, s=seen: s.add(client.fetch(h, n)) or s - {""} == backends, f"both at {host}")
    until(lambda: PodNet(one.host.netns).fetch(one.host.ip, node_port) in backends, "the node port from the node")


@row("EndpointSlice, single IP, multiple ports", "EndpointSlice, multiple IPs, multiple ports")
@pytest.mark.parametrize("pods", [1, 2])
def test_a_service_of_several_slices(api: Client, make: MakePod, pods: int) -> None:
    """A Service without selector, and two slices made by hand: of two ports of one pod, or of one port of each of two."""
    ports = [{"name": f"port{number}", "port": 8090 + number, "protocol": "TCP"} for number in (1, 2)]
    spec = service(api, "example-custom-endpoints", *ports)
    names = ["pod1", "pod2"] if pods == 2 else ["pod1", "pod1"]
    nets = {name: make(name) for name in dict.fromkeys(names)}
    for number, name in enumerate(names, 1):
        nets[name].serve(3000 + number, f"{name} {number}")
        labels = {
            "kubernetes.io/service-name": "example-custom-endpoints",
            "endpointslice.kubernetes.io/managed-by": "e2e-test",
        }
        api.create("endpointslices", {
            "metadata": {"name": f"custom-slice-{number}", "labels": labels}, "addressType": "IPv4",
            "endpoints": [{"addresses": [address(api, name)]}],
            "ports": [{"name": f"port{number}", "port": 3000 + number, "protocol": "TCP"}],
        })  # fmt: skip
    client = make("pause-pod")
    for number, name in enumerate(names, 1):
        until(
            lambda n=number, who=name: client.fetch(spec["clusterIP"], 8090 + n) == f"{who} {n}",
            f"port {8090 + number}",
        )


@row("kubernetes.default Endpoints and EndpointSlices")
def test_the_api_server_is_at_its_endpoints(api: Client, one: OneNode, make: MakePod) -> None:
    root = "/namespaces/default"
    (subset,) = api.do("GET", f"/api/v1{root}/endpoints/kubernetes")["subsets"]
    where = f"/apis/discovery.k8s.io/v1{root}/endpointslices"
    (found,) = api.do("GET", f"{where}?labelSelector=kubernetes.io/service-name%3Dkubernetes")["items"]
    assert found["metadata"]["name"] == "kubernetes"
    addresses = [each["ip"] for each in subset["addresses"]]
    assert addresses == [address for each in found["endpoints"] for address in each["addresses"]]
    (port,) = found["ports"]
    assert port["name"] == subset["ports"][0]["name"] == "https" and port["port"] == subset["ports"][0]["port"]
    cluster_ip = api.do("GET", f"/api/v1{root}/services/kubernetes")["spec"]["clusterIP"]
    netns = make("client").netns
    for host, number in ((addresses[0], port["port"]), (cluster_ip, 443)):
        with one.server.context().wrap_socket(dial(host, number, netns=netns), server_hostname=host) as stream:
            assert stream.getpeercert()


# --- names --------------------------------------------------------------------------------------------------------


@row("DNS, services", "DNS, PQDN for services", "DNS, cluster")
def test_names_of_services(api: Client, make: MakePod) -> None:
    labels = {"dns-test": "true"}
    service(api, "dns-test-service", HTTP, clusterIP="None", selector=labels)
    regular = service(api, "test-service-2", HTTP, selector=labels)
    client = make("dns-test", labels=labels)
    own, home = address(api, "dns-test"), f"{api.namespace}.svc"
    for tcp in (False, True):
        kubernetes = client.lookup("kubernetes.default", tcp=tcp)
        assert kubernetes and kubernetes == client.lookup("kubernetes.default.svc.cluster.local", tcp=tcp)
        for tail in ("", f".{api.namespace}", f".{home}", f".{home}.cluster.local"):
            for name, wanted in (("dns-test-service", own), ("test-service-2", regular["clusterIP"])):
                until(lambda q=name + tail, w=wanted, t=tcp: client.lookup(q, tcp=t) == [w], f"{name}{tail}: {wanted}")
        for name in ("dns-test-service", "test-service-2"):
            for tail in (f".{home}", f".{home}.cluster.local"):
                found = client.lookup(f"_http._tcp.{name}{tail}", "SRV", tcp=tcp)
                assert len(found) == 1 and f"{name}.{home}.cluster.local." in found[0], found
                assert found[0].split()[2] == "80"
    assert client.lookup(_reverse(regular["clusterIP"]), "PTR") == [f"test-service-2.{home}.cluster.local."]
    assert client.lookup(_reverse(own), "PTR") == [f"{own.replace('.', '-')}.dns-test-service.{home}.cluster.local."]


def _reverse(ip: str) -> str:
    return ".".join(reversed(ip.split("."))) + ".in-addr.arpa."


@row("DNS, resolve the hostname", "DNS, resolve the subdomain", "DNS, cluster")
def test_names_of_pods(api: Client, one: OneNode, make: MakePod) -> None:
    """By DNS from any pod, and in the pod's own /etc/hosts."""
    labels = {"dns-test-hostname": "true"}
    service(api, "dns-test-service-2", HTTP, clusterIP="None", selector=labels)
    client = make("dns-querier", labels=labels, hostname="dns-querier-2", subdomain="dns-test-service-2")
    own = address(api, "dns-querier")
    whole = f"dns-querier-2.dns-test-service-2.{api.namespace}.svc.cluster.local"
    for name in (
        whole,
        f"dns-querier-2.dns-test-service-2.{api.namespace}.svc",
        f"dns-test-service-2.{api.namespace}.svc",
    ):
        for tcp in (False, True):
            until(lambda n=name, t=tcp: client.lookup(n, tcp=t) == [own], f"{name} by DNS")
    hosts = [line.split() for line in in_pod(one, api, "dns-querier", "cat", "/etc/hosts").splitlines()]
    assert [own, whole, "dns-querier-2"] in hosts
    assert in_pod(one, api, "dns-querier", "hostname").strip() == "dns-querier-2"


def in_pod(one: OneNode, api: Client, name: str, *command: str) -> str:
    return one.docker("exec", one.container(api.get("pods", name)["metadata"]["uid"]), *command)


@row("DNS, for ExternalName Services")
def test_external_names(api: Client, make: MakePod) -> None:
    api.create("services", {
        "metadata": {"name": "dns-test-service-3"}, "spec": {"type": "ExternalName", "externalName": "foo.example.com"},
    })  # fmt: skip
    client = make("dns-test")
    name = f"dns-test-service-3.{api.namespace}.svc.cluster.local"
    until(lambda: client.lookup(name, "CNAME") == ["foo.example.com."], "the first name")
    api.patch("services", "dns-test-service-3", {"spec": {"externalName": "bar.example.com"}}, MERGE)
    until(lambda: client.lookup(name, "CNAME") == ["bar.example.com."], "the second name")

    def to_cluster_ip(obj: Obj) -> None:
        obj["spec"] |= {"type": "ClusterIP", "ports": [HTTP]}
        del obj["spec"]["externalName"]

    ip = api.change("services", "dns-test-service-3", to_cluster_ip)["spec"]["clusterIP"]
    until(lambda: client.lookup(name) == [ip], "an address")


@row("DNS, custom dnsConfig")
def test_names_as_the_pod_wants_them(api: Client, one: OneNode) -> None:
    config = {"nameservers": ["1.1.1.1"], "searches": ["resolv.conf.local"]}
    api.create("pods", pod("test-dns-nameservers", "sleep 1d", dnsPolicy="None", dnsConfig=config))
    api.phase("test-dns-nameservers")
    lines = in_pod(one, api, "test-dns-nameservers", "cat", "/etc/resolv.conf").split("\n")
    assert [line for line in lines if line] == ["nameserver 1.1.1.1", "search resolv.conf.local"]


# --- requests through the API server ------------------------------------------------------------------------------


@row("Proxy through apiserver to a Service")
def test_proxied(api: Client, make: MakePod, tmp_path: Path) -> None:
    """Plain and over TLS, by port names and numbers, to a Service and to its pod; links in pages lead back through the proxy."""
    own = pki.new_ca(now=SystemClock().now())
    certificate = pki.new_server_certificate(own, now=SystemClock().now(), names=["proxied"])
    (tmp_path / "both.pem").write_bytes(certificate.certificate + certificate.key)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "both.pem")
    ports = {"dest1": 160, "dest2": 162, "tlsdest1": 460, "tlsdest2": 462}
    declared = [{"name": name, "containerPort": number} for name, number in ports.items()]
    net = make("proxy-service", labels={"name": "proxy-service"}, ports=[{"containerPort": 1080}, *declared])
    net.serve(1080, "", page='<a href="/rewriteme">test</a>')
    for name, number in ports.items():
        net.serve(number, "", page=f"<html>{name}</html>", tls=tls if name.startswith("tls") else None)
    service(
        api, "proxy-service", {"name": "portname1", "port": 80, "targetPort": "dest1"},
        {"name": "portname2", "port": 81, "targetPort": 162}, {"name": "tlsportname1", "port": 443, "targetPort": "tlsdest1"},
        {"name": "tlsportname2", "port": 444, "targetPort": 462}, selector={"name": "proxy-service"},
    )  # fmt: skip
    pods, services = f"{api.path('pods')}/", f"{api.path('services')}/"
    wanted = {}
    for scheme in ("", "http:"):
        for port, page in (("portname1", "dest1"), ("portname2", "dest2"), ("80", "dest1"), ("81", "dest2")):
            wanted[f"{services}{scheme}proxy-service:{port}/proxy/"] = page
        for number, page in ((160, "dest1"), (162, "dest2")):
            wanted[f"{pods}{scheme}proxy-service:{number}/proxy/"] = page
        here = f"{pods}{scheme}proxy-service:1080/proxy/"
        wanted[here] = f'<a href="{here}rewriteme">test</a>'
    for port, page in (
        ("tlsportname1", "tlsdest1"),
        ("tlsportname2", "tlsdest2"),
        ("443", "tlsdest1"),
        ("444", "tlsdest2"),
    ):
        wanted[f"{services}https:proxy-service:{port}/proxy/"] = page
    for number, page in ((460, "tlsdest1"), (462, "tlsdest2")):
        wanted[f"{pods}https:proxy-service:{number}/proxy/"] = page
    until(lambda: api.ask("GET", next(iter(wanted))).status == 200, "the Service")
    for path, page in wanted.items():
        answer = api.ask("GET", path)
        assert answer.status == 200 and page in answer.body.decode(), (path, answer)


@row("Proxy, validate Proxy responses", "Proxy, validate ProxyWithPath responses")
def test_methods_of_proxied_requests(api: Client, make: MakePod) -> None:
    make("agnhost", labels={"app": "agnhost"}).serve(80, "agnhost")
    service(api, "test-service", {"port": 80, "targetPort": 80}, selector={"app": "agnhost"})
    methods = ("DELETE", "OPTIONS", "PATCH", "POST", "PUT", "GET", "HEAD")
    until(lambda: api.ask("GET", f"{api.path('services', 'test-service')}/proxy/x").status == 200, "the Service")
    for of in (api.path("pods", "agnhost"), api.path("services", "test-service")):
        for method in methods:
            answer = api.ask(method, f"{of}/proxy/some/path/with/{method}?with={method}", b"foo", "text/plain")
            assert answer.status == 200, (method, of, answer)
            if method != "HEAD":
                told = json.loads(answer.body)
                assert (told["Method"], told["Body"]) == (method, "foo")
                assert told["Path"] == f"/some/path/with/{method}?with={method}"
            answer = api.ask(method, f"{of}/proxy?method={method}")
            # without a slash at its end a GET or HEAD is sent on to the page with one, as kube-apiserver does
            assert answer.status == (301 if method in ("GET", "HEAD") else 200), (method, of, answer)
            if answer.status == 301:
                assert answer.headers["Location"] == f"{of}/proxy/?method={method}"
            else:
                assert json.loads(answer.body)["Method"] == method
