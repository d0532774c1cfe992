"""CertificateSigningRequests: asked, approved, signed, used, cleaned away."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from minik import pki
from minik.api.certificates_v1 import certificatesigningrequest as csrs
from minik.api.errors import Forbidden, Invalid
from minik.api.meta import Obj, ROObj
from minik.client.client import Client
from minik.clock import SystemClock
from minik.controllers import csrapproving, csrcleaner, csrsigning
from minik.server.authz import bootstrap_roles
from minik.server.request import User
from tests.support.cluster import ControlPlane, control_plane

CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET = "kubernetes.io/kube-apiserver-client-kubelet"
CA = pki.new_ca(now=SystemClock().now())
JANE = User("jane", frozenset({"system:authenticated"}), "7", {"scopes": ("a",)})


def asked(
    name: str = "jane", *, user: str = "jane", groups: tuple[str, ...] = (), signer: str = CLIENT, **spec: Any
) -> Obj:
    request, _ = pki.new_request(user=user, groups=groups)
    encoded = base64.b64encode(request).decode()
    return {
        "metadata": {"name": name},
        "spec": {"request": encoded, "signerName": signer, "usages": ["digital signature", "client auth"], **spec},
    }


def condition(type_: str) -> Obj:
    return {"type": type_, "status": "True", "reason": "Test", "message": "by a test"}


@asynccontextmanager
async def cluster() -> AsyncIterator[ControlPlane]:
    def sign(request: bytes, usages: Any, lifetime: timedelta) -> bytes:
        return pki.sign_request(CA, request, usages=usages, lifetime=lifetime, now=SystemClock().now())

    controllers = (csrapproving.CONTROLLER, csrsigning.controller(sign), csrcleaner.CONTROLLER)
    async with control_plane(*controllers) as c:
        await bootstrap_roles.ensure(c.client)
        yield c


def by(c: ControlPlane, user: User) -> Client:
    return Client(c.server.local(user), c.server.server.registry)


async def decide(client: Client, csr: ROObj, type_: str) -> ROObj:
    status = {"conditions": [*csrs.conditions(csr), condition(type_)]}
    return await client.update(csrs.RESOURCE, {**csr, "status": status}, subresource="approval")


async def found(c: ControlPlane, name: str = "jane") -> ROObj:
    got = await c.get(csrs.RESOURCE, name)
    assert got is not None
    return got


@pytest.mark.looptime
async def test_from_request_to_certificate() -> None:
    async with cluster() as c:
        rule = {"apiGroups": [csrs.GROUP], "resources": ["certificatesigningrequests"], "verbs": ["create"]}
        await c.create("clusterroles.rbac.authorization.k8s.io", {"metadata": {"name": "ask"}, "rules": [rule]})
        subjects = [{"kind": "User", "name": "jane"}]
        ref = {"kind": "ClusterRole", "name": "ask"}
        made = {"metadata": {"name": "ask"}, "subjects": subjects, "roleRef": ref}
        await c.create("clusterrolebindings.rbac.authorization.k8s.io", made)
        csr = await by(c, JANE).create(csrs.RESOURCE, asked(expirationSeconds=3600, username="root"))
        assert {k: csr["spec"][k] for k in ("username", "uid", "groups", "extra")} == {
            "username": "jane", "uid": "7", "groups": ["system:authenticated"], "extra": {"scopes": ["a"]},
        }  # fmt: skip
        await c.settle()
        assert csrs.shown_condition(await found(c)) == "Pending"
        approved = await decide(c.client, await found(c), csrs.APPROVED)
        assert csrs.conditions(approved)[0]["lastUpdateTime"]
        await c.settle()
        csr = await found(c)
        assert csrs.shown_condition(csr) == "Approved,Issued"
        certificate = base64.b64decode(csrs.certificate(csr))
        left = pki.expires(certificate) - SystemClock().now()
        assert timedelta(minutes=55) < left <= timedelta(hours=1)
        await c.settle(3700)
        assert await c.get(csrs.RESOURCE, "jane") is None


@pytest.mark.looptime
async def test_a_request_that_its_signer_does_not_sign_fails() -> None:
    async with cluster() as c:
        csr = await c.create(csrs.RESOURCE, asked(usages=["server auth"]))
        await decide(c.client, csr, csrs.APPROVED)
        await c.settle()
        csr = await found(c)
        assert csrs.shown_condition(csr) == "Approved,Failed"
        failed = csrs.conditions(csr)[-1]
        assert (failed["reason"], failed["message"]) == (
            "SignerValidationFailure", "invalid usage for client certificate: server auth",
        )  # fmt: skip


@pytest.mark.looptime
async def test_others_signers_requests_are_left_to_them() -> None:
    async with cluster() as c:
        csr = await c.create(csrs.RESOURCE, asked(signer="example.com/mine"))
        csr = await decide(c.client, csr, csrs.APPROVED)
        await c.settle()
        assert csrs.shown_condition(await found(c)) == "Approved"
        issued = pki.new_client_certificate(CA, now=SystemClock().now(), user="jane").certificate
        status = {**(await found(c))["status"], "certificate": base64.b64encode(issued).decode()}
        done = await c.client.update_status(csrs.RESOURCE, await found(c), status)
        assert csrs.shown_condition(done) == "Approved,Issued"
        with pytest.raises(Invalid, match="updates may not modify existing certificate content"):
            await c.client.update_status(
                csrs.RESOURCE, done, {**status, "certificate": base64.b64encode(CA.certificate).decode()}
            )


@pytest.mark.looptime
async def test_kubelets_are_approved_when_they_may() -> None:
    async with cluster() as c:
        name, group = "system:node:n1", ("system:nodes",)
        node = User(name, frozenset({"system:nodes", "system:authenticated"}))
        joining = User("system:bootstrap:abcdef", frozenset({"system:bootstrappers", "system:authenticated"}))
        usages = ["digital signature", "client auth"]
        await by(c, node).create(csrs.RESOURCE, asked("own", user=name, groups=group, signer=KUBELET, usages=usages))
        await by(c, joining).create(csrs.RESOURCE, asked("new", user=name, groups=group, signer=KUBELET))
        with pytest.raises(Forbidden, match="can only create a node CSR with CN=system:node:n1"):
            await by(c, node).create(csrs.RESOURCE, asked("other", user="system:node:n2", groups=group, signer=KUBELET))
        bindings = "clusterrolebindings.rbac.authorization.k8s.io"
        subjects = [{"kind": "User", "name": "jane"}]
        ref = {"kind": "ClusterRole", "name": "system:node-bootstrapper"}
        await c.create(bindings, {"metadata": {"name": "ask"}, "subjects": subjects, "roleRef": ref})
        await by(c, JANE).create(csrs.RESOURCE, asked("other", user="system:node:n2", groups=group, signer=KUBELET))
        await by(c, node).create(csrs.RESOURCE, asked("wrong", user=name, groups=("ops",), signer=KUBELET))
        await c.settle()
        shown = {n: csrs.shown_condition(await found(c, n)) for n in ("own", "new", "other", "wrong")}
        assert shown == {"own": "Approved,Issued", "new": "Approved,Issued", "other": "Pending", "wrong": "Pending"}
        assert csrs.conditions(await found(c, "own"))[0]["reason"] == "AutoApproved"
        ref = {"kind": "ClusterRole", "name": "system:certificates.k8s.io:certificatesigningrequests:nodeclient"}
        await c.create(bindings, {"metadata": {"name": "any"}, "subjects": subjects, "roleRef": ref})
        await c.settle()
        assert csrs.shown_condition(await found(c, "other")) == "Approved,Issued"
        assert csrs.shown_condition(await found(c, "wrong")) == "Pending"


@pytest.mark.looptime
async def test_who_may_approve_and_for_whom() -> None:
    async with cluster() as c:
        csr = await c.create(csrs.RESOURCE, asked())
        rule = {"apiGroups": [csrs.GROUP], "resources": ["*"], "verbs": ["update", "get"]}
        await c.create("clusterroles.rbac.authorization.k8s.io", {"metadata": {"name": "r"}, "rules": [rule]})
        subjects = [{"kind": "User", "name": "jane"}]
        binding = {"metadata": {"name": "r"}, "subjects": subjects, "roleRef": {"kind": "ClusterRole", "name": "r"}}
        await c.create("clusterrolebindings.rbac.authorization.k8s.io", binding)
        with pytest.raises(Forbidden, match=f'user not permitted to approve requests with signerName "{CLIENT}"'):
            await decide(by(c, JANE), csr, csrs.APPROVED)
        rule = {
            "apiGroups": [csrs.GROUP],
            "resources": ["signers"],
            "verbs": ["approve"],
            "resourceNames": ["kubernetes.io/*"],
        }
        await c.create("clusterroles.rbac.authorization.k8s.io", {"metadata": {"name": "a"}, "rules": [rule]})
        binding = {"metadata": {"name": "a"}, "subjects": subjects, "roleRef": {"kind": "ClusterRole", "name": "a"}}
        await c.create("clusterrolebindings.rbac.authorization.k8s.io", binding)
        denied = await decide(by(c, JANE), csr, csrs.DENIED)
        with pytest.raises(Invalid, match="Approved and Denied conditions are mutually exclusive"):
            await decide(c.client, denied, csrs.APPROVED)
        with pytest.raises(Invalid, match='updates may not remove a condition of type "Denied"'):
            await c.client.update(csrs.RESOURCE, {**denied, "status": {}}, subresource="approval")
        for group in ("system:masters", "system:serviceaccounts:kube-system"):
            with pytest.raises(Forbidden, match=f"signer with {group} group is not allowed"):
                await c.create(csrs.RESOURCE, asked("root", groups=("ops", group)))


@pytest.mark.looptime
async def test_what_was_asked_for_does_not_change() -> None:
    async with cluster() as c:
        csr = await c.create(csrs.RESOURCE, asked())
        other = {
            **csr,
            "spec": {**csr["spec"], "signerName": "example.com/x"},
            "status": {"conditions": [condition("Approved")]},
        }
        other["metadata"] = {**csr["metadata"], "labels": {"a": "b"}}
        updated = await c.client.update(csrs.RESOURCE, other)
        assert (updated["spec"], updated["status"], updated["metadata"]["labels"]) == (csr["spec"], {}, {"a": "b"})
        body = {"metadata": {"annotations": {"patched": "true"}}, "status": {"conditions": [condition("ByPatch")]}}
        patched = await c.client.patch(csrs.RESOURCE, "jane", "", body, subresource="approval")
        assert (patched["metadata"]["annotations"], len(csrs.conditions(patched))) == ({"patched": "true"}, 1)
        with pytest.raises(Invalid) as wrong:
            await c.create(csrs.RESOURCE, {"metadata": {"name": "x"}, "spec": {
                "request": base64.b64encode(b"nonsense").decode(), "signerName": "mine", "usages": ["fun", "fun"],
                "expirationSeconds": 60}})  # fmt: skip
        fields = {cause["field"] for cause in (wrong.value.details or {})["causes"]}
        assert fields == {
            "spec.request", "spec.signerName", "spec.usages[0]", "spec.usages[1]", "spec.expirationSeconds"
        }  # fmt: skip


@pytest.mark.looptime
async def test_undecided_requests_last_a_day() -> None:
    async with cluster() as c:
        await c.create(csrs.RESOURCE, asked())
        await c.settle(23 * 3600)
        assert await c.get(csrs.RESOURCE, "jane") is not None
        await c.settle(2 * 3600)
        assert await c.get(csrs.RESOURCE, "jane") is None
