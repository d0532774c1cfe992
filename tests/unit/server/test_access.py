"""Who may do what: authentication, the static rules, tokens, joining."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from minik import pki
from minik.api.errors import BadRequest, Forbidden
from minik.clock import SystemClock
from minik.server.request import ANONYMOUS, User
from tests.support.apiserver import Running
from tests.unit.server.objects import CONFIGMAPS, MERGE, PODS, configmap, pod, send, status

NODE = User("system:node:n1", frozenset({"system:nodes", "system:authenticated"}))


async def test_strangers(run: Running) -> None:
    got = await status(run, "GET", CONFIGMAPS, user=ANONYMOUS)
    assert (got["code"], got["reason"], got["message"]) == (401, "Unauthorized", "Unauthorized")
    for path in ("/healthz", "/version", "/minik/v1/ca"):
        response, _ = await send(run, "GET", path, user=ANONYMOUS)
        assert response.status == 200
    assert (await status(run, "GET", "/metrics", user=ANONYMOUS))["code"] == 401
    got = await status(run, "GET", CONFIGMAPS, user=ANONYMOUS, headers={"Authorization": "Bearer nonsense"})
    assert got["code"] == 401


async def test_refusal(run: Running) -> None:
    got = await status(run, "GET", PODS, user=User("jane", frozenset({"system:authenticated"})))
    assert (got["code"], got["reason"]) == (403, "Forbidden")
    assert got["message"] == (
        'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default"'
    )
    got = await status(run, "GET", "/metrics", user=User("jane", frozenset({"system:authenticated"})))
    assert got["message"] == 'forbidden: User "jane" cannot get path "/metrics"'


async def test_impersonation(run: Running) -> None:
    """`kubectl --as`: an administrator is then only what the other may be; nobody else can be anybody else."""
    as_jane = {"Impersonate-User": "jane"}
    got = await status(run, "GET", PODS, headers=as_jane)
    assert (got["code"], got["message"][:35]) == (403, 'pods is forbidden: User "jane" cann')
    as_master = {"Impersonate-User": "jane", "Impersonate-Group": "system:masters"}
    response, request = await send(run, "GET", PODS, headers=as_master)
    assert response.status == 200
    assert request.user == User("jane", frozenset({"system:masters", "system:authenticated"}))
    account = {"Impersonate-User": "system:serviceaccount:default:builder", "Impersonate-Extra-Reason": "audit"}
    _, request = await send(run, "GET", PODS, headers=account)
    assert request.user.groups == {"system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"}
    assert request.user.extra == {"reason": ["audit"]}
    got = await status(run, "GET", PODS, user=NODE, headers=as_master)
    assert (got["code"], got["reason"]) == (403, "Forbidden")
    assert 'cannot impersonate resource "users"' in got["message"]
    assert (await status(run, "GET", PODS, headers={"Impersonate-Group": "system:masters"}))["code"] == 400


async def test_client_certificate(run: Running) -> None:
    from minik.server.request import Request

    certificate = {"cn": "kubernetes-admin", "o": ["system:masters"]}
    request = Request("GET", PODS, {}, {}, certificate=certificate)
    assert (await run.server.handler(request)).status == 200
    assert request.user.name == "kubernetes-admin"


async def token(run: Running, **spec: Any) -> str:
    url = "/api/v1/namespaces/default/serviceaccounts/default/token"
    got = await run.local().request("POST", url, body={"spec": spec})
    return str(got["status"]["token"])


async def test_service_account_token(run: Running) -> None:
    bearer = {"Authorization": f"Bearer {await token(run)}"}
    url = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    response, _ = await send(run, "POST", url, {}, user=ANONYMOUS, headers=bearer)
    assert response.obj is not None
    info = response.obj["status"]["userInfo"]
    assert info["username"] == "system:serviceaccount:default:default"
    assert "system:serviceaccounts:default" in info["groups"]
    assert (await status(run, "GET", PODS, user=ANONYMOUS, headers=bearer))["code"] == 403
    await run.local().request("DELETE", "/api/v1/namespaces/default/serviceaccounts/default")
    assert (await status(run, "GET", PODS, user=ANONYMOUS, headers=bearer))["code"] == 401


async def test_token_bound_to_a_pod(run: Running) -> None:
    made = await run.local().request("POST", PODS, body=pod())
    ref = {"kind": "Pod", "apiVersion": "v1", "name": "web", "uid": made["metadata"]["uid"]}
    bearer = {"Authorization": f"Bearer {await token(run, boundObjectRef=ref)}"}
    assert (await status(run, "GET", PODS, user=ANONYMOUS, headers=bearer))["code"] == 403
    await run.local().request("DELETE", PODS + "/web")
    assert (await status(run, "GET", PODS, user=ANONYMOUS, headers=bearer))["code"] == 401


async def test_token_for_another_audience(run: Running) -> None:
    bearer = {"Authorization": f"Bearer {await token(run, audiences=['vault'])}"}
    assert (await status(run, "GET", PODS, user=ANONYMOUS, headers=bearer))["code"] == 401


async def test_node_rules(run: Running) -> None:
    admin, node = run.local(), run.local(NODE)
    await admin.request("POST", CONFIGMAPS, body=configmap("used"))
    await admin.request("POST", CONFIGMAPS, body=configmap("unused"))
    volume = {"name": "v", "configMap": {"name": "used"}}
    await admin.request("POST", PODS, body=pod("mine", nodeName="n1", volumes=[volume]))
    await admin.request("POST", PODS, body=pod("other", nodeName="n2"))
    await node.request("POST", "/api/v1/nodes", body={"metadata": {"name": "n1"}})
    with pytest.raises(Forbidden, match='node "n1" is not allowed to modify node "n2"'):
        await node.request("POST", "/api/v1/nodes", body={"metadata": {"name": "n2"}})
    assert len((await node.list("/api/v1/pods", query={"fieldSelector": "spec.nodeName=n1"})).items) == 1
    with pytest.raises(Forbidden):
        await node.list("/api/v1/pods")
    await node.request("GET", CONFIGMAPS + "/used")
    with pytest.raises(Forbidden):
        await node.request("GET", CONFIGMAPS + "/unused")
    body = {"status": {"phase": "Running"}}
    await node.request("PATCH", PODS + "/mine/status", body=body, content_type=MERGE)
    with pytest.raises(Forbidden):
        await node.request("PATCH", PODS + "/other/status", body=body, content_type=MERGE)
    with pytest.raises(Forbidden):
        await node.request("DELETE", PODS + "/other")
    await node.request("DELETE", PODS + "/mine", query={"gracePeriodSeconds": "0"})
    lease = {"metadata": {"name": "n1"}, "spec": {"holderIdentity": "n1"}}
    await admin.request("POST", "/api/v1/namespaces", body={"metadata": {"name": "kube-node-lease"}})
    await node.request("POST", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", body=lease)
    with pytest.raises(Forbidden):
        await node.request("DELETE", "/api/v1/nodes/n1")


async def test_join(run: Running) -> None:
    def text(value: str) -> str:
        return base64.b64encode(value.encode()).decode()

    data = {"token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true"}
    secret = {
        "metadata": {"name": "bootstrap-token-abcdef"},
        "type": "bootstrap.kubernetes.io/token",
        "data": {k: text(v) for k, v in data.items()},
    }
    await run.local().request("POST", "/api/v1/namespaces/kube-system/secrets", body=secret)
    request, _ = pki.new_request(user="system:node:n1", groups=["system:nodes"])
    bearer = {"Authorization": "Bearer abcdef.0123456789abcdef"}
    body = {"node": "n1", "request": request.decode()}
    response, _ = await send(run, "POST", "/minik/v1/join", body, user=ANONYMOUS, headers=bearer)
    assert response.obj is not None
    assert response.obj["ca"].encode() == run.ca.certificate
    assert pki.expires(response.obj["certificate"].encode()) > SystemClock().now()
    body["node"] = "n2"
    got = await status(run, "POST", "/minik/v1/join", body, user=ANONYMOUS, headers=bearer)
    assert (got["code"], "the subject must be" in got["message"]) == (400, True)
    assert (await status(run, "GET", PODS, user=ANONYMOUS, headers=bearer))["code"] == 403
    wrong = {"Authorization": "Bearer abcdef.0123456789abcdee"}
    assert (await status(run, "POST", "/minik/v1/join", body, user=ANONYMOUS, headers=wrong))["code"] == 401


async def test_can_i(run: Running) -> None:
    url = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    spec = {"resourceAttributes": {"verb": "create", "resource": "pods", "namespace": "default"}}
    got = await run.local().request("POST", url, body={"spec": spec})
    assert got["status"]["allowed"] is True
    got = await run.local(NODE).request("POST", url, body={"spec": spec})
    assert got["status"]["allowed"] is False


async def test_the_issuer_tells_how_its_tokens_are_checked(run: Running) -> None:
    """As an OIDC client does: from the issuer in the token to the keys, and with them to the claims."""
    import jwt

    made = await token(run, audiences=["mine"])
    issuer = jwt.decode(made, options={"verify_signature": False})["iss"]
    pods = User("system:serviceaccount:default:default", frozenset({"system:serviceaccounts", "system:authenticated"}))
    response, _ = await send(run, "GET", "/.well-known/openid-configuration", user=pods)
    assert response.obj is not None
    assert response.obj["issuer"] == issuer and response.obj["jwks_uri"].startswith(issuer)
    keys, _ = await send(run, "GET", response.obj["jwks_uri"].removeprefix(issuer), user=pods)
    assert keys.obj is not None
    key = jwt.PyJWK(dict(keys.obj["keys"][0]))
    claims = jwt.decode(made, key, algorithms=response.obj["id_token_signing_alg_values_supported"], audience="mine")
    assert claims["sub"] == pods.name


async def test_token_lifetimes(run: Running) -> None:
    with pytest.raises(Exception, match="may not specify a duration less than 10 minutes"):
        await token(run, expirationSeconds=10)
    with pytest.raises(BadRequest):
        await token(run, boundObjectRef={"kind": "Deployment", "name": "x"})
