"""Conformance rows of admission policies in CEL and of API priority's objects, step by step after upstream's e2e
(`test/e2e/apimachinery/{validatingadmissionpolicy,mutatingadmissionpolicy,flowcontrol}.go`)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.e2e import Client, Obj, row
from tests.support.kubectl import Kubectl
from tests.support.process import Server
from tests.wire.test_rows_objects import check_operations

DEPLOYMENTS = {
    "operations": ["CREATE", "UPDATE"],
    "apiGroups": ["apps"],
    "apiVersions": ["v1"],
    "resources": ["deployments"],
}


@pytest.fixture
def api(server: Server, namespace: str) -> Client:
    client = Client(server, namespace)
    client.do(
        "PATCH",
        f"/api/v1/namespaces/{namespace}",
        {"metadata": {"labels": {namespace: "true"}}},
        "application/merge-patch+json",
    )
    return client


def matched(api: Client) -> Obj:
    return {"resourceRules": [DEPLOYMENTS], "namespaceSelector": {"matchLabels": {api.namespace: "true"}}}


def workload(name: str, replicas: int) -> Obj:
    template = {
        "metadata": {"labels": {"app": "nginx"}},
        "spec": {"containers": [{"name": "nginx", "image": "nginx:latest"}]},
    }
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "nginx"}}, "template": template}
    return {"metadata": {"name": name, "labels": {"app": "nginx"}}, "spec": spec}


def bind(api: Client, kind: str, **more: Any) -> None:
    selector = {"namespaceSelector": {"matchLabels": {api.namespace: "true"}}}
    spec = {"policyName": f"{api.namespace}.policy.example.com", "matchResources": selector, **more}
    api.create(
        f"{kind}admissionpolicybindings", {"metadata": {"name": f"{api.namespace}.binding.example.com"}, "spec": spec}
    )


def forget(api: Client, kind: str) -> None:
    for plural, name in (("policybindings", "binding"), ("policies", "policy")):
        api.delete(f"{kind}admission{plural}", f"{api.namespace}.{name}.example.com")


@row("ValidatingAdmissionPolicy")
@pytest.mark.parametrize(
    "spec",
    [
        {
            "validations": [
                {
                    "expression": "object.spec.replicas > 1",
                    "messageExpression": "'wants replicas > 1, got ' + object.spec.replicas",
                }
            ]
        },
        {
            "variables": [
                {"name": "replicas", "expression": "object.spec.replicas"},
                {"name": "oddReplicas", "expression": "variables.replicas % 2 == 1"},
            ],
            "validations": [{"expression": "variables.replicas > 1"}, {"expression": "!variables.oddReplicas"}],
        },
    ],
)
def test_a_policy_validates_deployments(api: Client, spec: Obj) -> None:
    policy = {
        "metadata": {"name": f"{api.namespace}.policy.example.com"},
        "spec": {"matchConstraints": matched(api), **spec},
    }
    api.create("validatingadmissionpolicies", policy)
    bind(api, "validating", validationActions=["Deny"])
    denied = api.try_create("deployments", workload("marker-deployment", 1))
    assert (denied.status, denied.obj["reason"]) == (422, "Invalid"), denied.body
    api.create("deployments", workload("replicated", 2))
    assert (api.try_create("deployments", workload("odd", 3)).status == 201) is ("variables" not in spec)
    api.create("replicasets", workload("non-replicated", 1))
    forget(api, "validating")


@row("MutatingAdmissionPolicy")
@pytest.mark.parametrize("note", ["mutated-by", "my-foo-annotation"])
def test_a_policy_mutates_deployments(api: Client, note: str) -> None:
    expression = """
        Object{
            metadata: Object.metadata{
                annotations: {
                    "NOTE": "admission-policy"
                }
            }
        }""".replace("NOTE", note)
    spec = {
        "matchConstraints": matched(api), "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}],
    }  # fmt: skip
    api.create("mutatingadmissionpolicies", {"metadata": {"name": f"{api.namespace}.policy.example.com"}, "spec": spec})
    bind(api, "mutating")
    made = api.create("deployments", workload("test-deployment", 2))
    assert made["metadata"]["annotations"][note] == "admission-policy"
    forget(api, "mutating")


def test_kubectl_is_told_why(kubectl: Kubectl, namespace: str) -> None:
    name = f"{namespace}.example.com"
    selector = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    spec = {
        "matchConstraints": {"resourceRules": [DEPLOYMENTS], **selector},
        "validations": [{"expression": "object.spec.replicas <= 2", "message": "at most two"}],
    }  # fmt: skip
    kind = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": name}}
    bound = {"policyName": name, "validationActions": ["Deny"]}
    kubectl.apply({**kind, "kind": "ValidatingAdmissionPolicy", "spec": spec})
    kubectl.apply({**kind, "kind": "ValidatingAdmissionPolicyBinding", "spec": bound})
    words = ("create", "deployment", "web", "--image=registry.test/web:1")
    why = f"ValidatingAdmissionPolicy '{name}' with binding '{name}' denied request: at most two"
    assert why in kubectl.fails(*words, "--replicas=3")
    assert kubectl(*words, "--replicas=2") == "deployment.apps/web created\n"
    assert kubectl("get", "validatingadmissionpolicies", name, "--no-headers").split()[1:3] == ["1", "<unset>"]
    kubectl("delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", name)


@row("ValidatingAdmissionPolicy API")
def test_validating_policies(api: Client) -> None:
    def new(_name: str) -> Obj:
        spec = {
            "validations": [{"expression": "object.spec.replicas <= 100"}],
            "matchConstraints": {"resourceRules": [DEPLOYMENTS]},
        }
        return {"metadata": {"generateName": "e2e-example-vap"}, "spec": spec}

    check_operations(api, "validatingadmissionpolicies", new)
    made = api.create("validatingadmissionpolicies", new(""))
    name = made["metadata"]["name"]
    condition = {"type": "PatchStatusFailed", "status": "False", "reason": "e2e", "message": "Set by a test"}
    status = {"status": {"conditions": [{**condition, "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}
    path = f"{api.path('validatingadmissionpolicies', name)}/status"
    assert (
        api.do("PATCH", path, status, "application/merge-patch+json")["status"]["conditions"][0]["type"]
        == "PatchStatusFailed"
    )
    updated = api.change(
        "validatingadmissionpolicies", name, lambda obj: obj["status"]["conditions"][0].update(reason="E2E"), "status"
    )
    assert updated["status"]["conditions"][0]["reason"] == "E2E"
    assert api.do("GET", path)["metadata"]["uid"] == made["metadata"]["uid"]
    api.delete("validatingadmissionpolicies", name)


@row("ValidatingadmissionPolicyBinding API")
def test_validating_bindings(api: Client) -> None:
    def new(_name: str) -> Obj:
        spec = {"policyName": "replicalimit-policy.example.com", "validationActions": ["Deny"]}
        return {"metadata": {"generateName": "e2e-example-vapb-"}, "spec": spec}

    check_operations(api, "validatingadmissionpolicybindings", new)


@row("MutatingAdmissionPolicy API")
def test_mutating_policies(api: Client) -> None:
    def new(_name: str) -> Obj:
        expression = 'Object{metadata: Object.metadata{annotations: {"my-foo-annotation": "myAnnotationValue"}}}'
        spec = {
            "reinvocationPolicy": "Never", "matchConstraints": {"resourceRules": [DEPLOYMENTS]},
            "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}],
        }  # fmt: skip
        return {"metadata": {"generateName": "e2e-example-map-"}, "spec": spec}

    check_operations(api, "mutatingadmissionpolicies", new)


@row("MutatingAdmissionPolicyBinding API")
def test_mutating_bindings(api: Client) -> None:
    def new(_name: str) -> Obj:
        return {
            "metadata": {"generateName": "e2e-example-mapb-"},
            "spec": {"policyName": "replicalimit-policy.example.com"},
        }

    check_operations(api, "mutatingadmissionpolicybindings", new)


@row("Priority and Fairness FlowSchema API")
def test_flow_schemas(api: Client) -> None:
    def new(_name: str) -> Obj:
        rule = {
            "subjects": [{"kind": "User", "user": {"name": "example-e2e-non-existent-user"}}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        }  # fmt: skip
        spec = {
            "matchingPrecedence": 10000, "priorityLevelConfiguration": {"name": "global-default"},
            "distinguisherMethod": {"type": "ByUser"}, "rules": [rule],
        }  # fmt: skip
        return {"metadata": {"generateName": "e2e-example-fs-"}, "spec": spec}

    check_flow_control(api, "flowschemas", new, {"spec": {"matchingPrecedence": 9999}})


@row("Priority and Fairness PriorityLevelConfiguration API")
def test_priority_levels(api: Client) -> None:
    def new(_name: str) -> Obj:
        limited = {"nominalConcurrencyShares": 2, "limitResponse": {"type": "Reject"}}
        return {"metadata": {"generateName": "e2e-example-pl-"}, "spec": {"type": "Limited", "limited": limited}}

    check_flow_control(api, "prioritylevelconfigurations", new, {"spec": {"limited": {"nominalConcurrencyShares": 4}}})


def check_flow_control(api: Client, plural: str, new: Any, change: Obj) -> None:
    check_operations(api, plural, new)
    made = api.create(plural, new(""))
    name = made["metadata"]["name"]
    patched = api.patch(
        plural, name, {**change, "metadata": {"annotations": {"patched": "true"}}}, "application/merge-patch+json"
    )
    assert patched["metadata"]["generation"] == 2
    path = f"{api.path(plural, name)}/status"
    condition = {"type": "PatchStatusFailed", "status": "False", "reason": "e2e"}
    said = api.do("PATCH", path, {"status": {"conditions": [condition]}}, "application/merge-patch+json")
    assert said["status"]["conditions"] == [condition]
    updated = api.change(
        plural,
        name,
        lambda obj: obj["status"]["conditions"].append({**condition, "type": "StatusUpdateFailed"}),
        "status",
    )
    assert len(updated["status"]["conditions"]) == 2 and api.do("GET", path)["status"] == updated["status"]
    api.delete(plural, name)
