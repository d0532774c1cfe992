"""Rows of sig-auth about objects: service accounts, their tokens and root certificates, reviews of rights, certificate signing.

The calls of `test/e2e/auth/{service_accounts,certificates,subjectreviews}.go`; what pods see of a token is in tests/docker and tests/e2e.
"""

from __future__ import annotations

import base64
from urllib.parse import urlencode

import pytest

from minik import pki
from tests.support.e2e import MERGE, Client, Obj, row
from tests.support.process import Server, until
from tests.wire.test_rows_objects import check_operations, notes

ROOT = "kube-root-ca.crt"
CSRS = "certificatesigningrequests"


@pytest.fixture
def api(server: Server, namespace: str) -> Client:
    return Client(server, namespace)


def account(api: Client, name: str, **more: object) -> Obj:
    made: Obj = api.create("serviceaccounts", {"metadata": {"name": name}, **more})
    return made


@row("RootCA ConfigMap test")
def test_each_namespace_has_the_root_certificate(api: Client) -> None:
    def data() -> Obj:
        answer = api.ask("GET", api.path("configmaps", ROOT))
        return answer.obj.get("data") or {} if answer.status == 200 else {}

    until(lambda: data().get("ca.crt"), "the root certificate")
    first = api.get("configmaps", ROOT)
    api.delete("configmaps", ROOT)
    until(lambda: data().get("ca.crt"), "the root certificate again")
    second = api.get("configmaps", ROOT)
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    api.change("configmaps", ROOT, lambda obj: obj.update(data={"ca.crt": ""}))
    until(lambda: data() == first["data"], "the root certificate put right")


@row("ServiceAccount lifecycle test")
def test_a_service_account_from_first_to_last(api: Client) -> None:
    static = "test-serviceaccount-static=true"
    name = f"testserviceaccount-{api.namespace}"
    revision = api.page("serviceaccounts", static, everywhere=True)["metadata"]["resourceVersion"]
    labels = {"test-serviceaccount-static": "true"}
    with api.watch("serviceaccounts", revision, static) as watch:
        api.create("serviceaccounts", {"metadata": {"name": name, "labels": labels}})
        type_, seen = watch.next("the account")
        assert (type_, seen["metadata"]["labels"]) == ("ADDED", labels)
        patched = api.patch("serviceaccounts", name, {"automountServiceAccountToken": False})
        assert patched["automountServiceAccountToken"] is False
        found = [o for o in api.items("serviceaccounts", static, everywhere=True) if o["metadata"]["name"] == name]
        assert [o["automountServiceAccountToken"] for o in found] == [False]
        api.delete_collection("serviceaccounts", static)
        watch.until(lambda type_, obj: (type_, obj["metadata"]["name"]) == ("DELETED", name), "the deletion")
    assert not api.exists("serviceaccounts", name)


@row("ServiceAccount, update a ServiceAccount")
def test_a_service_account_is_updated(api: Client) -> None:
    account(api, "e2e-sa", automountServiceAccountToken=False)
    updated = api.change("serviceaccounts", "e2e-sa", lambda sa: sa.update(automountServiceAccountToken=True))
    assert updated["automountServiceAccountToken"] is True
    assert api.get("serviceaccounts", "e2e-sa")["automountServiceAccountToken"] is True


@row("ServiceAccount, create and review token")
def test_a_token_is_asked_for_and_reviewed(api: Client) -> None:
    def review(token: str) -> Obj:
        path = "/apis/authentication.k8s.io/v1/tokenreviews"
        status: Obj = api.review("TokenReview", path, {"token": token}, name="kubernetes")
        return status

    sa = account(api, "e2e-token")
    made = api.review("TokenRequest", api.path("serviceaccounts", "e2e-token/token"), {}, name="e2e-token")
    token = made["token"]
    assert token and made["expirationTimestamp"]
    status = review(token)
    assert status["authenticated"] is True and not status.get("error")
    user = status["user"]
    assert user["username"] == f"system:serviceaccount:{api.namespace}:e2e-token"
    assert user["uid"] == sa["metadata"]["uid"]
    assert f"system:serviceaccounts:{api.namespace}" in user["groups"]
    assert not review(token[:-8] + "AAAAAAAA").get("authenticated")


@row("SubjectReview, API Operations")
def test_reviews_say_what_a_service_account_may(api: Client) -> None:
    account(api, "e2e")
    user = f"system:serviceaccount:{api.namespace}:e2e"

    def really() -> bool:
        answer = api.server.request("GET", api.path("configmaps"), headers={"Impersonate-User": user})
        assert answer.status in (200, 403), answer.body
        return answer.status == 200

    attributes = {"verb": "list", "resource": "configmaps", "namespace": api.namespace, "version": "v1"}
    spec = {"resourceAttributes": attributes, "user": user}

    def said() -> list[bool]:
        """What both kinds of review answer."""
        root = "/apis/authorization.k8s.io/v1"
        local = f"{root}/namespaces/{api.namespace}/localsubjectaccessreviews"
        everywhere = api.review("SubjectAccessReview", f"{root}/subjectaccessreviews", spec)
        here = api.review("LocalSubjectAccessReview", local, spec, namespace=api.namespace)
        return [bool(each.get("allowed")) for each in (everywhere, here)]

    assert not really()
    assert said() == [False, False]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    subject = {"kind": "ServiceAccount", "name": "e2e", "namespace": api.namespace}
    api.create("rolebindings", {"metadata": {"name": "e2e"}, "subjects": [subject], "roleRef": role})
    until(really, "the right to list")
    assert said() == [True, True]


@row("CertificateSigningRequest API")
def test_operations_of_certificate_signing_requests(api: Client) -> None:
    signer = f"example.com/e2e-{api.namespace}"
    pem, _ = pki.new_request(user="e2e-example.com", groups=())

    def new(name: str) -> Obj:
        spec = {"request": base64.b64encode(pem).decode(), "signerName": signer, "expirationSeconds": 3600}
        return {"metadata": {"generateName": f"{name}-"}, "spec": {**spec, "usages": ["digital signature"]}}

    resources = {each["name"] for each in api.do("GET", "/apis/certificates.k8s.io/v1")["resources"]}
    assert {CSRS, f"{CSRS}/approval", f"{CSRS}/status"} <= resources
    check_operations(api, CSRS, new)
    mine = urlencode({"fieldSelector": f"spec.signerName={signer}"})
    name = api.create(CSRS, new("e2e"))["metadata"]["name"]
    found = api.do("GET", f"{api.path(CSRS)}?{mine}")["items"]
    assert [o["metadata"]["name"] for o in found] == [name]
    assert found[0]["spec"]["username"]

    approval, status = f"{name}/approval", f"{name}/status"
    patched = api.patch(CSRS, approval, {"metadata": {"annotations": {"patchedapproval": "true"}}}, MERGE)
    assert notes(patched)["patchedapproval"] == "true"
    decision = {"type": "Approved", "status": "True", "reason": "E2E", "message": "Set from an e2e test"}
    approved = api.change(
        CSRS, name, lambda obj: obj.setdefault("status", {}).update(conditions=[decision]), "approval"
    )
    assert [each["type"] for each in approved["status"]["conditions"]] == ["Approved"]
    assert api.get(CSRS, approval)["metadata"]["uid"] == approved["metadata"]["uid"]

    said = {"metadata": {"annotations": {"patchedstatus": "true"}}, "status": {"certificate": None}}
    assert notes(api.patch(CSRS, status, said, MERGE))["patchedstatus"] == "true"
    failed = {"type": "Failed", "status": "True", "reason": "E2E", "message": "Set from an e2e test"}
    failing = api.change(CSRS, name, lambda obj: obj["status"]["conditions"].append(failed), "status")
    assert [each["type"] for each in failing["status"]["conditions"]] == ["Approved", "Failed"]
    assert api.get(CSRS, status)["status"]["conditions"] == failing["status"]["conditions"]

    api.delete(CSRS, name)
    assert not api.exists(CSRS, name)
    api.create(CSRS, new("e2e"))
    assert api.ask("DELETE", f"{api.path(CSRS)}?{mine}").status == 200
    until(lambda: not api.do("GET", f"{api.path(CSRS)}?{mine}")["items"], "none left")
