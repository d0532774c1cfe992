"""Services of real pods: by address and by name from a pod, from the host, by NodePort, headless, and after pods have changed."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import OneNode, get, pod, web
from tests.support.kubectl import Kubectl
from tests.support.process import fetch, until

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.kubectl]


def from_host(one: OneNode, address: str, port: int) -> str:
    try:
        return fetch(address, port, netns=one.host.netns, timeout=3).strip()
    except OSError:
        return ""


def test_service(kubectl: Kubectl, one: OneNode, namespace: str) -> None:
    kubectl.apply(web("web", 3), pod("client", "sleep 1d"))
    kubectl("expose", "deployment", "web", "--port=80", "--target-port=8080")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=60s")
    pods = set(kubectl.names("pods", "-l", "app=web"))
    address = kubectl.get("service", "web")["spec"]["clusterIP"]

    seen: set[str] = set()

    def every_pod_answers_the_host() -> bool:
        seen.add(from_host(one, address, 80))
        return seen - {""} == pods

    until(every_pod_answers_the_host, "an answer of every pod to the host")

    def ask(name: str) -> str:
        return kubectl("exec", "client", "--", *get(name, 80)).splitlines()[-1]

    for name in (address, "web", f"web.{namespace}", f"web.{namespace}.svc.cluster.local"):
        assert ask(name) in pods
    assert address in kubectl("exec", "client", "--", "nslookup", f"web.{namespace}.svc.cluster.local")

    # a pod that is gone gets no more requests; its replacement gets some
    gone = sorted(pods)[0]
    kubectl("delete", "pod", gone)
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    pods = {name for name in kubectl.names("pods", "-l", "app=web") if name != gone}
    seen.clear()
    until(lambda: seen.add(from_host(one, address, 80)) or pods <= seen, "an answer of the new pod")
    assert all(from_host(one, address, 80) in pods for _ in range(20))


def test_node_port(kubectl: Kubectl, one: OneNode) -> None:
    kubectl.apply(web("web", 1))
    kubectl("expose", "deployment", "web", "--type=NodePort", "--port=80", "--target-port=8080")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    port = kubectl.get("service", "web")["spec"]["ports"][0]["nodePort"]
    (name,) = kubectl.names("pods")
    until(lambda: from_host(one, one.host.ip, port) == name, "an answer at the node port")


def test_load_balancer(kubectl: Kubectl, one: OneNode) -> None:
    """On the node's own address, on the Service's own port; from pods as well."""
    kubectl.apply(web("web", 1), pod("client", "sleep 1d"))
    kubectl("expose", "deployment", "web", "--type=LoadBalancer", "--port=8088", "--target-port=8080")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    kubectl.eventually(one.host.ip, "get", "service", "web", "-o", "jsonpath={.status.loadBalancer.ingress[*].ip}")
    (name,) = kubectl.names("pods", "-l", "app=web")
    until(lambda: from_host(one, one.host.ip, 8088) == name, "an answer at the balancer's port")
    kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=60s")
    assert kubectl("exec", "client", "--", *get(one.host.ip, 8088)).splitlines()[-1] == name
    kubectl("delete", "service", "web")
    until(lambda: from_host(one, one.host.ip, 8088) == "", "nobody answers there any more")


def test_headless(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(web("web", 2), pod("client", "sleep 1d"))
    kubectl("expose", "deployment", "web", "--port=8080", "--cluster-ip=None")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=60s")
    addresses = {p["status"]["podIP"] for p in kubectl.get("pods", "-l", "app=web")["items"]}
    look_up = ("exec", "client", "--", "nslookup", f"web.{namespace}.svc.cluster.local")
    kubectl.eventually(lambda out: all(address in out for address in addresses), *look_up)


def test_without_endpoints_it_is_refused(kubectl: Kubectl) -> None:
    kubectl("create", "service", "clusterip", "web", "--tcp=80:8080")
    kubectl.apply(pod("client", "sleep 1d"))
    kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=60s")
    until(lambda: "refused" in kubectl.run("exec", "client", "--", *get("web", 80)).stderr, "a refusal at once")


def test_the_api_server_is_a_service(kubectl: Kubectl) -> None:
    """A pod reaches the API by its name, with its service account's token."""
    kubectl.apply(pod("client", "sleep 1d"))
    kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=60s")
    mount = "/var/run/secrets/kubernetes.io/serviceaccount"
    assert set(kubectl("exec", "client", "--", "ls", mount).split()) == {"ca.crt", "namespace", "token"}
    reach = "nc -w 5 kubernetes.default.svc.cluster.local 443 </dev/null && echo reached"
    assert "reached" in kubectl("exec", "client", "--", "sh", "-c", reach)
