"""Ingresses, classes, ranges and addresses of Services, load balancers and mirrored endpoints by stock kubectl."""

from __future__ import annotations

import json

import pytest

from tests.support.kubectl import Kubectl
from tests.support.process import Server, until

pytestmark = pytest.mark.kubectl


def test_ingress(kubectl: Kubectl, server: Server, namespace: str) -> None:
    kubectl("create", "ingress", "web", "--rule=example.com/*=web:80", "--rule=foo.example.com/a=api:http,tls=secret")
    header, row = kubectl("get", "ing").splitlines()
    assert header.split() == ["NAME", "CLASS", "HOSTS", "ADDRESS", "PORTS", "AGE"]
    assert row.split()[:3] == ["web", "<none>", "example.com,foo.example.com"] and "80, 443" in row
    described = kubectl("describe", "ingress", "web")
    assert "web:80" in described and "secret terminates" in described
    path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses"
    bad = {"metadata": {"name": "b"}, "spec": {"rules": [{"host": "10.0.0.1", "http": {"paths": [
        {"path": "a//b", "pathType": "Prefix", "backend": {"service": {"name": "x"}}}]}}]}}  # fmt: skip
    refused = server.request("POST", path, bad)
    assert refused.status == 422
    causes = {(c["field"], c["message"].split(": ", 2)[-1]) for c in refused.obj["details"]["causes"]}
    assert ("spec.rules[0].http.paths[0].path", "must be an absolute path") in causes
    assert ("spec.rules[0].http.paths[0].path", "must not contain '//'") in causes
    assert ("spec.rules[0].http.paths[0].backend", "port name or number is required") in causes


def test_the_default_ingress_class(kubectl: Kubectl, namespace: str) -> None:
    name = f"cls-{namespace}"[:50].rstrip("-")
    kubectl.apply({
        "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
        "metadata": {"name": name, "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
        "spec": {"controller": "example.com/c"},
    })  # fmt: skip
    try:
        assert kubectl("get", "ingressclass", name).splitlines()[1].split()[1:3] == ["example.com/c", "<none>"]
        kubectl("create", "ingress", "web", "--default-backend=web:80")
        assert kubectl.get("ingress", "web")["spec"]["ingressClassName"] == name
    finally:
        kubectl("delete", "ingressclass", name)


def test_ranges_and_addresses(kubectl: Kubectl, namespace: str) -> None:
    assert kubectl("get", "servicecidr", "kubernetes").splitlines()[1].split()[1] == "10.96.0.0/16"
    kubectl("wait", "--for=condition=Ready", "servicecidr/kubernetes", "--timeout=10s")
    kubectl("create", "service", "clusterip", "web", "--tcp=80")
    ip = kubectl.get("service", "web")["spec"]["clusterIP"]
    assert kubectl("get", "ip", ip).splitlines()[1].split()[:2] == [ip, f"services/{namespace}/web"]
    kubectl("delete", "service", "web")
    assert "NotFound" in kubectl.fails("get", "ipaddress", ip)


def test_load_balancer(kubectl: Kubectl, server: Server) -> None:
    kubectl("create", "service", "loadbalancer", "web", "--tcp=8099:80")
    nodes = server.request("GET", "/api/v1/nodes").obj["items"]
    internal = {a["address"] for n in nodes for a in n["status"]["addresses"] if a["type"] == "InternalIP"}
    until(
        lambda: (
            {row["ip"] for row in kubectl.get("service", "web")["status"]["loadBalancer"].get("ingress") or ()}
            == internal
        ),
        "the addresses of the nodes",
    )
    shown = kubectl("get", "service", "web").splitlines()[1].split()[3]
    assert set(shown.split(",")) <= internal
    kubectl("wait", "--for=jsonpath={.status.loadBalancer.ingress}", "service/web", "--timeout=10s")
    kubectl("create", "service", "loadbalancer", "other", "--tcp=8099:80")
    kubectl.eventually(lambda out: "port 8099/TCP is taken by service" in out, "describe", "service", "other")


def test_endpoints_by_hand(kubectl: Kubectl) -> None:
    kubectl("create", "service", "clusterip", "db", "--tcp=5432")
    kubectl("patch", "service", "db", "--type=json", "-p", json.dumps([{"op": "remove", "path": "/spec/selector"}]))
    kubectl.apply({
        "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "db"},
        "subsets": [{"addresses": [{"ip": "192.0.2.7"}], "ports": [{"port": 5432}]}],
    })  # fmt: skip
    kubectl.eventually(lambda out: "192.0.2.7" in out, "get", "endpointslices", "-l", "kubernetes.io/service-name=db")


def test_policies_runtime_classes_templates_and_components(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "deny"},
        "spec": {
            "podSelector": {"matchLabels": {"app": "db"}},
            "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}], "ports": [{"port": 5432}]}],
        },
    })  # fmt: skip
    header, shown = kubectl("get", "netpol").splitlines()
    assert (header.split()[:2], shown.split()[:2]) == (["NAME", "POD-SELECTOR"], ["deny", "app=db"])
    described = kubectl("describe", "netpol", "deny")
    assert (
        "To Port: 5432/TCP" in described and "Except: 10.1.0.0/16" in described and "Policy Types: Ingress" in described
    )
    kubectl.apply({
        "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": namespace}, "handler": "runsc",
        "overhead": {"podFixed": {"cpu": "250m"}},
    })  # fmt: skip
    try:
        assert kubectl("get", "runtimeclass", namespace).splitlines()[1].split()[:2] == [namespace, "runsc"]
        kubectl("run", "web", "--image=x", f'--overrides={{"spec":{{"runtimeClassName":"{namespace}"}}}}')
        assert kubectl.get("pod", "web")["spec"]["overhead"] == {"cpu": "250m"}
        assert 'RuntimeClass "no" not found' in kubectl.fails(
            "run", "other", "--image=x", '--overrides={"spec":{"runtimeClassName":"no"}}'
        )
    finally:
        kubectl("delete", "runtimeclass", namespace)
    kubectl.apply({
        "apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "t"},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
    })  # fmt: skip
    assert [line.split() for line in kubectl("get", "podtemplates").splitlines()] == [
        ["NAME", "CONTAINERS", "IMAGES", "POD", "LABELS"], ["t", "c", "i", "a=b"],
    ]  # fmt: skip
    rows = [line.split() for line in kubectl("get", "cs").splitlines() if "deprecated" not in line]
    assert [row[:3] for row in rows[1:]] == [
        [n, "Healthy", "ok"] for n in ("controller-manager", "etcd-0", "scheduler")
    ]
    assert "handler" in kubectl("explain", "runtimeclass")
