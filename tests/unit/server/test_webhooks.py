"""Admission webhooks: who is asked about what, what becomes of a patch, and of a hook that fails. The hook is a real server over TLS,
behind a Service and the link of a node."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from minik import pki
from minik.api.errors import BadRequest, Forbidden, InternalError, Invalid, StatusError
from minik.api.meta import Obj
from minik.client.client import Client
from minik.clock import SystemClock
from tests.support.apiserver import running
from tests.support.backends import listening, put_behind_service, server_tls
from tests.support.forwarding import forwarding

IP = "10.42.0.9"
MUTATING = "mutatingwebhookconfigurations.admissionregistration.k8s.io"
VALIDATING = "validatingwebhookconfigurations.admissionregistration.k8s.io"
Say = Callable[[Obj], Obj]


def allow(_request: Obj) -> Obj:
    return {"allowed": True}


def deny(_request: Obj) -> Obj:
    return {
        "allowed": False,
        "status": {"message": "the hook will have none of it", "reason": "Forbidden", "code": 403},
    }


def patching(*operations: Obj) -> Say:
    encoded = base64.b64encode(orjson.dumps(list(operations))).decode()
    return lambda _request: {"allowed": True, "patchType": "JSONPatch", "patch": encoded}


@dataclass
class World:
    client: Client
    bundle: str
    answers: dict[str, Say] = field(default_factory=dict)
    """By path; a path that is not there is answered 404."""
    asked: list[tuple[str, Obj]] = field(default_factory=list)
    """(path and query, `request` of the review)."""
    is_slow: bool = False

    async def answer(self, request: web.Request) -> web.Response:
        review = await request.json()
        self.asked.append((request.path_qs, review["request"]))
        if self.is_slow:
            await asyncio.sleep(5)
        if request.path not in self.answers:
            return web.Response(status=404, text="no such hook")
        response = {"uid": review["request"]["uid"], **self.answers[request.path](review["request"])}
        return web.json_response({"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response})

    def hook(self, path: str, *rules: Obj, name: str = "", **more: Any) -> Obj:
        service = {"namespace": "default", "name": "hook", "path": path}
        return {
            "name": name or f"{path.strip('/')}.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1", "v1beta1"],
            "clientConfig": {"service": service, "caBundle": self.bundle}, "rules": list(rules), "timeoutSeconds": 2, **more,
        }  # fmt: skip

    async def configure(self, resource: str, *hooks: Obj, name: str = "hooks") -> None:
        await self.client.create(resource, {"metadata": {"name": name}, "webhooks": list(hooks)})

    async def config_map(self, name: str = "a", **data: str) -> Any:
        return await self.client.create(
            "configmaps", {"metadata": {"name": name, "namespace": "default"}, "data": data}
        )


def rule(operations: str, resources: str, groups: str = "", versions: str = "v1", **more: Any) -> Obj:
    lists = {"operations": operations, "resources": resources, "apiGroups": groups, "apiVersions": versions}
    return {**{key: text.split(",") for key, text in lists.items()}, **more}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    tls, bundle = server_tls(tmp_path, "hook.default.svc", "127.0.0.1")
    async with running() as run, forwarding(run, "n1"):
        made = World(Client(run.local(), run.server.registry), bundle)
        async with listening(made.answer, tls) as port:
            await put_behind_service(made.client, "hook", IP, port)
            yield made


async def test_a_hook_says_no_and_nothing_is_written(world: World) -> None:
    world.answers["/deny"] = deny
    await world.configure(VALIDATING, world.hook("/deny", rule("CREATE", "configmaps")))
    with pytest.raises(Forbidden) as refused:
        await world.config_map()
    why = 'admission webhook "deny.example.com" denied the request: the hook will have none of it'
    assert (refused.value.message, refused.value.status_code) == (why, 403)
    assert not (await world.client.list("configmaps", "default", field_selector="metadata.name=a")).items
    ((path, request),) = world.asked
    assert path == "/deny?timeout=2s"
    assert request["operation"] == "CREATE" and request["userInfo"]["username"] == "kubernetes-admin"
    assert request["kind"] == {"group": "", "version": "v1", "kind": "ConfigMap"}
    assert (request["namespace"], request["object"]["metadata"]["name"], request["oldObject"]) == ("default", "a", None)
    await world.client.create("secrets", {"metadata": {"name": "a", "namespace": "default"}})
    assert len(world.asked) == 1, "of other kinds it does not hear"
    await world.client.delete(VALIDATING, "hooks")
    await world.config_map()


async def test_updates_and_deletions(world: World) -> None:
    await world.config_map(a="1")
    world.answers["/deny"] = deny
    await world.configure(VALIDATING, world.hook("/deny", rule("UPDATE,DELETE", "configmaps")))
    with pytest.raises(Forbidden):
        await world.client.patch("configmaps", "a", "default", {"data": {"a": "2"}})
    with pytest.raises(Forbidden):
        await world.client.delete("configmaps", "a", "default")
    (_, update), (_, deletion) = world.asked
    assert (update["oldObject"]["data"], update["object"]["data"]) == ({"a": "1"}, {"a": "2"})
    assert (deletion["object"], deletion["oldObject"]["data"]) == (None, {"a": "1"})
    assert deletion["options"]["kind"] == "DeleteOptions"
    assert (await world.client.get("configmaps", "a", "default"))["data"] == {"a": "1"}


async def test_hooks_change_one_after_the_other(world: World) -> None:
    """Row "ordered mutation"."""

    def second(request: Obj) -> Obj:
        assert request["object"]["data"]["one"] == "yes", "it sees what the first one made"
        return patching({"op": "add", "path": "/data/two", "value": "yes"})(request)

    world.answers |= {"/one": patching({"op": "add", "path": "/data/one", "value": "yes"}), "/two": second}
    created = rule("CREATE", "configmaps")
    await world.configure(MUTATING, world.hook("/one", created), world.hook("/two", created))
    assert (await world.config_map(start="yes"))["data"] == {"start": "yes", "one": "yes", "two": "yes"}


async def test_one_that_asks_to_be_is_asked_again(world: World) -> None:
    world.answers |= {"/watch": allow, "/change": patching({"op": "add", "path": "/data/x", "value": "y"})}
    created = rule("CREATE", "configmaps")
    again = world.hook("/watch", created, reinvocationPolicy="IfNeeded")
    await world.configure(MUTATING, again, world.hook("/change", created))
    await world.config_map(a="b")
    assert [path for path, _ in world.asked] == ["/watch?timeout=2s", "/change?timeout=2s", "/watch?timeout=2s"]
    assert world.asked[-1][1]["object"]["data"] == {"a": "b", "x": "y"}


async def test_what_a_hook_adds_gets_its_defaults_and_is_validated(world: World) -> None:
    """Row "mutation with defaulting"."""
    init = [{"name": "added", "image": "some/image:1"}]
    world.answers["/init"] = patching({"op": "add", "path": "/spec/initContainers", "value": init})
    await world.configure(MUTATING, world.hook("/init", rule("CREATE", "pods")))
    named = {"name": "p", "namespace": "default"}
    pod = await world.client.create("pods", {"metadata": named, "spec": {"containers": [{"name": "c", "image": "i"}]}})
    (added,) = pod["spec"]["initContainers"]
    assert (added["imagePullPolicy"], added["terminationMessagePolicy"]) == ("IfNotPresent", "File")
    assert any(mount["mountPath"].endswith("serviceaccount") for mount in added["volumeMounts"]), (
        "and what admission adds"
    )
    world.answers["/init"] = patching(
        {"op": "replace", "path": "/spec/containers/0/image", "value": ""},
        {"op": "replace", "path": "/metadata/name", "value": "other"},
    )
    named["name"] = "q"
    with pytest.raises(Invalid, match=r'Pod "q" is invalid: spec.containers\[0\].image: Required value'):
        await world.client.create("pods", {"metadata": named, "spec": {"containers": [{"name": "c", "image": "i"}]}})


CRD = "customresourcedefinitions.apiextensions.k8s.io"


def definition(*versions: str) -> Obj:
    schema = {
        "openAPIV3Schema": {
            "type": "object",
            "properties": {"data": {"type": "object", "properties": {"known": {"type": "string"}}}},
        }
    }
    return {
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
            "versions": [{"name": v, "served": True, "storage": v == versions[0], "schema": schema} for v in versions],
        },
    }  # fmt: skip


async def established(world: World, *versions: str) -> None:
    """Of a definition, without its controller."""
    await world.client.create(CRD, definition(*versions))
    names = definition(*versions)["spec"]["names"]
    conditions = [{"type": kind, "status": "True"} for kind in ("NamesAccepted", "Established")]
    status = {"conditions": conditions, "acceptedNames": names, "storedVersions": list(versions)}
    await world.client.patch_status(CRD, "things.example.com", "", {"status": status})


async def test_custom_objects_are_changed_and_pruned(world: World) -> None:
    """Rows "mutate custom resource with pruning" and "… with different stored version": the rule names one version, the request is in
    the other."""
    await established(world, "v1", "v2")
    world.answers["/crd"] = patching(
        {"op": "add", "path": "/data/known", "value": "yes"}, {"op": "add", "path": "/data/unknown", "value": "no"}
    )
    hook = world.hook("/crd", rule("CREATE", "things", groups="example.com", versions="v1"))
    await world.configure(MUTATING, hook)
    path = "/apis/example.com/v2/namespaces/default/things"
    thing = {"apiVersion": "example.com/v2", "kind": "Thing", "metadata": {"name": "a"}, "data": {}}
    made = await world.client.transport.request("POST", path, body=thing)
    assert (made["apiVersion"], made["data"]) == ("example.com/v2", {"known": "yes"})
    ((_, request),) = world.asked
    assert (request["resource"]["version"], request["requestResource"]["version"]) == ("v1", "v2")
    assert request["object"]["apiVersion"] == "example.com/v1"
    exact = {**hook, "matchPolicy": "Exact"}
    await world.client.patch(MUTATING, "hooks", "", {"webhooks": [exact]})
    made = await world.client.transport.request("POST", path, body={**thing, "metadata": {"name": "b"}})
    assert made["data"] == {}


async def test_selectors_and_conditions(world: World) -> None:
    world.answers["/deny"] = deny
    created = rule("CREATE", "configmaps")
    expressions = [{"matchLabels": {"strict": "yes"}}, {}]
    by_namespace = world.hook("/deny", created, namespaceSelector=expressions[0])
    await world.configure(VALIDATING, by_namespace)
    await world.config_map("free")
    await world.client.patch("namespaces", "default", "", {"metadata": {"labels": {"strict": "yes"}}})
    with pytest.raises(Forbidden):
        await world.config_map("bound")
    by_object = world.hook("/deny", created, objectSelector=expressions[0])
    await world.client.patch(VALIDATING, "hooks", "", {"webhooks": [by_object]})
    await world.config_map("plain")
    conditions = [{"name": "not-skipped", "expression": "object.metadata.name != 'skip-me'"}]
    await world.client.patch(
        VALIDATING, "hooks", "", {"webhooks": [world.hook("/deny", created, matchConditions=conditions)]}
    )
    await world.config_map("skip-me")
    with pytest.raises(Forbidden):
        await world.config_map("not-me")
    unanswerable = [{"name": "broken", "expression": "object.data.missing == 'x'"}]
    await world.client.patch(
        VALIDATING, "hooks", "", {"webhooks": [world.hook("/deny", created, matchConditions=unanswerable)]}
    )
    with pytest.raises(Forbidden, match="broken"):
        await world.config_map("undecided")


@pytest.mark.parametrize("policy", ["Fail", "Ignore"])
@pytest.mark.parametrize("fault", ["absent", "slow", "untrusted", "nonsense", "no service"])
async def test_a_hook_that_fails(world: World, policy: str, fault: str) -> None:
    """Rows "fail closed" and "honor timeout"."""
    hook = world.hook("/hook", rule("CREATE", "configmaps"), failurePolicy=policy, timeoutSeconds=1)
    if fault != "absent":
        world.answers["/hook"] = deny if fault != "nonsense" else lambda _request: {"uid": "another", "allowed": True}
    world.is_slow = fault == "slow"
    if fault == "untrusted":
        other = pki.new_ca(now=SystemClock().now(), common_name="other")
        hook["clientConfig"]["caBundle"] = base64.b64encode(other.certificate).decode()
    if fault == "no service":
        hook["clientConfig"]["service"]["name"] = "nobody"
    await world.configure(VALIDATING, hook)
    if policy == "Ignore":
        assert (await world.config_map())["metadata"]["name"] == "a"
        return
    with pytest.raises(InternalError) as failed:
        await world.config_map()
    assert failed.value.message.startswith('Internal error occurred: failed calling webhook "hook.example.com": ')
    if fault == "slow":
        url = "https://hook.default.svc:443/hook?timeout=1s"
        assert f'Post "{url}": context deadline exceeded' in failed.value.message


async def test_a_hook_at_a_url(world: World) -> None:
    subsets = (await world.client.get("endpoints", "hook", "default"))["subsets"]
    world.answers["/by-url"] = deny
    hook = world.hook("/by-url", rule("CREATE", "configmaps"))
    port = subsets[0]["ports"][0]["port"]
    hook["clientConfig"] = {"url": f"https://127.0.0.1:{port}/by-url", "caBundle": world.bundle}
    await world.configure(VALIDATING, hook)
    with pytest.raises(Forbidden):
        await world.config_map()


async def test_hooks_have_no_say_about_hooks(world: World) -> None:
    """Row "admission control not allowed on webhook configuration objects"."""
    world.answers["/deny"] = deny
    everything = rule("*", "*/*", groups="*", versions="*")
    await world.configure(VALIDATING, world.hook("/deny", everything))
    with pytest.raises(Forbidden):
        await world.config_map()
    await world.client.patch(VALIDATING, "hooks", "", {"metadata": {"labels": {"a": "b"}}})
    await world.client.delete(VALIDATING, "hooks")
    await world.config_map()


async def test_subresources_are_named_by_rules_of_their_own(world: World) -> None:
    world.answers["/deny"] = deny
    await world.configure(
        VALIDATING, world.hook("/deny", rule("*", "pods/eviction,pods/binding,pods/status,pods/attach"))
    )
    named = {"name": "p", "namespace": "default"}
    await world.client.create("pods", {"metadata": named, "spec": {"containers": [{"name": "c", "image": "i"}]}})
    base = "/api/v1/namespaces/default/pods/p"
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": named}
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": named, "target": {"kind": "Node", "name": "n1"}}
    for path, body, kind in (("/eviction", eviction, "Eviction"), ("/binding", binding, "Binding")):
        with pytest.raises(Forbidden):
            await world.client.transport.request("POST", base + path, body=body)
        assert (world.asked[-1][1]["operation"], world.asked[-1][1]["kind"]["kind"]) == ("CREATE", kind)
    with pytest.raises(Forbidden):
        await world.client.patch_status("pods", "p", "default", {"status": {"message": "x"}})
    assert (world.asked[-1][1]["operation"], world.asked[-1][1]["subResource"]) == ("UPDATE", "status")
    with pytest.raises(Forbidden):
        await world.client.transport.request("POST", base + "/attach", query={"stdout": "true"})
    request = world.asked[-1][1]
    assert (request["operation"], request["object"]["kind"], request["object"]["stdout"]) == (
        "CONNECT",
        "PodAttachOptions",
        True,
    )


async def test_scale_is_shown_as_a_scale(world: World) -> None:
    world.answers["/deny"] = deny
    await world.configure(VALIDATING, world.hook("/deny", rule("*", "replicasets/scale", groups="apps")))
    labels = {"a": "b"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    await world.client.create("replicasets.apps", {"metadata": {"name": "r", "namespace": "default"}, "spec": spec})
    path = "/apis/apps/v1/namespaces/default/replicasets/r/scale"
    with pytest.raises(Forbidden):
        await world.client.transport.request(
            "PATCH", path, body={"spec": {"replicas": 3}}, content_type="application/merge-patch+json"
        )
    request = world.asked[-1][1]
    assert request["kind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    assert (request["oldObject"]["spec"], request["object"]["spec"]) == ({"replicas": 1}, {"replicas": 3})


async def test_dry_runs_and_warnings(world: World) -> None:
    world.answers["/warn"] = lambda request: {"allowed": True, "warnings": [f"dry run: {request['dryRun']}"]}
    await world.configure(VALIDATING, world.hook("/warn", rule("CREATE", "configmaps")))
    body = {"metadata": {"name": "a"}}
    path = "/api/v1/namespaces/default/configmaps"
    await world.client.transport.request("POST", path, query={"dryRun": "All"}, body=body)
    assert world.asked[-1][1]["dryRun"] is True


async def test_a_patch_that_cannot_be(world: World) -> None:
    world.answers["/bad"] = patching({"op": "replace", "path": "/data/nothing", "value": "x"})
    await world.configure(MUTATING, world.hook("/bad", rule("CREATE", "configmaps")))
    with pytest.raises(InternalError, match="failed calling webhook"):
        await world.config_map(a="b")


WRONG: list[tuple[Obj, str]] = [
    ({"name": "short.io"}, "webhooks[0].name: Invalid value: \"short.io\": should be a domain with at least three segments"),
    ({"sideEffects": "Some"}, 'webhooks[0].sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"'),
    ({"sideEffects": None}, "webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun"),
    ({"timeoutSeconds": 31}, "webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds"),
    ({"clientConfig": {}}, "webhooks[0].clientConfig: Required value: exactly one of url or service is required"),
    ({"clientConfig": {"url": "http://x/"}}, "'https' is the only allowed URL scheme"),
    ({"rules": [rule("*,CREATE", "pods")]}, "if '*' is present, must not specify other operations"),
    ({"rules": [rule("CREATE", "*,pods")]}, "if '*' is present, must not specify other resources without subresources"),
    ({"admissionReviewVersions": ["v7"]}, "must include at least one of v1, v1beta1"),
    ({"matchConditions": [{"name": "x", "expression": "... oops"}]}, "webhooks[0].matchConditions[0].expression: Invalid value"),
    ({"matchConditions": [{"name": "x", "expression": "nobody.knows"}]}, "compilation failed"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "why"), WRONG, ids=range(len(WRONG)))
@pytest.mark.parametrize("resource", [MUTATING, VALIDATING])
async def test_configurations_that_are_wrong(world: World, resource: str, change: Obj, why: str) -> None:
    with pytest.raises(StatusError) as refused:
        await world.configure(resource, {**world.hook("/x", rule("CREATE", "pods")), **change})
    assert isinstance(refused.value, (Invalid, BadRequest)) and why in refused.value.message, refused.value.message
    assert not (await world.client.list(resource)).items


async def test_policies_are_asked_again_if_hooks_changed_the_object(world: World) -> None:
    count = {"expression": "Object{data: {'seen': string(size(object.data))}}"}
    spec = {
        "matchConstraints": {"resourceRules": [rule("CREATE", "configmaps")]}, "reinvocationPolicy": "IfNeeded",
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": count}],
    }  # fmt: skip
    group = "admissionregistration.k8s.io"
    await world.client.create(f"mutatingadmissionpolicies.{group}", {"metadata": {"name": "count"}, "spec": spec})
    binding = {"metadata": {"name": "count"}, "spec": {"policyName": "count"}}
    await world.client.create(f"mutatingadmissionpolicybindings.{group}", binding)
    world.answers["/more"] = patching({"op": "add", "path": "/data/more", "value": "x"})
    await world.configure(MUTATING, world.hook("/more", rule("CREATE", "configmaps")))
    made = await world.config_map(a="1")
    assert made["data"] == {"a": "1", "more": "x", "seen": "3"}
    assert world.asked[0][1]["object"]["data"]["seen"] == "1", "policies come first"
