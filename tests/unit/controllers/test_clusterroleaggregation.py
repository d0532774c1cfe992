"""ClusterRoles made of others: they follow their parts, settle, and then cost nothing."""

from __future__ import annotations

import pytest

from minik.api.meta import Obj
from minik.api.rbac_v1.rules import CLUSTER_ROLES, allows_resource
from minik.controllers import clusterroleaggregation
from minik.server.authz import bootstrap_roles
from tests.support.cluster import control_plane, named

pytestmark = pytest.mark.looptime


def _rule(resource: str, *verbs: str) -> Obj:
    return {"apiGroups": [""], "resources": [resource], "verbs": list(verbs)}


def _made_of(name: str, label: str, **labels: str) -> Obj:
    return named(name, labels=labels, aggregationRule={"clusterRoleSelectors": [{"matchLabels": {label: "yes"}}]})


async def test_rules_follow_the_parts() -> None:
    async with control_plane(clusterroleaggregation.CONTROLLER) as c:
        await c.create(CLUSTER_ROLES, _made_of("all", "part"))
        await c.create(
            CLUSTER_ROLES, named("b", labels={"part": "yes"}, rules=[_rule("pods", "get"), _rule("nodes", "get")])
        )
        await c.create(CLUSTER_ROLES, named("a", labels={"part": "yes"}, rules=[_rule("nodes", "get")]))
        await c.create(CLUSTER_ROLES, named("other", rules=[_rule("secrets", "get")]))

        async def rules() -> list[Obj]:
            await c.settle()
            role = await c.get(CLUSTER_ROLES, "all")
            assert role is not None
            return list(role.get("rules") or ())

        assert await rules() == [_rule("nodes", "get"), _rule("pods", "get")]
        await c.client.patch(CLUSTER_ROLES, "b", "", {"rules": [_rule("pods", "list")]})
        assert await rules() == [_rule("nodes", "get"), _rule("pods", "list")]
        await c.client.patch(CLUSTER_ROLES, "all", "", {"rules": [_rule("secrets", "*")]})
        assert await rules() == [_rule("nodes", "get"), _rule("pods", "list")]
        await c.client.patch(CLUSTER_ROLES, "b", "", {"metadata": {"labels": {"part": None}}})
        assert await rules() == [_rule("nodes", "get")]
        await c.client.delete(CLUSTER_ROLES, "a")
        assert await rules() == []


async def test_the_bootstrap_roles_settle_and_roles_that_select_each_other_too() -> None:
    async with control_plane(clusterroleaggregation.CONTROLLER) as c:
        await bootstrap_roles.ensure(c.client)
        await c.create(CLUSTER_ROLES, _made_of("x", "in-x", **{"in-y": "yes"}))
        await c.create(CLUSTER_ROLES, _made_of("y", "in-y", **{"in-x": "yes"}))
        await c.create(CLUSTER_ROLES, named("z", labels={"in-x": "yes"}, rules=[_rule("pods", "get")]))
        await c.settle()
        roles = {
            role["metadata"]["name"]: role.get("rules") or [] for role in (await c.client.list(CLUSTER_ROLES)).items
        }
        assert roles["x"] == roles["y"] == [_rule("pods", "get")]

        def may(role: str, verb: str, resource: str) -> bool:
            return any(allows_resource(rule, verb, "", resource, "", "") for rule in roles[role])

        assert [may(role, "get", "pods") for role in ("view", "edit", "admin")] == [True, True, True]
        assert [may(role, "get", "secrets") for role in ("view", "edit", "admin")] == [False, True, True]
        before = c.server.cache.revision
        await c.settle(60)
        assert c.server.cache.revision == before
