"""Who may do what, certificates and tokens by stock kubectl."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from minik import pki
from tests.support.kubectl import Kubectl
from tests.support.process import Server

pytestmark = pytest.mark.kubectl


def test_roles(kubectl: Kubectl, namespace: str) -> None:
    kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods,deployments.apps")
    kubectl("create", "rolebinding", "readers", "--role=reader", "--user=jane", f"--serviceaccount={namespace}:default")
    assert kubectl("auth", "can-i", "list", "pods", "--as=jane") == "yes\n"
    assert kubectl.run("auth", "can-i", "delete", "pods", "--as=jane").stdout == "no\n"
    account = f"--as=system:serviceaccount:{namespace}:default"
    assert kubectl("auth", "can-i", "get", "deployments.apps/x", account) == "yes\n"
    assert kubectl("get", "pods", account) == ""
    listed = kubectl("auth", "can-i", "--list", "--as=jane")
    assert "deployments.apps" in listed and "[get list]" in listed and "selfsubjectreviews" in listed
    assert 'cannot create resource "pods"' in kubectl.fails("run", "x", "--image=registry.test/x", "--as=jane")
    shown = kubectl("get", "rolebindings,roles", "-o", "wide")
    assert "Role/reader" in shown and f"{namespace}/default" in shown and "CREATED AT" in shown
    kubectl("create", "rolebinding", "viewers", "--clusterrole=view", "--group=auditors")
    kubectl.eventually(
        lambda out: out == "yes\n", "auth", "can-i", "list", "jobs.batch", "--as=x", "--as-group=auditors"
    )
    assert kubectl.run("auth", "can-i", "get", "secrets", "--as=x", "--as-group=auditors").stdout == "no\n"
    assert "cluster-admin" in kubectl("get", "clusterroles") and "ClusterRole/cluster-admin" in kubectl(
        "get", "clusterrolebindings"
    )


def test_reconcile_and_aggregation(kubectl: Kubectl, namespace: str) -> None:
    kubectl("create", "clusterrole", namespace, f"--aggregation-rule=part={namespace}")
    part = f"{namespace}-part"
    kubectl("create", "clusterrole", part, "--verb=get", "--resource=nodes")
    kubectl("label", "clusterrole", part, f"part={namespace}")
    kubectl.eventually(lambda out: "nodes" in out, "describe", "clusterrole", namespace)
    manifest = {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": part},
        "rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list"]}],
    }  # fmt: skip
    assert "reconciled" in kubectl("auth", "reconcile", "-f", "-", stdin=json.dumps(manifest))
    kubectl.eventually(lambda out: "[get list]" in out, "describe", "clusterrole", namespace)
    kubectl("delete", "clusterrole", namespace, part)


def test_a_user_by_certificate(kubectl: Kubectl, namespace: str, tmp_path: Path) -> None:
    user = f"user-{namespace}"
    request, key = pki.new_request(user=user, groups=["ops"])
    csr = {
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": user},
        "spec": {"request": base64.b64encode(request).decode(), "signerName": "kubernetes.io/kube-apiserver-client",
                 "usages": ["client auth"], "expirationSeconds": 7200},
    }  # fmt: skip
    kubectl.apply(csr)
    line = kubectl("get", "csr", user).splitlines()[1].split()
    assert line[2:] == ["kubernetes.io/kube-apiserver-client", "minik-admin", "120m", "Pending"]
    assert kubectl("certificate", "approve", user) == f"certificatesigningrequest.certificates.k8s.io/{user} approved\n"
    kubectl.eventually(lambda out: "Approved,Issued" in out, "get", "csr", user)
    certificate = base64.b64decode(kubectl.get("csr", user)["status"]["certificate"])
    config = json.loads(kubectl("config", "view", "--raw", "-o", "json"))
    encoded = (base64.b64encode(pem).decode() for pem in (certificate, key))
    config["users"][0]["user"] = dict(zip(("client-certificate-data", "client-key-data"), encoded, strict=True))
    (tmp_path / "own").write_text(json.dumps(config))
    own = Kubectl(kubectl.binary, tmp_path / "own", home=tmp_path, namespace=namespace)
    who = own("auth", "whoami")
    assert "ops" in who and user in who
    assert f'User "{user}" cannot list resource "pods"' in own.fails("get", "pods")
    denied = {**csr, "metadata": {"name": f"{user}-2"}}
    kubectl.apply(denied)
    kubectl("certificate", "deny", f"{user}-2")
    assert kubectl("get", "csr", f"{user}-2").split()[-1] == "Denied"
    kubectl("delete", "csr", user, f"{user}-2")


def test_a_token_secret(kubectl: Kubectl, server: Server) -> None:
    kubectl("create", "serviceaccount", "builder")
    kubectl.apply({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "builder", "annotations": {"kubernetes.io/service-account.name": "builder"}},
    })  # fmt: skip
    kubectl.eventually(lambda out: len(out) > 100, "get", "secret", "builder", "-o", "jsonpath={.data.token}")
    token = base64.b64decode(kubectl("get", "secret", "builder", "-o", "jsonpath={.data.token}")).decode()
    bearer = {"Authorization": f"Bearer {token}"}
    assert server.request("GET", "/api", headers=bearer, admin=False).status == 200
    kubectl("delete", "serviceaccount", "builder")
    kubectl("wait", "--for=delete", "secret/builder", "--timeout=30s")
    assert server.request("GET", "/api", headers=bearer, admin=False).status == 401
