"""Rows about the cluster as such: lists that go on after their revision has gone, who gets a token, how anyone checks one.

The calls of `test/e2e/apimachinery/chunking.go` and `test/e2e/auth/service_accounts.go`; more of the latter is in `test_rows_auth.py`.
"""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from minik.server.verbs.list import decode_token, encode_token
from tests.support.e2e import Client, Obj, row
from tests.support.process import Answer, Server, until
from tests.wire.test_rows_objects import IMAGE

TOKENS_AT = "/var/run/secrets/kubernetes.io/serviceaccount"


@pytest.fixture
def api(server: Server, namespace: str) -> Client:
    return Client(server, namespace)


def reviewed(api: Client, bearer: str, *audiences: str) -> Any:
    spec = {"token": bearer, "audiences": list(audiences)}
    return api.review("TokenReview", "/apis/authentication.k8s.io/v1/tokenreviews", spec)


def token(api: Client, account: str, *audiences: str) -> str:
    spec = {"audiences": list(audiences), "expirationSeconds": 3600}
    status = api.review("TokenRequest", api.path("serviceaccounts", f"{account}/token"), spec)
    assert status["expirationTimestamp"]
    found: str = status["token"]
    return found


@row(
    "API Chunking, server should support continue listing from the last key even if the original version has been "
    "compacted away"
)
def test_a_list_goes_on_after_its_revision_has_gone(api: Client) -> None:
    """Upstream waits minutes for a compaction; here the token says itself that it is that old."""
    total, limit = 40, 4
    template = {"spec": {"containers": [{"name": "test", "image": IMAGE}]}}
    names = [f"template-{number:04}" for number in range(total)]
    for name in names:
        api.create("podtemplates", {"metadata": {"name": name}, "template": template})

    def page(token: str = "") -> Answer:
        query = {"limit": limit} | ({"continue": token} if token else {})
        return api.ask("GET", f"{api.path('podtemplates')}?{urlencode(query)}")

    first = page().obj
    found = [item["metadata"]["name"] for item in first["items"]]
    assert len(found) == limit and first["metadata"]["remainingItemCount"] == total - limit
    old = encode_token(*decode_token(first["metadata"]["continue"], now=0), now=1)
    expired = page(old)
    assert (expired.status, expired.obj["reason"]) == (410, "Expired")
    token = expired.obj["metadata"]["continue"]
    api.patch("podtemplates", names[0], {"metadata": {"labels": {"changed": "since"}}})
    revisions = set()
    while token:
        answer = page(token)
        assert answer.status == 200, answer.body
        items, meta = answer.obj["items"], answer.obj["metadata"]
        found += [item["metadata"]["name"] for item in items]
        revisions.add(meta["resourceVersion"])
        token = meta.get("continue", "")
        assert len(items) == limit and meta.get("remainingItemCount", 0) == total - len(found)
    assert found == names
    assert len(revisions) == 1 and first["metadata"]["resourceVersion"] not in revisions


@row("Service account tokens auto mount optionally")
def test_tokens_are_mounted_unless_the_account_or_the_pod_says_no(api: Client) -> None:
    until(lambda: api.exists("serviceaccounts", "default"), "the default account")
    for name, mount in (("mount", True), ("nomount", False)):
        api.create("serviceaccounts", {"metadata": {"name": name}, "automountServiceAccountToken": mount})
    for account, by_default in (("default", True), ("mount", True), ("nomount", False)):
        for said, want in ((None, by_default), (True, True), (False, False)):
            spec: Obj = {"containers": [{"name": "token-test", "image": IMAGE}], "restartPolicy": "Never"}
            spec |= {"serviceAccountName": account} | ({} if said is None else {"automountServiceAccountToken": said})
            name = f"pod-service-account-{account}-{str(said).lower()}"
            created = api.create("pods", {"metadata": {"name": name}, "spec": spec})
            mounts = created["spec"]["containers"][0].get("volumeMounts") or ()
            assert (TOKENS_AT in [each["mountPath"] for each in mounts]) is want, name


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def number(part: str) -> int:
    return int.from_bytes(decoded(part), "big")


@row("OIDC Discovery (ServiceAccountIssuerDiscovery)")
def test_anyone_with_a_token_can_check_it_against_the_issuer(api: Client) -> None:
    """What upstream's container does (agnhost's `test-service-account-issuer-discovery`), with the token of the same account."""
    until(lambda: api.exists("serviceaccounts", "default"), "the default account")
    role = "system:service-account-issuer-discovery"
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": api.namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    name = f"{api.namespace}-{role}"
    api.create("clusterrolebindings", {"metadata": {"name": name}, "subjects": [subject], "roleRef": reference})
    bearer, audience = token(api, "default"), "oidc-discovery-test"
    checked = token(api, "default", audience)

    def read(path: str) -> Any:
        answer = api.server.request("GET", path, headers={"Authorization": f"Bearer {bearer}"}, admin=False)
        assert answer.status == 200, (path, answer.body)
        return answer.obj

    head, claims, signature = checked.split(".")
    said = json.loads(decoded(claims))
    document = read("/.well-known/openid-configuration")
    assert document["issuer"] == said["iss"] and audience in said["aud"]
    assert json.loads(decoded(head))["alg"] in document["id_token_signing_alg_values_supported"]
    assert document["jwks_uri"].endswith("/openid/v1/jwks")
    (key,) = (key for key in read("/openid/v1/jwks")["keys"] if key["kid"] == json.loads(decoded(head))["kid"])
    assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("EC", "P-256", "ES256", "sig")
    public = ec.EllipticCurvePublicNumbers(number(key["x"]), number(key["y"]), ec.SECP256R1()).public_key()
    halves = decoded(signature)
    der = encode_dss_signature(int.from_bytes(halves[:32], "big"), int.from_bytes(halves[32:], "big"))
    public.verify(der, f"{head}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))
    assert reviewed(api, checked, audience)["audiences"] == [audience]
    assert not reviewed(api, checked).get("authenticated"), "it is not for the server"
    api.delete("clusterrolebindings", name)
