"""Rows of admission webhooks: the calls of upstream's tests (`webhook.go`) with its own webhook (`tests/support/sample_webhook.py`).

Upstream's hooks stand behind a Service in the cluster, these at a URL: what is behind a Service is in tests/unit/server/test_webhooks.py.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.e2e import JSON_PATCH, MERGE, Client, Obj, row
from tests.support.kubectl import Kubectl
from tests.support.process import Answer, Server, until
from tests.support.sample_webhook import DISALLOW, KEY, SampleWebhook, sample_webhook
from tests.wire.test_rows_crd import ANYTHING, CRDS, custom, custom_kind, defined, home

VALIDATING, MUTATING = "validatingwebhookconfigurations", "mutatingwebhookconfigurations"
IMAGE = "registry.test/sleep:1"
UNWANTED = {KEY: DISALLOW}


@pytest.fixture
def api(server: Server, namespace: str) -> Client:
    return Client(server, namespace)


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleWebhook]:
    with sample_webhook(tmp_path_factory.mktemp("hooks")) as served:
        yield served


def rule(resources: str, *operations: str, group: str = "", version: str = "v1") -> Obj:
    lists = {"apiGroups": [group], "apiVersions": [version], "resources": [resources]}
    return {"operations": list(operations) or ["CREATE"], **lists}


def hook(hooks: SampleWebhook, path: str, *rules: Obj, name: str = "", **more: Any) -> Obj:
    words = {"sideEffects": "None", "admissionReviewVersions": ["v1", "v1beta1"]}
    name = name or f"{path.strip('/').replace('/', '-')}.k8s.io"
    return {"name": name, "rules": list(rules), "clientConfig": hooks.client(path), **words, **more}


def configure(api: Client, plural: str, *webhooks: Obj, name: str = "hooks", labels: Obj | None = None) -> str:
    """A configuration for the test's own namespace, and for objects without one that carry its name as a label."""
    name, mine = f"{api.namespace}-{name}", []
    for each in webhooks:
        cluster = any({*each_rule["resources"]} & {CRDS, VALIDATING, MUTATING} for each_rule in each["rules"])
        selector = {"objectSelector": {"matchLabels": {api.namespace: "true"}}}
        if not cluster:
            selector = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": api.namespace}}}
        mine.append({**selector, **each})
    api.create(plural, {"metadata": {"name": name, "labels": labels or {}}, "webhooks": mine})
    return name


@contextlib.contextmanager
def configured(api: Client, plural: str, *webhooks: Obj, name: str = "hooks") -> Iterator[str]:
    made = configure(api, plural, *webhooks, name=name)
    try:
        yield made
    finally:
        api.delete(plural, made)


def config_map(name: str, **data: str) -> Obj:
    return {"metadata": {"name": name}, "data": {key.replace("_", "-"): value for key, value in data.items()}}


def unwanted(name: str) -> Obj:
    return {"metadata": {"name": name}, "data": dict(UNWANTED)}


def refused(answer: Answer, *words: str) -> None:
    assert answer.status >= 400, answer.body
    for each in words:
        assert each in answer.obj["message"], answer.body


def pod(name: str, container: str = "c", labels: Obj | None = None) -> Obj:
    spec = {"containers": [{"name": container, "image": IMAGE}]}
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": spec}


# --- denials ----------------------------------------------------------------------------------------------------------


@row("Admission webhook, deny create")
def test_denied_pods_and_config_maps(api: Client, hooks: SampleWebhook) -> None:
    not_skipped = [{"key": "skip-webhook-admission", "operator": "NotIn", "values": ["yes"]}]
    of_test = {"key": "webhook-test", "operator": "In", "values": [api.namespace]}
    label = {"metadata": {"labels": {"webhook-test": api.namespace}}}
    api.do("PATCH", f"/api/v1/namespaces/{api.namespace}", label, MERGE)
    closed = {
        "rules": [rule("configmaps")],
        "failurePolicy": "Ignore",
        "clientConfig": {"url": f"{hooks.url}/configmaps"},
    }
    webhooks = (
        hook(hooks, "/pods", rule("pods")),
        hook(hooks, "/never", rule("pods"), timeoutSeconds=1, objectSelector={"matchLabels": {KEY: "wait-forever"}}),
        hook(hooks, "/configmaps", rule("configmaps", "CREATE", "UPDATE"),
             namespaceSelector={"matchExpressions": [*not_skipped, of_test]}),
        {**hook(hooks, "/configmaps", name="fail-open.k8s.io"), **closed},
    )  # fmt: skip
    with configured(api, VALIDATING, *webhooks):
        answer = api.try_create("pods", pod("disallowed-pod", DISALLOW, UNWANTED))
        refused(answer, "the pod contains unwanted container name", "the pod contains unwanted label")
        refused(api.try_create("pods", pod("hanging-pod", labels={KEY: "wait-forever"})), "deadline")
        assert not api.exists("pods", "hanging-pod")
        refused(api.try_create("configmaps", unwanted("disallowed")), "the configmap contains unwanted key and value")
        made = api.create("configmaps", config_map("allowed", admit="this"))
        answer = api.try_put("configmaps", {**made, "data": UNWANTED})
        refused(answer, "the configmap contains unwanted key and value")
        path = api.path("configmaps", "allowed")
        answer = api.ask("PATCH", path, {"data": UNWANTED}, "application/strategic-merge-patch+json")
        refused(answer, "the configmap contains unwanted key and value")
        skipped = f"{api.namespace}-exempted"
        labels = {"skip-webhook-admission": "yes", "webhook-test": api.namespace}
        api.create("namespaces", {"metadata": {"name": skipped, "labels": labels}})
        api.create("configmaps", unwanted("disallowed"), namespace=skipped)
        api.delete("namespaces", skipped)


@row("Admission webhook, deny attach")
@pytest.mark.kubectl
def test_a_denied_attach(api: Client, hooks: SampleWebhook, kubectl: Kubectl) -> None:
    with configured(api, VALIDATING, hook(hooks, "/pods/attach", rule("pods/attach", "CONNECT"))):
        api.create("pods", pod("to-be-attached-pod", "container1"))
        api.phase("to-be-attached-pod")
        said = kubectl.fails("attach", "to-be-attached-pod", "-i", "-c=container1")
        assert "attaching to pod 'to-be-attached-pod' is not allowed" in said


@row("Admission webhook, deny custom resource create and delete")
def test_denied_custom_objects(api: Client, hooks: SampleWebhook) -> None:
    definition = defined(api, custom_kind(api, "noxu", scope="Namespaced"))
    path, group = home(definition, namespace=api.namespace), definition["spec"]["group"]
    rules = rule("noxus", "CREATE", "UPDATE", "DELETE", group=group, version="v1beta1")
    with configured(api, VALIDATING, hook(hooks, "/custom-resource", rules)):
        answer = api.ask("POST", path, custom(definition, "cr-instance-1", data=UNWANTED))
        refused(answer, "the custom resource contains unwanted data")
        made = api.do("POST", path, custom(definition, "cr", data={KEY: "webhook-nondeletable"}))
        answer = api.ask("PUT", f"{path}/cr", {**made, "data": UNWANTED})
        refused(answer, "the custom resource contains unwanted data")
        answer = api.ask("DELETE", f"{path}/cr")
        refused(answer, "the custom resource cannot be deleted because it contains unwanted key and value")
        api.do("PUT", f"{path}/cr", {**made, "data": {KEY: "webhook-allow"}})
        assert api.ask("DELETE", f"{path}/cr").status == 200
    api.delete(CRDS, definition["metadata"]["name"])


@row("Admission webhook, deny custom resource definition")
def test_a_denied_definition(api: Client, hooks: SampleWebhook) -> None:
    with configured(api, VALIDATING, hook(hooks, "/crd", rule(CRDS, group="apiextensions.k8s.io"))):
        labels = {api.namespace: "true", **UNWANTED}
        refused(api.try_create(CRDS, custom_kind(api, "denied", labels=labels)), "the crd contains unwanted label")


@row("Admission webhook, fail closed")
def test_a_hook_that_is_not_believed(api: Client, hooks: SampleWebhook) -> None:
    closed = hook(hooks, "/configmaps", rule("configmaps"), clientConfig={"url": f"{hooks.url}/configmaps"})
    with configured(api, VALIDATING, {**closed, "failurePolicy": "Fail"}):
        answer = api.try_create("configmaps", config_map("foo"))
        assert (answer.status, answer.obj["reason"]) == (500, "InternalError"), answer.body


@row("Admission webhook, honor timeout")
@pytest.mark.parametrize(
    ("path", "more", "is_refused"),
    [
        ("/never", {"timeoutSeconds": 1, "failurePolicy": "Fail"}, True),
        ("/never", {"timeoutSeconds": 1, "failurePolicy": "Ignore"}, False),
        ("/late", {"timeoutSeconds": 30, "failurePolicy": "Fail"}, False),
        ("/late", {"failurePolicy": "Fail"}, False),
    ],
)
def test_slow_hooks(api: Client, hooks: SampleWebhook, path: str, more: Obj, is_refused: bool) -> None:
    with configured(api, VALIDATING, hook(hooks, path, rule("configmaps"), **more)) as name:
        assert api.get(VALIDATING, name)["webhooks"][0]["timeoutSeconds"] == more.get("timeoutSeconds", 10)
        answer = api.try_create("configmaps", config_map("slow"))
        if is_refused:
            refused(answer, "context deadline exceeded")
        else:
            assert answer.status == 201, answer.body


@row("Admission webhook, admission control not allowed on webhook configuration objects")
def test_hooks_do_not_rule_over_hooks(api: Client, hooks: SampleWebhook) -> None:
    group, label = "admissionregistration.k8s.io", {api.namespace: "true"}
    rules = [rule(plural, "CREATE", group=group, version="*") for plural in (VALIDATING, MUTATING)]
    deletions = [{**each, "operations": ["DELETE"]} for each in rules]
    with (
        configured(api, VALIDATING, hook(hooks, "/always-deny", *deletions)),
        configured(api, MUTATING, hook(hooks, "/add-label", *rules)),
    ):
        for plural in (VALIDATING, MUTATING):
            dummy = hook(hooks, "/never", failurePolicy="Ignore", rules=[rule("invalid", group="")])
            name = f"{api.namespace}-dummy"
            made = api.create(plural, {"metadata": {"name": name, "labels": label}, "webhooks": [dummy]})
            assert made["metadata"]["labels"] == label
            api.delete(plural, name)
            assert not api.exists(plural, name)


# --- mutations --------------------------------------------------------------------------------------------------------

STAGES = {"mutation-start": "yes", "mutation-stage-1": "yes", "mutation-stage-2": "yes"}


@row("Admission webhook, ordered mutation")
def test_one_hook_after_another(api: Client, hooks: SampleWebhook) -> None:
    two = [hook(hooks, "/mutating-configmaps", rule("configmaps"), name=f"stage-{n}.k8s.io") for n in (1, 2)]
    with configured(api, MUTATING, *two):
        assert api.create("configmaps", config_map("to-be-mutated", mutation_start="yes"))["data"] == STAGES


@row("Admission webhook, mutation with defaulting")
def test_what_a_hook_adds_is_defaulted(api: Client, hooks: SampleWebhook) -> None:
    with configured(api, MUTATING, hook(hooks, "/mutating-pods", rule("pods"))):
        [added] = api.create("pods", pod("webhook-to-be-mutated"))["spec"]["initContainers"]
        assert added["name"] == "webhook-added-init-container"
        assert added["terminationMessagePolicy"] == "File"


@row("Admission webhook, mutate custom resource", "Admission webhook, mutate custom resource with pruning")
@pytest.mark.parametrize("pruned", [False, True])
def test_mutated_custom_objects(api: Client, hooks: SampleWebhook, pruned: bool) -> None:
    known = {name: {"type": "string"} for name in ("mutation-start", "mutation-stage-1")}
    schema = {"type": "object", "properties": {"data": {"type": "object", "properties": known}}} if pruned else ANYTHING
    definition = defined(api, custom_kind(api, "noxu", schema, scope="Namespaced"))
    rules = rule("noxus", group=definition["spec"]["group"], version="v1beta1")
    two = [hook(hooks, "/mutating-custom-resource", rules, name=f"stage-{n}.k8s.io") for n in (1, 2)]
    with configured(api, MUTATING, *two):
        obj = custom(definition, "cr-instance-1", data={"mutation-start": "yes"})
        made = api.do("POST", home(definition, namespace=api.namespace), obj)
        assert made["data"] == dict.fromkeys(known if pruned else STAGES, "yes")
    api.delete(CRDS, definition["metadata"]["name"])


@row("Admission webhook, mutate custom resource with different stored version")
def test_a_custom_object_stored_in_another_version(api: Client, hooks: SampleWebhook) -> None:
    definition = defined(api, custom_kind(api, "noxu", versions=("v1", "v2"), scope="Namespaced"))
    path, name = home(definition, namespace=api.namespace), definition["metadata"]["name"]
    rules = rule("noxus", "CREATE", "UPDATE", group=definition["spec"]["group"], version="v1")
    with configured(api, MUTATING, hook(hooks, "/mutating-custom-resource", rules)):
        api.do("POST", path, custom(definition, "cr", data={"mutation-start": "yes"}))
        versions = [{**each, "storage": not each["storage"]} for each in definition["spec"]["versions"]]
        api.patch(CRDS, name, {"spec": {"versions": versions}}, MERGE)
        until(lambda: "v2" in api.get(CRDS, name)["status"]["storedVersions"], "v2 is stored")
        patched = api.do("PATCH", f"{path}/cr", {"data": {"mutation-stage-1": None, "dummy": "test"}}, MERGE)
        assert patched["apiVersion"].endswith("/v1")
        assert patched["data"] == {"mutation-start": "yes", "mutation-stage-1": "yes", "dummy": "test"}
    api.delete(CRDS, name)


# --- configurations ---------------------------------------------------------------------------------------------------


def denies(api: Client, name: str) -> bool:
    answer = api.try_create("configmaps", unwanted(name))
    if answer.status == 201:
        return False
    refused(answer, "the configmap contains unwanted key and value")
    return True


def mutates(api: Client, name: str) -> bool:
    return bool(api.create("configmaps", config_map(name, mutation_start="yes"))["data"] == STAGES)


BOTH = pytest.mark.parametrize(
    ("plural", "path", "acts"), [(VALIDATING, "/configmaps", denies), (MUTATING, "/mutating-configmaps", mutates)]
)
Acts = Callable[[Client, str], bool]


@row("Admission webhook, list validating webhooks", "Admission webhook, list mutating webhooks")
@BOTH
def test_ten_configurations(api: Client, hooks: SampleWebhook, plural: str, path: str, acts: Acts) -> None:
    labels = {"e2e-list-test-uuid": api.namespace}
    names = [
        configure(api, plural, hook(hooks, path, rule("configmaps")), name=str(n), labels=labels) for n in range(10)
    ]
    selector = f"e2e-list-test-uuid={api.namespace}"
    assert [each["metadata"]["name"] for each in api.items(plural, selector)] == names
    assert acts(api, "a")
    api.delete_collection(plural, selector)
    assert api.items(plural, selector) == []
    assert not acts(api, "b")


@row("Admission webhook, update validating webhook", "Admission webhook, update mutating webhook")
@BOTH
def test_a_changed_configuration(api: Client, hooks: SampleWebhook, plural: str, path: str, acts: Acts) -> None:
    two = [hook(hooks, path, rule("configmaps"), name=f"{n}.k8s.io") for n in ((1, 2) if plural == MUTATING else (1,))]
    with configured(api, plural, *two) as name:
        assert acts(api, "a")

        def only_updates(obj: Obj) -> None:
            for each in obj["webhooks"]:
                each["rules"][0]["operations"] = ["UPDATE"]

        api.change(plural, name, only_updates)
        assert not acts(api, "b")
        operations = [
            {"op": "replace", "path": f"/webhooks/{n}/rules/0/operations", "value": ["CREATE"]} for n in range(len(two))
        ]
        api.patch(plural, name, operations, JSON_PATCH)
        assert acts(api, "c")


@row("Admission webhook, discovery document")
def test_configurations_are_discovered(api: Client) -> None:
    name = "admissionregistration.k8s.io"
    group = next(each for each in api.do("GET", "/apis")["groups"] if each["name"] == name)
    one = api.do("GET", f"/apis/{name}")
    for each in (group, one):
        assert f"{name}/v1" in [version["groupVersion"] for version in each["versions"]]
    resources = [each["name"] for each in api.do("GET", f"/apis/{name}/v1")["resources"]]
    assert {VALIDATING, MUTATING} <= set(resources)


NAMED = pytest.mark.parametrize(("plural", "path"), [(VALIDATING, "/configmaps"), (MUTATING, "/mutating-configmaps")])


@row(
    "Validating Admission webhook, create and update validating webhook configuration with matchConditions",
    "Mutating Admission webhook, create and update mutating webhook configuration with matchConditions",
)
@NAMED
def test_conditions_are_kept(api: Client, hooks: SampleWebhook, plural: str, path: str) -> None:
    first = [
        {"name": "expression-1", "expression": "object.metadata.namespace == 'production'"},
        {"name": "expression-2", "expression": "object.metadata.name == 'x'"},
    ]
    second = [{"name": "expression-3", "expression": "object.metadata.namespace == 'staging'"}]
    with configured(api, plural, hook(hooks, path, rule("configmaps"), matchConditions=first)) as name:
        assert api.get(plural, name)["webhooks"][0]["matchConditions"] == first
        api.change(plural, name, lambda obj: obj["webhooks"][0].update(matchConditions=second))
        assert api.get(plural, name)["webhooks"][0]["matchConditions"] == second


@row(
    "Validing Admission webhook, reject validating webhook configurations with invalid matchConditions",
    "Mutating Admission webhook, reject mutating webhook configurations with invalid matchConditions",
)
@NAMED
def test_wrong_conditions(api: Client, hooks: SampleWebhook, plural: str, path: str) -> None:
    conditions = [
        {"name": "invalid-expression-1", "expression": "... [] bad expression"},
        {"name": "invalid-expression-2", "expression": "object.metadata.namespace == 'staging'"},
    ]
    wrong = hook(hooks, path, rule("configmaps"), matchConditions=conditions)
    answer = api.try_create(plural, {"metadata": {"name": f"{api.namespace}-wrong"}, "webhooks": [wrong]})
    assert answer.status == 422
    refused(answer, "compilation failed")


@row("Mutating Admission webhook, mutating webhook excluding object with specific name")
def test_all_but_one(api: Client, hooks: SampleWebhook) -> None:
    conditions = [{"name": "skip-me", "expression": "object.metadata.name != 'skip-me'"}]
    two = [
        hook(hooks, "/mutating-configmaps", rule("configmaps"), name=f"{n}.k8s.io", matchConditions=conditions)
        for n in (1, 2)
    ]
    with configured(api, MUTATING, *two):
        assert not mutates(api, "skip-me")
        assert mutates(api, "do-not-skip-me")
