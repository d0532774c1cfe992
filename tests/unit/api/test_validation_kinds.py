"""What is wrong with metadata, workloads, Services and the small kinds, in upstream's words."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from minik.api import validation
from minik.api.validation import METADATA
from tests.unit.api.objects import (
    REGISTRY,
    admitted,
    container,
    deployment,
    problems,
    service,
    status_text,
    stored,
    update_problems,
)

SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with"
    " an alphanumeric character (e.g. 'example.com', regex used for validation is"
    r" '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
DNS_1035 = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end"
    " with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is"
    " '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
LABEL_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with"
    " an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is"
    " '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


def config(data: dict[str, str] | None = None, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "c", "namespace": "default", **metadata}, "data": data or {}}


# --- metadata -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, []),
        ({"name": "Web"}, [f'metadata.name: Invalid value: "Web": {SUBDOMAIN}']),
        ({"name": ""}, ["metadata.name: Required value: name or generateName is required"]),
        ({"name": "a" * 254}, [f'metadata.name: Invalid value: "{"a" * 254}": must be no more than 253 bytes']),
        ({"name": "x-1", "generateName": "x-"}, []),
        ({"namespace": ""}, ["metadata.namespace: Required value"]),
        ({"labels": {"app": "a b"}}, [f'metadata.labels: Invalid value: "a b": {LABEL_VALUE}']),
        ({"labels": {"/a": "b"}}, ['metadata.labels: Invalid value: "/a": prefix part must be non-empty']),
        (
            {"annotations": {"a": "x" * 262144}},
            ["metadata.annotations: Too long: may not be more than 262144 bytes"],
        ),
        (
            {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p"}]},
            ['metadata.ownerReferences.uid: Invalid value: "": must not be empty'],
        ),
        (
            {"finalizers": ["orphan", "foregroundDeletion"]},
            [
                'metadata.finalizers: Invalid value: ["orphan","foregroundDeletion"]: finalizer orphan and'
                " foregroundDeletion cannot be both set"
            ],
        ),
    ],
)
def test_metadata(metadata: dict[str, Any], expected: list[str]) -> None:
    assert problems("configmaps", config(**metadata)) == expected


def test_two_controllers_are_one_too_many() -> None:
    owners = [{"apiVersion": "v1", "kind": "Pod", "name": n, "uid": n, "controller": True} for n in ("a", "b")]
    (problem,) = problems("configmaps", config(ownerReferences=owners))
    assert problem.endswith(
        'Only one reference can have Controller set to true. Found "true" in references for Pod/a and Pod/b'
    )


def test_a_cluster_scoped_object_has_no_namespace() -> None:
    assert problems("namespaces", {"metadata": {"name": "a", "namespace": "b"}}) == [
        "metadata.namespace: Forbidden: not allowed on this type"
    ]


def test_identity_does_not_change() -> None:
    old = stored("configmaps", config())
    assert update_problems("configmaps", old, lambda draft: draft["metadata"].update(uid="u2")) == [
        'metadata.uid: Invalid value: "u2": field is immutable'
    ]


def test_no_finalizer_is_added_to_what_is_being_deleted() -> None:
    old = stored("configmaps", config(), deletionTimestamp="2026-01-01T00:00:00Z")
    new = {**old, "metadata": {**old["metadata"], "finalizers": ["example.com/f"]}}
    assert [str(e) for e in validation.object_meta_update(new, old, METADATA)] == [
        "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers"
        ' []string{"example.com/f"}'
    ]


# --- workloads ------------------------------------------------------------------------------------------------------


def test_a_selector_that_does_not_match_its_template() -> None:
    assert status_text("deployments.apps", deployment(selector={"matchLabels": {"app": "other"}})) == (
        'Deployment.apps "web" is invalid: spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not'
        " match template `labels`"
    )


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"replicas": -1}, ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"]),
        (
            {"selector": None},
            [
                "spec.selector: Required value",
                'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`',
            ],
        ),
        ({"selector": {}}, ["spec.selector: Invalid value: {}: empty selector is invalid for deployment"]),
        (
            {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}},
            ["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"],
        ),
        (
            {"strategy": {"type": "Recreate", "rollingUpdate": {}}},
            ["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"],
        ),
        (
            {"progressDeadlineSeconds": 5, "minReadySeconds": 5},
            ["spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds"],
        ),
        (
            {"template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container()], "restartPolicy": "Never"}}},
            ['spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'],
        ),
        (
            {"selector": {"matchExpressions": [{"key": "app", "operator": "In"}]}},
            [
                "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or"
                " 'NotIn'",
                'spec.selector: Invalid value: {"matchExpressions":[{"key":"app","operator":"In"}]}: invalid label selector',
            ],
        ),
    ],
)  # fmt: skip
def test_deployments(spec: dict[str, Any], expected: list[str]) -> None:
    assert problems("deployments.apps", deployment(**spec)) == expected


@pytest.mark.parametrize("resource", ["deployments.apps", "replicasets.apps"])
def test_a_selector_is_for_ever(resource: str) -> None:
    def change(draft: dict[str, Any]) -> None:
        draft["spec"]["selector"]["matchLabels"]["app"] = "b"
        draft["spec"]["template"]["metadata"]["labels"]["app"] = "b"

    assert update_problems(resource, stored(resource, deployment()), change) == [
        'spec.selector: Invalid value: {"matchLabels":{"app":"b"}}: field is immutable'
    ]


def test_counts_in_a_status() -> None:
    kind = REGISTRY["replicasets.apps"]
    rs = {"status": {"replicas": 1, "readyReplicas": 2, "availableReplicas": 1}}
    assert [str(error) for error in kind.validate_status(rs, rs)] == [
        "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas"
    ]


# --- services -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        ({"ports": []}, ["spec.ports: Required value"]),
        ({"ports": [], "clusterIP": "None"}, []),
        ({"ports": [{"port": 1}, {"port": 2}]}, [f"spec.ports[{n}].name: Required value" for n in (0, 1)]),
        ({"ports": [{"port": 0}]}, ["spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"]),
        (
            {"ports": [{"port": 1, "name": "a"}, {"port": 1, "name": "b"}]},
            ['spec.ports[1]: Duplicate value: {"protocol":"TCP","port":1}'],
        ),
        (
            {"ports": [{"port": 1, "nodePort": 30000}]},
            ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
        ),
        (
            {"type": "Magic"},
            [
                'spec.type: Unsupported value: "Magic": supported values: "ClusterIP", "ExternalName", "LoadBalancer",'
                ' "NodePort"'
            ],
        ),
        ({"type": "ExternalName"}, ["spec.externalName: Required value"]),
        (
            {"type": "NodePort", "clusterIP": "None"},
            ["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"],
        ),
        (
            {"clusterIP": "10.0.0"},
            [
                'spec.clusterIPs[0]: Invalid value: "10.0.0": must be a valid IP address, (e.g. 10.9.8.7 or'
                " 2001:db8::ffff)"
            ],
        ),
        (
            {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86401}}},
            [
                "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be greater than 0 and less"
                " than 86400"
            ],
        ),
        (
            {"externalTrafficPolicy": "Local"},
            ['spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services'],
        ),
    ],
)
def test_services(spec: dict[str, Any], expected: list[str]) -> None:
    assert problems("services", service(**spec)) == expected


def test_a_service_is_named_for_dns() -> None:
    manifest = service() | {"metadata": {"name": "1web", "namespace": "default"}}
    assert problems("services", manifest) == [f'metadata.name: Invalid value: "1web": {DNS_1035}']


def test_a_cluster_address_is_for_ever() -> None:
    old = stored("services", service(clusterIP="10.96.0.7"))
    assert update_problems("services", old, lambda draft: draft["spec"].update(clusterIP="10.96.0.8")) == [
        'spec.clusterIPs[0]: Invalid value: ["10.96.0.8"]: may not change once set'
    ]


# --- small kinds ----------------------------------------------------------------------------------------------------


def test_config_maps() -> None:
    assert problems("configmaps", config({"a/b": "x"})) == [
        "data[a/b]: Invalid value: \"a/b\": a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
        " (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
    ]
    assert problems("configmaps", config({"a": "x" * (1 << 20)})) == []
    assert problems("configmaps", config({"a": "x" * (1 << 20), "b": "x"})) == [
        "Too long: may not be more than 1048576 bytes"
    ]


def test_what_is_immutable_stays() -> None:
    old = stored("configmaps", config({"a": "1"}) | {"immutable": True})
    assert update_problems("configmaps", old, lambda draft: draft["data"].update(a="2")) == [
        "data: Forbidden: field is immutable when `immutable` is set"
    ]
    assert update_problems("configmaps", old, lambda draft: draft.pop("immutable")) == [
        "immutable: Forbidden: field is immutable when `immutable` is set"
    ]
    secret = stored("secrets", config() | {"data": {}, "type": "a/b"})
    assert update_problems("secrets", secret, lambda draft: draft.update(type="c/d")) == [
        'type: Invalid value: "c/d": field is immutable'
    ]


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("kubernetes.io/tls", {}, ["data[tls.crt]: Required value", "data[tls.key]: Required value"]),
        ("kubernetes.io/ssh-auth", {}, ["data[ssh-privatekey]: Required value"]),
        ("kubernetes.io/basic-auth", {"username": ""}, []),
        ("kubernetes.io/dockerconfigjson", {".dockerconfigjson": base64.b64encode(b"{}").decode()}, []),
        (
            "kubernetes.io/service-account-token",
            {},
            ["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
        ),
    ],
)
def test_secrets_have_the_keys_of_their_type(kind: str, data: dict[str, str], expected: list[str]) -> None:
    assert problems("secrets", config() | {"data": data, "type": kind}) == expected


def test_an_event_lies_where_its_object_lies() -> None:
    event = {"metadata": {"name": "e", "namespace": "a"}, "involvedObject": {"kind": "Pod", "namespace": "b"}}
    assert problems("events", event) == ['involvedObject.namespace: Invalid value: "b": does not match event.namespace']
    node_event = {"metadata": {"name": "e", "namespace": "default"}, "involvedObject": {"kind": "Node", "name": "n"}}
    assert problems("events", node_event) == []


def test_endpoints_and_slices() -> None:
    metadata = {"name": "e", "namespace": "default"}
    assert problems("endpoints", {"metadata": metadata, "subsets": [{"ports": [{"port": 80}]}]}) == [
        "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"
    ]
    loop = {"metadata": metadata, "addressType": "IPv4", "endpoints": [{"addresses": ["127.0.0.1"]}]}
    assert problems("endpointslices.discovery.k8s.io", loop) == [
        'endpoints[0].addresses[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)'
    ]
    assert problems(
        "endpointslices.discovery.k8s.io", {"metadata": metadata, "addressType": "IPX", "endpoints": []}
    ) == ['addressType: Unsupported value: "IPX": supported values: "FQDN", "IPv4", "IPv6"']


def test_leases_and_nodes() -> None:
    lease = {"metadata": {"name": "l", "namespace": "default"}, "spec": {"leaseDurationSeconds": 0}}
    assert problems("leases.coordination.k8s.io", lease) == [
        "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"
    ]
    taint = {"key": "a", "effect": "NoSchedule"}
    (problem,) = problems("nodes", {"metadata": {"name": "n"}, "spec": {"taints": [taint, taint]}})
    assert problem.endswith("taints must be unique by key and effect pair")
    old = stored("nodes", {"metadata": {"name": "n"}, "spec": {"podCIDR": "10.244.0.0/24"}})
    change = {"podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24"]}
    assert update_problems("nodes", old, lambda draft: draft["spec"].update(change)) == [
        'spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid'
    ]


def test_a_namespace_is_terminating_exactly_while_it_is_being_deleted() -> None:
    kind = REGISTRY["namespaces"]
    namespace = admitted("namespaces", {"metadata": {"name": "a"}})
    namespace["status"]["phase"] = "Terminating"
    assert [str(error) for error in kind.validate_status(namespace, namespace)] == [
        "status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty"
    ]
