"""Roles and bindings: what they allow, who may write them, what reviews say of them."""

from __future__ import annotations

from typing import Any

import pytest

from minik.api.errors import Forbidden, Invalid, NotFound
from minik.api.rbac_v1 import rules
from minik.client.client import Client
from minik.server.authz import bootstrap_roles
from minik.server.request import User
from tests.support.apiserver import Running
from tests.unit.server.objects import CONFIGMAPS, PODS, configmap, send, status

JANE = User("jane", frozenset({"system:authenticated", "developers"}))
RBAC = "/apis/rbac.authorization.k8s.io/v1"
ROLES = f"{RBAC}/namespaces/default/roles"
BINDINGS = f"{RBAC}/namespaces/default/rolebindings"
REVIEWS = "/apis/authorization.k8s.io/v1"


def role(name: str = "reader", *given: dict[str, Any]) -> dict[str, Any]:
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}
    return {"metadata": {"name": name}, "rules": list(given) or [rule]}


def binding(name: str, role_name: str, *subjects: dict[str, Any], kind: str = "Role") -> dict[str, Any]:
    return {"metadata": {"name": name}, "roleRef": {"kind": kind, "name": role_name}, "subjects": list(subjects)}


@pytest.mark.parametrize(
    "subject",
    [{"kind": "User", "name": "jane"}, {"kind": "Group", "name": "developers"}],
)
async def test_a_role_allows_what_it_says_and_nothing_more(run: Running, subject: dict[str, Any]) -> None:
    admin, jane = run.local(), run.local(JANE)
    await admin.request("POST", CONFIGMAPS, body=configmap("c"))
    assert (await status(run, "GET", CONFIGMAPS + "/c", user=JANE))["code"] == 403
    await admin.request("POST", ROLES, body=role())
    made = await admin.request("POST", BINDINGS, body=binding("readers", "reader", subject))
    assert made["roleRef"]["apiGroup"] == made["subjects"][0]["apiGroup"] == rules.GROUP
    assert (await jane.request("GET", CONFIGMAPS + "/c"))["metadata"]["name"] == "c"
    assert (await status(run, "POST", CONFIGMAPS, configmap("d"), user=JANE))["code"] == 403
    assert (await status(run, "GET", CONFIGMAPS.replace("default", "kube-system"), user=JANE))["code"] == 403
    await admin.request("DELETE", BINDINGS + "/readers")
    assert (await status(run, "GET", CONFIGMAPS + "/c", user=JANE))["code"] == 403


async def test_a_service_account_of_the_bindings_own_namespace(run: Running) -> None:
    admin = run.local()
    await admin.request("POST", ROLES, body=role())
    await admin.request("POST", BINDINGS, body=binding("b", "reader", {"kind": "ServiceAccount", "name": "builder"}))
    builder = User("system:serviceaccount:default:builder", frozenset({"system:authenticated"}))
    assert (await send(run, "GET", CONFIGMAPS, user=builder))[0].status == 200
    other = User("system:serviceaccount:kube-system:builder", frozenset({"system:authenticated"}))
    assert (await status(run, "GET", CONFIGMAPS, user=other))["code"] == 403


def test_rules() -> None:
    named = {"apiGroups": ["apps"], "resources": ["deployments", "*/scale"], "verbs": ["get"], "resourceNames": ["web"]}
    assert rules.allows_resource(named, "get", "apps", "deployments", "", "web")
    assert rules.allows_resource(named, "get", "apps", "statefulsets", "scale", "web")
    assert not rules.allows_resource(named, "get", "apps", "deployments", "", "")
    assert not rules.allows_resource(named, "get", "apps", "deployments", "status", "web")
    assert not rules.allows_resource(named, "get", "", "deployments", "", "web")
    urls = {"nonResourceURLs": ["/healthz", "/logs/*"], "verbs": ["get"]}
    assert rules.allows_path(urls, "get", "/logs/kubelet")
    assert not rules.allows_path(urls, "get", "/healthz/log")
    wanted = {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]}
    owned = [{"apiGroups": ["*"], "resources": ["pods", "*/log"], "verbs": ["get"]}]
    assert rules.compact(rules.missing(owned, [wanted])) == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["list"]},
    ]
    assert rules.missing(rules.EVERYTHING, [wanted, urls]) == []
    assert rules.describe(wanted) == '{APIGroups:[""], Resources:["pods" "pods/log"], Verbs:["get" "list"]}'


async def test_nobody_grants_more_than_they_have(run: Running) -> None:
    admin, jane = run.local(), run.local(JANE)
    writes = {"apiGroups": [rules.GROUP], "resources": ["roles", "rolebindings"], "verbs": ["*"]}
    bind = {"apiGroups": [rules.GROUP], "resources": ["roles"], "verbs": ["bind"], "resourceNames": ["strong"]}
    own = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}
    await admin.request("POST", ROLES, body=role("writer", {**writes, "verbs": ["create", "patch", "update"]}, own))
    await admin.request(
        "POST", ROLES, body=role("strong", {"apiGroups": [""], "resources": ["secrets"], "verbs": ["*"]})
    )
    await admin.request("POST", BINDINGS, body=binding("w", "writer", {"kind": "User", "name": "jane"}))
    with pytest.raises(Forbidden) as refused:
        await jane.request("POST", ROLES, body=role("mine"))
    assert refused.value.message == (
        'roles.rbac.authorization.k8s.io "mine" is forbidden: user "jane" (groups=["developers" "system:authenticated"]) '
        "is attempting to grant RBAC permissions not currently held:\n"
        '{APIGroups:[""], Resources:["configmaps"], Verbs:["list"]}'
    )
    await jane.request("POST", ROLES, body=role("mine", own))
    with pytest.raises(Forbidden, match="permissions not currently held"):
        await jane.request("POST", BINDINGS, body=binding("s", "strong", {"kind": "User", "name": "jane"}))
    with pytest.raises(NotFound):
        await jane.request("POST", BINDINGS, body=binding("n", "none", {"kind": "User", "name": "jane"}))
    with pytest.raises(Forbidden, match="permissions not currently held"):
        await jane.request("PUT", ROLES + "/mine", body=role("mine", {**own, "verbs": ["*"]}))
    await admin.request("POST", ROLES, body=role("binder", bind))
    await admin.request("POST", BINDINGS, body=binding("b", "binder", {"kind": "User", "name": "jane"}))
    await jane.request("POST", BINDINGS, body=binding("s", "strong", {"kind": "User", "name": "jane"}))


async def test_reviews(run: Running) -> None:
    admin, jane = run.local(), run.local(JANE)
    await admin.request("POST", ROLES, body=role())
    await admin.request("POST", BINDINGS, body=binding("readers", "reader", {"kind": "Group", "name": "developers"}))
    attributes = {"verb": "list", "resource": "configmaps", "namespace": "default"}
    body = {"spec": {"resourceAttributes": attributes, "user": "jane", "groups": ["developers"]}}
    for path in (f"{REVIEWS}/subjectaccessreviews", f"{REVIEWS}/namespaces/default/localsubjectaccessreviews"):
        got = await admin.request("POST", path, body=body)
        assert got["status"] == {
            "allowed": True,
            "reason": 'RBAC: allowed by RoleBinding "readers/default" of Role "reader" to Group "developers"',
        }
    elsewhere = {**body["spec"], "resourceAttributes": {**attributes, "namespace": "kube-system"}}
    got = await status(run, "POST", f"{REVIEWS}/namespaces/default/localsubjectaccessreviews", {"spec": elsewhere})
    assert (got["code"], got["message"]) == (400, "spec.resourceAttributes.namespace must match namespace: default")
    with pytest.raises(Invalid, match="at least one of user or group must be specified"):
        await admin.request(
            "POST", f"{REVIEWS}/subjectaccessreviews", body={"spec": {"resourceAttributes": attributes}}
        )
    got = await jane.request("POST", f"{REVIEWS}/selfsubjectrulesreviews", body={"spec": {"namespace": "default"}})
    rule = {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["configmaps"]}
    assert got["status"] == {"resourceRules": [rule], "nonResourceRules": [], "incomplete": False}


async def test_impersonation_by_role(run: Running) -> None:
    admin = run.local()
    rule = {"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"], "resourceNames": ["bob"]}
    await admin.request("POST", f"{RBAC}/clusterroles", body=role("imp", rule))
    made = binding("imp", "imp", {"kind": "User", "name": "jane"}, kind="ClusterRole")
    await admin.request("POST", f"{RBAC}/clusterrolebindings", body=made)
    url = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    response, _ = await send(run, "POST", url, {}, user=JANE, headers={"Impersonate-User": "bob"})
    assert response.obj is not None and response.obj["status"]["userInfo"]["username"] == "bob"
    got = await status(run, "POST", url, {}, user=JANE, headers={"Impersonate-User": "eve"})
    assert 'User "jane" cannot impersonate resource "users"' in got["message"]


async def test_what_is_wrong_with_roles_and_bindings(run: Running) -> None:
    admin = run.local()
    with pytest.raises(Invalid) as found:
        await admin.request("POST", ROLES, body=role("r", {"nonResourceURLs": ["/x"], "verbs": []}, {"verbs": ["get"]}))
    assert {c["field"] for c in (found.value.details or {})["causes"]} == {
        "rules[0].verbs", "rules[0].nonResourceURLs", "rules[1].apiGroups", "rules[1].resources",
    }  # fmt: skip
    wrong = binding("b", "r", {"kind": "Robot", "name": "x"}, {"kind": "User", "name": ""}, kind="Thing")
    with pytest.raises(Invalid) as found:
        await admin.request("POST", BINDINGS, body=wrong)
    assert {c["field"] for c in (found.value.details or {})["causes"]} == {
        "roleRef.kind", "subjects[0].kind", "subjects[1].name",
    }  # fmt: skip
    await admin.request("POST", ROLES, body=role())
    await admin.request("POST", BINDINGS, body=binding("b", "reader"))
    with pytest.raises(Invalid, match="cannot change roleRef"):
        await admin.request("PUT", BINDINGS + "/b", body=binding("b", "other"))


async def test_bootstrap_roles_are_made_and_mended(run: Running) -> None:
    client = Client(run.local(), run.server.registry)
    await bootstrap_roles.ensure(client)
    before = run.cache.revision
    await bootstrap_roles.ensure(client)
    assert run.cache.revision == before
    await client.patch(rules.CLUSTER_ROLES, "system:aggregate-to-view", "", {"rules": []})
    kept = {"metadata": {"annotations": {rules.AUTOUPDATE: "false"}}, "rules": []}
    await client.patch(rules.CLUSTER_ROLES, "system:aggregate-to-edit", "", kept)
    await bootstrap_roles.ensure(client)
    view = await client.get(rules.CLUSTER_ROLES, "system:aggregate-to-view")
    assert {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list", "watch"]} in view["rules"]
    assert not (await client.get(rules.CLUSTER_ROLES, "system:aggregate-to-edit")).get("rules")
    strangers = User("jane", frozenset({"system:authenticated"}))
    assert (await status(run, "GET", PODS, user=strangers))["code"] == 403
